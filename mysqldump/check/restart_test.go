package check_test

import (
	"encoding/hex"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/mysqldump/check"
	"nightjar/mysqldump/servertest"
)

// socket has the rules asked through the server's socket.
func socket(t *target) { t.config.Net, t.config.Addr = "unix", t.Socket }

// overSocket restarts a server that nobody can reach otherwise.
func overSocket(flags ...string) func(*target) func() {
	return func(t *target) func() { socket(t); return restarted(flags...)(t) }
}

// restarting are the findings that options of the server's start make. What is advised is to start it without them.
var restarting = []provoked{
	{name: "log-bin-off", severity: check.Warning, do: unlogged, only: is(servertest.MySQL57), follow: plainRestart},
	{name: "log-bin-off", severity: check.Problem, do: restarted("--skip-log-bin"), only: is(servertest.MariaDB1011), follow: plainRestart},
	{name: "reach", severity: check.Problem, only: is(servertest.MariaDB1011, servertest.MySQL57), do: overSocket("--skip-networking"), follow: plainRestart},
	{name: "force-recovery", severity: check.Problem, only: is(servertest.MariaDB1011, servertest.MySQL57), do: restarted("--innodb-force-recovery=1"), follow: plainRestart},
	{name: "binlog-filter", severity: check.Problem, object: "binlog_ignore_db", only: is(servertest.MariaDB1011, servertest.MySQL57), do: restarted("--binlog-ignore-db=x"), follow: plainRestart},
	{name: "log-bin-off", severity: check.Problem, also: []string{"reach", "force-recovery"}, only: is(servertest.MySQL97), do: overSocket("--skip-networking", "--innodb-force-recovery=1", "--skip-log-bin"), follow: plainRestart},
	{name: "binlog-filter", severity: check.Problem, object: "binlog_do_db", do: restarted("--binlog-do-db=x"), only: is(servertest.MariaDB1011), follow: plainRestart},
	{name: "cluster", severity: check.Problem, do: restarted("--wsrep-on=ON", "--wsrep-provider=none"), only: is(servertest.MariaDB1011), follow: plainRestart},
	{name: "opaque-pages", severity: check.Warning, object: "c.e", only: is(servertest.MariaDB1011), do: encrypt, follow: func(t *target) { t.Exec(t.T, "ALTER TABLE c.e ENCRYPTED=NO") }},
	{name: "plugin", severity: check.Warning, only: is(servertest.MariaDB1011), do: unixSocket, follow: func(t *target) { t.options.For = []check.Purpose{check.Dump} }},
	{name: "plugin", severity: check.Note, object: "ed@%", only: is(servertest.MariaDB1011), before: []string{"INSTALL SONAME 'auth_ed25519'", "CREATE USER ed IDENTIFIED VIA ed25519 USING PASSWORD('x')", "GRANT ALL ON *.* TO ed"}, do: password("ed", "x"), follow: func(t *target) { t.config = t.Config() }},
	{name: "plugin", severity: check.Warning, object: "sha@%", only: is(servertest.MySQL97), before: []string{"CREATE USER sha IDENTIFIED BY 'x'", "GRANT ALL ON *.* TO sha"}, do: password("sha", "x"), follow: func(t *target) { t.config.TLSConfig = "skip-verify" }},
}

// unlogged is a server as MySQL 5.7 is installed, of which dumps are to be made.
func unlogged(t *target) func() {
	t.options.For = []check.Purpose{check.Dump}
	return restarted("--skip-log-bin", "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF", "--skip-log-slave-updates", "--server-id=0")(t)
}

func password(user, text string) func(*target) func() {
	return func(t *target) func() { t.config.User, t.config.Passwd = user, text; return nil }
}

func encrypt(t *target) func() {
	keys := filepath.Join(t.Dir, "keys")
	if err := os.WriteFile(keys, []byte("1;"+hex.EncodeToString([]byte("0123456789abcdef"))+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	restarted("--plugin-load-add=file_key_management", "--file-key-management-filename="+keys)(t)
	t.Exec(t.T, "CREATE DATABASE c", "CREATE TABLE c.e (id INT PRIMARY KEY) ENCRYPTED=YES")
	return nil
}

// unixSocket has an account log in by whom runs the tests.
func unixSocket(t *target) func() {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	socket(t)
	t.config.User = me.Username
	if me.Username != "root" {
		t.Exec(t.T, "CREATE USER `"+me.Username+"`@localhost IDENTIFIED VIA unix_socket", "GRANT ALL ON *.* TO `"+me.Username+"`@localhost")
		return nil
	}
	t.Exec(t.T, "ALTER USER root@localhost IDENTIFIED VIA unix_socket")
	return func() { t.Exec(t.T, "ALTER USER root@localhost IDENTIFIED VIA mysql_native_password") }
}

func TestRestarting(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s := servertest.Start(t, k, "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1", "--max-allowed-packet=64M")
		t.Run("none", func(t *testing.T) { testClean(t, s) })
		for _, p := range restarting {
			if p.only == nil || p.only(k) {
				t.Run(p.name+"/"+string(p.severity), func(t *testing.T) { p.run(t, s, nil) })
			}
		}
	})
}

// testClean finds no problem at a server that has none, and no program that does not fit.
func testClean(t *testing.T, s *servertest.Server) {
	for _, f := range look(t, s.Config(), check.Options{For: check.Purposes, Path: "/usr/bin:/bin", TempDir: t.TempDir()}) {
		ofAnother := f.Name == "tools" && strings.Contains(f.Says, "10.11") // the machine has one version
		if f.Severity == check.Problem && !(s.Kind == servertest.MariaDB118 && ofAnother) && !(mySQL(s.Kind) && f.Object == "clone") {
			t.Errorf("%+v", f)
		}
	}
}
