package main

import (
	"context"
	goflag "flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/internal/proctest"
	"nightjar/mysqldump/servertest"
)

// A night is a server that is written to, what is between it and nightjar, and its dumps.
type night struct {
	*dumper
	server  *servertest.Server
	network *servertest.Proxy
	load    *servertest.Load
	made    int // archives
}

func newNight(t *testing.T, k servertest.Kind) *night {
	n := &night{dumper: &dumper{T: t, home: t.TempDir()}, server: servertest.Start(t, k)}
	n.network = servertest.StartProxy(t, fmt.Sprintf("%s:%d", n.server.Host, n.server.Port))
	n.file("my.cnf", "host=%s\nport=%d\nuser=root\nssl-mode=DISABLED\n", n.network.Host, n.network.Port) // so that the network can be listened to
	must(t, os.Mkdir(filepath.Join(n.home, "repo"), 0o700))
	must(t, unix.Mount("tmpfs", filepath.Join(n.home, "repo"), "tmpfs", 0, "size=64m"))
	t.Cleanup(func() { must(t, unix.Unmount(filepath.Join(n.home, "repo"), 0)) })
	n.load = n.server.StartLoad(t, servertest.LoadOptions{Writers: 5, Hot: true, PerSecond: 50, MyISAM: true})
	n.must("init")
	return n
}

// args are those of a dump.
func (n *night) args(more ...string) []string {
	return append([]string{"mysql", "dump", "--defaults-file", filepath.Join(n.home, "my.cnf"), "--max-lock=4s", "--threads=2", "--lock-wait=60s"}, more...)
}

// hangs is how long something may take, on a slow machine too, before it counts as hung.
const hangs = 5 * time.Minute

// written waits until writers have committed, which they must soon.
func (n *night) written(what string) {
	n.Helper()
	before, begin := n.load.Commits(), time.Now()
	for n.load.Commits() < before+10 {
		if time.Since(begin) > hangs {
			n.Fatalf("%s: nobody can write: %v", what, n.server.Query(n, "SHOW FULL PROCESSLIST"))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// deserted waits until a server has seen the end of all sessions over TCP, which those of the test are not.
func deserted(t *testing.T, s *servertest.Server) {
	t.Helper()
	for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		left := s.Query(t, "SELECT ID, COMMAND, INFO FROM information_schema.PROCESSLIST WHERE HOST LIKE '127.0.0.1:%' OR HOST LIKE 'localhost:%'")
		if len(left) == 0 {
			return
		}
		if time.Since(begin) > hangs {
			t.Fatalf("sessions that do not end: %v", left)
		}
	}
}

// faulty makes a dump to which something is done when it says a text. Only a dump that ends well makes an archive.
func (n *night) faulty(what, step string, do, undo func(r *running), more ...string) (said string, code int) {
	n.Helper()
	hit := make(chan struct{})
	begun := make(chan *running, 1)
	n.network.When(step, func() { r := <-begun; close(hit); do(r) })
	r := n.begin(n.args(more...)...)
	begun <- r
	ended := make(chan struct{})
	go func() { _, said, code = n.end(r); close(ended) }()
	select {
	case <-hit:
	case <-ended:
		n.Fatalf("%s: the dump did not come to it: %d %s", what, code, said)
	}
	if undo != nil {
		undo(r)
	}
	late := time.AfterFunc(hangs, func() { n.Errorf("%s: it does not end", what); _ = r.Process.Kill() })
	<-ended
	late.Stop()
	n.network.Stall(false)
	deserted(n.T, n.server) // else the next dump finds this one's lock
	if code == 0 {
		n.made++
	}
	n.written(what)
	if got := strings.Count(n.must("list"), "mysql-dump"); got != n.made {
		n.Errorf("%s: %d archives, not %d; %d %s", what, got, n.made, code, said)
	}
	return said, code
}

var exhaustive = goflag.Bool("exhaustive", false, "try every fault, every way and every kind of server, which takes many minutes")

// tried says whether a test tries two things together: all are, if the tests are exhaustive; else one in so many, so that each is tried with some.
func tried(i, j, oneIn int) bool { return *exhaustive || (i+j)%oneIn == 0 }

// kinds returns the servers that faults are tried on.
func kinds() []servertest.Kind {
	if *exhaustive {
		return []servertest.Kind{servertest.MariaDB1011, servertest.MySQL57}
	}
	return []servertest.Kind{servertest.MariaDB1011}
}

// Whatever happens to a dump, no lock stays, no archive is there that is not whole, and the next dump is made.
func TestMySQLDumpFaults(t *testing.T) {
	needRoot(t)
	for _, k := range kinds() {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			n := newNight(t, k)
			lock := "FLUSH TABLES WITH READ LOCK"
			if k.MariaDB() {
				lock = "BACKUP STAGE BLOCK_COMMIT"
			}
			const rows, end = "FROM `loadtest`.`items`", "SHOW PROCESSLIST"
			stop := func(r *running) { proctest.Stop(t, r.Process.Pid) }
			resume := func(r *running) { n.written("stopped"); _ = r.Process.Signal(syscall.SIGCONT) }
			cut := func(*running) { n.network.Cut() }
			stall := func(*running) { n.network.Stall(true) }
			failed := func(what, step string, do, undo func(*running), more ...string) {
				if said, code := n.faulty(what, step, do, undo, more...); code == 0 || code > 1 {
					t.Errorf("%s: %d %s", what, code, said)
				}
			}
			failed("killed at rows", rows, kill, nil)
			failed("cut at "+lock, lock, cut, nil)
			filler := filepath.Join(n.home, "repo", "filler")
			failed("repository full", rows, func(*running) { must(t, fillUp(filler)) }, nil)
			must(t, os.Remove(filler))
			if !*exhaustive {
				return
			}
			failed("killed at "+lock, lock, kill, nil)
			failed("cut at rows", rows, cut, nil)
			failed("cut at the end", end, cut, nil)
			n.faulty("stopped at "+lock, lock, stop, resume) // which ends well if the stop is short
			n.faulty("stopped at rows", rows, stop, resume)
			failed("stalled at "+lock, lock, stall, nil)
			failed("crash", rows, func(*running) { n.server.Kill(); n.server.Restart(t) }, nil)
			n.server.Exec(t, "CREATE USER some@'%'", "GRANT PROCESS, RELOAD, REPLICATION CLIENT, REPLICATION SLAVE, LOCK TABLES, SHOW VIEW, EVENT, TRIGGER ON *.* TO some@'%'", "GRANT SELECT ON mysql.* TO some@'%'", "GRANT SELECT ON loadtest.* TO some@'%'")
			if k.MariaDB() {
				n.server.Exec(t, "GRANT SLAVE MONITOR ON *.* TO some@'%'")
			}
			n.file("my.cnf", "host=%s\nport=%d\nuser=some\nssl-mode=DISABLED\n", n.network.Host, n.network.Port)
			failed("revoked", rows, func(*running) { n.server.Exec(t, "REVOKE SELECT ON loadtest.* FROM some@'%'") }, nil, "loadtest")
			n.file("my.cnf", "host=%s\nport=%d\nuser=root\nssl-mode=DISABLED\n", n.network.Host, n.network.Port)
			if _, code := n.faulty("two at once", rows, func(*running) {
				if _, said, code := n.run(n.args()...); code != 1 || !strings.Contains(said, "another backup of this server runs") {
					t.Errorf("a second dump: %d %s", code, said)
				}
			}, nil); code != 0 {
				t.Errorf("a dump beside which another is tried: %d", code)
			}
			n.others()
			if said, code := n.faulty("slow", rows, func(*running) { n.network.Latency(50 * time.Millisecond) }, nil); code != 0 {
				t.Errorf("slow: %d %s", code, said)
			}
		})
	}
}

// others tries what other sessions do to a dump.
func (n *night) others() {
	holder := n.server.Connect(n)
	exec := func(statement string) {
		if _, err := holder.ExecContext(context.Background(), statement); err != nil {
			n.Fatal(err)
		}
	}
	exec("FLUSH TABLES WITH READ LOCK")
	if _, said, code := n.run(n.args("--lock-wait=1s")...); code != 0 && !strings.Contains(said, "no lock could be had in time") { // the position of a server that stands still is one, too
		n.Errorf("while another holds the lock: %d %s", code, said)
	}
	exec("UNLOCK TABLES")
	n.server.Exec(n, "SET GLOBAL max_connections=10") // of which the writers and this session have six
	if _, said, code := n.run(n.args("--threads=8")...); code != 1 || !strings.Contains(said, "Too many connections") {
		n.Errorf("more sessions than there may be: %d %s", code, said)
	}
	n.server.Exec(n, "SET GLOBAL max_connections=100")
	n.made = strings.Count(n.must("list"), "mysql-dump")
}

// fillUp makes a file that takes all the room that there is.
func fillUp(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for chunk := make([]byte, 64<<10); len(chunk) > 0; {
		if _, err := f.Write(chunk); err != nil {
			chunk = chunk[:len(chunk)/2]
		}
	}
	return nil
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
