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

	"nightjar/mysqldump"
	"nightjar/mysqldump/servertest"
)

// drills is what a test reads of nightjar drill --json.
type drills struct {
	Drills []struct {
		Archive     struct{ Kind string }
		Outcome     string
		Exit        int
		Proven      bool
		Error       string
		Position    string
		Record      string
		Differences []string
		Figures     map[string]uint64
	}
}

// A driller drills what it has saved of a server.
type driller struct {
	*dumper
	s       *servertest.Server
	scratch string
	program string // of the server
}

func newDriller(t *testing.T, k servertest.Kind) *driller {
	r := &driller{dumper: &dumper{T: t, home: t.TempDir()}, s: servertest.Start(t, k)}
	r.knows(r.s)
	r.scratch = filepath.Join(r.s.Dir, "scratch") // which the server's user reaches
	must(t, os.Mkdir(r.scratch, 0o755))
	r.program = r.wrapper("mysqld", "")
	return r
}

// wrapper makes a program that does something, and is the server then, which in a root has a loader of its own and does not find its files by itself.
func (r *driller) wrapper(name, first string) string {
	row := r.s.QueryRow(r.T, "SELECT @@basedir b, @@plugin_dir p, @@lc_messages_dir m, @@character_sets_dir c")
	path := filepath.Join(r.s.Dir, name)
	script := fmt.Sprintf("#!/bin/sh\n%s\nexec %s \"$@\" --basedir=%s --plugin-dir=%s --lc-messages-dir=%s --character-sets-dir=%s\n",
		first, strings.Join(r.s.Program("server"), " "), row["b"], row["p"], row["m"], row["c"])
	must(r.T, os.WriteFile(path, []byte(script), 0o755))
	return path
}

func (r *driller) args(more ...string) []string {
	return append([]string{"drill", "--json", "--scratch", r.scratch}, more...)
}

// drill runs a drill, and sees that nothing is left.
func (r *driller) drill(want int, more ...string) (found drills, said string) {
	r.Helper()
	out, said, code := r.run(r.args(more...)...)
	if code != want {
		r.Fatalf("nightjar drill %q: %d, not %d\n%s%s", more, code, want, out, said)
	}
	if err := json.Unmarshal([]byte(out), &found); err != nil && out != "" {
		r.Fatal(err)
	}
	r.empty()
	return found, said
}

func (r *driller) empty() {
	r.Helper()
	if left, err := os.ReadDir(r.scratch); err != nil || len(left) > 0 {
		r.Errorf("in the scratch folder there are %v, %v", left, err)
	}
}

// flips is a script that flips a byte in the middle of a table's file before the server is started on it.
const flips = `
for a; do case "$a" in --datadir=*) dir="${a#--datadir=}";; --bootstrap|--version|--initialize*|--help) dir=;; esac; done
if test -n "$dir" && test -f "$dir/shop/orders.ibd"; then printf 'XXXXXXXX' | dd of="$dir/shop/orders.ibd" bs=1 seek=65736 conv=notrunc status=none; fi`

// A dump, a hot backup and the binary logs after them are proven by private servers, or are not.
func TestMySQLDrill(t *testing.T) {
	t.Parallel()
	needRoot(t)
	r := newDriller(t, servertest.MariaDB1011)
	r.must("init")
	elsewhere := filepath.Join(r.s.Dir, "elsewhere") // where the files of tables are at the source: a drill that wrote there would meet them
	must(t, os.Mkdir(elsewhere, 0o777))
	must(t, os.Chmod(elsewhere, 0o777))
	far := " (a INT PRIMARY KEY) DATA DIRECTORY='" + elsewhere + "' PARTITION BY HASH (a) (PARTITION p DATA DIRECTORY='" + elsewhere + "')"
	r.s.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.far"+far, "CREATE TABLE shop.orders (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(200), KEY (v))", "CREATE TABLE shop.old (a INT) ENGINE=MyISAM",
		"INSERT INTO shop.orders (v) SELECT SHA2(seq, 512) FROM shop.seq_1_to_3000", "CREATE VIEW shop.best AS SELECT * FROM shop.orders", "CREATE USER app@'%' IDENTIFIED BY 'a-secret'",
		"CREATE EVENT shop.tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO shop.old VALUES (1)")
	r.dump(0)
	login := []string{"--defaults-file", filepath.Join(r.home, "my.cnf")}
	r.must(append([]string{"mysql", "hot"}, login...)...)
	r.s.Exec(t, "INSERT INTO shop.orders (v) VALUES ('later')", "CREATE USER late@'%'", "CREATE TABLE shop.later"+far, "FLUSH BINARY LOGS", "UPDATE shop.orders SET v='last' WHERE v='later'")
	r.binlog(0)
	executed := r.s.QueryRow(t, "SELECT @@gtid_binlog_pos AS x")["x"]

	for _, kind := range []string{"mysql-dump", "mysql-hot"} {
		found, said := r.drill(0, "latest", "--kind", kind, "--until", "latest")
		d := found.Drills[0]
		p, err := mysqldump.Parse(d.Position)
		if !d.Proven || d.Record == "" || err != nil || p.File != "bin.000002" || p.Offset < 300 || p.GTIDs.String() != executed || d.Figures["transactions"] != 4 || d.Figures["tables_checked"] < 20 || d.Archive.Kind != kind {
			t.Errorf("%+v, %v\n%s", d, err, said)
		}
		if kind == "mysql-dump" && (d.Figures["tables_summed"] != 3 || d.Figures["rows"] < 3000) {
			t.Errorf("%+v", d)
		}
	}
	if out := r.must("list", "--json"); strings.Count(out, `"proven":"`) != 2 {
		t.Errorf("proven are not two: %s", out)
	}

	r.s.Exec(t, "FLUSH BINARY LOGS", "INSERT INTO shop.orders (v) VALUES ('lost')", "FLUSH BINARY LOGS", "FLUSH BINARY LOGS", "PURGE BINARY LOGS TO 'bin.000005'")
	r.binlog(3)
	if found, said := r.drill(3, "latest", "--kind", "mysql-hot", "--until", "latest"); found.Drills[0].Outcome != "problems" || !strings.Contains(said, "after the gap is not: bin.00000") {
		t.Errorf("a gap in the logs: %+v\n%s", found, said)
	}

	broken := r.wrapper("broken", flips)
	found, said := r.drill(12, "latest", "--kind", "mysql-hot", "--mysqld", broken)
	if d := found.Drills[0]; d.Proven || d.Outcome != "failed" || len(d.Differences) == 0 || d.Record == "" || !strings.Contains(said, "is not proven") {
		t.Errorf("a broken page: %+v\n%s", d, said)
	}
	const spoils = `for a; do case "$a" in --datadir=*) dir="${a#--datadir=}";; esac; done
if test -f "$dir/shop/orders.ibd"; then head -c 300000 /dev/zero >"$dir/ibdata1"; fi`
	found, said = r.drill(12, "latest", "--kind", "mysql-hot", "--mysqld", r.wrapper("spoils", spoils))
	if d := found.Drills[0]; d.Proven || len(d.Differences) != 1 || !strings.Contains(d.Differences[0], "of no use to a server") {
		t.Errorf("files on which no server starts: %+v\n%s", d, said)
	}
	fails := `case "$*" in *--datadir=*) exit 7;; esac`
	if _, said := r.drill(1, "latest", "--kind", "mysql-hot", "--mysqld", r.wrapper("fails", fails)); !strings.Contains(said, "exit status 7") {
		t.Errorf("a server that starts on nothing: %s", said)
	}
	if _, said := r.drill(1, "latest", "--kind", "mysql-dump", "--mysqld", filepath.Join(r.home, "missing")); !strings.Contains(said, "nothing was fetched. Install the server of version 10.11.") {
		t.Errorf("without a server: %s", said)
	}
	r.stopped()
}

// stopped stops drills in their middle: by a signal, and by one that nobody catches.
func (r *driller) stopped() {
	flag := filepath.Join(r.s.Dir, "began")
	waits := r.wrapper("waits", `case "$*" in *--bootstrap*) touch `+flag+`; exec sleep 300;; esac`)
	begin := func() *running {
		x := r.begin(r.args("latest", "--kind", "mysql-dump", "--mysqld", waits)...)
		for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(flag); err == nil {
				break
			}
			if time.Now().After(deadline) {
				r.Fatal("it does not come to start the server")
			}
		}
		must(r.T, os.Remove(flag))
		return x
	}
	x := begin()
	must(r.T, x.Process.Signal(syscall.SIGTERM))
	if _, said, code := r.end(x); code != 130 {
		r.Errorf("%d, %s", code, said)
	}
	r.empty()
	x = begin()
	must(r.T, x.Process.Kill())
	r.end(x)
	if left, err := os.ReadDir(r.scratch); err != nil || len(left) != 1 {
		r.Errorf("a drill that was killed left %v, %v: the test sees nothing", left, err)
	}
	r.drill(0, "latest", "--kind", "mysql-hot", "--no-record")
}

// MySQL's clone and dump, by its own server.
func TestMySQLDrillClone(t *testing.T) {
	t.Parallel()
	needRoot(t)
	r := newDriller(t, servertest.MySQL97)
	r.env = append(r.env, "TMPDIR="+r.scratch)
	r.must("init")
	clones := filepath.Join(r.s.Dir, "clones")
	must(t, os.Mkdir(clones, 0o755))
	r.s.Exec(t, "INSTALL PLUGIN clone SONAME 'mysql_clone.so'", "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY, v VARCHAR(200))", "INSERT INTO shop.orders VALUES (1,'one'), (2,'two')")
	r.dump(0)
	r.must("mysql", "hot", "--defaults-file", filepath.Join(r.home, "my.cnf"), "--mysqld", r.program, "--clone-dir", clones)
	r.s.Exec(t, "CREATE USER late@'%' IDENTIFIED BY 'a-secret'", "CREATE EVENT shop.tick ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.orders", "INSERT INTO shop.orders VALUES (3,'three')")
	r.binlog(0)
	executed, err := mysqldump.ParseGTIDSet(r.s.QueryRow(t, "SELECT @@global.gtid_executed AS x")["x"])
	must(t, err)
	found, said := r.drill(0, "--mysqld", r.program, "--until", "latest", "--kind", "mysql-dump", "--kind", "mysql-hot")
	for _, d := range found.Drills {
		p, err := mysqldump.Parse(d.Position)
		if !d.Proven || err != nil || !p.GTIDs.Equal(executed) || d.Figures["transactions"] < 3 || d.Figures["tables_checked"] < 20 {
			t.Errorf("%+v\n%s", d, said)
		}
	}
	if len(found.Drills) != 2 {
		t.Errorf("%+v", found)
	}
}

// A server without the clone plugin.
func TestMySQLDrillOld(t *testing.T) {
	t.Parallel()
	needRoot(t)
	r := newDriller(t, servertest.MySQL57)
	r.env = append(r.env, "TMPDIR="+r.scratch)
	r.must("init")
	r.s.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY, v VARCHAR(200))", "INSERT INTO shop.orders VALUES (1,'one'), (2,'two')")
	r.dump(0)
	r.s.Exec(t, "INSERT INTO shop.orders VALUES (3,'three')")
	r.binlog(0)
	found, said := r.drill(0, "--mysqld", r.program, "--until", "latest", "--kind", "mysql-dump")
	if len(found.Drills) != 1 || !found.Drills[0].Proven || found.Drills[0].Figures["transactions"] == 0 {
		t.Errorf("%+v\n%s", found, said)
	}
}
