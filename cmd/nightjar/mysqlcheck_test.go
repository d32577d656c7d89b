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
	s := servertest.Start(t, servertest.MariaDB1011, "--gtid-strict-mode=ON", "--sync-binlog=1", "--innodb-flush-log-at-trx-commit=1", "--binlog-expire-logs-seconds=1000000")
	m := &mysqlChecker{T: t, home: t.TempDir()}
	m.defaults = filepath.Join(m.home, "my.cnf")
	if err := os.WriteFile(m.defaults, fmt.Appendf(nil, "[client]\nsocket=%s\nuser=root\n", s.Socket), 0o600); err != nil {
		t.Fatal(err)
	}
	clean := s.Socket + ": nothing stands in the way of dump\n"
	if out, said, code := m.run("--for=dump"); out != clean || said != "" || code != 0 {
		t.Errorf("a clean server: %d, %q, %q", code, out, said)
	}
	s.Exec(t, "CREATE DATABASE a", "CREATE TABLE a.`x\x1b[31m` (id INT PRIMARY KEY) ENGINE=MyISAM", "SET GLOBAL binlog_format=STATEMENT")
	out, said, code := m.run("--for=dump,replica")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 1 || !strings.HasPrefix(lines[0], "problem: binlog_format is STATEMENT") || !strings.Contains(lines[0], "SET GLOBAL binlog_format=ROW;") || !strings.Contains(said, "problems: 1") {
		t.Errorf("a problem: %d, %s%s", code, out, said)
	}
	if !strings.Contains(out, `warning: a.x\x1b[31m: its engine, MyISAM`) || strings.Contains(out, "\x1b") {
		t.Errorf("a hostile name: %q", out)
	}
	if out, _, code := m.run("--for=dump"); code != 0 || !strings.HasSuffix(out, "today; see to the warnings (1)\n") {
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
