package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightjar/mysqldump/servertest"
)

// A hot backup's second night costs what has changed, its files come back, and one that is killed leaves neither a lock nor scratch.
func TestMySQLHot(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.MariaDB1011)
	s.Exec(t, "CREATE DATABASE shop", "USE shop", "CREATE TABLE orders (id INT PRIMARY KEY, v VARCHAR(300))", "INSERT INTO orders SELECT seq, SHA2(seq, 512) FROM seq_1_to_40000", "CREATE TABLE old (a INT) ENGINE=MyISAM")
	s.Restart(t) // so that the files have what else the log alone has, on the first night
	scratch := t.TempDir()
	d := &dumper{T: t, home: t.TempDir(), env: []string{"TMPDIR=" + scratch}}
	must(t, os.WriteFile(filepath.Join(d.home, "my.cnf"), fmt.Appendf(nil, "[client]\nsocket=%s\nuser=root\n", s.Socket), 0o600))
	args := []string{"mysql", "hot", "--defaults-file", filepath.Join(d.home, "my.cnf"), "--json"}
	d.must("init")
	type answer struct {
		Archive struct {
			Kind   string
			Labels map[string]string
		}
		Statistics map[string]uint64
		Hot        struct {
			Position string
			Redo     uint64  `json:"redo_bytes"`
			Held     float64 `json:"held_ms"`
		}
	}
	night := func() (a answer) {
		t.Helper()
		must(t, json.Unmarshal([]byte(d.must(args...)), &a))
		return a
	}
	first := night()
	labels := first.Archive.Labels
	if first.Archive.Kind != "mysql-hot" || labels["method"] != "hot" || labels["tool"] != "mariadb-backup" || !strings.HasPrefix(labels["server-version"], labels["tool-version"]) || labels["position"] != first.Hot.Position || first.Hot.Held <= 0 {
		t.Errorf("%+v", first)
	}
	d.must("restore", "--kind", "mysql-hot", "latest", "--target", filepath.Join(d.home, "first"))
	s.Exec(t, "UPDATE shop.orders SET v = REVERSE(v) WHERE id % 1000 = 0")
	second := night()
	d.must("restore", "--kind", "mysql-hot", "latest", "--target", filepath.Join(d.home, "back"))
	const rest = 24 << 10 // recipes, trees, index and archive
	if stored, differ := second.Statistics["bytes_stored"], differing(t, filepath.Join(d.home, "first"), filepath.Join(d.home, "back")); stored > differ+rest || second.Hot.Redo == 0 {
		t.Errorf("the second night stored %d bytes, and only blocks of %d differ; a log of %d", stored, differ, second.Hot.Redo)
	}
	for _, name := range []string{"ibdata1", "shop/orders.ibd", "shop/orders.frm", "shop/old.MYD", "backup-my.cnf", "xtrabackup_info"} {
		if _, err := os.Stat(filepath.Join(d.home, "back", "mysql", name)); err != nil {
			t.Error(err)
		}
	}
	tool := filepath.Join(d.home, "tool") // which holds its locks until somebody ends it
	must(t, os.WriteFile(tool, []byte("#!/bin/sh\nif [ \"$2\" = --version ]; then exec mariadb-backup \"$@\"; fi\nmariadb-backup \"$@\" | (head -c 100000; touch "+filepath.Join(d.home, "begun")+"; sleep 600)\n"), 0o755))
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		_ = os.Remove(filepath.Join(d.home, "begun"))
		r := d.begin(append(args, "--tool", tool)...)
		for begin := time.Now(); ; {
			if _, err := os.Stat(filepath.Join(d.home, "begun")); err == nil {
				break
			}
			if time.Since(begin) > 2*time.Minute {
				t.Fatal("the program does not begin")
			}
			time.Sleep(10 * time.Millisecond)
		}
		must(t, r.Process.Signal(signal))
		if _, said, code := d.end(r); signal == syscall.SIGTERM && code != 130 || signal == syscall.SIGKILL && code != -1 {
			t.Errorf("%v: %d %s", signal, code, said)
		}
		if left, _ := os.ReadDir(scratch); len(left) > 0 && signal != syscall.SIGKILL {
			t.Errorf("%v: %v is left", signal, left)
		}
		s.Exec(t, fmt.Sprintf("CREATE TABLE shop.after%d (a INT)", signal), "INSERT INTO shop.old VALUES (1)")
	}
	for begin := time.Now(); ; { // until the server has seen that who was killed is gone
		_, said, code := d.run(args...)
		if code == 0 {
			break
		}
		if time.Since(begin) > 5*time.Minute {
			t.Fatalf("after it was killed: %d %s", code, said)
		}
	}
	if n := strings.Count(d.must("list"), "mysql-hot"); n != 3 {
		t.Errorf("%d archives", n)
	}
	if _, said, code := d.run(append(args, "--tool", "/no/such/tool")...); code != 1 || !strings.Contains(said, "hint: ") {
		t.Errorf("no program: %d %s", code, said)
	}
	if _, said, code := d.run(append(args, "--label", "tool=x")...); code != 2 {
		t.Errorf("a label of its own: %d %s", code, said)
	}
}
