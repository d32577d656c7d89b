package schema

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"nightjar/mysqldump/choose"
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
	inv, err := Read(t.Context(), c, choose.Selection{Databases: []string{"ch*"}})
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
	inv := inventory(t, c, choose.Selection{ExcludeTables: []string{"bad.c", "*.nothing"}})
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
	all, least := inventory(t, c, choose.Selection{}), inventory(t, connect(t, as("least")), choose.Selection{})
	compare(t, lasting(all), lasting(least))
	blind, err := Read(t.Context(), connect(t, as("blind")), choose.Selection{Databases: []string{"little"}})
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
