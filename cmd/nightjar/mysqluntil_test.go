package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"nightjar/mysqldump/servertest"
)

// candidate is what a test reads of a transaction.
type candidate struct {
	Log          string
	Begins, Ends uint64
	GTID         string
	Statements   []string
}

// A table that was dropped comes back as of just before, from a dump and the binary logs after it; and so does everything.
func TestMySQLUntil(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s, into := servertest.Start(t, k), servertest.Start(t, k)
		d := &dumper{T: t, home: t.TempDir()}
		d.knows(s)
		target := d.file("target.cnf", "socket=%s\nuser=root\n", into.Socket)
		restore := func(want int, args ...string) (out, said string) {
			t.Helper()
			out, said, code := d.run(append([]string{"mysql", "restore", "latest", "--json", "--defaults-file", target}, args...)...)
			if code != want {
				t.Fatalf("nightjar mysql restore %s: %d, not %d\n%s%s", strings.Join(args, " "), code, want, out, said)
			}
			return out, said
		}
		d.must("init")
		s.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40)) ENGINE=InnoDB", "INSERT INTO shop.orders (v) VALUES ('one'), ('two')")
		d.dump(0)
		if _, said := restore(1, "--until", "all"); !strings.Contains(said, "no archive of binary logs goes on from") {
			t.Errorf("without logs: %s", said)
		}
		s.Exec(t, "INSERT INTO shop.orders (v) VALUES ('three')", "FLUSH BINARY LOGS", "UPDATE shop.orders SET v='four' WHERE v='two'", "CREATE TABLE shop.paid (id INT PRIMARY KEY)", "INSERT INTO shop.paid VALUES (1)")
		d.binlog(0)
		s.Exec(t, "INSERT INTO shop.orders (v) VALUES ('five')")
		before := servertest.Checksums(t, s)
		s.Exec(t, "DROP  TABLE shop.orders", "INSERT INTO shop.paid VALUES (2)", "ALTER TABLE shop.paid ADD COLUMN sum INT", "DROP TABLE IF EXISTS shop.nothing")
		d.binlog(0)

		out, _ := restore(0, "--before-statement", "drop table shop.ORDERS")
		var found struct{ Transactions []candidate }
		if err := json.Unmarshal([]byte(out), &found); err != nil || len(found.Transactions) != 1 || len(found.Transactions[0].Statements) != 1 {
			t.Fatalf("%s\n%v", out, err)
		}
		drop := found.Transactions[0]
		place := fmt.Sprintf("%s:%d", drop.Log, drop.Begins)
		if text, said, code := d.run("mysql", "restore", "latest", "--defaults-file", target, "--before-statement", "drop table"); code != 0 || !strings.Contains(text, "--before "+drop.GTID) || !strings.Contains(text, "    DROP TABLE") {
			t.Errorf("%d\n%s%s", code, text, said)
		}
		if _, said := restore(1, "--before-statement", "truncate"); !strings.Contains(said, `says "truncate"`) {
			t.Error(said)
		}
		for _, wrong := range [][]string{{"--until", "yesterday"}, {"--until", "all", "--before", place}, {"--before", "2026-01-01"}, {"--no-restore"}, {"--until", "all", "shop"}, {"--until", "all", "--rename", "a=b"}} {
			restore(2, wrong...)
		}
		for _, absent := range []string{drop.Log + ":5", "bin.999999:4", "9-9-9"} {
			if _, said := restore(1, "--before", absent); !strings.Contains(said, "nothing was changed") {
				t.Errorf("before %s: %s", absent, said)
			}
		}
		if len(servertest.Checksums(t, into)) != 0 {
			t.Error("something was restored")
		}

		into.Exec(t, "SET GLOBAL event_scheduler=ON")
		out, said := restore(0, "--before", drop.GTID)
		var replayed struct{ Replayed struct{ Transactions int } }
		if err := json.Unmarshal([]byte(out), &replayed); err != nil || replayed.Replayed.Transactions != 5 || !strings.Contains(said, "the first that is not: "+place) {
			t.Errorf("%v: %s\n%s", err, out, said)
		}
		if got := servertest.Checksums(t, into); !maps.Equal(got, before) {
			t.Errorf("before the drop there was\n%v, not\n%v", before, got)
		}
		if on := into.Query(t, "SELECT @@GLOBAL.event_scheduler"); on[0][0] != "ON" {
			t.Errorf("events do not run any more: %v", on)
		}
		if _, said := restore(1, "--until", "all"); !strings.Contains(said, "no binary log is replayed") {
			t.Errorf("onto what is there: %s", said)
		}
		// In two steps, as with a data directory, by the place in the log.
		restore(0, "--existing", "replace")
		into.Exec(t, "DROP TABLE shop.paid")
		restore(0, "--no-restore", "--before", place)
		if got := servertest.Checksums(t, into); !maps.Equal(got, before) {
			t.Errorf("in two steps:\n%v, not\n%v", got, before)
		}
		if _, said := restore(1, "--no-restore", "--before", place); !strings.Contains(said, "hint: none was replayed before it") {
			t.Errorf("replayed twice: %s", said)
		}
		into.Exec(t, "DROP DATABASE shop")
		restore(0, "--until", "all", "--no-binlog", "--binlog", "latest")
		if want, got := servertest.Checksums(t, s), servertest.Checksums(t, into); !maps.Equal(got, want) {
			t.Errorf("all there is:\n%v, not\n%v", got, want)
		}
	})
}

// A restore says what of the server's logs it does not replay, since they do not go on from the dump: of the archive that it takes, and of a newer one. Up to before that, it says nothing.
func TestMySQLUntilGap(t *testing.T) {
	t.Parallel()
	s, into := servertest.Start(t, servertest.MariaDB1011), servertest.Start(t, servertest.MariaDB1011)
	d := &dumper{T: t, home: t.TempDir()}
	d.knows(s)
	target := d.file("target.cnf", "socket=%s\nuser=root\n", into.Socket)
	d.must("init")
	s.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY) ENGINE=InnoDB")
	d.dump(0)
	s.Exec(t, "INSERT INTO shop.orders VALUES (1)")
	first, _ := d.binlog(0)
	last := s.Query(t, "SHOW MASTER STATUS")[0]
	s.Exec(t, "INSERT INTO shop.orders VALUES (2)", "FLUSH BINARY LOGS", "INSERT INTO shop.orders VALUES (3)", "FLUSH BINARY LOGS")
	now := s.Query(t, "SHOW MASTER STATUS")[0]
	for s.Query(t, "SHOW BINARY LOGS")[0][0] != now[0] { // a log that the first run's session may still read is kept
		s.Exec(t, "PURGE BINARY LOGS TO '"+now[0]+"'")
	}
	s.Exec(t, "INSERT INTO shop.orders VALUES (4)")
	second, _ := d.binlog(3)
	restore := func(until string) string {
		t.Helper()
		_, said, code := d.run("mysql", "restore", "latest", "--defaults-file", target, "--existing", "replace", "--until", until)
		if code != 0 {
			t.Fatalf("restore until %s: %d\n%s", until, code, said)
		}
		return said
	}
	gap := fmt.Sprintf("%s:4 to %s:%s is replayed, and what was saved after the gap is not: %s:4 to %s:", last[0], last[0], last[1], now[0], now[0])
	if said := restore("all"); !strings.Contains(said, "warning: the binary logs end at a gap: "+gap) || !strings.Contains(said, " in archive "+second.Archive.ID[:8]) {
		t.Errorf("%q is not said:\n%s", gap, said)
	}
	if said := restore(first.Archive.Labels["position"][:strings.IndexByte(first.Archive.Labels["position"], ' ')]); strings.Contains(said, "gap") {
		t.Errorf("before the gap: %s", said)
	}
	other, _ := d.binlog(0, "--job", "other")
	if said := restore("all"); !strings.Contains(said, " in archive "+other.Archive.ID[:8]) {
		t.Errorf("of a newer archive: %s", said)
	}
}
