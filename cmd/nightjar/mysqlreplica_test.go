package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/mysqldump/servertest"
)

// A fresh server becomes a replica while its source is written to, and then the master.
func TestMySQLReplica(t *testing.T) {
	for _, k := range []servertest.Kind{servertest.MariaDB1011, servertest.MySQL57} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			source, fresh := servertest.Start(t, k), servertest.Start(t, k)
			d := &dumper{T: t, home: t.TempDir()}
			login := func(name, format string, args ...any) string {
				path := filepath.Join(d.home, name)
				if err := os.WriteFile(path, fmt.Appendf(nil, "[client]\n"+format, args...), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			login("my.cnf", "socket=%s\nuser=root\n", source.Socket)
			administrator := login("source.cnf", "host=%s\nport=%d\nuser=root\n", source.Host, source.Port)
			account := login("replication.cnf", "host=%s\nport=%d\nuser=repl\npassword=a-secret\n", source.Host, source.Port)
			source.Exec(t, "CREATE USER repl@'%' IDENTIFIED BY 'a-secret'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'", "CREATE DATABASE a",
				"CREATE EVENT a.on_there ON SCHEDULE EVERY 1 YEAR DO SELECT 1", "CREATE EVENT a.off_there ON SCHEDULE EVERY 1 YEAR DISABLE DO SELECT 1")
			load := source.StartLoad(t, servertest.LoadOptions{Writers: 5, Hot: true, PerSecond: 100, MyISAM: true})
			d.must("init")
			d.dump(0)
			to := func(command string, args ...string) []string {
				return append([]string{"mysql", command, "--server", fmt.Sprintf("root@%s:%d", fresh.Host, fresh.Port),
					"--source-defaults-file", administrator}, args...)
			}
			toReplica := func(args ...string) []string {
				return to("replica", append([]string{"latest", "--replication-defaults-file", account}, args...)...)
			}
			out, said, code := d.run(toReplica("--json")...)
			if code != 0 || strings.Contains(out+said, "a-secret") {
				t.Fatalf("%d\n%s%s", code, out, said)
			}
			var made struct {
				Follows      string
				Verified     bool
				Equal        int `json:"equal_tables"`
				Differences  []any
				BehindSecond int `json:"behind_seconds"`
			}
			if err := json.Unmarshal([]byte(out), &made); err != nil || made.Follows != "gtid" || !made.Verified || made.Equal != 5 || len(made.Differences) != 0 {
				t.Errorf("%v: %s", err, out)
			}
			if _, said, code := d.run(toReplica()...); code != 1 || !strings.Contains(said, "--replace-source") {
				t.Errorf("a replica is set up twice: %d, %s", code, said)
			}
			fresh.Exec(t, "SET sql_log_bin=0", "SET GLOBAL read_only=0", "CREATE TABLE loadtest.more (id INT)")
			out, said, code = d.run(toReplica("--existing=if-changed", "--replace-source")...)
			if code != 1 || !strings.Contains(said, "loadtest.more: missing at the source") {
				t.Errorf("a table too many: %d\n%s%s", code, out, said)
			}
			fresh.Exec(t, "SET sql_log_bin=0", "SET GLOBAL read_only=0", "DROP TABLE loadtest.more")
			load.Stop()
			plan := d.must(to("promote")...)
			if !strings.Contains(plan, "RESET") || !strings.Contains(plan, "Nothing was changed") || !strings.Contains(plan, "ENABLE;") {
				t.Errorf("plan:\n%s", plan)
			}
			done := d.must(to("promote", "--yes")...)
			if !strings.Contains(done, "is the master") {
				t.Errorf("promoted:\n%s", done)
			}
			events := fmt.Sprint(fresh.Query(t, "SELECT EVENT_NAME, STATUS FROM information_schema.EVENTS ORDER BY 1"))
			if events != "[[off_there DISABLED] [on_there ENABLED]]" {
				t.Errorf("events of the new master: %s", events)
			}
			fresh.Exec(t, "INSERT INTO loadtest.journal (v) VALUES ('written at the new master')")
		})
	}
}
