package servertest_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/mysqldump/servertest"
)

// A server of each kind lives, and ends with its folder when its test does.
func TestServer(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		var s *servertest.Server
		var pid int
		t.Run("lives", func(t *testing.T) {
			s = servertest.Start(t, k)
			lives(t, s)
			pid = s.Pid()
			if !isServer(pid, s.Dir) {
				t.Error("its process is another")
			}
		})
		if isServer(pid, s.Dir) || !gone(s.Dir) {
			t.Error("it is there after its test")
		}
	})
}

func lives(t *testing.T, s *servertest.Server) {
	s.Exec(t, "CREATE DATABASE a", "USE a", "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(10)) ENGINE=InnoDB", "INSERT INTO t VALUES (1, 'one'), (42, NULL)")
	same := func(when string) {
		t.Helper()
		rows := s.Query(t, "SELECT * FROM a.t WHERE id > ? ORDER BY id", 0)
		if len(rows) != 2 || rows[0][1] != "one" || rows[1][1] != "NULL" {
			t.Fatalf("rows %s: %v", when, rows)
		}
	}
	same("at first")
	programs(t, s)
	before := s.Pid()
	s.Kill()
	if s.Pid() != 0 {
		t.Fatal("a killed server has a process")
	}
	s.Restart(t, "--max-connections=33")
	if s.Pid() == before {
		t.Fatal("the process is the same after a crash")
	}
	same("after a crash")
	if row := s.QueryRow(t, "SELECT @@max_connections n, @@log_bin bin, @@binlog_format format"); row["n"] != "33" || row["bin"] != "1" || row["format"] != "ROW" {
		t.Fatalf("settings: %v", row)
	}
	s.Restart(t)
	same("after a stop")
	_, _ = s.Connect(t).ExecContext(t.Context(), "SHUTDOWN") // which may end the session before it has answered
	if !soon(func() bool { return s.Pid() == 0 }) {
		t.Fatal("it has a process after a shutdown")
	}
	s.Restart(t)
	same("after a shutdown")
	s.Pause(t)
	s.Resume(t)
	same("after a pause")
	if sums := servertest.Checksums(t, s); len(sums) != 1 || sums["a.t"] == "NULL" {
		t.Fatalf("checksums: %v", sums)
	}
}

// programs runs the kind's programs.
func programs(t *testing.T, s *servertest.Server) {
	run := func(name string, args ...string) string {
		t.Helper()
		argv := append(s.Program(name), "--no-defaults")
		out, err := exec.CommandContext(t.Context(), argv[0], append(argv[1:], args...)...).CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", name, err, out)
		}
		return string(out)
	}
	if out, err := s.Client(t, "-N", "-e", "SELECT COUNT(*) FROM a.t").CombinedOutput(); err != nil || string(out) != "2\n" {
		t.Errorf("the client says %q, %v", out, err)
	}
	for _, name := range []string{"mysqldump", "mariadb-dump"} {
		if out := run(name, "--user=root", "--socket="+s.Socket, "a"); !strings.Contains(out, "(42,NULL)") || !strings.Contains(out, "Dump completed") {
			t.Errorf("%s: %s", name, out)
		}
	}
	if out := run("mysqlbinlog", filepath.Join(s.Datadir, "bin.000001")); !strings.Contains(out, "CREATE DATABASE a") {
		t.Errorf("mysqlbinlog: %s", out)
	}
	if has := s.Program("mariadb-backup") != nil; has != s.Kind.MariaDB() {
		t.Errorf("has mariadb-backup: %v", has)
	} else if has {
		out := run("mariadb-backup", "--backup", "--user=root", "--socket="+s.Socket, "--target-dir="+filepath.Join(t.TempDir(), "copy"), "--datadir="+s.Datadir)
		if !strings.Contains(out, "completed OK!") {
			t.Errorf("mariadb-backup: %s", out)
		}
	}
	if s.Program("no-such-program") != nil {
		t.Error("a program that is not there")
	}
}

// Two servers of a kind run beside each other.
func TestTwo(t *testing.T) {
	t.Parallel()
	for _, k := range []servertest.Kind{servertest.MariaDB1011, servertest.MySQL57} {
		s, other := servertest.Start(t, k), servertest.Start(t, k)
		if s.ServerID == other.ServerID || s.Port == other.Port || s.Dir == other.Dir {
			t.Errorf("they are not apart: %+v, %+v", s, other)
		}
		s.Exec(t, "CREATE DATABASE a")
		if rows := other.Query(t, "SHOW DATABASES LIKE 'a'"); len(rows) != 0 {
			t.Error("they are one")
		}
		if k == servertest.MySQL57 && s.Query(t, "SELECT @@server_uuid")[0][0] == other.Query(t, "SELECT @@server_uuid")[0][0] {
			t.Error("their UUIDs are equal")
		}
	}
}
