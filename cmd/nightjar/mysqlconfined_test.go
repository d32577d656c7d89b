package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nightjar/cmd/nightjar/commands/mysql"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/mysqldump/servertest"
)

// TestMySQLConfined runs every command for databases as TestConfined does the others: with /tmp read-only, and traced.
func TestMySQLConfined(t *testing.T) {
	t.Parallel()
	needRoot(t)
	for _, program := range []string{"strace", "unshare", "gpgconf"} {
		need(t, program)
	}
	source, fresh := servertest.Start(t, servertest.MariaDB1011), servertest.Start(t, servertest.MariaDB1011)
	source.Exec(t, "CREATE USER repl@'%' IDENTIFIED BY 'a-secret'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'", "CREATE DATABASE shop",
		"CREATE TABLE shop.t (id INT PRIMARY KEY, v TEXT)", "INSERT INTO shop.t VALUES (1,REPEAT('x',10000))", "CREATE TABLE shop.old (a INT) ENGINE=MyISAM")
	work := t.TempDir()
	at := func(name string) string { return filepath.Join(work, name) }
	for _, dir := range []string{"scratch", "gnupg", "trace"} {
		if err := os.MkdirAll(at(dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	login := func(name string, s *servertest.Server, more string) string {
		text := fmt.Sprintf("[client]\nhost=%s\nport=%d\n%s\n", s.Host, s.Port, more)
		if err := os.WriteFile(at(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return at(name)
	}
	here, there := []string{"--defaults-file", login("source.cnf", source, "user=root")}, []string{"--defaults-file", login("fresh.cnf", fresh, "user=root")}
	administrator := []string{"--source-defaults-file", at("source.cnf")}
	account := []string{"--replication-defaults-file", login("replication.cnf", source, "user=repl\npassword=a-secret")}
	env := append(os.Environ(), "HOME="+work, "GNUPGHOME="+at("gnupg"), "NIGHTJAR_REPO="+at("repo"), "NIGHTJAR_STATE_DIR="+at("state"),
		"NIGHTJAR_CACHE_DIR="+at("cache"), "PASSPHRASE=", "TMPDIR=/tmp") // where nobody may write; the option goes before it
	steps := [][]string{
		{"init"},
		slices.Concat([]string{"mysql", "check", "--for", "dump,hot,binlog"}, here),
		slices.Concat([]string{"mysql", "dump"}, here),
		slices.Concat([]string{"mysql", "dump", "--json"}, here), // beside a former one
		slices.Concat([]string{"mysql", "hot"}, here),
		{"mysql", "restore", "latest", "--kind", "mysql-hot", "--datadir", at("target")},
		slices.Concat([]string{"mysql", "binlog"}, here),
		{"mysql", "binlog", "show", "latest"},
		{"drill", "latest", "--kind", "mysql-dump", "--until", "latest"},
		{"drill", "latest", "--kind", "mysql-hot", "--scratch", at("scratch")},
		slices.Concat([]string{"mysql", "restore", "latest", "--no-restore", "--until", "all"}, here), // nothing was written since
		slices.Concat([]string{"mysql", "restore", "latest", "--rename", "shop=again", "shop"}, here),
		slices.Concat([]string{"mysql", "replica", "latest"}, there, administrator, account),
		slices.Concat([]string{"mysql", "verify"}, there, administrator),
		slices.Concat([]string{"mysql", "promote", "--yes"}, there, administrator),
	}
	tried := map[string]bool{}
	for i, args := range steps {
		tried[args[min(1, len(args)-1)]] = true
		prefix := at(fmt.Sprintf("trace/%02d", i))
		args = slices.Concat([]string{"nightjar"}, args, []string{"--tempdir", at("scratch")})
		if out, err := confined(work, prefix, env, args); err != nil {
			t.Fatalf("%q: %v\n%s", args, err, out)
		}
		for _, line := range offences(t, prefix, work) {
			t.Errorf("%q: %s", args, line)
		}
	}
	for _, c := range mysql.Command(new(app.App)).Commands() {
		if !tried[c.Name()] {
			t.Errorf("command mysql %s is not tested here", c.Name())
		}
	}
}
