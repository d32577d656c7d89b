package schema

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// testChanges: whatever is done to a table is seen, by its identity or by its definition.
func testChanges(t *testing.T, p peer) {
	c := connect(t, p)
	run(t, c, "CREATE DATABASE `ch-é#`", "USE `ch-é#`")
	changes := map[string][]string{
		"untouched":    nil,
		"written":      {"INSERT INTO `written` (a,b) VALUES (1,2)", "DELETE FROM `written`", "ANALYZE TABLE `written`"},
		"swapped/@1":   {"CREATE TABLE fresh LIKE `swapped/@1`", "RENAME TABLE `swapped/@1` TO old, fresh TO `swapped/@1`"},
		"emptied":      {"TRUNCATE `emptied`"},
		"made again 語": {"DROP TABLE `made again 語`", "CREATE TABLE `made again 語` (a int PRIMARY KEY, b int) ENGINE=InnoDB"},
		"gone":         {"DROP TABLE gone"},
		"rebuilt":      {"ALTER TABLE `rebuilt` FORCE"},
		"wider":        {"ALTER TABLE `wider` ADD c int"},
		"narrower":     {"ALTER TABLE `narrower` DROP b"},
		"renamed":      {"ALTER TABLE `renamed` CHANGE b c int"},
		"reordered":    {"ALTER TABLE `reordered` MODIFY b int FIRST"},
		"indexed":      {"ALTER TABLE `indexed` ADD KEY k (b)"},
		"parted":       {"ALTER TABLE parted TRUNCATE PARTITION p1"},
		"parted more":  {"ALTER TABLE `parted more` ADD PARTITION PARTITIONS 1"},
	}
	for name := range changes {
		create := "CREATE TABLE `" + name + "` (a int PRIMARY KEY, b int) ENGINE=InnoDB"
		if strings.HasPrefix(name, "parted") {
			create += " PARTITION BY HASH (a) PARTITIONS 3"
		}
		run(t, c, create)
	}
	inv, err := Read(t.Context(), c, Selection{Databases: []string{"ch*"}})
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := inv.Changed(t.Context(), c); err != nil || len(changed) > 0 {
		t.Fatalf("changed: %v, %v", changed, err)
	}
	for name, statements := range changes {
		if inv.Tables[slices.IndexFunc(inv.Tables, func(t Table) bool { return t.Name == name })].Identity == (Identity{}) {
			t.Errorf("%s has no identity", name)
		}
		run(t, c, statements...)
	}
	changed, err := inv.Changed(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	for i := range inv.Tables {
		table := &inv.Tables[i]
		seen := slices.Contains(changed, table.FullName())
		if err := Define(t.Context(), c, table); errors.Is(err, ErrChanged) {
			seen = true
		} else if err != nil {
			t.Error(err)
		}
		if want := table.Name != "untouched" && table.Name != "written"; seen != want {
			t.Errorf("%s: changed %v", table.Name, seen)
		}
	}
	run(t, c, "DROP DATABASE `ch-é#`")
}

// testBroken: what cannot be read is named, and the rest is there.
func testBroken(t *testing.T, p peer) {
	c := connect(t, p)
	run(t, c, "CREATE DATABASE bad", "USE bad", "CREATE TABLE a (x int)", "CREATE TABLE b (x int)", "CREATE VIEW good AS SELECT x FROM a", "CREATE VIEW missing AS SELECT x FROM b",
		"CREATE VIEW missing2 AS SELECT * FROM missing", "CREATE FUNCTION f() RETURNS int DETERMINISTIC RETURN 1", "CREATE VIEW nofunction AS SELECT f() AS y", "CREATE TABLE c (x int) ENGINE=MyISAM",
		"CREATE TABLE merged (x int) ENGINE=MERGE UNION=(c)", "CREATE TABLE mysql.mine (x int)", "DROP TABLE b", "DROP FUNCTION f")
	inv := inventory(t, c, Selection{ExcludeTables: []string{"bad.c", "*.nothing"}})
	var broken, left, tables []string
	for _, b := range inv.Broken {
		broken = append(broken, string(b.Kind)+" "+b.Name)
		if !strings.Contains(b.Err.Error(), "1356") {
			t.Errorf("%s: %v", b.Name, b.Err)
		}
	}
	for _, l := range inv.Left {
		left = append(left, l.What+" "+l.Name)
	}
	for _, table := range inv.Tables {
		if table.Database == "bad" {
			tables = append(tables, table.Name)
		}
	}
	slices.Sort(broken)
	if want := []string{"view missing", "view missing2", "view nofunction"}; !slices.Equal(broken, want) {
		t.Errorf("broken: %q", broken)
	}
	if want := []string{"a", "merged"}; !slices.Equal(tables, want) || len(inv.Views) != 1 {
		t.Errorf("tables %q, views %v", tables, inv.Views)
	}
	for _, want := range []string{"table `bad`.`c`", "rows `bad`.`merged`", "table `mysql`.`mine`"} {
		if !slices.Contains(left, want) {
			t.Errorf("%s is not among those left out: %q", want, left)
		}
	}
	run(t, c, "DROP DATABASE bad", "DROP TABLE mysql.mine")
}

// testLeast: an account with the privileges of a backup sees all; one without says what it does not see.
func testLeast(t *testing.T, p peer) {
	c := connect(t, p)
	run(t, c, "CREATE DATABASE little", "CREATE TABLE little.a (x int)", "CREATE PROCEDURE little.p() SELECT 1", "CREATE TRIGGER little.g BEFORE INSERT ON little.a FOR EACH ROW SET @x=1",
		"CREATE EVENT little.e ON SCHEDULE EVERY 1 DAY STARTS '2035-01-01 00:00:00' DO SET @x=1", "CREATE VIEW little.v AS SELECT 1 AS y",
		"CREATE USER least@'%' IDENTIFIED BY 'x'", "GRANT SELECT, PROCESS, SHOW VIEW, EVENT, TRIGGER ON *.* TO least@'%'", "CREATE USER blind@'%' IDENTIFIED BY 'x'", "GRANT SELECT ON little.* TO blind@'%'")
	as := func(user string) peer {
		config := p.config.Clone()
		config.User, config.Passwd, config.AllowNativePasswords = user, "x", true
		return peer{p.kind, config}
	}
	all, least := inventory(t, c, Selection{}), inventory(t, connect(t, as("least")), Selection{})
	compare(t, lasting(all), lasting(least))
	blind, err := Read(t.Context(), connect(t, as("blind")), Selection{Databases: []string{"little"}})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(blind.Left, func(l LeftOut) bool { return l.What == "identity" }) {
		t.Errorf("nothing says that identities cannot be read: %v", blind.Left)
	}
	if len(blind.Programs) > 0 || len(blind.Views) > 0 {
		t.Errorf("%v", blind)
	}
	run(t, c, "DROP DATABASE little", "DROP USER least@'%', blind@'%'")
}

func TestSelection(t *testing.T) {
	for _, c := range []struct {
		selection       Selection
		chosen, not     []string // of tables, as database.table
		whole, notWhole []string // of databases
	}{
		{Selection{}, []string{"a.b", "mysqlx.b"}, []string{"mysql.user", "sys.x", "INFORMATION_SCHEMA.x"}, []string{"a"}, []string{"mysql"}},
		{Selection{Databases: []string{"a?", "x\\*"}}, []string{"ab.t", "x*.t", "aé.t"}, []string{"a.t", "abc.t", "xy.t"}, []string{"ab"}, []string{"a"}},
		{Selection{Tables: []string{"a.t*", "d\\.b.*x*y"}}, []string{"a.t", "a.t1", "d.b.xy", "d.b.axby"}, []string{"a.s", "b.t", "d.b.yx"}, nil, []string{"a", "d.b"}},
		{Selection{Databases: []string{"a"}, Tables: []string{"b.t"}, ExcludeTables: []string{"*.tmp_*"}}, []string{"a.x", "b.t"}, []string{"a.tmp_1", "b.u"}, []string{"a"}, []string{"b"}},
		{Selection{Tables: []string{"*.*"}}, []string{"a.b"}, []string{"mysql.b"}, nil, []string{"a"}},
	} {
		parsed, err := c.selection.parse()
		if err != nil {
			t.Fatal(err)
		}
		table := func(name string) bool {
			i := strings.LastIndexByte(name, '.')
			chosen, _ := parsed.table(name[:i], name[i+1:])
			return chosen && parsed.database(name[:i])
		}
		for _, name := range c.chosen {
			if !table(name) {
				t.Errorf("%+v leaves %s out", c.selection, name)
			}
		}
		for _, name := range c.not {
			if table(name) {
				t.Errorf("%+v chooses %s", c.selection, name)
			}
		}
		for _, name := range c.whole {
			if !parsed.whole(name) {
				t.Errorf("%+v has not all of %s", c.selection, name)
			}
		}
		for _, name := range c.notWhole {
			if parsed.whole(name) {
				t.Errorf("%+v has all of %s", c.selection, name)
			}
		}
	}
	for _, s := range []Selection{{Databases: []string{""}}, {Databases: []string{"a\\"}}, {Tables: []string{"a"}}, {Tables: []string{"a."}}, {ExcludeTables: []string{".b"}}} {
		if _, err := s.parse(); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}

func TestDecodeFilename(t *testing.T) {
	for file, want := range map[string]string{
		"plain_1": "plain_1", "d@002d@0p@0023": "d-é#", "t@002f@00400023@8a9e@r1@20ac@1r@0020@005cu0001x": "t/@0023語я€ÿ \\u0001x", "#mysql50#a.b": "a.b",
		"@": "@", "@0": "@0", "a@00": "a@00", "@00zz": "@00zz", "@d83d@de00": "😀",
	} {
		if got := decodeFilename(file); got != want {
			t.Errorf("%q is %q, not %q", file, got, want)
		}
	}
	if n := len(lettersOf()); n != 1511 {
		t.Errorf("%d letters", n)
	}
}

func FuzzDecodeFilename(f *testing.F) {
	f.Add("t@002f@0p@8a9e")
	f.Fuzz(func(t *testing.T, file string) { decodeFilename(file) })
}

func FuzzPattern(f *testing.F) {
	f.Add("a*b?\\*.c", "axxb")
	f.Fuzz(func(t *testing.T, text, name string) {
		p, _, err := parsePattern(text, false)
		if err != nil {
			return
		}
		p.match(name)
		if again, _, err := parsePattern(p.String(), false); err != nil || again.String() != p.String() {
			t.Errorf("%q is %q, and then %q: %v", text, p, again, err)
		}
	})
}
