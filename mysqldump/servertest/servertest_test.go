package servertest_test

import (
	"testing"

	"nightjar/mysqldump/servertest"
)

func TestServer(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s, other := servertest.Start(t, k), servertest.Start(t, k)
		if s.ServerID == other.ServerID || s.Port == other.Port {
			t.Fatalf("two servers are not apart: %+v, %+v", s, other)
		}
		s.Exec(t, "CREATE DATABASE a", "USE a", "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(10)) ENGINE=InnoDB", "INSERT INTO t VALUES (1, 'one'), (2, NULL)")
		same := func(when string) {
			t.Helper()
			rows := s.Query(t, "SELECT * FROM a.t WHERE id > ? ORDER BY id", 0)
			if len(rows) != 2 || rows[0][1] != "one" || rows[1][1] != "NULL" {
				t.Fatalf("rows %s: %v", when, rows)
			}
		}
		same("at first")
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
		same("after a shutdown")
		s.Pause(t)
		s.Resume(t)
		same("after a pause")
		out, err := s.Client(t, "-N", "-e", "SELECT COUNT(*) FROM a.t").CombinedOutput()
		if err != nil || string(out) != "2\n" {
			t.Fatalf("the client says %q, %v", out, err)
		}
		if sums := servertest.Checksums(t, s); len(sums) != 1 || sums["a.t"] == "NULL" {
			t.Fatalf("checksums: %v", sums)
		}
	})
}
