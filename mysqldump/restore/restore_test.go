package restore

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"nightjar/mysqldump/script"
	"nightjar/mysqldump/servertest"
)

// fill makes a database with some of everything.
func fill(t testing.TB, s *servertest.Server) {
	t.Helper()
	values := func(n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("(%d,%d,'name; %d''s\\n',%g,x'00ff0d0a%02x')", i, i%7+1, i, float64(i)/3, i%256))
		}
		return strings.Join(all, ",")
	}
	s.Exec(t,
		"CREATE DATABASE shop CHARACTER SET latin1", "USE shop",
		"CREATE TABLE customers (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(50) CHARACTER SET utf8mb4 DEFAULT 'é', since TIMESTAMP NULL, KEY (name)) ENGINE=InnoDB",
		"INSERT INTO customers (id, name, since) VALUES (1,'Zoë','2020-01-01 10:00:00'),(2,NULL,NULL),(3,'b',NULL),(4,'c',NULL),(5,'d',NULL),(6,'e',NULL),(7,'f',NULL)",
		"CREATE TABLE orders (id BIGINT PRIMARY KEY, customer INT, name VARCHAR(100), price FLOAT, raw BLOB, twice DOUBLE AS (price*2) VIRTUAL, UNIQUE KEY u (name), KEY k (customer, price),"+
			" CONSTRAINT fk FOREIGN KEY (customer) REFERENCES customers (id)) ENGINE=InnoDB",
		"INSERT INTO orders (id, customer, name, price, raw) VALUES "+values(1000),
		"CREATE TABLE old (a INT, b INT, c VARCHAR(50), d FLOAT, e BLOB, KEY (b)) ENGINE=MyISAM", "INSERT INTO old VALUES "+values(500),
		"CREATE TABLE keyless (a INT, b INT, c VARCHAR(50), d FLOAT, e BLOB) ENGINE=InnoDB", "INSERT INTO keyless VALUES "+values(300)+","+values(300),
		"CREATE TABLE counted (n INT)", "INSERT INTO counted VALUES (1)",
		"CREATE TABLE `odd``na;me.` (`a``b` INT PRIMARY KEY)", "INSERT INTO `odd``na;me.` VALUES (5)",
		"CREATE TABLE `empty` (a INT)",
		"CREATE FUNCTION double_it(x INT) RETURNS INT DETERMINISTIC RETURN x*2",
		"CREATE PROCEDURE add_one() BEGIN UPDATE counted SET n=n+1; END",
		"CREATE VIEW a_last AS SELECT id, name FROM customers", "CREATE VIEW b AS SELECT name, double_it(id) AS d FROM a_last",
		"CREATE TRIGGER counting AFTER INSERT ON orders FOR EACH ROW UPDATE counted SET n=n+1",
		"CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2037-01-01 00:00:00' ON COMPLETION PRESERVE ENABLE DO UPDATE counted SET n=n+1",
	)
	if s.Kind.MariaDB() {
		s.Exec(t, "USE shop", "CREATE SEQUENCE numbers START WITH 10", "CREATE TABLE kept (a INT PRIMARY KEY) WITH SYSTEM VERSIONING", "INSERT INTO kept VALUES (1)", "UPDATE kept SET a=2")
	}
}

// count returns how many rows a table has.
func count(t testing.TB, s *servertest.Server, table string) string {
	t.Helper()
	return s.Query(t, "SELECT COUNT(*) FROM "+table)[0][0]
}

// Everything comes back, whatever the choices, and restoring again follows what was said about what is there.
func TestRestore(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		from, to := servertest.Start(t, k), servertest.Start(t, k)
		fill(t, from)
		source, target := serverOf(t, from), serverOf(t, to)
		m := dumpOf(t, source, 3, "shop")
		want := servertest.Checksums(t, from)
		result := restored(t, target, m, Options{})
		if got := servertest.Checksums(t, to); !maps.Equal(got, want) {
			t.Errorf("checksums are %v, not %v", got, want)
		}
		if n := count(t, to, "shop.orders"); n != "1000" || result.Verified < 7 || result.Done[script.Views] != 2 {
			t.Errorf("%s rows, %+v", n, result)
		}
		if n := to.Query(t, "SELECT n FROM shop.counted")[0][0]; n != "1" {
			t.Errorf("a trigger ran: %s", n)
		}

		if _, err := Run(t.Context(), target, m, Options{}); err == nil || !strings.Contains(err.Error(), "database shop with ") {
			t.Errorf("a server that has it is not refused: %v", err)
		}
		opens := m.opens["40-rows.shop.orders.000000.sql"]
		if result = restored(t, target, m, Options{Existing: IfChanged}); result.Rows != 0 || m.opens["40-rows.shop.orders.000000.sql"] != opens {
			t.Errorf("what is there is loaded again: %+v", result)
		}
		to.Exec(t, "USE shop", "UPDATE orders SET price=7 WHERE id=77", "DROP VIEW b", "ALTER TABLE customers DROP KEY name", "DROP PROCEDURE add_one", "CREATE PROCEDURE add_one() SELECT 1")
		if result = restored(t, target, m, Options{Existing: IfChanged}); result.Rows != 1000 {
			t.Errorf("%d rows are loaded, not those of the table that has others", result.Rows)
		}
		to.Exec(t, "USE shop", "UPDATE orders SET price=7 WHERE id=77", "DROP TABLE old")
		result = restored(t, target, m, Options{Existing: Missing})
		if n := to.Query(t, "SELECT price FROM shop.orders WHERE id=77")[0][0]; n != "7" || result.Rows != 500 {
			t.Errorf("what is there was touched: %s, %+v", n, result)
		}
		to.Exec(t, "CREATE USER caller@localhost", "GRANT EXECUTE ON PROCEDURE shop.add_one TO caller@localhost WITH GRANT OPTION", "GRANT ALTER ROUTINE ON FUNCTION shop.double_it TO caller@localhost")
		granted := fmt.Sprint(to.Query(t, "SHOW GRANTS FOR caller@localhost"))
		result = restored(t, target, m, Options{Existing: Replace, KeepKeys: true, Threads: 1})
		if got := fmt.Sprint(to.Query(t, "SHOW GRANTS FOR caller@localhost")); got != granted || !strings.Contains(strings.Join(result.Notes, "\n"), "program shop.add_one was made anew") {
			t.Errorf("after routines were replaced it has %s, not %s\n%v", got, granted, result.Notes)
		}
		if got := servertest.Checksums(t, to); !maps.Equal(got, want) {
			t.Errorf("checksums are %v, not %v", got, want)
		}

		restored(t, target, m, Options{Rename: map[string]string{"shop": "shop_2"}, Selection: patterns(t, "shop.o*", "shop.customers"), Disabled: true})
		if n, views := count(t, to, "shop_2.orders"), to.Query(t, "SHOW FULL TABLES FROM shop_2 WHERE Table_type='VIEW'"); n != "1000" || len(views) > 0 {
			t.Errorf("%s rows, views %v", n, views)
		}
		result, text := ended(t.Context(), target, m, Options{Rename: map[string]string{"shop": "shop_3"}, Disabled: true})
		if status := to.Query(t, "SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA='shop_3'"); len(status) != 1 || !strings.Contains(status[0][0], "SIDE_DISABLED") {
			t.Errorf("the event is %v: %s", status, text)
		}
		if strings.Contains(text, "fail") {
			t.Error(text)
		}
		for keep, want := range map[bool]string{false: "DISABLED", true: "ENABLED"} {
			name := fmt.Sprint("events_", keep)
			result, text = ended(t.Context(), target, m, Options{Rename: map[string]string{"shop": name}, KeepEvents: keep})
			status := to.Query(t, "SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_SCHEMA=?", name)
			if len(status) != 1 || status[0][0] != want || strings.Contains(strings.Join(result.Notes, "\n"), "is disabled") == keep {
				t.Errorf("the event is %v, not %s: %s\n%v", status, want, text, result.Notes)
			}
		}
	})
}

func patterns(t testing.TB, texts ...string) (all []Pattern) {
	t.Helper()
	for _, text := range texts {
		p, err := ParsePattern(text)
		must(t, err)
		all = append(all, p)
	}
	return all
}
