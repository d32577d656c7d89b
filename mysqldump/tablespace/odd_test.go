package tablespace

import (
	"strings"
	"testing"

	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// Tables with all that files carry come back. Words of FULLTEXT keys lie in files of their own, so that such a table is left.
func TestImportOdd(t *testing.T) {
	t.Parallel()
	x := newTrial(t, servertest.MariaDB1011, "odd", "CREATE DATABASE odd", "USE odd",
		"CREATE TABLE words (id INT PRIMARY KEY, v TEXT, FULLTEXT KEY found (v)) ENGINE=InnoDB", "INSERT INTO words VALUES (1,'nightjar sings'),(2,'owl hunts')",
		"CREATE TABLE made (a INT PRIMARY KEY, b INT AS (a*2) VIRTUAL, c INT AS (a*3) STORED, KEY (b), UNIQUE KEY (c))", "INSERT INTO made (a) VALUES (1),(2),(3)",
		"CREATE TABLE later (a INT PRIMARY KEY)", "INSERT INTO later VALUES (1)", "ALTER TABLE later ADD COLUMN b VARCHAR(9) DEFAULT 'é' FIRST, ALGORITHM=INSTANT", "INSERT INTO later VALUES ('x',2)",
		"CREATE TABLE past (a INT PRIMARY KEY, b INT) WITH SYSTEM VERSIONING", "INSERT INTO past VALUES (1,1)", "UPDATE past SET b=2",
		"CREATE TABLE `a``b.c #/x` (a INT PRIMARY KEY, `a``b.c #/x` INT, KEY (`a``b.c #/x`))", "INSERT INTO `a``b.c #/x` VALUES (1,2)",
		"CREATE TABLE tree (a INT PRIMARY KEY, up INT, CONSTRAINT up FOREIGN KEY (up) REFERENCES tree (a))", "INSERT INTO tree VALUES (1,NULL),(2,1)",
		"CREATE TABLE places (a INT PRIMARY KEY AUTO_INCREMENT, g POINT NOT NULL, SPATIAL KEY (g)) PAGE_COMPRESSED=1", "INSERT INTO places (g) VALUES (POINT(1,2)),(POINT(3,4))", "DELETE FROM places WHERE a=2",
		"CREATE TABLE keyless (a INT, b INT, UNIQUE KEY (b), CHECK (a>0))", "INSERT INTO keyless VALUES (1,NULL),(1,NULL)",
	)
	for _, name := range []string{"made", "later", "past", "a`b.c #/x", "tree", "places", "keyless"} {
		definition, sum := x.s.Query(t, "SHOW CREATE TABLE odd."+server.Quote(name))[0][1], x.sum("odd."+server.Quote(name))
		for _, o := range []Options{{Rename: map[string]string{"odd": "else"}}, {Existing: Replace}} {
			if done, err := x.bring(name, o); !done || err != nil {
				t.Errorf("%s: %v, %v", name, done, err)
				continue
			}
			into := server.Quote("odd")
			if o.Rename != nil {
				into = server.Quote("else")
			}
			if got := x.s.Query(t, "SHOW CREATE TABLE "+into+"."+server.Quote(name))[0][1]; got != definition {
				t.Errorf("the definition is\n%s, not\n%s", got, definition)
			}
			if got := x.sum(into + "." + server.Quote(name)); got != sum {
				t.Errorf("%s has checksum %s, not %s", name, got, sum)
			}
		}
	}
	if done, err := x.bring("words", Options{Existing: Replace}); done || err == nil || !strings.Contains(err.Error(), "FULLTEXT") {
		t.Errorf("words: %v, %v", done, err)
	}
	for _, into := range []string{"odd", "`else`"} {
		for query, want := range map[string]string{
			"SELECT COUNT(*) FROM " + into + ".made FORCE INDEX (b) WHERE b=4": "1",
			"SELECT COUNT(*) FROM " + into + ".past FOR SYSTEM_TIME ALL":       "2",
			"SELECT MIN(b) FROM " + into + ".later WHERE a=1":                  "é",
		} {
			if got := x.s.Query(t, query); len(got) != 1 || got[0][0] != want {
				t.Errorf("%s: %v, not %s", query, got, want)
			}
		}
		x.s.Exec(t, "INSERT INTO "+into+".places (g) VALUES (POINT(5,6))")
		if got := x.s.Query(t, "SELECT MAX(a) FROM "+into+".places")[0][0]; got != "3" {
			t.Errorf("%s: the next number is %s", into, got)
		}
	}
}
