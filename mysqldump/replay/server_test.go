package replay_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/binlog"
	"nightjar/mysqldump/replay"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
	"nightjar/mysqldump/until"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// logsOf returns a server's binary logs, from its files.
func logsOf(t *testing.T, s *servertest.Server) (all []replay.Log) {
	t.Helper()
	for _, row := range s.Query(t, "SHOW BINARY LOGS") {
		path := filepath.Join(s.Datadir, row[0])
		all = append(all, replay.Log{Name: row[0], Open: func() (io.ReadCloser, error) { return os.Open(path) }})
	}
	return all
}

// opened returns the server as what replays sees it.
func opened(t *testing.T, s *servertest.Server) *server.Server {
	t.Helper()
	srv, err := server.New(s.Config())
	must(t, err)
	return srv
}

func replayed(t *testing.T, to *servertest.Server, p *replay.Plan) replay.Result {
	t.Helper()
	r, err := replay.Run(t.Context(), opened(t, to), p, replay.Options{})
	must(t, err)
	return r
}

// lines are statements of all kinds that a log can have, in rows and as statements.
func lines(k servertest.Kind) []string {
	all := []string{
		"CREATE DATABASE d CHARACTER SET utf8mb4", "CREATE DATABASE `d é`", "USE d",
		"CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(250), n DECIMAL(30,10), f DOUBLE, b BLOB, ts TIMESTAMP(6) NULL)",
		"CREATE DATABASE gone", "USE gone", "CREATE TABLE x (i INT)", "/* all of it */ DROP DATABASE gone", "CREATE DATABASE gone", "USE gone", "CREATE TABLE x (i INT, j INT)", "INSERT INTO x VALUES (1, 2)", "USE d",
		"CREATE TABLE my (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(200)) ENGINE=MyISAM",
		"INSERT INTO t (v, n, f, b, ts) VALUES ('one', 1.5, 1e-300, X'00ff27', NOW(6)), ('zwölf', -12345678901234567890.0123456789, -0.0, NULL, '2021-03-28 03:30:00')",
		"CREATE TABLE parent (id INT PRIMARY KEY)", "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE)",
		"SET foreign_key_checks=0", "INSERT INTO child VALUES (1, 7)", "SET foreign_key_checks=1", "INSERT INTO parent VALUES (7), (8)", "INSERT INTO child VALUES (2, 8)", "DELETE FROM parent WHERE id=8",
		"CREATE TABLE big (id INT PRIMARY KEY AUTO_INCREMENT, v LONGBLOB)", "INSERT INTO big (v) VALUES (REPEAT('x', 300000)), (REPEAT('y', 900000)), (REPEAT('z', 200000))",
		"INSERT INTO big (v) SELECT REPEAT('s', 100) FROM information_schema.COLLATIONS", "UPDATE big SET v=REVERSE(v)",
		"USE `d é`", "CREATE TABLE `ä` (v VARCHAR(20) CHARACTER SET latin1)", "INSERT INTO `ä` VALUES ('é')", "USE d",
		"CREATE PROCEDURE p() INSERT INTO t (v) VALUES ('by p')", "CALL p()", "CREATE TRIGGER tr BEFORE INSERT ON my FOR EACH ROW SET NEW.v=CONCAT(NEW.v, '!')", "INSERT INTO my (v) VALUES ('row')",
		"CREATE VIEW w AS SELECT v FROM t", "CREATE FUNCTION fn(x INT) RETURNS INT DETERMINISTIC RETURN x+1",
		"BEGIN", "INSERT INTO t (v) VALUES ('a')", "UPDATE t SET v=CONCAT(v, '?') WHERE v='a'", "DELETE FROM t WHERE v='one'", "COMMIT",
		"SET SESSION binlog_format=STATEMENT",
		"SET @s='usér', @i=-5, @u=18446744073709551615, @d=-1234567890123.5, @f=1.5e0, @n=NULL", "INSERT INTO t (v, n, f) VALUES (CONCAT(@s, @i, @u), @d, @f)", "INSERT INTO t (v) VALUES (@n)",
		"INSERT INTO t (v, f) VALUES ('rand', RAND())", "INSERT INTO my (v) VALUES ('stmt')", "INSERT INTO t (v) VALUES (LAST_INSERT_ID())",
		"SET time_zone='+05:30'", "INSERT INTO t (v, ts) VALUES (NOW(), NOW())", "SET time_zone='+00:00'", "INSERT INTO t (v, ts) VALUES (NOW(6), NOW(6))",
		"SET sql_mode='ANSI_QUOTES,NO_BACKSLASH_ESCAPES'", `INSERT INTO "t" (v) VALUES ('back\slash')`, "SET sql_mode=''", "INSERT INTO t (v) VALUES ('too long for INT' + 0)", "SET NAMES latin1", "INSERT INTO t (v) VALUES ('\xe9 in latin1')", "SET @`gr\xfcn`=1", "INSERT INTO t (v) VALUES (@`gr\xfcn`)", "SET NAMES utf8mb4",
		"SET auto_increment_increment=10, auto_increment_offset=3", "INSERT INTO t (v) VALUES ('three')", "SET auto_increment_increment=1, auto_increment_offset=1", "INSERT INTO t (v) VALUES ('one more')",
		"SET lc_time_names='de_DE'", "INSERT INTO t (v) VALUES (DATE_FORMAT('2026-03-01', '%M'))", "SET lc_time_names='en_US'", "INSERT INTO t (v) VALUES (DATE_FORMAT('2026-03-01', '%M'))",
		"SET SESSION binlog_format=ROW", "ALTER TABLE t ADD COLUMN more INT DEFAULT 5", "INSERT INTO t (v, more) VALUES ('more', 6)", "TRUNCATE my", "CREATE USER who@'%' IDENTIFIED BY 'x'", "GRANT SELECT ON d.* TO who@'%'",
		"RENAME TABLE child TO kid", "DROP VIEW w", "CREATE TABLE IF NOT EXISTS t (i INT)", "DROP TABLE IF EXISTS nothing",
	}
	if k != servertest.MySQL57 { // which refuses it with GTIDs
		all = append(all, "CREATE TABLE picked (PRIMARY KEY (id)) SELECT * FROM t", "SET SESSION binlog_format=STATEMENT", "CREATE TEMPORARY TABLE tmp (i INT)", "INSERT INTO tmp VALUES (1), (2)", "INSERT INTO t (v) SELECT i FROM tmp", "DROP TEMPORARY TABLE tmp", "SET SESSION binlog_format=ROW")
	}
	switch {
	case k.MariaDB():
		all = append(all, "CREATE TABLE h (i INT) WITH SYSTEM VERSIONING", "INSERT INTO h VALUES (1)", "UPDATE h SET i=2", "CREATE SEQUENCE q", "SELECT NEXTVAL(q)", "SET sql_mode=ORACLE", "CREATE PROCEDURE o AS BEGIN NULL; END", "INSERT INTO t (v) VALUES ('after Oracle''s')", "SET sql_mode=''", "SET gtid_domain_id=7", "INSERT INTO t (v) VALUES ('other domain')", "SET gtid_domain_id=0",
			"SET GLOBAL log_bin_compress=ON, GLOBAL log_bin_compress_min_len=10", "INSERT INTO t (v) VALUES (REPEAT('c', 200))", "UPDATE t SET v=REPEAT('d', 200) WHERE v=REPEAT('c', 200)", "SET SESSION binlog_format=STATEMENT", "INSERT INTO t (v) VALUES (REPEAT('e', 200))", "SET SESSION binlog_format=ROW")
	case k == servertest.MySQL97:
		all = append(all, "SET binlog_transaction_compression=ON, binlog_rows_query_log_events=ON", "BEGIN", "INSERT INTO t (v) VALUES (REPEAT('c', 200))", "UPDATE t SET v=REPEAT('d', 200) WHERE v=REPEAT('c', 200)", "COMMIT", "SET binlog_transaction_compression=OFF, binlog_rows_query_log_events=OFF",
			"SET gtid_next='AUTOMATIC:tagged'", "INSERT INTO t (v) VALUES ('tag')", "SET gtid_next='AUTOMATIC'", "SET binlog_row_value_options='PARTIAL_JSON'", "CREATE TABLE j (id INT PRIMARY KEY, v JSON)", `INSERT INTO j VALUES (1, '{"a": 1, "b": [1, 2]}')`, "UPDATE j SET v=JSON_SET(v, '$.a', 2)")
	}
	return all
}

// A server to which all logs of another are replayed has what that has.
func TestReplay(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		from, to := servertest.Start(t, k, "--log-bin-trust-function-creators=1"), servertest.Start(t, k, "--log-bin-trust-function-creators=1")
		begin := begins(t, from)
		from.Exec(t, lines(k)...)
		if k.MariaDB() { // whose log does not say that this fails
			_, err := from.Connect(t).ExecContext(t.Context(), "DROP TABLE d.kid, d.nowhere")
			if server.Number(err) != 1051 {
				t.Error(err)
			}
		}
		from.Exec(t, "FLUSH BINARY LOGS", "INSERT INTO d.t (v) VALUES ('next log')")
		from.Restart(t)
		from.Exec(t, "INSERT INTO d.t (v) VALUES ('after a restart')", "UPDATE d.t SET v=CONCAT(v, 'x')")
		logs := logsOf(t, from)
		p, err := replay.MakePlan(t.Context(), logs, begin, until.Target{})
		must(t, err)
		r := replayed(t, to, p)
		if r.Transactions != p.Transactions || r.Last.At != p.Last.At || p.Refused != nil {
			t.Errorf("replayed %d to %v, planned %d to %v", r.Transactions, r.Last, p.Transactions, p.Last)
		}
		if want, got := servertest.Checksums(t, from), servertest.Checksums(t, to); len(want) < 6 || !maps.Equal(want, got) {
			t.Errorf("the servers differ:\n%v\n%v", want, got)
		}
		if k == servertest.MySQL97 { // what is searched is in a compressed transaction
			var found []replay.Found
			must(t, replay.Search(t.Context(), logs, begin, replay.Says("set `v`=repeat('D',  200)"), func(f replay.Found) bool {
				found = append(found, f)
				return true
			}))
			if len(found) != 1 || !found[0].Sealed || len(found[0].Statements) != 2 {
				t.Errorf("found %+v", found)
			}
		}
		for _, query := range []string{"SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, COLUMN_TYPE, COLLATION_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA LIKE 'd%' ORDER BY 1, 2, ORDINAL_POSITION",
			"SELECT ROUTINE_NAME, SQL_MODE, DEFINER FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA LIKE 'd%' ORDER BY 1", "SELECT TRIGGER_NAME, DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA LIKE 'd%'", "SHOW GRANTS FOR who@'%'", "SELECT id, HEX(v), ts FROM d.t ORDER BY id"} {
			if want, got := fmt.Sprint(from.Query(t, query)), fmt.Sprint(to.Query(t, query)); want != got {
				t.Errorf("%s:\n%s\n%s", query, want, got)
			}
		}
	})
}

// begins is where a server's binary log stands.
func begins(t *testing.T, s *servertest.Server) mysqldump.Position {
	t.Helper()
	c, err := opened(t, s).Connect(t.Context())
	must(t, err)
	defer c.Close()
	p, err := c.Position(t.Context())
	must(t, err)
	return p
}

// Each target is the transaction that it names, and the server has what was committed up to it.
func TestTargets(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		from := servertest.Start(t, k)
		from.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.n (i INT PRIMARY KEY)")
		begin := begins(t, from)
		const last = 40
		for i := 1; i <= last; i++ {
			from.Exec(t, fmt.Sprintf("SET timestamp=%d", 1_700_000_000+i*10), fmt.Sprintf("INSERT INTO d.n VALUES (%d)", i))
			if i == 15 || i == 30 {
				from.Exec(t, "FLUSH BINARY LOGS")
			}
		}
		logs := logsOf(t, from)
		var all []replay.Found
		must(t, replay.Search(t.Context(), logs, begin, nil, func(f replay.Found) bool {
			all = append(all, f)
			return true
		}))
		if len(all) != last {
			t.Fatalf("%d transactions, want %d", len(all), last)
		}
		gtid := begin
		gtid.File, gtid.Offset = "", 0
		for name, from := range map[string]mysqldump.Position{"file": begin, "GTIDs": gtid} {
			for _, n := range []int{1, 14, 15, 16, 29, 31, last} {
				f := all[n-1]
				targets := map[string]until.Target{"position": {File: f.Log, Offset: f.Next}, "GTID": {GTID: f.GTID.String()}}
				if n < last {
					targets["before GTID"] = until.Target{GTID: all[n].GTID.String(), Before: true}
					targets["before"] = until.Target{File: all[n].Log, Offset: all[n].At}
				}
				if k != servertest.MySQL97 { // which says when it was committed for real
					targets["time"] = until.Target{Time: time.Unix(int64(1_700_000_000+n*10+3), 0)}
				}
				for what, target := range targets {
					p, err := replay.MakePlan(t.Context(), logs, from, target)
					if err != nil || p.Transactions != uint64(n) || p.Last.At != f.At || (p.Refused == nil) != (n == last) {
						t.Errorf("from %s to %s %v: %+v, %v", name, what, n, p, err)
					}
				}
			}
		}
		to := servertest.Start(t, k)
		to.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.n (i INT PRIMARY KEY)")
		p, err := replay.MakePlan(t.Context(), logs, begin, until.Target{GTID: all[22].GTID.String()})
		must(t, err)
		replayed(t, to, p)
		if got := to.Query(t, "SELECT COUNT(*), MAX(i) FROM d.n"); got[0][0] != "23" || got[0][1] != "23" {
			t.Errorf("it has %v", got)
		}
		// What is there already is a row too many: the transaction is named, and nothing after it is applied.
		_, err = replay.Run(t.Context(), opened(t, to), p, replay.Options{})
		var failed *replay.FailedError
		if !errors.As(err, &failed) || failed.At.At != all[0].At || server.Number(err) != 1062 {
			t.Errorf("replayed twice: %v", err)
		}
		for what, target := range map[string]until.Target{"a GTID": {GTID: "9-9-9"}, "no boundary": {File: all[3].Log, Offset: all[3].Next + 1}, "a log": {File: "m.999999", Offset: 4}} {
			if _, err := replay.MakePlan(t.Context(), logs, begin, target); !errors.Is(err, replay.ErrMissing) {
				t.Errorf("%s that is not there: %v", what, err)
			}
		}
		wrong := begin
		wrong.Offset++
		if _, err := replay.MakePlan(t.Context(), logs, wrong, until.Target{}); !errors.Is(err, replay.ErrMissing) {
			t.Errorf("begun in the midst: %v", err)
		}
		other := begins(t, from) // as of a backup, after which the server began its logs anew
		other.File, other.Offset = all[3].Log, all[3].Next
		if _, err := replay.MakePlan(t.Context(), logs, other, until.Target{}); !errors.Is(err, replay.ErrMissing) {
			t.Errorf("logs of another history: %v", err)
		}
		if _, err := replay.MakePlan(t.Context(), logs[1:], gtid, until.Target{}); !errors.Is(err, replay.ErrMissing) {
			t.Errorf("logs that begin too late: %v", err)
		}
	})
}

// A time that comes twice, since a clock was wrong, is asked about.
func TestBackward(t *testing.T) {
	s := servertest.Start(t, servertest.MariaDB1011)
	s.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.n (i INT)")
	begin := begins(t, s)
	for i, at := range []int{100, 200, 3800, 300, 400} { // one is an hour ahead
		s.Exec(t, fmt.Sprintf("SET timestamp=%d", 1_700_000_000+at), fmt.Sprintf("INSERT INTO d.n VALUES (%d)", i))
	}
	logs := logsOf(t, s)
	for at, want := range map[int]int{150: 1, 250: 2, 350: -1, 500: -1, 4000: 5} {
		p, err := replay.MakePlan(t.Context(), logs, begin, until.Target{Time: time.Unix(int64(1_700_000_000+at), 0)})
		var backward *replay.BackwardError
		switch {
		case want < 0 && !errors.As(err, &backward):
			t.Errorf("at %d: %+v, %v", at, p, err)
		case want >= 0 && (err != nil || p.Transactions != uint64(want)):
			t.Errorf("at %d: %+v, %v", at, p, err)
		}
	}
}

// What no replay can do right is refused before anything is applied.
func TestUnfit(t *testing.T) {
	s := servertest.Start(t, servertest.MariaDB1011)
	file := filepath.Join(s.Datadir, "rows")
	must(t, os.WriteFile(file, []byte("1\n2\n"), 0o644))
	s.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.n (i INT) ENGINE=InnoDB")
	for what, statements := range map[string][]string{
		"XA":        {"XA START 'a'", "INSERT INTO d.n VALUES (1)", "XA END 'a'", "XA PREPARE 'a'", "XA COMMIT 'a'"},
		"LOAD DATA": {"SET SESSION binlog_format=STATEMENT", "LOAD DATA INFILE '" + file + "' INTO TABLE d.n"},
		"two parts": {"SET SESSION binlog_alter_two_phase=1", "ALTER TABLE d.n ADD COLUMN j INT, ALGORITHM=COPY", "ALTER TABLE d.n DROP COLUMN j, ALGORITHM=COPY"},
	} {
		begin := begins(t, s)
		s.Exec(t, statements...)
		if _, err := replay.MakePlan(t.Context(), logsOf(t, s), begin, until.Target{}); !errors.Is(err, replay.ErrUnfit) {
			t.Errorf("%s: %v", what, err)
		}
	}
	unfitIncident(t, s)
	unfitKilled(t, s)
}

// unfitIncident has a log that says at its end that changes are missing.
func unfitIncident(t *testing.T, s *servertest.Server) {
	begin := begins(t, s)
	s.Exec(t, "INSERT INTO d.n VALUES (1)")
	logs := logsOf(t, s)
	last := &logs[len(logs)-1]
	whole, err := os.ReadFile(filepath.Join(s.Datadir, last.Name))
	must(t, err)
	body := []byte("\x01\x00\x04lost")
	event := binary.LittleEndian.AppendUint32(nil, uint32(time.Now().Add(time.Hour).Unix()))
	event = append(event, byte(binlog.Incident))
	event = binary.LittleEndian.AppendUint32(event, s.ServerID)
	event = binary.LittleEndian.AppendUint32(event, uint32(19+len(body)+4))
	event = binary.LittleEndian.AppendUint32(event, uint32(len(whole)+19+len(body)+4))
	event = append(append(event, 0, 0), body...)
	whole = append(append(whole, event...), binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(event))...)
	last.Open = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(whole)), nil }
	if _, err := replay.MakePlan(t.Context(), logs, begin, until.Target{}); !errors.Is(err, replay.ErrUnfit) {
		t.Errorf("incident: %v", err)
	}
	if p, err := replay.MakePlan(t.Context(), logs, begin, until.Target{Time: time.Now().Add(time.Minute)}); err != nil || p.Transactions != 1 {
		t.Errorf("up to before an incident: %+v, %v", p, err)
	}
}

// unfitKilled has a statement that was killed after it had changed rows of a table without transactions.
func unfitKilled(t *testing.T, s *servertest.Server) {
	s.Exec(t, "CREATE TABLE d.my (i INT) ENGINE=MyISAM", "INSERT INTO d.my VALUES (1), (2), (3)", "CREATE FUNCTION d.slow(i INT) RETURNS INT NO SQL RETURN i + IF(i > 1, SLEEP(600), 0)")
	begin := begins(t, s)
	c := s.Connect(t)
	_, err := c.ExecContext(t.Context(), "SET SESSION binlog_format=STATEMENT")
	must(t, err)
	var id int
	must(t, c.QueryRowContext(t.Context(), "SELECT CONNECTION_ID()").Scan(&id))
	ended := make(chan error, 1)
	go func() {
		_, err := c.ExecContext(t.Context(), "UPDATE d.my SET i=d.slow(i)+10")
		ended <- err
	}()
	for sleeps := false; !sleeps; time.Sleep(10 * time.Millisecond) {
		sleeps = len(s.Query(t, "SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE='User sleep'")) == 1
	}
	s.Exec(t, fmt.Sprintf("KILL QUERY %d", id))
	if err := <-ended; err == nil {
		t.Error("the statement was not killed")
	}
	if _, err := replay.MakePlan(t.Context(), logsOf(t, s), begin, until.Target{}); !errors.Is(err, replay.ErrUnfit) {
		t.Errorf("killed: %v", err)
	}
}
