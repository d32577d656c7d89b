package schema

import (
	"strings"
	"testing"

	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/servertest"
)

// splitTables have keys of all sorts; each is a list of items, and the options after them.
func splitTables(kind servertest.Kind) (tables [][2]string) {
	tables = [][2]string{
		{"a int PRIMARY KEY, b int, c varchar(99), d text, KEY k1 (b), UNIQUE KEY u1 (c,b), KEY `k,2)` (c(10),a) COMMENT 'a, b) KEY ''é\\\\', FULLTEXT KEY f1 (d), FULLTEXT KEY f2 (c,d), KEY k3 (d(7)) KEY_BLOCK_SIZE=4", ""},
		{"a int NOT NULL, b int NOT NULL, UNIQUE KEY (b), UNIQUE KEY x (a), KEY (a,b)", ""},
		{"a int, b int AUTO_INCREMENT, KEY z (a), KEY y (b), KEY w (b,a), KEY v (a,b), PRIMARY KEY (a,b)", "AUTO_INCREMENT=9"},
		{"id int AUTO_INCREMENT PRIMARY KEY, p int, q int, KEY kp (p), CONSTRAINT `f,k(` FOREIGN KEY (p) REFERENCES sa (a) ON DELETE SET NULL, FOREIGN KEY (q) REFERENCES sb (b)", ""},
		{"a int PRIMARY KEY, b geometry NOT NULL, c int GENERATED ALWAYS AS (a*(1+2)) VIRTUAL, SPATIAL KEY g (b), KEY kc (c,a), UNIQUE uc (c)", ""},
		{"a int, b int, KEY (b), UNIQUE KEY (a)", "PARTITION BY HASH (a) PARTITIONS 3"},
		{"a int PRIMARY KEY, b int, KEY (b)", "PARTITION BY RANGE (a) (PARTITION `p)(` VALUES LESS THAN (10) COMMENT='(', PARTITION q VALUES LESS THAN MAXVALUE)"},
		{"a int PRIMARY KEY, b int, KEY (b)", "ENGINE=MyISAM COMMENT='ENGINE=InnoDB'"},
		{"a int PRIMARY KEY COMMENT ', KEY k (b)', `b, KEY (` int DEFAULT '7', e enum('(','KEY',')') DEFAULT 'KEY', KEY k (`b, KEY (`), KEY e (e)", "COMMENT='ENGINE=MyISAM'"},
		{"a int", ""},
		{"FTS_DOC_ID bigint unsigned NOT NULL AUTO_INCREMENT PRIMARY KEY, b text, UNIQUE KEY FTS_DOC_ID_INDEX (FTS_DOC_ID), FULLTEXT KEY (b)", ""},
	}
	if kind.MariaDB() {
		tables = append(tables, [2]string{"a int PRIMARY KEY, b int, c text, KEY k (b) IGNORED, UNIQUE KEY h (c), CHECK (a > 0), CONSTRAINT zz CHECK (b <> 3), KEY d (b DESC)", ""},
			[2]string{"a int PRIMARY KEY, b int, KEY (b)", "WITH SYSTEM VERSIONING"}, [2]string{"a int, b date, c date, PERIOD FOR p (b,c), KEY kk (b), UNIQUE (a, p WITHOUT OVERLAPS), KEY (c)", ""})
	}
	if kind == servertest.MariaDB118 {
		tables = append(tables, [2]string{"a int PRIMARY KEY, v vector(3) NOT NULL, b int, KEY (b), VECTOR INDEX vv (v) DISTANCE=cosine", ""})
	}
	if kind == servertest.MySQL97 {
		tables = append(tables, [2]string{"a int PRIMARY KEY, b int, j json, KEY k (b) INVISIBLE, KEY f ((b * (a + 1)), b DESC), UNIQUE KEY g ((abs(b))), KEY m ((CAST(j->'$[*]' AS unsigned ARRAY))), CONSTRAINT ch CHECK (b <> 3) NOT ENFORCED, " +
			"FULLTEXT KEY ft (t) WITH PARSER ngram, t text", ""})
	}
	return tables
}

// testSplit: what SplitKeys takes out and puts in again leaves the table as it was.
func testSplit(t *testing.T, p peer) {
	c := connect(t, p)
	run(t, c, "CREATE DATABASE split", "USE split", "SET NAMES utf8mb4", "SET foreign_key_checks=0")
	for i, table := range splitTables(p.kind) {
		run(t, c, "CREATE TABLE s"+string(rune('a'+i))+" ("+table[0]+") "+table[1])
	}
	inv := inventory(t, c, choose.Selection{Databases: []string{"split"}})
	for i, want := range []string{"a", "b", "a,b", "id", "a", "", "a"} { // a primary key, or the first of those that are unique and not NULL
		if got := strings.Join(inv.Tables[i].Key, ","); got != want {
			t.Errorf("the key of table %d is %q, not %q", i, got, want)
		}
	}
	run(t, c, "CREATE DATABASE joined", "USE joined", "SET NAMES utf8mb4")
	var later []string
	removed := 0
	for _, table := range inv.Tables {
		rest, keys, foreign := ddl.SplitKeys(table.Create)
		run(t, c, rest)
		row, err := c.Row(t.Context(), "SHOW CREATE TABLE `"+table.Name+"`")
		if err != nil {
			t.Fatal(err)
		}
		removed += strings.Count(ddl.Canonical(table.Create), "KEY") - strings.Count(ddl.Canonical(string(row[1])), "KEY")
		later = append(append(later, keys...), foreign...)
	}
	run(t, c, later...)
	if want := map[servertest.Kind]int{servertest.MariaDB1011: 30, servertest.MariaDB118: 32, servertest.MySQL57: 25, servertest.MySQL97: 29}[p.kind]; removed != want {
		t.Errorf("%d keys are taken out, not %d", removed, want)
	}
	joined := inventory(t, c, choose.Selection{Databases: []string{"joined"}})
	for i, table := range inv.Tables {
		if got := joined.Tables[i].Create; got != table.Create {
			t.Errorf("%s\nbecame %s\nby %q", table.Create, got, later)
		}
	}
	run(t, c, "DROP DATABASE split", "DROP DATABASE joined")
}

func FuzzTablesOf(f *testing.F) {
	f.Add("ALGORITHM=UNDEFINED SQL SECURITY DEFINER VIEW `v` AS select `a`.`b` from `d`.`a` join `c`")
	f.Fuzz(func(t *testing.T, create string) {
		tablesOf("d", create)
	})
}
