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

	"golang.org/x/sys/unix"

	"nightjar/mysqldump/datadir"
	"nightjar/mysqldump/servertest"
)

// A spare is a server whose data directory waits for a hot backup of another.
type spare struct {
	*dumper
	source, fresh *servertest.Server
	tool          string // of the source's version
}

func newSpare(t *testing.T, k servertest.Kind) *spare {
	x := &spare{dumper: &dumper{T: t, home: t.TempDir()}, source: servertest.Start(t, k), fresh: servertest.Start(t, k)}
	must(t, os.Chmod(x.home, 0o755))
	x.source.Restart(t, "--log-bin="+filepath.Join(x.source.Datadir, "own-bin"), "--log-bin-index="+filepath.Join(x.source.Datadir, "own-bin.index"))
	x.source.Exec(t, "CREATE USER repl@'%' IDENTIFIED BY 'a-secret'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
	x.login("my.cnf", "socket=%s\nuser=root\n", x.source.Socket)
	x.login("fresh.cnf", "socket=%s\nuser=root\n", x.fresh.Socket)
	x.login("source.cnf", "host=%s\nport=%d\nuser=root\n", x.source.Host, x.source.Port)
	x.login("repl.cnf", "host=%s\nport=%d\nuser=repl\npassword=a-secret\n", x.source.Host, x.source.Port)
	argv := x.source.Program("mariadb-backup")
	usr, more := filepath.Dir(filepath.Dir(argv[len(argv)-1])), ""
	if len(argv) > 1 { // of a root, which does not find its messages by itself
		more = fmt.Sprintf("--basedir=%s --lc-messages-dir=%s/share/mariadb --character-sets-dir=%s/share/mariadb/charsets", usr, usr, usr)
	}
	run := "exec " + strings.Join(argv, " ") + ` "$@"`
	x.tool = x.script("tool", `case "$1$2" in --m*d--defaults*) `+run+" "+more+";; esac\n"+run)
	return x
}

func (x *spare) login(name, format string, args ...any) {
	must(x.T, os.WriteFile(filepath.Join(x.home, name), fmt.Appendf(nil, "[client]\n"+format, args...), 0o600))
}

func (x *spare) script(name, text string) string {
	path := filepath.Join(x.home, name)
	must(x.T, os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755))
	return path
}

func (x *spare) restore(to string, more ...string) []string {
	return append([]string{"mysql", "restore", "latest", "--datadir", to, "--tool", x.tool, "--json"}, more...)
}

// fails runs a restore that changes nothing.
func (x *spare) fails(code int, want, to string, more ...string) {
	x.Helper()
	before, _ := os.ReadDir(to)
	_, said, got := x.run(x.restore(to, more...)...)
	after, _ := os.ReadDir(to)
	if got != code || !strings.Contains(said, want) || len(after) != len(before) {
		x.Errorf("restore to %s %q: %d, not %d; %s", to, more, got, code, said)
	}
}

// meet waits until something is so.
func (x *spare) meet(what string, so func() bool) {
	x.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			x.Fatalf("%s: not after three minutes", what)
		}
	}
}

func there(path string) func() bool {
	return func() bool { _, err := os.Lstat(path); return err == nil }
}

// A hot backup, taken while the server is written to, becomes the data directory of a server on the same machine: the source's replica, which opens
// none of its files. One table of it comes back into the source.
func TestMySQLDatadir(t *testing.T) {
	needRoot(t)
	for _, k := range []servertest.Kind{servertest.MariaDB1011, servertest.MariaDB118} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			x := newSpare(t, k)
			load := x.source.StartLoad(t, servertest.LoadOptions{Writers: 4, Hot: true, PerSecond: 50, MyISAM: true})
			x.source.Exec(t, "CREATE TABLE loadtest.ran (id INT)", "CREATE EVENT loadtest.tick ON SCHEDULE EVERY 1 SECOND DO INSERT INTO loadtest.ran VALUES (@@server_id)")
			x.must("init")
			x.must("mysql", "hot", "--defaults-file", filepath.Join(x.home, "my.cnf"), "--tool", x.tool)
			x.refusals()
			if k == servertest.MariaDB1011 {
				x.killed()
			}
			x.fresh.Stop(t)
			must(t, os.Rename(x.fresh.Datadir, x.fresh.Datadir+".was"))
			must(t, os.Mkdir(x.fresh.Datadir, 0o700))
			flag := filepath.Join(x.home, "start")
			r := x.begin("mysql", "replica", "latest", "--datadir", x.fresh.Datadir, "--owner", "mysql", "--tool", x.tool, "--start-command", "touch "+flag, "--defaults-file", filepath.Join(x.home, "fresh.cnf"),
				"--source-defaults-file", filepath.Join(x.home, "source.cnf"), "--replication-defaults-file", filepath.Join(x.home, "repl.cnf"), "--json")
			ended := make(chan struct{})
			var out, said string
			var code int
			go func() { out, said, code = x.end(r); close(ended) }()
			x.meet("the command starts the server", func() bool {
				select {
				case <-ended:
					t.Fatalf("%d\n%s%s", code, out, said)
				default:
				}
				return there(flag)()
			})
			x.fresh.Restart(t, "--log-bin=own-bin", "--log-bin-index=own-bin.index", "--event-scheduler=ON")
			<-ended
			var made struct {
				Verified    bool
				Equal       int `json:"equal_tables"`
				Differences []any
			}
			if err := json.Unmarshal([]byte(out), &made); err != nil || code != 0 || !made.Verified || made.Equal < 4 || len(made.Differences) > 0 {
				t.Fatalf("%d, %v\n%s%s", code, err, out, said)
			}
			if !strings.Contains(said, "as on every replica: 1") { // before the server started
				t.Errorf("of events it says nothing: %s", said)
			}
			if got := fmt.Sprint(x.fresh.Query(t, "SELECT STATUS, (SELECT COUNT(*) FROM loadtest.ran) FROM information_schema.EVENTS")); got != "[[SLAVESIDE_DISABLED 0]]" {
				t.Errorf("the source's event: %s", got)
			}
			if strings.Contains(out+said, "a-secret") {
				t.Errorf("the password is in\n%s%s", out, said)
			}
			fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", x.fresh.Pid()))
			must(t, err)
			for _, fd := range fds {
				if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, x.source.Dir+"/") {
					t.Errorf("the replica has %s open", to)
				}
			}
			load.Stop()
			x.oneTable()
		})
	}
}

// oneTable brings tables back into the source.
func (x *spare) oneTable() {
	x.Helper()
	args := []string{"mysql", "restore", "latest", "--kind", "mysql-hot", "--tool", x.tool, "--defaults-file", filepath.Join(x.home, "my.cnf"), "--json"}
	if _, said, code := x.run(append(args, "loadtest.accounts")...); code != 1 || !strings.Contains(said, "it is there already") {
		x.Errorf("a table that is there: %d %s", code, said)
	}
	if _, said, code := x.run(append(args, "loadtest.none")...); code != 1 || !strings.Contains(said, "no table of that name") {
		x.Errorf("a table that is not in the backup: %d %s", code, said)
	}
	if _, said, code := x.run(args...); code != 2 {
		x.Errorf("no table is named: %d %s", code, said)
	}
	out, said, code := x.run(append(args, "loadtest.accounts", "loadtest.journal", "--rename", "loadtest=rescue")...)
	var back struct{ Restored []string }
	if err := json.Unmarshal([]byte(out), &back); err != nil || code != 3 || fmt.Sprint(back.Restored) != "[loadtest.accounts]" || !strings.Contains(said, "loadtest.journal: it is of MyISAM") {
		x.Fatalf("one table, and one of MyISAM: %d %v %s\n%s", code, err, out, said)
	}
	if got := x.source.Query(x.T, "SELECT SUM(balance), COUNT(*)>0 FROM rescue.accounts")[0]; fmt.Sprint(got) != "[0 1]" {
		x.Errorf("the table has %v", got)
	}
}

// refusals are restores that change nothing.
func (x *spare) refusals() {
	x.Helper()
	x.fails(1, "it is in use", x.source.Datadir)
	full, none := filepath.Join(x.home, "full"), filepath.Join(x.home, "none")
	must(x.T, os.MkdirAll(filepath.Join(full, "theirs"), 0o755))
	x.fails(1, "it is not empty", full)
	x.fails(2, "name no databases", none, "shop")
	x.fails(1, "find the owner", none, "--owner", "nobody-of-that-name")
	x.fails(1, "not of the backup's version", none, "--tool", x.script("old", "echo mariadb-backup based on MariaDB server 10.6.1-MariaDB"))
	x.fails(1, "ask the backup tool", none, "--tool", filepath.Join(x.home, "nowhere"))
	x.fails(1, "(package mariadb-backup of Debian", none, "--tool", filepath.Join(x.home, "nowhere"))
	x.fails(2, "--use-memory", none, "--use-memory", "much")
	if there(none)() {
		x.Errorf("%s was made", none)
	}
}

// killed restores that are killed, and that find the disk full, go on.
func (x *spare) killed() {
	x.Helper()
	to := filepath.Join(x.home, "disk", "data")
	disk := filepath.Dir(to)
	must(x.T, os.Mkdir(disk, 0o755))
	must(x.T, unix.Mount("tmpfs", disk, "tmpfs", 0, "size=8m"))
	x.Cleanup(func() { must(x.T, unix.Unmount(disk, 0)) })
	if _, said, code := x.run(x.restore(to)...); code != 1 || !strings.Contains(said, "not enough room") || there(to)() {
		x.Errorf("a small disk: %d %s", code, said)
	}
	must(x.T, unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, "size=1g,nr_inodes=40"))
	if _, said, code := x.run(x.restore(to)...); code != 1 || !strings.Contains(said, "no space left") || !strings.Contains(said, "the same command goes on") {
		x.Errorf("a full disk: %d %s", code, said)
	}
	must(x.T, unix.Mount("tmpfs", disk, "tmpfs", unix.MS_REMOUNT, "size=1g,nr_inodes=100000"))
	r := x.begin(x.restore(to)...)
	x.meet("files are fetched", there(filepath.Join(to, "mysql")))
	_ = r.Process.Kill()
	x.end(r)
	flag := filepath.Join(x.home, "preparing")
	slow := x.script("slow", `case "$*" in *--prepare*) `+x.tool+` "$@"; touch `+flag+`; sleep 600;; *) exec `+x.tool+` "$@";; esac`)
	r = x.begin(x.restore(to, "--tool", slow)...)
	x.meet("files are prepared", there(flag))
	if _, said, code := x.run(x.restore(to)...); code != 1 || !strings.Contains(said, "by another restore") {
		x.Errorf("two at the same time: %d %s", code, said)
	}
	_ = r.Process.Signal(syscall.SIGKILL)
	x.end(r)
	if !there(filepath.Join(to, datadir.Mark))() {
		x.Error("what is not finished has no mark")
	}
	failing := x.script("failing", `case "$*" in *--prepare*) echo "[ERROR] no log" >&2; exit 1;; *) exec `+x.tool+` "$@";; esac`)
	if _, said, code := x.run(x.restore(to, "--tool", failing)...); code != 1 || !strings.Contains(said, "no log") {
		x.Errorf("a tool that fails: %d %s", code, said)
	}
	x.must(x.restore(to)...)
	if there(filepath.Join(to, datadir.Mark))() || !there(filepath.Join(to, "ibdata1"))() {
		x.Error("what goes on does not come to its end")
	}
	x.fails(1, "it is not empty", to)
}
