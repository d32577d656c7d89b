package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"nightjar/mysqldump/servertest"
)

// again is a server that becomes a replica through a network, and its source.
type again struct {
	*dumper
	source, fresh *servertest.Server
	network       *servertest.Proxy
	to            []string // flags of its server
}

func newAgain(t *testing.T, k servertest.Kind) *again {
	a := &again{dumper: &dumper{T: t, home: t.TempDir()}, source: servertest.Start(t, k), fresh: servertest.Start(t, k)}
	a.network = servertest.StartProxy(t, fmt.Sprintf("%s:%d", a.fresh.Host, a.fresh.Port))
	a.source.Exec(t, "CREATE USER repl@'%' IDENTIFIED BY 'a-secret'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'", "CREATE DATABASE d", "CREATE TABLE d.a (id INT PRIMARY KEY, v INT, KEY (v))", "INSERT INTO d.a VALUES (1,2),(3,4)",
		"CREATE VIEW d.v AS SELECT id FROM d.a", "CREATE TABLE d.m (v INT) ENGINE=MyISAM", "INSERT INTO d.m VALUES (1),(1)", "CREATE PROCEDURE d.p() SELECT 1")
	a.source.StartLoad(t, servertest.LoadOptions{Writers: 4, Hot: true, PerSecond: 50})
	a.to = []string{"--defaults-file", a.file("to.cnf", "host=%s\nport=%d\nuser=root\nssl-mode=DISABLED\n", a.network.Host, a.network.Port)}
	a.file("my.cnf", "socket=%s\nuser=root\n", a.source.Socket)
	a.must("init")
	a.dump(0)
	return a
}

// file writes an option file.
func (d *dumper) file(name, format string, args ...any) (path string) {
	d.Helper()
	path = filepath.Join(d.home, name)
	if err := os.WriteFile(path, fmt.Appendf(nil, "[client]\n"+format, args...), 0o600); err != nil {
		d.Fatal(err)
	}
	return path
}

// when runs a command, to which something is done when it says a text.
func (a *again) when(step string, do func(r *running), args ...string) (said string, code int) {
	a.Helper()
	begun := make(chan *running, 1)
	var hit atomic.Bool
	a.network.When(step, func() { r := <-begun; hit.Store(true); do(r) })
	r := a.begin(args...)
	begun <- r
	_, said, code = a.end(r)
	a.network.When("", nil)
	deserted(a.T, a.fresh)
	if !hit.Load() {
		a.Errorf("it does not come to %s: %d %s", step, code, said)
	}
	return said, code
}

func kill(r *running) { _ = r.Process.Kill() }

// A restore or a replica that is killed is completed by the command that is said to go on, and a restore survives its server.
func TestMySQLAgain(t *testing.T) {
	for _, k := range kinds() {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			a := newAgain(t, k)
			restore := append([]string{"mysql", "restore", "latest", "--accounts=skip"}, a.to...)
			var made string
			for i, step := range []string{"INSERT INTO", "ADD KEY", "VIEW"} {
				if i > 0 && !*exhaustive {
					break
				}
				a.when(step, kill, restore...)
				if _, said, code := a.run(append(restore, "--existing=if-changed")...); code != 0 {
					t.Errorf("%s: the restore that goes on: %d %s", step, code, said)
				}
				sums := fmt.Sprint(servertest.Checksums(t, a.fresh))
				if made == "" {
					made = sums
				}
				if sums != made {
					t.Errorf("%s: %s, not %s", step, sums, made)
				}
				a.fresh.Exec(t, "DROP DATABASE d", "DROP DATABASE loadtest")
			}
			for i, step := range []string{"INSERT INTO", "VIEW"} {
				if i > 0 && !*exhaustive {
					return
				}
				crash := func(*running) { a.fresh.Kill(); a.fresh.Restart(t) }
				if said, code := a.when(step, crash, restore...); code != 0 {
					t.Errorf("crash at %s: %d %s", step, code, said)
				}
				if sums := fmt.Sprint(servertest.Checksums(t, a.fresh)); sums != made {
					t.Errorf("crash at %s: %s, not %s", step, sums, made)
				}
				a.fresh.Exec(t, "DROP DATABASE d", "DROP DATABASE loadtest")
			}
			replica := append([]string{"mysql", "replica", "latest", "--source-defaults-file", a.file("source.cnf", "host=%s\nport=%d\nuser=root\n", a.source.Host, a.source.Port),
				"--replication-defaults-file", a.file("replication.cnf", "host=%s\nport=%d\nuser=repl\npassword=a-secret\n", a.source.Host, a.source.Port)}, a.to...)
			for _, step := range []string{"INSERT INTO", "MASTER_HOST", "CHECKSUM"} {
				a.when(step, kill, replica...)
				if _, said, code := a.run(append(replica, "--existing=if-changed", "--replace-source")...); code != 0 {
					t.Errorf("%s: the command that goes on: %d %s", step, code, said)
				}
				a.fresh.Exec(t, "STOP SLAVE", "RESET SLAVE ALL", "SET sql_log_bin=0", "SET GLOBAL read_only=0", "DROP DATABASE d", "DROP DATABASE loadtest", "RESET MASTER")
			}
		})
	}
}
