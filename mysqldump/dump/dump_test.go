package dump

import (
	"fmt"
	"strings"
	"testing"

	"nightjar/mysqldump/script"
	"nightjar/mysqldump/servertest"
)

var odd = []string{
	"CREATE DATABASE `shop` CHARACTER SET latin1",
	"CREATE DATABASE `né.w;\n``x` CHARACTER SET utf8mb4",
	"USE shop",
	"CREATE TABLE plain (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(100), b BLOB, f FLOAT, d DOUBLE, bits BIT(9), dec1 DECIMAL(20,5), t TIMESTAMP NULL, dt DATETIME(6), e ENUM('a','b;'), s SET('x','y'), y YEAR)",
	"SET SESSION sql_mode='NO_AUTO_VALUE_ON_ZERO'",
	`INSERT INTO plain VALUES (0,'zero','\0\n\r\Z\'\\;\n',16777215,0.1,5,12345.6789,'2020-01-01 00:00:01','2020-02-03 04:05:06.789','b;','x,y',2024),(-5,NULL,NULL,1e-30,1e300,NULL,NULL,NULL,NULL,NULL,NULL,NULL),
		(7,'--',x'00ff',123456.7,123456789.123456789,511,-1,'2038-01-01','0000-00-00','a','','1901')`,
	"SET SESSION sql_mode='ALLOW_INVALID_DATES'",
	"INSERT INTO plain (id, dt) VALUES (8, '2001-02-31')",
	"SET SESSION sql_mode=''",
	"CREATE TABLE nokey (a INT, b TEXT)",
	"INSERT INTO nokey VALUES (1,'x'),(1,'x'),(2,NULL)",
	"CREATE TABLE nothing (a INT)",
	"CREATE TABLE mem (a INT) ENGINE=MEMORY", "INSERT INTO mem VALUES (1)",
	"CREATE TABLE my (a INT PRIMARY KEY, b VARCHAR(10)) ENGINE=MyISAM",
	"INSERT INTO my VALUES (3,'c'),(1,'a')",
	"CREATE TABLE gen (a INT PRIMARY KEY, v INT GENERATED ALWAYS AS (a+1) VIRTUAL, s INT GENERATED ALWAYS AS (a*2) STORED, z INT)",
	"INSERT INTO gen (a,z) VALUES (1,2),(3,4)",
	"CREATE TABLE parent (id INT PRIMARY KEY, child INT, KEY(child))",
	"CREATE TABLE child (id INT PRIMARY KEY, parent INT, KEY(parent), CONSTRAINT c1 FOREIGN KEY (parent) REFERENCES parent(id))",
	"ALTER TABLE parent ADD CONSTRAINT c2 FOREIGN KEY (child) REFERENCES child(id)",
	"SET SESSION foreign_key_checks=0",
	"INSERT INTO parent VALUES (1,1)", "INSERT INTO child VALUES (1,1)",
	"CREATE TABLE `né.w;\n``x`.`t;\né``.` (`c;\nü``` INT PRIMARY KEY COMMENT 'a */ b', `x` JSON) PARTITION BY HASH(`c;\nü```) PARTITIONS 3",
	"INSERT INTO `né.w;\n``x`.`t;\né``.` VALUES (1,'{\"a\": 1}'),(2,NULL)",
	"CREATE VIEW v2 AS SELECT id FROM plain", "CREATE VIEW v1 AS SELECT id+1 AS x FROM v2",
	"CREATE TABLE aud (n INT)",
	"CREATE TRIGGER tr1 BEFORE INSERT ON plain FOR EACH ROW BEGIN SET NEW.v = CONCAT(NEW.v, ';$$'); END",
	"CREATE TRIGGER tr2 BEFORE INSERT ON plain FOR EACH ROW INSERT INTO aud VALUES (1)",
	"CREATE PROCEDURE p(IN a INT) BEGIN SELECT a; SELECT ';\n'; END",
	"CREATE FUNCTION p(a INT) RETURNS INT DETERMINISTIC RETURN a+1",
	"CREATE EVENT ev ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM aud; END",
}

var oddMariaDB = []string{
	"USE shop",
	"CREATE SEQUENCE seq START WITH 5", "DO NEXTVAL(seq)",
	"CREATE TABLE aria (a INT PRIMARY KEY, b VARCHAR(10)) ENGINE=Aria", "INSERT INTO aria VALUES (3,'c'),(1,'a')",
	"CREATE TABLE hist (a INT PRIMARY KEY, b INT) WITH SYSTEM VERSIONING",
	"INSERT INTO hist VALUES (1,1),(2,2)", "UPDATE hist SET b=5 WHERE a=1", "DELETE FROM hist WHERE a=2",
	"CREATE TABLE without (a INT GENERATED ALWAYS AS (1) VIRTUAL)", "INSERT INTO without VALUES (DEFAULT),(DEFAULT)",
	"CREATE TABLE csv (a INT NOT NULL) ENGINE=CSV", "INSERT INTO csv VALUES (4)",
	"CREATE TABLE hid (a INT PRIMARY KEY, h INT INVISIBLE DEFAULT 7, u UUID, i INET6)", "INSERT INTO hid (a,h,u,i) VALUES (1,2,UUID(),'::1'),(2,3,NULL,NULL)",
}

func TestEverything(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s := servertest.Start(t, k)
		s.Exec(t, odd...)
		if k.MariaDB() {
			s.Exec(t, oddMariaDB...)
		}
		makeAccounts(t, s)
		o := options()
		o.Accounts = true
		m, result := dumpOf(t, s, o)
		want := facts(t, s)
		for name, sum := range noted(m) {
			if want["sum "+name] != sum {
				t.Errorf("%s: the dump notes the sum %s, the server says %s", name, sum, want["sum "+name])
			}
		}
		var history string
		if k.MariaDB() {
			history = fmt.Sprint(s.Query(t, "SELECT *, row_start, row_end FROM shop.hist FOR SYSTEM_TIME ALL ORDER BY a, row_end"))
		}
		into := servertest.Start(t, k)
		load(t, m, into)
		compare(t, want, facts(t, into))
		if k.MariaDB() {
			if got := fmt.Sprint(into.Query(t, "SELECT *, row_start, row_end FROM shop.hist FOR SYSTEM_TIME ALL ORDER BY a, row_end")); got != history {
				t.Errorf("history is %s, not %s", got, history)
			}
		}
		for name := range m.files {
			if kind := script.Kind(m.files[name].notes[script.NoteKind]); kind != script.Accounts && kind != script.Grants {
				delete(m.files, name)
			}
		}
		load(t, m, into) // accounts load twice
		if want, got := accounts(t, s), accounts(t, into); got != want {
			t.Errorf("the accounts are\n%s\nnot\n%s", got, want)
		}
		if len(result.Left)+len(result.Broken) > 0 {
			t.Errorf("left out: %v %v", result.Left, result.Broken)
		}
	})
}

// History that goes by numbers of transactions is left out by name, and its rows are not taken for those of today.
func TestTransactionHistory(t *testing.T) {
	s := servertest.Start(t, servertest.MariaDB1011)
	s.Exec(t, "CREATE DATABASE d", "USE d", "CREATE TABLE h (a INT PRIMARY KEY, s BIGINT UNSIGNED GENERATED ALWAYS AS ROW START, e BIGINT UNSIGNED GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (s,e)) WITH SYSTEM VERSIONING",
		"INSERT INTO h (a) VALUES (1),(5)", "UPDATE h SET a=a+1")
	m, result := dumpOf(t, s, options())
	if result.Rows != 2 || !strings.Contains(fmt.Sprint(result.Left), "history `d`.`h`") {
		t.Errorf("%+v", result)
	}
	if rows := m.files["40-rows.d.h.000000.sql"].String(); !strings.Contains(rows, "INSERT INTO `h` (`a`) VALUES\n(2),\n(6);\n") {
		t.Error(rows)
	}
}

// Accounts that nobody asked for are named as left out.
func TestNoAccounts(t *testing.T) {
	s := servertest.Start(t, servertest.MariaDB1011)
	m, result := dumpOf(t, s, options())
	if strings.Contains(fmt.Sprint(m.source()), string(script.Accounts)) || !strings.Contains(fmt.Sprint(result.Left), "accounts") {
		t.Errorf("%v", result.Left)
	}
}

func makeAccounts(t *testing.T, s *servertest.Server) {
	t.Helper()
	s.Exec(t, "CREATE DATABASE `a_b`", "CREATE TABLE a_b.t (a INT, b INT)", "CREATE VIEW a_b.v AS SELECT a FROM a_b.t", "CREATE USER `o'n;e`@`10.%` IDENTIFIED BY 'secret;\\''",
		"GRANT SELECT (a), INSERT ON a_b.t TO `o'n;e`@`10.%`", "GRANT SELECT ON a_b.v TO `o'n;e`@`10.%`", "CREATE USER two@localhost", "GRANT ALL ON `a\\_b`.* TO two@localhost WITH GRANT OPTION")
	if s.Kind == servertest.MySQL57 {
		return
	}
	s.Exec(t, "CREATE ROLE reader", "GRANT SELECT ON a_b.* TO reader", "GRANT reader TO two@localhost", "CREATE ROLE above", "GRANT reader TO above")
	if s.Kind.MariaDB() {
		s.Exec(t, "SET DEFAULT ROLE reader FOR two@localhost")
	} else {
		s.Exec(t, "SET DEFAULT ROLE reader TO two@localhost")
	}
}

func accounts(t *testing.T, s *servertest.Server) string {
	t.Helper()
	var all []string
	for _, name := range []string{"`o'n;e`@`10.%`", "two@localhost", "reader", "above"} {
		if s.Kind == servertest.MySQL57 && !strings.Contains(name, "@") {
			continue
		}
		if strings.Contains(name, "@") {
			all = append(all, s.Query(t, "SHOW CREATE USER "+name)[0][0])
		}
		for _, grant := range s.Query(t, "SHOW GRANTS FOR "+name) {
			all = append(all, grant[0])
		}
	}
	return strings.Join(all, "\n")
}
