package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"

	"nightjar/mysqldump/servertest"
)

// Killed at a change that it makes to the repository and to its own folders (at each of them, if the tests are exhaustive), a run of
// binary logs leaves nothing in the way of the next one, which goes on without a gap, and has nothing twice.
func TestMySQLBinlogKilled(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("strace"); err != nil {
		t.Fatal(err)
	}
	const changes = "mkdirat,renameat,renameat2,linkat,unlinkat,ftruncate,fsync,fdatasync"
	s := servertest.Start(t, servertest.MariaDB1011)
	d := &dumper{T: t, home: t.TempDir()}
	d.knows(s)
	d.must("init")
	s.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40))")
	binlog := []string{"mysql", "binlog", "--quiet", "--keep-since=all", "--defaults-file", filepath.Join(d.home, "my.cnf")}
	d.must(binlog...)
	dead, calls := 0, filepath.Join(t.TempDir(), "calls")
	step := func(nth int) int {
		if *exhaustive {
			return 1
		}
		return nth
	}
	for nth := 1; ; nth += step(nth) {
		s.Exec(t, "INSERT INTO shop.orders (v) VALUES ('one')", "FLUSH BINARY LOGS", "INSERT INTO shop.orders (v) VALUES ('two')")
		d.before = []string{"strace", "-f", "-qq", "-o", calls, "-e", "trace=" + changes, "-e", fmt.Sprintf("inject=%s:signal=SIGKILL:when=%d", changes, nth)}
		_, said, code := d.run(binlog...)
		d.before = nil
		if code == 0 { // it makes no more than that
			break
		}
		if code != -1 || said != "" {
			t.Fatalf("killed at change %d: %d, %s", nth, code, said)
		}
		dead++
		d.must(binlog...)
	}
	if dead < 3 {
		t.Errorf("it was killed %d times: the test sees nothing", dead)
	}
	t.Logf("killed %d times", dead)
	last, _ := d.binlog(0, "--keep-since=all")
	spans := d.spans().Spans
	if len(spans) != 1 || len(spans[0].Logs) != dead+2 || last.Binlog.Logs != dead+2 {
		t.Errorf("%d logs, %d spans: %+v", last.Binlog.Logs, len(spans), spans)
	}
	d.comesBack(s, last.Archive.ID)
	d.must("check", "--read-data")
}
