package ddl

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestMakes(t *testing.T) {
	for statement, want := range map[string]Made{
		"CREATE TABLE `a``b` (`TABLE` int)":                                               {What: "TABLE", Name: "a`b"},
		"CREATE DATABASE IF NOT EXISTS `x` /*!40100 DEFAULT CHARACTER SET utf8mb4 */":     {What: "DATABASE", Name: "x"},
		"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `x`":                                    {What: "DATABASE", Name: "x"},
		"CREATE ALGORITHM=UNDEFINED DEFINER=`VIEW`@`%` SQL SECURITY DEFINER VIEW `v` AS":  {What: "VIEW", Name: "v"},
		"CREATE OR REPLACE DEFINER=`a`@`b` PROCEDURE \"p\"() SELECT 1":                    {What: "PROCEDURE", Name: "p"},
		"CREATE DEFINER=`a`@`b` PACKAGE BODY `p` AS":                                      {What: "PACKAGE BODY", Name: "p"},
		"create definer=`a`@`b` trigger db . tr before insert on t for each row set @a=1": {What: "TRIGGER", Name: "tr"},
		"CREATE (TABLE x": {}, "INSERT INTO `TABLE` VALUES (1)": {}, "CREATE TABLE": {}, "CREATE": {}, "": {}, "CREATE UNIQUE INDEX i ON t (a)": {},
	} {
		got, ok := Makes([]byte(statement))
		if got.What != want.What && ok || got.Name != want.Name || ok != (want.What != "") {
			t.Errorf("%q makes %+v, not %+v", statement, got, want)
		}
	}
}

func TestWithBounds(t *testing.T) {
	for _, c := range []struct {
		create string
		bounds []string
		want   string
	}{
		{"PARTITION BY RANGE  COLUMNS(c) (PARTITION `VALUES IN (` VALUES LESS THAN ('Ã¶)') ENGINE = InnoDB, PARTITION b VALUES LESS THAN (MAXVALUE))", []string{"'ö)'", "MAXVALUE"},
			"PARTITION BY RANGE  COLUMNS(c) (PARTITION `VALUES IN (` VALUES LESS THAN ('ö)') ENGINE = InnoDB, PARTITION b VALUES LESS THAN (MAXVALUE))"},
		{"/*!50500 (PARTITION a VALUES IN (('x',1),('y',2))) */", []string{"('z',1)"}, "/*!50500 (PARTITION a VALUES IN (('z',1))) */"},
		{"(PARTITION a VALUES LESS THAN (1), PARTITION b VALUES LESS THAN MAXVALUE)", []string{"2", "MAXVALUE"}, "(PARTITION a VALUES LESS THAN (1), PARTITION b VALUES LESS THAN MAXVALUE)"},
		{"(PARTITION a VALUES IN (1)", nil, "(PARTITION a VALUES IN (1)"},
		{"VALUES IN (1", []string{"2"}, "VALUES IN (1"}, {"VALUES", []string{"2"}, "VALUES"}, {"VALUES IN", nil, "VALUES IN"},
	} {
		if got := WithBounds(c.create, c.bounds); got != c.want {
			t.Errorf("%s with %q is %s", c.create, c.bounds, got)
		}
	}
}

func TestInside(t *testing.T) {
	for create, want := range map[string]string{
		"CREATE TABLE `t` (`DATA` int COMMENT 'DATA DIRECTORY=''/x''') DATA DIRECTORY='/a/' INDEX DIRECTORY='/b/' COMMENT='x'": "CREATE TABLE `t` (`DATA` int COMMENT 'DATA DIRECTORY=''/x''')   COMMENT='x'",
		"CREATE TABLE t (a int) /*!50100 PARTITION BY HASH (a) (PARTITION p DATA DIRECTORY = '/a' ENGINE = InnoDB) */":         "CREATE TABLE t (a int) /*!50100 PARTITION BY HASH (a) (PARTITION p  ENGINE = InnoDB) */",
		"CREATE TABLE t (DATA DIRECTORY int)": "CREATE TABLE t (DATA DIRECTORY int)", "DATA DIRECTORY": "DATA DIRECTORY", "DATA DIRECTORY =": "DATA DIRECTORY =", "": "",
	} {
		if got := string(Inside([]byte(create))); got != want {
			t.Errorf("%s is %s", create, got)
		}
	}
}

func TestSame(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"CREATE TABLE `t` (a int) AUTO_INCREMENT=5", "CREATE TABLE IF NOT EXISTS `t` (a int)", true},
		{"CREATE TABLE `t` (a int AUTO_INCREMENT)", "CREATE TABLE `t` (a int)", false},
		{"CREATE TABLE `t` (a int) COMMENT 'AUTO_INCREMENT=5'", "CREATE TABLE `t` (a int) COMMENT 'AUTO_INCREMENT=6'", false},
		{"CREATE DATABASE x /*!40100 DEFAULT CHARACTER SET utf8 */", "CREATE DATABASE IF NOT EXISTS x DEFAULT CHARACTER SET utf8", true},
		{"CREATE OR REPLACE VIEW v AS select 1", "CREATE VIEW v AS select 1", true},
		{"CREATE VIEW v AS select 1", "CREATE VIEW v AS select 1 ", true},
		{"CREATE PROCEDURE p() BEGIN /* a */ END", "CREATE PROCEDURE p() BEGIN /* b */ END", false},
		{"CREATE VIEW v AS select 'a'", "CREATE VIEW v AS select 'A'", false},
		{"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE DO SELECT 1", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE ON REPLICA DO SELECT 1", true},
		{"CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE ON SLAVE DO SELECT 1", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO SELECT 1", false},
		{"CREATE VIEW v AS SELECT SLAVE", "CREATE VIEW v AS SELECT REPLICA", false},
		{"a", "a b", false},
	} {
		if got := Same([]byte(c.a), []byte(c.b)); got != c.same {
			t.Errorf("%q and %q: %v", c.a, c.b, got)
		}
	}
}

func TestDifference(t *testing.T) {
	a, b := "CREATE TABLE `t` (\n  `a` int,\n  `b\\` int\n)", "CREATE TABLE `t` (\n  `a` int,\n  `c` int\n)"
	if got := Difference([]byte(a), []byte(b)); got != "\"`b\\` int )\"" {
		t.Error(got)
	}
}

func TestRewrites(t *testing.T) {
	event := "CREATE EVENT `ENABLE` ON SCHEDULE EVERY 1 DAY STARTS 'ENABLE' ON COMPLETION PRESERVE ENABLE COMMENT 'x' DO SELECT 'ENABLE'"
	if got := string(Disable([]byte(event), DisabledOnReplica)); got != strings.Replace(event, " ENABLE COMMENT", " DISABLE ON SLAVE COMMENT", 1) {
		t.Errorf("%s", got)
	}
	off := "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO CALL ENABLE"
	if got := string(Disable([]byte(off), Disabled)); got != off {
		t.Errorf("%s", got)
	}
	trigger := "CREATE TRIGGER tr BEFORE INSERT ON `a` . t FOR EACH ROW INSERT INTO a.log SELECT 1"
	if got := string(TriggerOnly([]byte(trigger), "a")); got != strings.Replace(trigger, "`a` . t", " t", 1) {
		t.Errorf("%s", got)
	}
	if !Mentions([]byte(trigger), "A") || Mentions([]byte("SELECT a, `a`, 'a.b' FROM ab.c"), "a") {
		t.Error("which database a statement names")
	}
}

// A lexer's tokens are the statement, and nothing that is done with hostile text fails otherwise than with an error.
func FuzzStatement(f *testing.F) {
	for _, seed := range []string{"CREATE TABLE `a` (b int) /*!1 x */ -- c\n#d", "INSERT INTO t VALUES (1,'\\'),(')),(2)", "/* ", "'\\", "`", "CREATE EVENT e DO", "*/", "CREATE TRIGGER a.b ON a.c FOR",
		"CREATE TABLE `a` (\n  `b` int,\n  PRIMARY KEY (`b`),\n  KEY `k` (`b`(3)) /*!80000 INVISIBLE */,\n  CONSTRAINT `c` FOREIGN KEY (`b`) REFERENCES `x` (`y`)\n) ENGINE=InnoDB COMMENT=')'",
		"CREATE TABLE `a` (,) ENGINE=InnoDB", "CREATE TABLE `a` (/*!`b` '", "CREATE DEFINER=`a`@`b` FUNCTION `a`(x int) RETURNS int\n    DETERMINISTIC\nRETURN 1"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, statement []byte) {
		var all []byte
		for l := (Lexer{Text: statement}); ; {
			tok, ok := l.Any()
			if !ok {
				break
			}
			if len(tok.Text) == 0 {
				t.Fatal("a token of nothing")
			}
			all = append(all, tok.Text...)
			tok.Name()
		}
		if !bytes.Equal(all, statement) {
			t.Fatalf("%q became %q", statement, all)
		}
		if !Same(statement, statement) {
			t.Fatalf("%q is not the same as itself", statement)
		}
		if m, ok := Makes(statement); ok {
			if again, ok := Makes(m.Rename(statement, "x`y")); !ok || again.Name != "x`y" {
				t.Fatalf("%q: %+v became %+v", statement, m, again)
			}
		}
		Disable(statement, Disabled)
		TriggerOnly(statement, "a")
		Mentions(statement, "a")
		_, _ = Used(statement)
		create := string(statement)
		rest, keys, foreign := SplitKeys(create)
		if len(keys)+len(foreign) == 0 && rest != create {
			t.Errorf("%q became %q", create, rest)
		}
		for _, s := range slices.Concat(keys, foreign) {
			if !strings.HasPrefix(s, "ALTER TABLE `") {
				t.Errorf("%q gives %q", create, s)
			}
		}
		Loadable(create)
		RoutineParts(create, "a")
		EventParts(create)
		Definer(create)
		ParseTable(create)
		AlterDatabase(statement, "a")
	})
}
