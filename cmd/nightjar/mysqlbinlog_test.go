package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/servertest"
)

// saved is what a test reads of --json.
type saved struct {
	Archive struct {
		ID, Kind string
		Labels   map[string]string
	}
	Statistics, Requests map[string]uint64
	Binlog               struct {
		Logs     int
		Read     uint64 `json:"bytes_read"`
		LeftOut  int    `json:"left_out"`
		Breaks   []struct{ Case, Says string }
		Position string
	}
	Spans []struct {
		History, Before, From, To string
		Logs                      []struct {
			Path   string
			To     uint64
			Closed bool
		}
	}
}

func (d *dumper) binlog(want int, args ...string) (r saved, said string) {
	d.Helper()
	out, said, code := d.run(append([]string{"mysql", "binlog", "--json", "--defaults-file", filepath.Join(d.home, "my.cnf")}, args...)...)
	if code != want {
		d.Fatalf("nightjar mysql binlog %s: %d, not %d\n%s%s", strings.Join(args, " "), code, want, out, said)
	}
	if code == 0 || code == 3 {
		if err := json.Unmarshal([]byte(out), &r); err != nil {
			d.Fatal(err)
		}
	}
	return r, said
}

func (d *dumper) spans() (r saved) {
	d.Helper()
	if err := json.Unmarshal([]byte(d.must("mysql", "binlog", "show", "latest", "--json")), &r); err != nil {
		d.Fatal(err)
	}
	return r
}

// knows writes the option file for a server.
func (d *dumper) knows(s *servertest.Server) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(d.home, "my.cnf"), fmt.Appendf(nil, "[client]\nsocket=%s\nuser=root\n", s.Socket), 0o600); err != nil {
		d.Fatal(err)
	}
}

// Binary logs come back out of a repository as the server has them; what is not needed is left out, and what is lost is
// said.
func TestMySQLBinlog(t *testing.T) {
	for _, k := range []servertest.Kind{servertest.MariaDB1011, servertest.MySQL57} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, k)
			d := &dumper{T: t, home: t.TempDir()}
			d.knows(s)
			d.must("init")
			s.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40))", "INSERT INTO shop.orders (v) VALUES ('one')")
			first, _ := d.binlog(0)
			if p, err := mysqldump.Parse(first.Archive.Labels["position"]); err != nil || p.File != "bin.000001" || p.ServerID != s.ServerID || first.Archive.Kind != "mysql-binlog" {
				t.Errorf("%+v: %v", first, err)
			}
			d.binlog(0, "--flush")
			s.Exec(t, "INSERT INTO shop.orders (v) VALUES ('two')")
			third, _ := d.binlog(0, "--from-dir", s.Datadir)
			if third.Binlog.Logs != 2 || third.Statistics["unchanged"] != 1 {
				t.Errorf("%+v", third)
			}
			d.comesBack(s, third.Archive.ID)

			time.Sleep(1100 * time.Millisecond) // times in logs are in seconds
			d.dump(0)
			if r, _ := d.binlog(0, "--flush"); r.Binlog.LeftOut != 1 || r.Binlog.Logs != 2 {
				t.Errorf("logs that no dump needs: %+v", r.Binlog)
			}
			if r, _ := d.binlog(0, "--keep-since", "all"); r.Binlog.LeftOut != 0 {
				t.Errorf("%+v", r.Binlog)
			}
			s.Exec(t, "INSERT INTO shop.orders (v) VALUES ('lost')", "FLUSH BINARY LOGS", "FLUSH BINARY LOGS")
			s.PurgeLogs(t)
			r, said := d.binlog(3)
			if len(r.Binlog.Breaks) != 1 || r.Binlog.Breaks[0].Case != "purged" || !strings.Contains(said, "it is lost") {
				t.Errorf("%+v\n%s", r.Binlog, said)
			}
			if spans := d.spans().Spans; len(spans) != 2 || spans[1].Before != "purged" {
				t.Errorf("%+v", spans)
			}
			d.binlog(0)
			d.must("check")
			for _, wrong := range [][]string{{"--follow", "--flush"}, {"--follow", "--interval=1ms"}, {"--keep-since=never"}, {"--label=position=1"}, {"some"}} {
				d.binlog(2, wrong...)
			}
			if _, said := d.binlog(1, "--from-dir", d.home, "--job", "other"); !strings.Contains(said, "bin.0") {
				t.Errorf("a folder that has no logs: %s", said)
			}
		})
	}
}

// comesBack restores an archive's files, and compares them with the server's.
func (d *dumper) comesBack(s *servertest.Server, id string) {
	d.Helper()
	out := d.TempDir()
	d.must("restore", id, "--target", out)
	paths, err := filepath.Glob(filepath.Join(out, "binlog", "*", "*", "bin.*"))
	if err != nil || len(paths) == 0 {
		d.Fatalf("%v: %v", paths, err)
	}
	for _, path := range paths {
		got, err1 := os.ReadFile(path)
		want, err2 := os.ReadFile(filepath.Join(s.Datadir, filepath.Base(path)))
		if err1 != nil || err2 != nil || len(got) > len(want) || len(got) < 100 {
			d.Fatalf("%s: %d of %d bytes: %v, %v", path, len(got), len(want), err1, err2)
		}
		want[4+17] &^= 1 // in use
		if !bytes.Equal(got, want[:len(got)]) {
			d.Errorf("%s differs from the server's file", path)
		}
	}
}

// A follower keeps up with its server through a restart and a lost connection, is killed at any time without loss, and
// its archives fold into the newest.
func TestMySQLBinlogFollow(t *testing.T) {
	t.Parallel()
	for _, k := range []struct{ kind, grant, status, tls string }{
		{string(servertest.MariaDB1011), "BINLOG MONITOR", "SHOW MASTER STATUS", ""}, {string(servertest.MySQL97), "REPLICATION CLIENT", "SHOW BINARY LOG STATUS", "ssl-mode=REQUIRED"},
	} {
		t.Run(k.kind, func(t *testing.T) {
			t.Parallel()
			testFollow(t, servertest.Start(t, servertest.Kind(k.kind)), k.grant, k.status, k.tls)
		})
	}
}

func testFollow(t *testing.T, s *servertest.Server, grant, status, tls string) {
	d := &dumper{T: t, home: t.TempDir()}
	proxy := servertest.StartProxy(t, fmt.Sprintf("%s:%d", s.Host, s.Port))
	s.Exec(t, "CREATE USER f@'%' IDENTIFIED BY 'pw'", "GRANT "+grant+", REPLICATION SLAVE ON *.* TO f@'%'")
	if err := os.WriteFile(filepath.Join(d.home, "my.cnf"), fmt.Appendf(nil, "[client]\nhost=%s\nport=%d\nuser=f\npassword=pw\n%s\n", proxy.Host, proxy.Port, tls), 0o600); err != nil {
		t.Fatal(err)
	}
	d.must("init")
	load := s.StartLoad(t, servertest.LoadOptions{Writers: 2, PerSecond: 20})
	args := []string{"mysql", "binlog", "--follow", "--interval=1s", "--defaults-file", filepath.Join(d.home, "my.cnf")}
	wait := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
			if d.stored("archive") >= n {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("there are no %d archives", n)
			}
		}
	}
	r := d.begin(args...)
	wait(3)
	r.Process.Kill()
	d.end(r)
	r = d.begin(args...)
	wait(5)
	proxy.Cut()
	s.Restart(t)
	s.Exec(t, "CREATE DATABASE after_restart")
	at := s.Query(t, status)[0]
	wait(7)
	load.Stop()
	for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		spans := d.spans().Spans
		if len(spans) == 1 && spans[0].To >= at[0] {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the follower does not come to %v: %+v", at, spans)
		}
	}
	if err := r.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, said, code := d.end(r); code != 0 {
		t.Errorf("a follower that is stopped: %d\n%s", code, said)
	}
	last, _ := d.binlog(0, "--job", d.job())
	d.comesBack(s, last.Archive.ID)
	r = d.begin(args...)
	for deadline := time.Now().Add(3 * time.Minute); d.stored("forget") == 0; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the archives do not fold")
		}
	}
	r.Process.Signal(os.Interrupt)
	d.end(r)
	d.must("check")
}

// stored counts the objects of a kind in the repository.
func (d *dumper) stored(kind string) (n int) {
	d.Helper()
	err := filepath.WalkDir(filepath.Join(d.home, "repo", kind), func(_ string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			n++
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		d.Fatal(err)
	}
	return n
}

// job is the name of the one job of binary logs.
func (d *dumper) job() string {
	d.Helper()
	var r struct{ Archive struct{ Job string } }
	if err := json.Unmarshal([]byte(d.must("mysql", "binlog", "show", "latest", "--json")), &r); err != nil {
		d.Fatal(err)
	}
	return r.Archive.Job
}
