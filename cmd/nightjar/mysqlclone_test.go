package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
		Clone      struct {
			Redo uint64 `json:"redo_bytes"`
		}
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
	files := func(n int) string {
		to := filepath.Join(d.home, fmt.Sprint("night-", n))
		d.must("restore", "latest", "--kind", "mysql-hot", "--target", to)
		return to
	}
	last := night()
	was := files(0)
	for n, change := range []string{"", "UPDATE shop.orders SET n=n+1 WHERE RAND()<0.01", "", "UPDATE shop.orders SET n=n+1 WHERE RAND()<0.01"} {
		if change != "" {
			s.Exec(t, change)
		}
		last = night()
		is := files(n + 1)
		// What the server writes by itself, undo, dictionary and log, differs from night to night, and is counted with the rows.
		const rest = 24 << 10 // recipes, trees, index and archive
		stored, differ := last.Statistics["bytes_stored"], differing(t, was, is)
		t.Logf("night %d: stored: %d bytes; blocks of %d bytes differ; a log of %d", n, stored, differ, last.Clone.Redo)
		if last.Clone.Redo == 0 || stored > differ+rest {
			t.Errorf("night %d: stored: %d bytes, and only blocks of %d differ; a log of %d", n, stored, differ, last.Clone.Redo)
		}
		was = is
	}

	out := d.must("mysql", "restore", "latest", "--datadir", filepath.Join(s.Dir, "restored"), "--tool", program, "--json")
	if !strings.Contains(out, strings.SplitN(last.Archive.Labels["position"], " ", 2)[0]) {
		t.Errorf("restored: %s", out)
	}
	cloneReplica(t, d, s, hot, program)
}

// differing returns how many bytes are in blocks of 256 that one folder's files have and the files of that name in another have not there.
func differing(t *testing.T, was, is string) (n uint64) {
	t.Helper()
	must(t, filepath.WalkDir(is, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		now, err := os.ReadFile(path)
		must(t, err)
		before, err := os.ReadFile(filepath.Join(was, strings.TrimPrefix(path, is)))
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		for block := range slices.Chunk(now, 256) {
			old := before[:min(len(block), len(before))]
			before = before[len(old):]
			if !bytes.Equal(block, old) {
				n += uint64(len(block))
			}
		}
		return nil
	}))
	return n
}

// cloneReplica has a fresh server become a replica on the files of a clone that is taken under writers. The source's event does not run there.
func cloneReplica(t *testing.T, d *dumper, s *servertest.Server, hot []string, program string) {
	fresh := servertest.Start(t, servertest.MySQL97)
	fresh.Stop(t)
	must(t, os.Rename(fresh.Datadir, fresh.Datadir+".was"))
	must(t, os.Mkdir(fresh.Datadir, 0o700))
	for name, text := range map[string]string{
		"fresh.cnf": fmt.Sprintf("socket=%s\nuser=root", fresh.Socket), "source.cnf": fmt.Sprintf("host=%s\nport=%d\nuser=root", s.Host, s.Port),
		"repl.cnf": fmt.Sprintf("host=%s\nport=%d\nuser=repl\npassword=a-secret\nssl-mode=REQUIRED", s.Host, s.Port),
	} {
		must(t, os.WriteFile(filepath.Join(d.home, name), []byte("[client]\n"+text+"\n"), 0o600))
	}
	load := s.StartLoad(t, servertest.LoadOptions{Writers: 2, PerSecond: 50})
	s.Exec(t, "ALTER TABLE loadtest.journal ENGINE=InnoDB", "CREATE USER repl@'%' IDENTIFIED BY 'a-secret'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'", "CREATE TABLE shop.ran (id INT PRIMARY KEY AUTO_INCREMENT, server INT)",
		"SET SESSION sql_mode='ANSI_QUOTES'", "CREATE EVENT shop.tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO shop.ran (server) VALUES (@@server_id)")
	d.must(hot...)
	flag := filepath.Join(d.home, "start")
	r := d.begin("mysql", "replica", "latest", "--datadir", fresh.Datadir, "--owner", "mysql", "--tool", program, "--start-command", "touch "+flag, "--defaults-file", filepath.Join(d.home, "fresh.cnf"),
		"--source-defaults-file", filepath.Join(d.home, "source.cnf"), "--replication-defaults-file", filepath.Join(d.home, "repl.cnf"), "--json")
	ended := make(chan struct{})
	var out, said string
	var code int
	go func() { out, said, code = d.end(r); close(ended) }()
	for deadline := time.Now().Add(3 * time.Minute); !there(flag)(); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("%d\n%s%s", code, out, said)
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("the command does not start the server")
		}
	}
	fresh.Restart(t, "--event-scheduler=ON")
	<-ended
	var made struct {
		Verified    bool
		Follows     string
		Equal       int `json:"equal_tables"`
		Differences []any
	}
	if err := json.Unmarshal([]byte(out), &made); err != nil || code != 0 || !made.Verified || made.Follows != "gtid" || made.Equal < 4 || len(made.Differences) > 0 {
		t.Fatalf("%d, %v\n%s%s", code, err, out, said)
	}
	load.Stop()
	if !strings.Contains(said, "as on every replica: 1") {
		t.Errorf("of events it says nothing: %s", said)
	}
	event := fresh.QueryRow(t, "SELECT STATUS, SQL_MODE, DEFINER, TIME_ZONE, (SELECT COUNT(*) FROM shop.ran WHERE server<>"+fmt.Sprint(s.ServerID)+") RAN FROM information_schema.EVENTS")
	want := s.QueryRow(t, "SELECT SQL_MODE, DEFINER, TIME_ZONE FROM information_schema.EVENTS")
	if !strings.HasSuffix(event["STATUS"], "SIDE_DISABLED") || event["RAN"] != "0" || event["SQL_MODE"] != want["SQL_MODE"] || event["DEFINER"] != want["DEFINER"] || event["TIME_ZONE"] != want["TIME_ZONE"] {
		t.Errorf("the source's event: %v, which is %v there", event, want)
	}
}
