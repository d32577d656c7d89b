package schema

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/go-sql-driver/mysql"

	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/global"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// TestServers tries everything that needs a server on one of each kind.
func TestServers(t *testing.T) {
	servertest.Each(t, func(t *testing.T, kind servertest.Kind) {
		s := servertest.Start(t, kind, "--log-bin-trust-function-creators=ON")
		tryAll(t, peer{kind, s.Config()})
	})
}

// A peer is a server that a test may fill.
type peer struct {
	kind   servertest.Kind
	config *mysql.Config
}

func tryAll(t *testing.T, p peer) {
	t.Run("changes", func(t *testing.T) { testChanges(t, p) })
	t.Run("broken", func(t *testing.T) { testBroken(t, p) })
	t.Run("least privileges", func(t *testing.T) { testLeast(t, p) })
	t.Run("split", func(t *testing.T) { testSplit(t, p) })
	t.Run("values", func(t *testing.T) { testValues(t, p) })
	t.Run("round trip", func(t *testing.T) { testRoundTrip(t, p) })
}

func connect(t *testing.T, p peer) *server.Session {
	t.Helper()
	srv, err := server.New(p.config)
	if err != nil {
		t.Fatal(err)
	}
	c, err := srv.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func run(t *testing.T, c *server.Session, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if err := c.Exec(t.Context(), statement); err != nil {
			t.Fatalf("%v\nin full: %q", err, statement)
		}
	}
}

// inventory reads all, and defines the tables.
func inventory(t *testing.T, c *server.Session, selection choose.Selection) *Inventory {
	t.Helper()
	inv, err := Read(t.Context(), c, selection)
	if err != nil {
		t.Fatal(err)
	}
	for i := range inv.Tables {
		if err := Define(t.Context(), c, &inv.Tables[i]); err != nil {
			t.Fatal(err)
		}
	}
	return inv
}

// load makes all of an inventory, in its order, as a session that loads a script would.
func load(ctx context.Context, c *server.Session, inv *Inventory) error {
	databases := map[string]Database{}
	var failed error
	exec := func(statements ...string) {
		for _, statement := range statements {
			if err := c.Exec(ctx, statement); err != nil && failed == nil {
				failed = fmt.Errorf("%w\nin full: %q", err, statement)
			}
		}
	}
	in := func(database string, e Environment, statements ...string) {
		before, after := e.Around(databases[database])
		exec("USE " + server.Quote(database))
		exec(before...)
		exec(e.Settings()...)
		exec(statements...)
		exec(after...)
		exec("SET NAMES binary", "SET SESSION sql_mode='', time_zone='+00:00'")
	}
	exec("SET SESSION foreign_key_checks=0")
	for _, d := range inv.Databases {
		databases[d.Name] = d
		exec(d.Create, "USE "+server.Quote(d.Name), d.Alter)
	}
	for _, table := range inv.Tables {
		in(table.Database, table.Environment(), append([]string{table.Create}, table.After...)...)
	}
	for _, p := range inv.Programs {
		in(p.Database, p.Environment, p.Create)
	}
	for _, v := range inv.Views {
		in(v.Database, v.Environment, v.Create)
	}
	for _, g := range inv.Triggers {
		in(g.Database, g.Environment, g.Create)
	}
	for _, e := range inv.Events {
		in(e.Database, e.Environment, e.Create)
	}
	for _, f := range inv.Servers {
		exec(f.Create)
	}
	for _, list := range []func(global.Account) []string{func(a global.Account) []string { return a.Create }, func(a global.Account) []string { return a.Grants },
		viewGrants, func(a global.Account) []string { return a.Defaults }} {
		for _, a := range inv.Accounts {
			exec(definition.Settings()...)
			exec(list(a)...)
			exec(list(a)...) // each loads twice
		}
	}
	return failed
}

func viewGrants(a global.Account) (all []string) {
	for _, g := range a.ViewGrants {
		all = append(all, g.Grant)
	}
	return all
}

// lasting clears what differs in a copy.
func lasting(inv *Inventory) *Inventory {
	for i := range inv.Tables {
		t := &inv.Tables[i]
		slices.Sort(t.indexes)
		t.Identity, t.Created, t.Rows, t.Bytes, t.Create = Identity{}, "", 0, 0, ddl.Canonical(t.Create)
	}
	return inv
}

func testRoundTrip(t *testing.T, s peer) {
	c := connect(t, s)
	run(t, c, "DROP DATABASE IF EXISTS types_")
	run(t, c, fixture(s.kind)...)
	before := inventory(t, c, choose.Selection{})
	if len(before.Broken) > 0 {
		t.Fatalf("broken: %v", before.Broken)
	}
	if history := slices.ContainsFunc(before.Left, func(l LeftOut) bool { return l.What == "history" && l.Name == "`z`.`precise`" }); history != s.kind.MariaDB() {
		t.Errorf("left out: %v", before.Left)
	}
	for _, a := range before.Accounts {
		if a.User != "root" {
			run(t, c, a.Drop...)
		}
	}
	for _, f := range before.Servers {
		run(t, c, f.Drop)
	}
	for _, d := range before.Databases {
		run(t, c, "DROP DATABASE "+server.Quote(d.Name))
	}
	fresh := connect(t, s)
	if err := load(t.Context(), fresh, before); err != nil {
		t.Fatal(err)
	}
	lasting(before)
	run(t, fresh, "FLUSH PRIVILEGES")
	after := lasting(inventory(t, connect(t, s), choose.Selection{}))
	compare(t, before, after)
}

// compare fails the test for each field of two inventories that differs.
func compare(t *testing.T, a, b *Inventory) {
	t.Helper()
	x, y := reflect.ValueOf(*a), reflect.ValueOf(*b)
	for i := range x.NumField() {
		if !x.Type().Field(i).IsExported() {
			continue
		}
		name := x.Type().Field(i).Name
		if x.Field(i).Len() != y.Field(i).Len() {
			t.Errorf("%s: %d and %d:\n%+v\n%+v", name, x.Field(i).Len(), y.Field(i).Len(), x.Field(i), y.Field(i))
			continue
		}
		for j := range x.Field(i).Len() {
			if v, w := x.Field(i).Index(j).Interface(), y.Field(i).Index(j).Interface(); !reflect.DeepEqual(v, w) {
				t.Errorf("%s differ:\n%+q\n%+q", name, v, w)
			}
		}
	}
}

// fixture has objects of every sort that a kind of server has. The session's character set is binary.
func fixture(kind servertest.Kind) []string {
	all := []string{
		"SET NAMES utf8mb4",
		"CREATE DATABASE `a b``;é` CHARACTER SET ucs2", "CREATE DATABASE z COLLATE latin1_german2_ci", "USE z",
		"CREATE TABLE `t;` (`id` int AUTO_INCREMENT PRIMARY KEY COMMENT 'é語 */ -- '' \\\\', `ü'\"` varchar(9) CHARACTER SET latin1 NOT NULL DEFAULT 'é''\\\\', b varbinary(9) DEFAULT X'FF0000FE27', " +
			"e enum('é','x''y',' ') CHARACTER SET latin1, s set('a','b'), d decimal(20,5) DEFAULT 1.5, g int AS (d+1) VIRTUAL, h varchar(20) AS (concat('é',b)) STORED, " +
			"KEY k (`ü'\"`(3), d), UNIQUE KEY u (b,d), FULLTEXT KEY f (`ü'\"`)) AUTO_INCREMENT=7 COMMENT='a */ é;\n$$' ROW_FORMAT=COMPRESSED",
		"CREATE TABLE p (a int, b date) PARTITION BY RANGE (a) SUBPARTITION BY HASH (to_days(b)) SUBPARTITIONS 2 (PARTITION `pé` VALUES LESS THAN (10), PARTITION q VALUES LESS THAN MAXVALUE)",
		"CREATE TABLE parent (a int PRIMARY KEY, b int, KEY (b)) ENGINE=InnoDB",
		"CREATE TABLE child (a int PRIMARY KEY, b int, FOREIGN KEY (b) REFERENCES parent (a) ON DELETE CASCADE) ENGINE=InnoDB",
		"ALTER TABLE parent ADD FOREIGN KEY (b) REFERENCES child (a)",
		"CREATE TABLE m (x char(3) CHARACTER SET utf16, KEY (x)) ENGINE=MyISAM",
		"CREATE TABLE zero (a int) ENGINE=MyISAM", "USE `a b``;é`", "CREATE TABLE z (a int)", "USE z",
		"SET NAMES latin1",
		"CREATE VIEW a AS SELECT `\xfc'\"` AS `\xe9`, '\xe9' AS y, id FROM `t;`",
		"CREATE FUNCTION `f\xe9`(`p\xe9` int, q enum('\xe9')) RETURNS enum('\xe9') COMMENT '\xe9''' RETURN '\xe9'",
		"SET NAMES cp1251", "SET sql_mode='ANSI_QUOTES,PIPES_AS_CONCAT'",
		"CREATE PROCEDURE \"p\xff\"(x varchar(9)) COMMENT 'a\xff\\nb' BEGIN DECLARE y int DEFAULT 1; SELECT \"y\" || '\xff;\n$$'; END",
		"SET sql_mode=''", "SET NAMES utf8mb4",
		"CREATE VIEW c AS SELECT * FROM a", "CREATE VIEW b AS SELECT a.id, `fé`(1, NULL) AS f FROM c JOIN a ON a.id=c.id WHERE a.id IN (SELECT a FROM parent)",
		"CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW `a b``;é`.v AS SELECT id FROM b WITH CASCADED CHECK OPTION",
		"CREATE VIEW `0` AS SELECT id FROM `a b``;é`.v UNION SELECT a FROM child", "SET NAMES latin1",
		"CREATE TRIGGER t1 BEFORE INSERT ON parent FOR EACH ROW SET @x='\xe9'", "SET NAMES utf8mb4", "SET sql_mode='ANSI'",
		"CREATE TRIGGER t2 BEFORE INSERT ON parent FOR EACH ROW PRECEDES t1 SET @y=\"@z\"", "SET sql_mode=''",
		"CREATE TRIGGER `a é` BEFORE INSERT ON parent FOR EACH ROW FOLLOWS t2 BEGIN SET @y=1; SET @z='é'; END",
		"CREATE TRIGGER t3 AFTER DELETE ON parent FOR EACH ROW SET @y=1", "SET NAMES koi8r", "SET time_zone='+03:00'",
		"CREATE EVENT `e\xc1` ON SCHEDULE EVERY 1 DAY STARTS '2031-01-01 00:00:00' ON COMPLETION PRESERVE DISABLE COMMENT '\xc1 do' DO BEGIN SET @x='\xc1'; END", "SET NAMES utf8mb4",
		"CREATE EVENT once ON SCHEDULE AT '2035-01-01 00:00:00' DO SET @x='é'", "SET time_zone='+00:00'",
		"ALTER DATABASE z COLLATE utf8mb4_bin",
		"CREATE SERVER `s é` FOREIGN DATA WRAPPER mysql OPTIONS (HOST 'h''\\\\é', DATABASE 'd', USER 'u', PASSWORD 'p', PORT 33)",
		"CREATE USER `u'``\"`@`%` IDENTIFIED BY 'a'", "CREATE USER u@localhost IDENTIFIED BY 'secret' REQUIRE SSL WITH MAX_QUERIES_PER_HOUR 7", "CREATE USER ``@`10.0.0.0/255.0.0.0`",
		"GRANT SELECT, PROCESS ON *.* TO u@localhost WITH GRANT OPTION", "GRANT INSERT (a), SELECT (a) ON z.parent TO `u'``\"`@`%`", "GRANT ALL ON `a b``;é`.* TO u@localhost",
		"GRANT SELECT ON z.c TO `u'``\"`@`%`", "CREATE FUNCTION plain() RETURNS int RETURN 1", "GRANT EXECUTE ON FUNCTION z.plain TO u@localhost", "GRANT PROXY ON `u'``\"`@`%` TO u@localhost",
	}
	switch kind {
	case servertest.MariaDB1011, servertest.MariaDB118:
		all = append(all, mariadbFixture...)
	case servertest.MySQL57:
		all = append(all, "CREATE USER s5@localhost IDENTIFIED WITH sha256_password BY 'abc'", "ALTER USER u@localhost ACCOUNT LOCK")
	case servertest.MySQL97:
		all = append(all, mysql97Fixture...)
	}
	return append(all, "SET NAMES binary", "SET SESSION sql_mode='', time_zone='+00:00'")
}

var mariadbFixture = []string{
	"CREATE SEQUENCE s START 5 MINVALUE 3 MAXVALUE 9 INCREMENT 2 CACHE 3 CYCLE", "DO NEXTVAL(s)", "DO NEXTVAL(s)", "DO NEXTVAL(s)", "DO NEXTVAL(s)",
	"CREATE SEQUENCE fresh", "CREATE SEQUENCE down INCREMENT -3 START -5 NOCACHE", "DO NEXTVAL(down)",
	"CREATE SEQUENCE done MAXVALUE 2 NOCACHE", "DO NEXTVAL(done)", "DO NEXTVAL(done)",
	"CREATE TABLE numbered (a int DEFAULT NEXTVAL(fresh), b uuid DEFAULT uuid(), c inet6 DEFAULT '::1', d int INVISIBLE DEFAULT (1+1), CHECK (a > 0), CONSTRAINT `c é` CHECK (b <> 'é'))",
	"CREATE TABLE history (x int PRIMARY KEY, y int WITHOUT SYSTEM VERSIONING) WITH SYSTEM VERSIONING",
	"CREATE TABLE period (x int, s timestamp(6) GENERATED ALWAYS AS ROW START INVISIBLE, e timestamp(6) GENERATED ALWAYS AS ROW END INVISIBLE, PERIOD FOR SYSTEM_TIME (s,e)) WITH SYSTEM VERSIONING " +
		"PARTITION BY SYSTEM_TIME (PARTITION p0 HISTORY, PARTITION pn CURRENT)",
	"CREATE TABLE precise (x int, s bigint unsigned GENERATED ALWAYS AS ROW START, e bigint unsigned GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s,e)) WITH SYSTEM VERSIONING",
	"CREATE TABLE booked (a int, b date, c date, PERIOD FOR p (b,c), UNIQUE (a, p WITHOUT OVERLAPS))",
	"CREATE TABLE packed (a text COMPRESSED, b int, KEY k (b) IGNORED) PAGE_COMPRESSED=1",
	"CREATE TABLE aria (a int, KEY (a)) ENGINE=Aria",
	"SET sql_mode=ORACLE",
	"CREATE PACKAGE pk AS FUNCTION f RETURN INT; PROCEDURE p(a INT); END",
	"CREATE PACKAGE BODY pk AS FUNCTION f RETURN INT AS BEGIN RETURN 1; END; PROCEDURE p(a INT) AS BEGIN SELECT 'é'; END; END",
	"CREATE PROCEDURE ora(a VARCHAR2) AS b INT := 1; BEGIN SELECT a || 'x'; END",
	"SET sql_mode=''",
	"CREATE AGGREGATE FUNCTION total(x int) RETURNS int BEGIN DECLARE s int DEFAULT 0; DECLARE CONTINUE HANDLER FOR NOT FOUND RETURN s; LOOP FETCH GROUP NEXT ROW; SET s=s+x; END LOOP; END",
	"CREATE EVENT slave ON SCHEDULE EVERY 1 HOUR STARTS '2031-01-01 00:00:00' DISABLE ON SLAVE DO SET @a=1",
	"CREATE ROLE r", "CREATE ROLE `r é`", "GRANT r TO `r é` WITH ADMIN OPTION", "GRANT `r é` TO `u'``\"`@`%`", "GRANT SELECT ON z.* TO r",
	"SET DEFAULT ROLE `r é` FOR `u'``\"`@`%`", "ALTER USER u@localhost ACCOUNT LOCK PASSWORD EXPIRE INTERVAL 9 DAY", "GRANT SELECT ON z.zero TO PUBLIC",
	"CREATE USER two IDENTIFIED VIA mysql_native_password USING '*B69027D44F6E5EDC07F1AEAD1477967B16F28227' OR unix_socket",
}

var mysql97Fixture = []string{
	"SET SESSION sql_generate_invisible_primary_key=ON", "CREATE TABLE keyless (a int)", "SET SESSION sql_generate_invisible_primary_key=OFF",
	"CREATE TABLE modern (a int PRIMARY KEY, j json DEFAULT (json_array('é', 1)), d int INVISIBLE DEFAULT ((1+1)), t varchar(20) DEFAULT (concat('é', 'x')), g geometry SRID 4326 NOT NULL, v vector(3), " +
		"KEY x (d) INVISIBLE, KEY y ((d + 1), a DESC), SPATIAL KEY (g), CONSTRAINT `c é` CHECK (t <> 'é') NOT ENFORCED)",
	"CREATE TABLE many (j json, KEY z ((CAST(j->'$[*]' AS unsigned ARRAY))))",
	"CREATE JSON RELATIONAL DUALITY VIEW twofold AS SELECT JSON_DUALITY_OBJECT('_id': a, 'd': d) FROM modern",
	"CREATE LIBRARY lib LANGUAGE JAVASCRIPT AS 'export function f(){return 1}'",
	"CREATE ROLE r, `r é`", "GRANT r TO `r é` WITH ADMIN OPTION", "GRANT `r é`, r TO `u'``\"`@`%`", "GRANT SELECT ON z.* TO r", "SET DEFAULT ROLE `r é`, r TO `u'``\"`@`%`",
	"GRANT BACKUP_ADMIN, SYSTEM_USER ON *.* TO u@localhost", "ALTER USER u@localhost ACCOUNT LOCK PASSWORD EXPIRE INTERVAL 9 DAY FAILED_LOGIN_ATTEMPTS 3 PASSWORD_LOCK_TIME 2 ATTRIBUTE '{\"é\": 1}'",
}
