package binlog_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nightjar/mysqldump"
	"nightjar/mysqldump/binlog"
	"nightjar/mysqldump/servertest"
)

// scan reads a log's file.
func scan(t *testing.T, path string) (binlog.Span, []*binlog.Transaction, []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var s binlog.Scanner
	var all []*binlog.Transaction
	var events []string
	for r := binlog.NewReader(f); ; {
		e, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		events = append(events, fmt.Sprintf("%d %v %d %d", e.At, e.Type, e.ServerID, e.Next))
		done, err := s.Add(&e)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if done != nil {
			all = append(all, done)
		}
	}
	span, err := s.Span()
	if err != nil {
		t.Fatal(err)
	}
	return span, all, events
}

// work is what logs have events of all kinds of.
func work(t *testing.T, s *servertest.Server) {
	t.Helper()
	s.Exec(t, "CREATE DATABASE d", "USE d", "CREATE TABLE t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(200)) ENGINE=InnoDB", "CREATE TABLE u LIKE t",
		"INSERT INTO t (v) VALUES ('one'), ('two')", "BEGIN", "INSERT INTO t (v) VALUES ('three')", "UPDATE u SET v='x'", "INSERT INTO u (v) SELECT v FROM t", "COMMIT",
		"SET @x='uservar'", "SET SESSION binlog_format=STATEMENT", "INSERT INTO t (v) VALUES (@x)", "UPDATE t SET v=CONCAT(v, RAND()) WHERE id=1",
		"SET SESSION binlog_format=ROW", "XA START 'a'", "INSERT INTO t (v) VALUES ('xa')", "XA END 'a'", "XA PREPARE 'a'", "XA COMMIT 'a'")
	s.Exec(t, "USE d", "XA START 'b'", "DELETE FROM t WHERE id=2", "XA END 'b'", "XA COMMIT 'b' ONE PHASE", "DROP TABLE u")
	if s.Kind != servertest.MySQL57 { // which refuses it with GTIDs
		s.Exec(t, "CREATE TABLE d.c SELECT * FROM d.t")
	}
	switch s.Kind {
	case servertest.MySQL97:
		s.Exec(t, "USE d", "SET gtid_next='AUTOMATIC:backup'", "INSERT INTO t (v) VALUES ('tagged')", "SET gtid_next='AUTOMATIC'")
		s.Exec(t, "USE d", "SET binlog_transaction_compression=ON", "INSERT INTO t (v) VALUES (REPEAT('a', 200))", "SET binlog_rows_query_log_events=ON", "INSERT INTO t (v) VALUES ('shown')")
	case servertest.MySQL57:
		s.Exec(t, "USE d", "SET binlog_rows_query_log_events=ON", "INSERT INTO t (v) VALUES ('shown')")
	default:
		s.Exec(t, "SET GLOBAL log_bin_compress=ON", "SET GLOBAL log_bin_compress_min_len=10")
		s.Exec(t, "USE d", "SET gtid_domain_id=7", "INSERT INTO t (v) VALUES (REPEAT('a', 200))", "SET SESSION binlog_format=STATEMENT", "INSERT INTO t (v) VALUES (REPEAT('b', 20))",
			"SET binlog_annotate_row_events=1")
	}
}

// logs are the server's, as it says.
func logs(t *testing.T, s *servertest.Server) (names []string) {
	t.Helper()
	for _, row := range s.Query(t, "SHOW BINARY LOGS") {
		names = append(names, row[0])
	}
	return names
}

// Each event, transaction and set of GTIDs that is read from the files is the one that the server says.
func TestLogsOfServers(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s := servertest.Start(t, k)
		work(t, s)
		s.Exec(t, "FLUSH BINARY LOGS")
		s.Exec(t, "CREATE TABLE d.last (i INT) ENGINE=InnoDB", "FLUSH BINARY LOGS")
		names := logs(t, s)
		before := mysqldump.GTIDSet{}
		var statements, tables []string
		for i, name := range names {
			span, all, events := scan(t, filepath.Join(s.Datadir, name))
			var want []string
			for _, row := range s.Query(t, "SHOW BINLOG EVENTS IN '"+name+"'") {
				if row[1] == row[4] { // inside of a compressed transaction
					continue
				}
				if n := len(want); n < len(events) && row[4] == "0" { // not written in a transaction's cache
					row[4] = events[n][strings.LastIndex(events[n], " ")+1:]
				}
				want = append(want, strings.Join([]string{row[1], strings.ReplaceAll(row[2], " ", "_"), row[3], row[4]}, " "))
			}
			if !slices.Equal(events, want) {
				t.Errorf("%s differs from what the server says:\n%s", name, differ(events, want))
			}
			if !span.Before.Equal(before) {
				t.Errorf("%s: before it is %q, not %q", name, span.Before, before)
			}
			if i < len(names)-1 && (span.Ends != binlog.Rotate || span.Next != names[i+1]) {
				t.Errorf("%s ends with %v, and then comes %q", name, span.Ends, span.Next)
			}
			if info, err := os.Stat(filepath.Join(s.Datadir, name)); err != nil || span.To != uint64(info.Size()) {
				t.Errorf("%s: whole up to %d of %v: %v", name, span.To, info.Size(), err)
			}
			before = span.After
			for _, tr := range all {
				if tr.Broken || tr.GTID.IsZero() || tr.Next <= tr.At {
					t.Errorf("%s: transaction %+v", name, tr)
				}
				for _, s := range tr.Statements {
					statements = append(statements, s.Text)
				}
				tables = append(tables, tr.Tables...)
			}
		}
		executed := ""
		if k.MariaDB() {
			executed = s.Query(t, "SELECT @@GLOBAL.gtid_binlog_pos")[0][0]
		} else {
			executed = s.Query(t, "SELECT @@GLOBAL.gtid_executed")[0][0]
		}
		if set, err := mysqldump.ParseGTIDSet(executed); err != nil || !set.Equal(before) {
			t.Errorf("the logs have %v, and the server says %v: %v", before, executed, err)
		}
		for _, want := range []string{"DROP TABLE `u` /* generated by server */", "INSERT INTO t (v) VALUES (@x)", "XA COMMIT X'61',X'',1"} {
			if !slices.Contains(statements, want) {
				t.Errorf("no statement %q among %q", want, statements)
			}
		}
		if !slices.Contains(tables, "d.t") || slices.Contains(tables, "d.c") == (k == servertest.MySQL57) || slices.Contains(tables, "d.last") {
			t.Errorf("tables %q", tables)
		}
		corpus(t, s, names)
	})
}

// differ is the lines in which two lists differ.
func differ(got, want []string) string {
	var b strings.Builder
	for i := range max(len(got), len(want)) {
		g, w := "", ""
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			fmt.Fprintf(&b, "%q, not %q\n", g, w)
		}
	}
	return b.String()
}

// corpus writes seeds of the fuzz target when it is asked for them.
func corpus(t *testing.T, s *servertest.Server, names []string) {
	if os.Getenv("NIGHTJAR_WRITE_SEEDS") == "" {
		return
	}
	for i, name := range names {
		content, err := os.ReadFile(filepath.Join(s.Datadir, name))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join("testdata", "fuzz", "FuzzReader", string(s.Kind)+"-"+strconv.Itoa(i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("go test fuzz v1\n[]byte("+strconv.Quote(string(content))+")\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// The end of a log that is being written is told from a damaged one.
func TestCutLog(t *testing.T) {
	content := seed(t, "mariadb-10.11-1")
	ends := map[int]bool{binlog.Start: true}
	read(content, func(e *binlog.Event) { ends[int(e.Next)] = true })
	for n := range len(content) {
		r, err := read(content[:n], func(*binlog.Event) {})
		if ends[n] != (err == io.EOF) || !ends[n] && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("a log that is cut at %d: %v", n, err)
		}
		if _, again := r.Next(); again != err {
			t.Fatalf("then %v", again)
		}
	}
}

// Whichever bit is wrong, it is found in the event that has it; but for the one that says that a log is in use.
func TestDamage(t *testing.T) {
	const inUse = binlog.Start + 17
	for _, kind := range []string{"mariadb-10.11-2", "mariadb-11.8-2", "mysql-5.7-2", "mysql-9.7-1"} {
		content := seed(t, kind)
		for at := range len(content) {
			damaged := []byte(content)
			damaged[at] ^= 1
			r, err := read(string(damaged), func(*binlog.Event) {})
			switch {
			case at == inUse && err == io.EOF:
			case at < binlog.Start && err != io.EOF:
			case err == io.EOF:
				t.Fatalf("%s: the bit at %d was not found", kind, at)
			case r.At() > uint64(at):
				t.Fatalf("%s: the bit at %d was found at %d: %v", kind, at, r.At(), err)
			}
		}
	}
}

// Lengths are believed only when the bytes are there.
func TestHostileLengths(t *testing.T) {
	header := []byte(binlog.Magic + "\x00\x00\x00\x00\x0f\x01\x00\x00\x00\xff\xff\xff\x3f\x00\x00\x00\x00\x00\x00")
	if _, err := read(string(header), func(*binlog.Event) {}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	header[16] = 0xff
	if _, err := read(string(header), func(*binlog.Event) {}); err == nil || !strings.Contains(err.Error(), "out of bounds") {
		t.Error(err)
	}
	if _, err := read("\xfdbin....", func(*binlog.Event) {}); !errors.Is(err, binlog.ErrEncrypted) {
		t.Error(err)
	}
}
