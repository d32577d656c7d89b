package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/mysqldump/check"
	"nightjar/mysqldump/servertest"
)

// A mysqlChecker runs nightjar mysql check as a person does.
type mysqlChecker struct {
	*testing.T
	defaults string
	home     string
}

func (m *mysqlChecker) run(args ...string) (stdout, stderr string, code int) {
	m.Helper()
	program, err := exec.LookPath("nightjar") // testscript.Main puts it there
	if err != nil {
		m.Fatal(err)
	}
	c := exec.CommandContext(m.Context(), program, append([]string{"mysql", "check", "--defaults-file", m.defaults}, args...)...)
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + m.home, "NIGHTJAR_STATE_DIR=" + m.home, "NIGHTJAR_CACHE_DIR=" + m.home, "TMPDIR=" + m.TempDir(), noRaceSleep}
	var out, said bytes.Buffer
	c.Stdout, c.Stderr = &out, &said
	var exit *exec.ExitError
	if err := c.Run(); err != nil && !errors.As(err, &exit) {
		m.Fatal(err)
	}
	return out.String(), said.String(), c.ProcessState.ExitCode()
}

func TestMySQLCheck(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.MariaDB1011, "--gtid-strict-mode=ON", "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1", "--binlog-expire-logs-seconds=1000000")
	m := &mysqlChecker{T: t, home: t.TempDir()}
	m.defaults = filepath.Join(m.home, "my.cnf")
	if err := os.WriteFile(m.defaults, fmt.Appendf(nil, "[client]\nsocket=%s\nuser=root\n", s.Socket), 0o600); err != nil {
		t.Fatal(err)
	}
	clean := s.Socket + ": nothing stands in the way of dump\nnext: nightjar mysql dump, or each night a [mysql-dump.NAME] job of the job file; nightjar mysql binlog saves what changes in between\n"
	if out, said, code := m.run("--for=dump"); out != clean || said != "" || code != 0 {
		t.Errorf("a clean server: %d, %q, %q", code, out, said)
	}
	s.Exec(t, "CREATE DATABASE a", "CREATE TABLE a.`x\x1b[31m` (id INT PRIMARY KEY) ENGINE=MyISAM", "SET GLOBAL binlog_format=STATEMENT")
	out, said, code := m.run("--for=dump,replica")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 1 || !strings.HasPrefix(lines[0], "problem: binlog_format is STATEMENT") || !strings.HasPrefix(lines[1], "    SET GLOBAL binlog_format=ROW;") || !strings.Contains(said, "problems: 1") || !strings.Contains(said, "hint: mend the first problem first") {
		t.Errorf("a problem: %d, %s%s", code, out, said)
	}
	if !strings.Contains(out, `warning: a.x\x1b[31m: its engine, MyISAM`) || strings.Contains(out, "\x1b") {
		t.Errorf("a hostile name: %q", out)
	}
	if out, _, code := m.run("--for=dump"); code != 0 || !strings.Contains(out, "today; see to the warnings (1)\nnext: nightjar mysql dump") {
		t.Errorf("a warning: %d, %s", code, out)
	}
	out, _, code = m.run("--json")
	var result struct {
		Findings                  []check.Finding
		Problems, Warnings, Notes int
	}
	if err := json.Unmarshal([]byte(out), &result); err != nil || code != 1 || result.Problems != 1 || len(result.Findings) != result.Problems+result.Warnings+result.Notes || result.Findings[0].Name != "binlog-format" {
		t.Errorf("JSON: %v, %d, %s", err, code, out)
	}
	for _, wrong := range [][]string{{"--for=all"}, {"--every=soon"}, {"--long=0s"}, {"--threads=0"}, {"--replication=h"}} {
		if _, said, code := m.run(wrong...); code != 2 {
			t.Errorf("%s: %d, %s", wrong, code, said)
		}
	}
	s.Stop(t)
	if _, said, code := m.run(); code != 1 || !strings.Contains(said, s.Socket) {
		t.Errorf("no server: %d, %s", code, said)
	}
}

// What the check says to grant is enough for the dump of a server that has one of everything.
func TestMySQLGrant(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s := servertest.Start(t, k)
		d := &dumper{T: t, home: t.TempDir()}
		if err := os.WriteFile(filepath.Join(d.home, "my.cnf"), fmt.Appendf(nil, "[client]\nhost=127.0.0.1\nport=%d\nuser=backup\npassword=secret\n", s.Port), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Exec(t, "CREATE DATABASE app", "USE app", "CREATE TABLE t (id INT PRIMARY KEY)", "INSERT INTO t VALUES (1)", "CREATE TABLE m (id INT PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO m VALUES (1)",
			"CREATE VIEW v AS SELECT id FROM t", "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DO 1", "CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @a=1", "CREATE PROCEDURE pr() SELECT 1",
			"CREATE USER other IDENTIFIED BY 'x'", "GRANT SELECT ON app.* TO other", "CREATE USER backup IDENTIFIED BY 'secret'")
		d.must("init")
		out, said, code := d.run("mysql", "check", "--json", "--for=dump", "--defaults-file", filepath.Join(d.home, "my.cnf"))
		var result struct{ Findings []check.Finding }
		if err := json.Unmarshal([]byte(out), &result); err != nil || code != 1 || result.Findings[0].Name != "privileges" {
			t.Fatalf("%v, %d: %s%s", err, code, out, said)
		}
		if strings.Contains(out, "secret") {
			t.Errorf("a password is shown: %s", out)
		}
		if d.dump(1); !strings.HasPrefix(result.Findings[0].Do, "GRANT ") {
			t.Fatalf("%+v", result.Findings[0])
		}
		s.Exec(t, strings.TrimSuffix(result.Findings[0].Do, ";"))
		d.must("mysql", "check", "--for=dump", "--defaults-file", filepath.Join(d.home, "my.cnf"))
		if r, _ := d.dump(0); r.Dump.Tables < 2 || r.Dump.Rows < 2 {
			t.Errorf("%+v", r)
		}
	})
}

// Both ends of a replica, by the password of the environment.
func TestMySQLCheckReplica(t *testing.T) {
	t.Parallel()
	source, s := servertest.Start(t, servertest.MariaDB1011), servertest.Start(t, servertest.MariaDB1011)
	source.Exec(t, "CREATE USER repl IDENTIFIED BY 'secret'", "GRANT REPLICATION SLAVE ON *.* TO repl")
	s.Exec(t, "CREATE DATABASE full")
	m := &mysqlChecker{T: t, home: t.TempDir()}
	m.defaults = filepath.Join(m.home, "my.cnf")
	group := fmt.Sprintf("[client]\nsocket=%s\nuser=root\n[nightjar-replication]\npassword=secret\n", source.Socket)
	if err := os.WriteFile(filepath.Join(m.home, ".my.cnf"), []byte(group), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(m.defaults, []byte(group), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--replica", "root@" + s.Socket, "--replication", fmt.Sprint("repl@127.0.0.1:", source.Port)}
	out, said, code := m.run(args...)
	if code != 1 || !strings.HasPrefix(out, "problem: full: the replica has a database already") || !strings.Contains(said, "problems: 1") || strings.Contains(out+said, "secret") {
		t.Errorf("%d: %s%s", code, out, said)
	}
	s.Exec(t, "DROP DATABASE full")
	if out, said, code := m.run(args...); code != 0 {
		t.Errorf("%d: %s%s", code, out, said)
	}
}
