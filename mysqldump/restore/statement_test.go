package restore

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"nightjar/mysqldump"
	"nightjar/mysqldump/script"
)

func TestMakes(t *testing.T) {
	for statement, want := range map[string]made{
		"CREATE TABLE `a``b` (`TABLE` int)":                                               {what: "TABLE", name: "a`b"},
		"CREATE DATABASE IF NOT EXISTS `x` /*!40100 DEFAULT CHARACTER SET utf8mb4 */":     {what: "DATABASE", name: "x"},
		"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `x`":                                    {what: "DATABASE", name: "x"},
		"CREATE ALGORITHM=UNDEFINED DEFINER=`VIEW`@`%` SQL SECURITY DEFINER VIEW `v` AS":  {what: "VIEW", name: "v"},
		"CREATE OR REPLACE DEFINER=`a`@`b` PROCEDURE \"p\"() SELECT 1":                    {what: "PROCEDURE", name: "p"},
		"CREATE DEFINER=`a`@`b` PACKAGE BODY `p` AS":                                      {what: "PACKAGE BODY", name: "p"},
		"create definer=`a`@`b` trigger db . tr before insert on t for each row set @a=1": {what: "TRIGGER", name: "tr"},
		"CREATE (TABLE x": {}, "INSERT INTO `TABLE` VALUES (1)": {}, "CREATE TABLE": {}, "CREATE": {}, "": {}, "CREATE UNIQUE INDEX i ON t (a)": {},
	} {
		got, ok := makes([]byte(statement))
		if got.what != want.what && ok || got.name != want.name || ok != (want.what != "") {
			t.Errorf("%q makes %+v, not %+v", statement, got, want)
		}
	}
}

func TestSplit(t *testing.T) {
	rows := []string{"(1,'a')", `(2,'),(\'b')`, "(3,_utf8mb4'{\"x\": \"(\"}')", "(4,NULL)", "(5,'" + strings.Repeat("x", 50) + "')"}
	head := "INSERT INTO `t` (`a`,`values`) VALUES\n"
	statement := head + strings.Join(rows, ",\n")
	for most := len(head) + 58; most <= len(statement); most++ {
		pieces, err := split([]byte(statement), most)
		if err != nil {
			t.Fatalf("%d: %v", most, err)
		}
		var got []string
		for _, p := range pieces {
			h, found, err := rowsOf(p)
			if err != nil || len(p) > most || strings.TrimSpace(string(h)) != strings.TrimSpace(head) {
				t.Fatalf("%d: %q: %v", most, p, err)
			}
			for _, row := range found {
				got = append(got, string(row))
			}
		}
		if !slices.Equal(got, rows) {
			t.Fatalf("%d: %q", most, got)
		}
	}
	for _, bad := range []string{statement + " ON DUPLICATE KEY UPDATE a=1", head, head + "(1", "CREATE TABLE t (a int)", head + "(1),'x'"} {
		if pieces, err := split([]byte(bad), 10); err == nil {
			t.Errorf("%q is split: %q", bad, pieces)
		}
	}
	if _, err := split([]byte(statement), len(head)+20); err == nil || !strings.Contains(err.Error(), "max_allowed_packet") {
		t.Errorf("a row that is too large: %v", err)
	}
}

func TestSameDefinition(t *testing.T) {
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
		if got := sameDefinition([]byte(c.a), []byte(c.b)); got != c.same {
			t.Errorf("%q and %q: %v", c.a, c.b, got)
		}
	}
}

func TestRewrites(t *testing.T) {
	event := "CREATE EVENT `ENABLE` ON SCHEDULE EVERY 1 DAY STARTS 'ENABLE' ON COMPLETION PRESERVE ENABLE COMMENT 'x' DO SELECT 'ENABLE'"
	if got := string(disableOnReplica([]byte(event))); got != strings.Replace(event, " ENABLE COMMENT", " DISABLE ON SLAVE COMMENT", 1) {
		t.Errorf("%s", got)
	}
	off := "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DISABLE DO CALL ENABLE"
	if got := string(disableOnReplica([]byte(off))); got != off {
		t.Errorf("%s", got)
	}
	trigger := "CREATE TRIGGER tr BEFORE INSERT ON `a` . t FOR EACH ROW INSERT INTO a.log SELECT 1"
	if got := string(triggerOnly([]byte(trigger), "a")); got != strings.Replace(trigger, "`a` . t", " t", 1) {
		t.Errorf("%s", got)
	}
	if !mentions([]byte(trigger), "A") || mentions([]byte("SELECT a, `a`, 'a.b' FROM ab.c"), "a") {
		t.Error("which database a statement names")
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"shop", "shop", true}, {"shop", "shops", false}, {"sh*", "shop", true}, {"*", "", true}, {"s?op", "shop", true}, {"?", "é", true}, {"??", "é", false},
		{"*a*b", "xaxbxb", true}, {"*a*b", "xaxbx", false}, {"", "", true}, {"", "a", false}, {`a\*`, "a*", true}, {`a\*`, "ab", false},
	} {
		if got := match(c.pattern, c.name); got != c.want {
			t.Errorf("%q matches %q: %v", c.pattern, c.name, got)
		}
	}
	for text, want := range map[string]Pattern{
		"shop": {"shop", ""}, "shop.*": {"shop", "*"}, `a\.b.c.d`: {`a\.b`, "c.d"}, "a.b": {"a", "b"},
	} {
		if got, err := ParsePattern(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	for _, bad := range []string{"", ".", "a.", ".b", `a\`, `a.b\`} {
		if p, err := ParsePattern(bad); err == nil {
			t.Errorf("%q is %+v", bad, p)
		}
	}
}

// A lexer's tokens are the statement, and nothing that is done with hostile text fails otherwise than with an error.
func FuzzStatement(f *testing.F) {
	for _, seed := range []string{"CREATE TABLE `a` (b int) /*!1 x */ -- c\n#d", "INSERT INTO t VALUES (1,'\\'),(')),(2)", "/* ", "'\\", "`", "CREATE EVENT e DO", "*/", "CREATE TRIGGER a.b ON a.c FOR"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, statement []byte) {
		var all []byte
		for l := (lexer{text: statement}); ; {
			tok, ok := l.any()
			if !ok {
				break
			}
			if len(tok.text) == 0 {
				t.Fatal("a token of nothing")
			}
			all = append(all, tok.text...)
			_, _ = tok.name()
		}
		if !bytes.Equal(all, statement) {
			t.Fatalf("%q became %q", statement, all)
		}
		if !sameDefinition(statement, statement) {
			t.Fatalf("%q is not the same as itself", statement)
		}
		if m, ok := makes(statement); ok {
			if again, ok := makes(renamed(statement, m, "x`y")); !ok || again.name != "x`y" {
				t.Fatalf("%q: %+v became %+v", statement, m, again)
			}
		}
		disableOnReplica(statement)
		triggerOnly(statement, "a")
		mentions(statement, "a")
		_, _ = used(statement)
		if pieces, err := split(statement, 12); err == nil {
			for _, p := range pieces {
				if len(p) > 12 {
					t.Fatalf("%q is split into %q", statement, pieces)
				}
			}
		}
	})
}

// files are those of a dump, without content.
type files []mysqldump.SourceFile

func (f files) Files() ([]mysqldump.SourceFile, error)    { return f, nil }
func (f files) Open(string) (rc io.ReadCloser, err error) { return nil, errors.New("not here") }

// A name of which the dump has nothing is an error, beside names of which it has something too.
func TestAskedFor(t *testing.T) {
	note := func(kind script.Kind, database, object string) mysqldump.SourceFile {
		return mysqldump.SourceFile{Name: string(kind) + "." + object, Notes: map[string]string{
			script.NoteKind: string(kind), script.NoteDatabase: database, script.NoteObject: object}}
	}
	dump := files{note(script.Databases, "shop", ""), note(script.Tables, "shop", "t"), note(script.Views, "shop", "v")}
	for _, c := range []struct {
		names  []string
		rename string
		ok     bool
	}{
		{nil, "", true}, {[]string{"shop"}, "", true}, {[]string{"shop.t", "s*.v"}, "", true}, {[]string{"shop"}, "shop", true},
		{[]string{"shop.u"}, "", false}, {[]string{"shop.t", "shop.u"}, "", false}, {[]string{"shop", "wiki"}, "", false}, {nil, "wiki", false},
		{[]string{"shop.t"}, "shop.t", false},
	} {
		o := &Options{Rename: map[string]string{}}
		if c.rename != "" {
			o.Rename[c.rename] = "x"
		}
		for _, name := range c.names {
			p, err := ParsePattern(name)
			if err != nil {
				t.Fatal(err)
			}
			o.Selection = append(o.Selection, p)
		}
		if _, err := newPlan(dump, o); errors.Is(err, ErrNothing) == c.ok || c.ok && err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
