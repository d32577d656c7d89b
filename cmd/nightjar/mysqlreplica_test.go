package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
			wrong := login("wrong.cnf", "host=%s\nport=%d\nuser=repl\npassword=another\n", source.Host, source.Port)
			elsewhere := login("elsewhere.cnf", "host=%s\nport=%d\nuser=root\n", fresh.Host, fresh.Port)
			for file, hint := range map[string]string{wrong: "CREATE USER repl@'%'", elsewhere: "Both have to name the source"} {
				_, said, code := d.run(to("replica", "latest", "--replication-defaults-file", file)...)
				if code != 1 || !strings.Contains(said, hint) || strings.Contains(said, "loading archive") {
					t.Errorf("the replica could not reach the source: %d, %s", code, said)
				}
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
			if _, said, code := d.run(to("promote", "--other=127.0.0.1:1")...); code != 3 || !strings.Contains(said, "127.0.0.1:1") {
				t.Errorf("another replica that cannot be reached: %d, %s", code, said)
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

// A dump of a slave makes a replica of the slave, and of its master, each from the position that holds there; of another server
// only if that has its transactions by GTID.
func TestMySQLReplicaOfMaster(t *testing.T) {
	for _, c := range []struct {
		kind  servertest.Kind
		name  string
		flags []string
		args  []string // of replica
		gtid  bool
	}{
		{servertest.MariaDB1011, "gtid", nil, nil, true},
		{servertest.MariaDB1011, "files", nil, []string{"--no-gtid"}, false},
		{servertest.MySQL57, "gtid", nil, nil, true},
		{servertest.MySQL57, "files", []string{"--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"}, nil, false},
	} {
		if !*exhaustive && (c.kind == servertest.MariaDB1011) == c.gtid {
			continue // one of each is tried in any case
		}
		t.Run(string(c.kind)+" "+c.name, func(t *testing.T) {
			t.Parallel()
			d := &dumper{T: t, home: t.TempDir()}
			d.must("init")
			start := func() *servertest.Server { return servertest.Start(t, c.kind, c.flags...) }
			master, slave, third := start(), start(), start()
			login := func(s *servertest.Server, user, password string) string {
				path := filepath.Join(d.home, user+fmt.Sprint(s.Port)+".cnf")
				if err := os.WriteFile(path, fmt.Appendf(nil, "[client]\nhost=%s\nport=%d\nuser=%s\npassword=%s\n", s.Host, s.Port, user, password), 0o600); err != nil {
					t.Fatal(err)
				}
				return path
			}
			dump := func(s *servertest.Server) {
				t.Helper()
				if err := os.WriteFile(filepath.Join(d.home, "my.cnf"), fmt.Appendf(nil, "[client]\nsocket=%s\nuser=root\n", s.Socket), 0o600); err != nil {
					t.Fatal(err)
				}
				d.dump(0)
			}
			make := func(source, replica *servertest.Server, more ...string) (string, int) {
				t.Helper()
				args := append([]string{"mysql", "replica", "latest", "--server", fmt.Sprintf("root@%s:%d", replica.Host, replica.Port), "--source-defaults-file", login(source, "root", ""),
					"--replication-defaults-file", login(source, "repl", `"it's \\ a "secret""`), "--json"}, c.args...)
				out, said, code := d.run(append(args, more...)...)
				if strings.Contains(out+said, "secret") {
					t.Errorf("the password is in\n%s%s", out, said)
				}
				return out + said, code
			}
			verify := func(source, replica *servertest.Server, want int, args ...string) string {
				t.Helper()
				out, said, code := d.run(append([]string{"mysql", "verify", "--server", fmt.Sprintf("root@%s:%d", replica.Host, replica.Port), "--source-defaults-file", login(source, "root", "")}, args...)...)
				if code != want {
					t.Errorf("verify: %d, want %d\n%s%s", code, want, out, said)
				}
				return out + said
			}
			master.Exec(t, `CREATE USER repl@'%' IDENTIFIED BY 'it\'s \\ a "secret"'`, "GRANT REPLICATION SLAVE ON *.* TO repl@'%'", "CREATE DATABASE a")
			load := master.StartLoad(t, servertest.LoadOptions{Writers: 4, Hot: true, PerSecond: 50})
			dump(master)
			master.Exec(t, "CREATE USER there@localhost")
			slave.Exec(t, "SET sql_log_bin=0", "CREATE USER there@localhost")
			if said, code := make(master, slave, "--skip=1"); code != 0 || !strings.Contains(said, "passed over the transaction at ") || !strings.Contains(said, "1396") {
				t.Fatalf("slave: %d\n%s", code, said)
			}
			slave.Exec(t, "FLUSH BINARY LOGS", "FLUSH BINARY LOGS") // so that no file of the slave's has the place of one of the master's
			dump(slave)
			said, code := make(master, third)
			if code != 0 || !strings.Contains(said, "what it has of that one is") || !strings.Contains(said, `"verified":true`) && !strings.Contains(said, `"verified": true`) {
				t.Fatalf("of the master, by the slave's dump: %d\n%s", code, said)
			}
			load.Stop()
			if out := verify(master, third, 0, "--quiet"); out != "" {
				t.Errorf("verify --quiet says %s", out)
			}
			other := start()
			if said, code := make(other, master); code != 1 || !strings.Contains(said, "the backup has positions of server_id") {
				t.Errorf("of another server: %d\n%s", code, said)
			}
			deadline := time.Now().Add(hangs)
			for fmt.Sprint(servertest.Checksums(t, master)) != fmt.Sprint(servertest.Checksums(t, slave)) {
				if time.Now().After(deadline) {
					t.Fatal("the slave does not get what the master has")
				}
				time.Sleep(10 * time.Millisecond)
			}
			if said, code := make(slave, third, "--replace-source", "--existing=replace"); code != 0 {
				t.Errorf("of the slave: %d\n%s", code, said)
			}
			third.Exec(t, "SET sql_log_bin=0", "SET GLOBAL read_only=0", "DELETE FROM loadtest.accounts LIMIT 1")
			if out := verify(slave, third, 1); !strings.Contains(out, "loadtest.accounts: other rows") {
				t.Errorf("verify of a changed row:\n%s", out)
			}
			verify(slave, third, 0, "--exclude-table", "loadtest.acc*", "loadtest")
			verify(slave, third, 1, "nothing")
			if out := verify(slave, slave, 1); !strings.Contains(out, "replicates from") {
				t.Errorf("verify of a server with itself:\n%s", out)
			}
			slave.Restart(t, append(c.flags, "--skip-log-bin", "--skip-log-slave-updates")...)
			for len(slave.Query(t, "SELECT 1 FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for master to send event%'")) == 0 { // until it knows who the master is
				if time.Now().After(deadline.Add(hangs)) {
					t.Fatal("the slave does not go on")
				}
				time.Sleep(10 * time.Millisecond)
			}
			if lost, said := d.dump(3); lost.Archive.Labels["position"] != "" || lost.Archive.Labels["source-position"] == "" {
				t.Errorf("a slave without a binary log: %+v\n%s", lost, said)
			}
			if said, code := make(slave, third, "--replace-source", "--existing=replace"); code != 1 || !strings.Contains(said, "the server writes no binary log") {
				t.Errorf("of a slave without a binary log: %d\n%s", code, said)
			}
			if said, code := make(master, third, "--replace-source", "--existing=replace"); code != 0 {
				t.Errorf("of the master, by the dump of a slave without a binary log: %d\n%s", code, said)
			}
		})
	}
}
