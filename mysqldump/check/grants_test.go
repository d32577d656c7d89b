package check_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"nightjar/mysqldump/check"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// A privileged is a server with one of everything, and an account whose privileges are tried.
type privileged struct {
	*testing.T
	*servertest.Server
	dialect server.Dialect
}

const backupUser = "back`up"

func (p *privileged) config() *mysql.Config {
	c := p.Config()
	c.User = backupUser
	return c
}

// try runs statements in one session of the account, and returns the first error.
func (p *privileged) try(statements ...string) error {
	srv, err := server.New(p.config())
	if err != nil {
		p.Fatal(err)
	}
	c, err := srv.Connect(p.Context())
	if err != nil {
		p.Fatal(err)
	}
	defer c.Close()
	for _, s := range statements {
		if err := c.Exec(p.Context(), s); err != nil {
			return err
		}
	}
	return nil
}

// grant returns the statement that the check prints for purposes; empty: nothing is missing.
func (p *privileged) grant(purposes ...check.Purpose) string {
	p.Helper()
	srv, err := server.New(p.config())
	if err != nil {
		p.Fatal(err)
	}
	found, err := check.Run(p.Context(), srv, check.Options{For: purposes})
	if err != nil {
		p.Fatal(err)
	}
	f := find(found, "privileges", "")
	for _, other := range found {
		if f == nil && strings.Contains(other.Says, "could not be looked at") {
			p.Errorf("no privilege is missing, and %+v", other)
		}
	}
	if f == nil {
		return ""
	}
	statement, _, _ := strings.Cut(f.Do, ";")
	return statement
}

// probes return the statements that each privilege is for. They fail without it.
func (p *privileged) probes() map[string][]string {
	probes := map[string][]string{
		"SELECT":             {"SELECT * FROM app.t", "SELECT * FROM mysql.user"},
		"PROCESS":            {"SELECT * FROM information_schema.INNODB_TRX"},
		"LOCK TABLES":        {"LOCK TABLES app.m READ"},
		"SHOW VIEW":          {"SHOW CREATE VIEW app.v"},
		"EVENT":              {"SHOW CREATE EVENT app.e"},
		"TRIGGER":            {"SHOW CREATE TRIGGER app.tr"},
		"BINLOG MONITOR":     {p.dialect.BinaryLogStatus, "SHOW BINARY LOGS"},
		"REPLICATION CLIENT": {p.dialect.BinaryLogStatus, "SHOW BINARY LOGS", p.dialect.ReplicaStatus},
		"SLAVE MONITOR":      {p.dialect.ReplicaStatus},
		"BACKUP_ADMIN":       {"LOCK INSTANCE FOR BACKUP"},
		"RELOAD":             {"FLUSH TABLES WITH READ LOCK"},
	}
	if p.dialect.BackupStage {
		probes["RELOAD"] = []string{"BACKUP STAGE START", "BACKUP STAGE BLOCK_COMMIT", "BACKUP STAGE END"}
	}
	return probes
}

// works tries what a privilege is for.
func (p *privileged) works(privilege string) error {
	p.Helper()
	if privilege == "REPLICATION SLAVE" { // no statement asks for it
		log := p.Query(p.T, "SHOW BINARY LOGS")[0][0]
		return p.program("mysqlbinlog", "--read-from-remote-server", log).Run()
	}
	statements := p.probes()[privilege]
	if statements == nil {
		p.Fatalf("%s: no probe of %s", p.Kind, privilege)
	}
	return p.try(statements...)
}

func (p *privileged) program(name string, args ...string) *exec.Cmd {
	argv := append(p.Program(name), "--no-defaults", "--user="+backupUser, "--host="+p.Host, fmt.Sprint("--port=", p.Port), "--protocol=tcp")
	argv = append(argv, args...)
	return exec.CommandContext(p.Context(), argv[0], argv[1:]...)
}

func newPrivileged(t *testing.T, k servertest.Kind) *privileged {
	p := &privileged{T: t, Server: servertest.Start(t, k)}
	p.Exec(t, "CREATE DATABASE app", "USE app", "CREATE TABLE t (id INT PRIMARY KEY) ENGINE=InnoDB", "CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO t VALUES (1)",
		"CREATE VIEW v AS SELECT id FROM t", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DO 1", "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @a=1", "CREATE PROCEDURE pr() SELECT 1",
		"CREATE USER `back``up`@`%`")
	srv, err := server.New(p.Config())
	if err != nil {
		t.Fatal(err)
	}
	c, err := srv.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if p.dialect, err = c.Dialect(context.Background()); err != nil {
		t.Fatal(err)
	}
	return p
}

// What the check prints is enough, and each of its privileges is needed.
func TestGrants(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		p := newPrivileged(t, k)
		for _, purposes := range [][]check.Purpose{{check.Dump}, {check.Hot}, {check.Binlog}, {check.Replica}, {check.Dump, check.Replica}, check.Purposes} {
			grant := p.grant(purposes...)
			if !strings.HasPrefix(grant, "GRANT ") {
				t.Fatalf("%s without any privilege: %q", purposes, grant)
			}
			t.Log(purposes, grant)
			p.Exec(t, grant)
			if again := p.grant(purposes...); again != "" {
				t.Errorf("%s after %s: %s", purposes, grant, again)
			}
			list, _, _ := strings.Cut(strings.TrimPrefix(grant, "GRANT "), " ON *.*")
			for _, privilege := range strings.Split(list, ", ") {
				p.needed(privilege, grant, purposes)
			}
			p.runs(purposes)
			p.Exec(t, "REVOKE ALL PRIVILEGES, GRANT OPTION FROM `back``up`@`%`")
		}
		p.roles()
	})
}

func (p *privileged) needed(privilege, grant string, purposes []check.Purpose) {
	p.Helper()
	if err := p.works(privilege); err != nil {
		p.Errorf("%s after %s: %v", privilege, grant, err)
	}
	to := strings.TrimPrefix(grant[strings.Index(grant, " TO "):], " TO ")
	p.Exec(p.T, "REVOKE "+privilege+" ON *.* FROM "+to)
	if err := p.works(privilege); err == nil {
		p.Errorf("%s: what %s is for works without it", grant, privilege)
	}
	want := "GRANT " + privilege + " ON *.* TO " + to
	if again := p.grant(purposes...); again != want {
		p.Errorf("without %s: %q, want %q", privilege, again, want)
	}
	p.Exec(p.T, want)
}

// runs has the servers' own programs do with the account what it is for.
func (p *privileged) runs(purposes []check.Purpose) {
	p.Helper()
	run := func(c *exec.Cmd) {
		p.Helper()
		if out, err := c.CombinedOutput(); err != nil {
			p.Errorf("%s: %v: %.2000s", filepath.Base(c.Path), err, out)
		}
	}
	if slices.Equal(purposes, []check.Purpose{check.Dump}) {
		master := "--master-data=2"
		if p.Kind == servertest.MySQL97 {
			master = "--source-data=2"
		}
		run(p.program("mysqldump", "--single-transaction", "--events", "--routines", "--triggers", master, "app"))
	}
	if slices.Equal(purposes, []check.Purpose{check.Hot}) && p.Kind == servertest.MariaDB1011 {
		target := p.TempDir()
		run(p.program("mariadb-backup", "--backup", "--datadir="+p.Datadir, "--target-dir="+target, "--ftwrl-wait-timeout=2"))
	}
}

// roles tries a role that has the privileges and is not in force, and then is.
func (p *privileged) roles() {
	p.Helper()
	grant := p.grant(check.Dump)
	if p.Kind == servertest.MySQL57 {
		return // which knows none
	}
	to := strings.TrimPrefix(grant[strings.Index(grant, " TO "):], " TO ")
	p.Exec(p.T, "CREATE ROLE helper", strings.ReplaceAll(grant, to, "helper"), "GRANT helper TO "+to)
	if again := p.grant(check.Dump); again != grant {
		p.Errorf("a role that is not in force: %q, want %q", again, grant)
	}
	if p.Kind.MariaDB() {
		p.Exec(p.T, "SET DEFAULT ROLE helper FOR "+to)
	} else {
		p.Exec(p.T, "SET DEFAULT ROLE helper TO "+to)
	}
	if again := p.grant(check.Dump); again != "" {
		p.Errorf("a role in force: %q", again)
	}
}
