package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/internal/watch"
	"nightjar/mysqldump"
	"nightjar/mysqldump/servertest"
)

// A server of MySQL is saved by its clone; what a killed run leaves, the next removes; a night costs what has changed; and what
// comes back recovers to the position that the archive says.
func TestMySQLClone(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.MySQL97)
	d := &dumper{T: t, home: t.TempDir()}
	clones, scratch := filepath.Join(s.Dir, "clones"), filepath.Join(s.Dir, "scratch") // which the server's user reaches
	for _, dir := range []string{clones, scratch} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	d.env = append(d.env, "TMPDIR="+scratch)
	row := s.QueryRow(t, "SELECT @@basedir b, @@plugin_dir p, @@lc_messages_dir m, @@character_sets_dir c")
	program := filepath.Join(scratch, "mysqld") // the server has a loader of its own, and does not find its files by itself
	script := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\" --basedir=%s --plugin-dir=%s --lc-messages-dir=%s --character-sets-dir=%s\n",
		strings.Join(s.Program("server"), " "), row["b"], row["p"], row["m"], row["c"])
	if err := os.WriteFile(program, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(d.home, "my.cnf")
	if err := os.WriteFile(config, fmt.Appendf(nil, "[client]\nsocket=%s\nuser=root\n", s.Socket), 0o600); err != nil {
		t.Fatal(err)
	}
	d.must("init")
	hot := []string{"mysql", "hot", "--json", "--defaults-file", config, "--mysqld", program}
	if _, said, code := d.run(hot...); code != 2 || !strings.Contains(said, "--clone-dir") {
		t.Errorf("without a folder: %d, %s", code, said)
	}
	hot = append(hot, "--clone-dir", clones)
	if _, said, code := d.run(hot...); code != 1 || !strings.Contains(said, "INSTALL PLUGIN clone") {
		t.Errorf("without the plugin: %d, %s", code, said)
	}
	s.Exec(t, "INSTALL PLUGIN clone SONAME 'mysql_clone.so'", "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY AUTO_INCREMENT, n INT, v VARCHAR(200))",
		"SET SESSION cte_max_recursion_depth=40000",
		"INSERT INTO shop.orders (n, v) WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE i<40000) SELECT 0, SHA2(i, 512) FROM c")

	s.Exec(t, "SET GLOBAL clone_autotune_concurrency=OFF", "SET GLOBAL clone_max_concurrency=1", "SET GLOBAL clone_max_data_bandwidth=1")
	r := d.begin(hot...)
	for deadline := time.Now().Add(2 * time.Minute); len(s.Query(t, "SELECT 1 FROM performance_schema.clone_status WHERE STATE='In Progress'")) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not begin to clone")
		}
	}
	if err := r.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	d.end(r)
	left := func() int {
		entries, err := os.ReadDir(clones)
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	if left() != 1 {
		t.Error("a run that was killed left nothing: the test sees nothing")
	}
	s.Exec(t, "SET GLOBAL clone_max_data_bandwidth=0")

	type saved struct {
		Archive struct {
			Kind   string
			Labels map[string]string
		}
		Statistics map[string]uint64
	}
	s.Exec(t, "SET GLOBAL innodb_max_dirty_pages_pct_lwm=0", "SET GLOBAL innodb_max_dirty_pages_pct=0")
	night := func() (a saved) {
		t.Helper()
		settled := "SELECT 1 FROM performance_schema.global_status WHERE VARIABLE_NAME='Innodb_redo_log_checkpoint_lsn' AND VARIABLE_VALUE>=" +
			s.QueryRow(t, "SHOW GLOBAL STATUS LIKE 'Innodb_redo_log_current_lsn'")["Value"]
		for deadline := time.Now().Add(3 * time.Minute); len(s.Query(t, settled)) == 0; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("the server makes no checkpoint, and the log would be most of what is saved")
			}
		}
		if err := json.Unmarshal([]byte(d.must(hot...)), &a); err != nil {
			t.Fatal(err)
		}
		if left() != 0 {
			t.Error("the clone is left")
		}
		p, err := mysqldump.Parse(a.Archive.Labels["position"])
		if err != nil || p.ServerID != s.ServerID || p.GTIDs.IsZero() || a.Archive.Kind != "mysql-hot" || a.Archive.Labels["method"] != "clone" {
			t.Errorf("%+v: %v", a, err)
		}
		return a
	}
	first := night()
	// Differences in the pages of the rows, and what a server writes by itself: a few pages of undo, of its dictionary, and log. How
	// much log a clone takes along is the server's affair: one of three nights has to be without a long one.
	const most, nights = 6, 3
	var last saved
	small := false
	for n := 0; n < nights && !small; n++ {
		s.Exec(t, "UPDATE shop.orders SET n=n+1 WHERE RAND()<0.01")
		last = night()
		t.Logf("stored: %d bytes, then %d", first.Statistics["bytes_stored"], last.Statistics["bytes_stored"])
		small = last.Statistics["bytes_stored"]*most <= first.Statistics["bytes_stored"]
	}
	if !small {
		t.Error("each night stores more than what has changed")
	}

	out := d.must("mysql", "restore", "latest", "--datadir", filepath.Join(s.Dir, "restored"), "--tool", program, "--json")
	if !strings.Contains(out, strings.SplitN(last.Archive.Labels["position"], " ", 2)[0]) {
		t.Errorf("restored: %s", out)
	}
}

// How far a clone is stands in the line until the first file is saved.
func TestCloneMeter(t *testing.T) {
	t.Parallel()
	x, saved, expected := new(cloner), new(watch.Progress), new(atomic.Uint64)
	m := x.meter(progress.Saved(saved, expected))
	look := func(when string, clones bool, current, total int64) {
		t.Helper()
		if text := m.Text(); strings.Contains(text, "clones") != clones || m.Current() != current || m.Total() != total {
			t.Errorf("%s: %q, %d of %d", when, text, m.Current(), m.Total())
		}
	}
	expected.Store(7 << 30)
	look("before", false, 0, 7<<30)
	x.cloned(1<<20, 4<<20)
	look("while it clones", true, 1<<20, 4<<20)
	x.cloned(4<<20, 4<<20)
	saved.Bytes.Add(5)
	look("while files are saved", false, 5, 7<<30)
}
