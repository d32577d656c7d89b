package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"nightjar/mysqldump/servertest"
)

// A server of a newer kind, or of the newer of two, becomes a verified replica under writes; and one table comes back under another name.
func TestMySQLPaths(t *testing.T) {
	here := servertest.Kinds(t)
	for _, path := range [][2]servertest.Kind{{servertest.MariaDB118, servertest.MariaDB118}, {servertest.MySQL97, servertest.MySQL97}, {servertest.MariaDB1011, servertest.MariaDB118}} {
		if !slices.Contains(here, path[0]) || !slices.Contains(here, path[1]) {
			continue // Kinds has said so
		}
		if !*exhaustive && path[0] != servertest.MySQL97 {
			continue
		}
		t.Run(fmt.Sprintf("%s to %s", path[0], path[1]), func(t *testing.T) {
			t.Parallel()
			d := &dumper{T: t, home: t.TempDir()}
			source, fresh := servertest.Start(t, path[0]), servertest.Start(t, path[1])
			source.Exec(t, "CREATE USER repl@'%' IDENTIFIED BY 'a-secret'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
			replication := "host=%s\nport=%d\nuser=repl\npassword=a-secret\n"
			if path[0] != servertest.MariaDB1011 { // which has no certificate of its own
				replication += "ssl-mode=REQUIRED\n"
			}
			load := source.StartLoad(t, servertest.LoadOptions{Writers: 5, Hot: true, PerSecond: 50, MyISAM: true})
			d.file("my.cnf", "socket=%s\nuser=root\n", source.Socket)
			to := []string{"--defaults-file", d.file("to.cnf", "socket=%s\nuser=root\n", fresh.Socket)}
			d.must("init")
			d.dump(0)
			out := d.must(append([]string{"mysql", "replica", "latest", "--json", "--source-defaults-file", d.file("source.cnf", "host=%s\nport=%d\nuser=root\n", source.Host, source.Port),
				"--replication-defaults-file", d.file("replication.cnf", replication, source.Host, source.Port)}, to...)...)
			var made struct {
				Verified bool
				Equal    int `json:"equal_tables"`
			}
			if err := json.Unmarshal([]byte(out), &made); err != nil || !made.Verified || made.Equal != 5 {
				t.Errorf("%v: %s", err, out)
			}
			load.Stop()
			fresh.Exec(t, "SET GLOBAL read_only=0")
			d.must(append([]string{"mysql", "restore", "latest", "loadtest.accounts", "--rename=loadtest=one"}, to...)...)
			if sum := fmt.Sprint(fresh.Query(t, "SELECT SUM(balance), COUNT(*) FROM one.accounts")); sum != "[[0 100]]" {
				t.Errorf("one table: %s", sum)
			}
		})
	}
}
