package roundtrip

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"nightjar/mysqldump/dump"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// Tables whose files are damaged fail the dump, which names them, or are left out by name with all else dumped.
func TestCrashed(t *testing.T) {
	for _, k := range []servertest.Kind{servertest.MariaDB1011, servertest.MySQL57} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, k, suiteFlags(k)...)
			s.Exec(t, "CREATE DATABASE d", "USE d", "CREATE TABLE cut (a INT PRIMARY KEY, b VARCHAR(100)) ENGINE=MyISAM", "INSERT INTO cut VALUES (1,'x'),(2,'y')", "CREATE TABLE torn (a INT PRIMARY KEY, b VARCHAR(100)) ENGINE=MyISAM",
				"INSERT INTO torn VALUES (1,REPEAT('x',100)),(2,REPEAT('y',100))", "CREATE TABLE lost (a INT PRIMARY KEY)", "INSERT INTO lost VALUES (1)", "CREATE TABLE good (a INT PRIMARY KEY)", "INSERT INTO good VALUES (1),(2)",
				"CREATE TRIGGER good BEFORE INSERT ON good FOR EACH ROW SET @x=1", "CREATE VIEW onlost AS SELECT a FROM lost")
			s.Stop(t)
			for name, size := range map[string]int64{"cut.MYI": 100, "torn.MYD": 30, "lost.ibd": -1} {
				file := filepath.Join(s.Datadir, "d", name)
				if size < 0 {
					if err := os.Remove(file); err != nil {
						t.Fatal(err)
					}
				} else if err := os.Truncate(file, size); err != nil {
					t.Fatal(err)
				}
			}
			s.Restart(t)
			srv, err := server.New(s.Config())
			if err != nil {
				t.Fatal(err)
			}
			o := options()
			o.BrokenSkip, o.Lock.Directory = false, t.TempDir()
			into := &folder{dir: t.TempDir(), notes: map[string]map[string]string{}}
			if _, err := dump.Run(t.Context(), srv, into, o); err == nil || !strings.Contains(err.Error(), "d.") {
				t.Errorf("damaged tables: %v", err)
			}
			files, result := dumped(t, s, options())
			left := leftOut(result)
			for _, name := range []string{"d.cut", "d.torn", "d.lost", "d.onlost"} {
				if left[name] == "" {
					t.Errorf("%s is not named: %v", name, left)
				}
			}
			other := servertest.Start(t, k, suiteFlags(k)...)
			load(t, files, other)
			if n := other.Query(t, "SELECT COUNT(*) FROM d.good")[0][0]; n != "2" || len(other.Query(t, "SHOW TABLES FROM d")) != 1 || len(other.Query(t, "SHOW TRIGGERS FROM d")) != 1 {
				t.Errorf("%s rows of d.good are there, and tables %v", n, other.Query(t, "SHOW TABLES FROM d"))
			}
		})
	}
}

// A server that keeps names in lower case gives back what it had, as does one that has tables elsewhere.
func TestServersOptions(t *testing.T) {
	for _, k := range []servertest.Kind{servertest.MariaDB1011, servertest.MySQL57} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			flags := append(suiteFlags(k), "--lower-case-table-names=1", "--sql-mode=ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT", "--autocommit=0", "--default-storage-engine=MyISAM",
				"--character-set-server=utf8mb4", "--collation-server=utf8mb4_bin", "--default-time-zone=+05:30", "--transaction-isolation=SERIALIZABLE")
			if k.MariaDB() {
				flags = append(flags, "--plugin-load-add=ha_federatedx")
			} else {
				flags = append(flags, "--federated")
			}
			from := servertest.Start(t, k, flags...)
			from.Exec(t, "SET SESSION autocommit=1", "SET GLOBAL sql_quote_show_create=0", "CREATE DATABASE Mixed", "USE Mixed", "CREATE TABLE UpPer (Id INT PRIMARY KEY, V VARCHAR(50), TS TIMESTAMP NULL) ENGINE=InnoDB", "INSERT INTO upper VALUES (1,'a\\b''c','2020-01-01 00:00:00'),(2,'ÄÖ😀',NULL)",
				"CREATE VIEW Vw AS SELECT Id FROM UPPER", "CREATE TRIGGER Tr BEFORE INSERT ON Upper FOR EACH ROW SET NEW.V='x\\'", "CREATE PROCEDURE Pr() SELECT 'a\\' || \"Id\" FROM Upper",
				"CREATE TABLE Ref (a INT, r INT, FOREIGN KEY (r) REFERENCES Upper (ID)) ENGINE=InnoDB", "INSERT INTO ref VALUES (1,1)",
				"CREATE EVENT Ev ON SCHEDULE EVERY 1 DAY STARTS '2031-03-28 02:30:00' DO SELECT 'a\\'", "CREATE TABLE fed (Id INT PRIMARY KEY) ENGINE=FEDERATED CONNECTION='mysql://root@127.0.0.1:"+strconv.Itoa(from.Port)+"/mixed/upper'", "CREATE USER 'U\\x'@'%' IDENTIFIED BY 'x'",
				"GRANT SELECT ON mixed.UPPER TO 'U\\x'@'%'")
			left := roundTrip(t, from, flags, true)
			if left["mixed.fed"] == "" {
				t.Errorf("the rows of a federated table are not named as left out: %v", left)
			}
		})
	}
}
