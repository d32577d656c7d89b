// Package servertest runs real database servers for tests: MariaDB 10.11 and
// MySQL 5.7, without which the tests fail, and MariaDB 11.8 and MySQL 9.7
// where their roots have been made.
//
// The invariant: a server listens on loopback only, keeps everything in a
// folder of its own, and is gone with that folder when the test is over; when
// the process of the tests is killed, the kernel kills its servers too. Each
// server is new: it starts on a copy of a data directory that is prepared once
// in the project's .bin. `make setup` and `make test-servers` bring the
// programs. It is for tests alone, and does not know what is tested.
package servertest

import (
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nightjar/internal/proctest"
)

// Kind is a product and a version of a server.
type Kind string

// All kinds. The last two are there only where `make test-servers` could make their roots.
const (
	MariaDB1011 Kind = "mariadb-10.11"
	MySQL57     Kind = "mysql-5.7"
	MariaDB118  Kind = "mariadb-11.8"
	MySQL97     Kind = "mysql-9.7"
)

// MariaDB tells the kinds of MariaDB from those of MySQL.
func (k Kind) MariaDB() bool { return k == MariaDB1011 || k == MariaDB118 }

// Kinds lists the kinds that are here. It fails the test when MariaDB1011 or MySQL57 is not, and logs which others are not.
func Kinds(t testing.TB) []Kind {
	t.Helper()
	var here []Kind
	for _, k := range []Kind{MariaDB1011, MySQL57, MariaDB118, MySQL97} {
		if missing := k.missing(t); missing == "" {
			here = append(here, k)
		} else {
			t.Logf("NOT TESTED on %s: %s", k, missing)
		}
	}
	return here
}

// Each runs a subtest for each kind, in parallel. A kind that is not here is skipped aloud.
func Each(t *testing.T, f func(t *testing.T, k Kind)) {
	t.Helper()
	for _, k := range []Kind{MariaDB1011, MySQL57, MariaDB118, MySQL97} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			if missing := k.missing(t); missing != "" {
				t.Skipf("SKIPPED, NOT TESTED: %s", missing)
			}
			f(t, k)
		})
	}
}

// patience is how long a server may take for anything on a machine that is busy and slow, before a test is told that it hangs.
const patience = 5 * time.Minute

// Server is a server that Start has started. Its methods are for one goroutine at a time, but Exec and Query for any number.
type Server struct {
	Kind     Kind
	Host     string // 127.0.0.1
	Port     int
	Socket   string
	Dir      string // the server's folder, with everything that is its own
	Datadir  string
	ErrorLog string
	ServerID uint32 // differs from that of every other server that runs

	build   build
	flags   []string
	more    []string // flags of the last Restart
	user    *syscall.Credential
	process *process // nil when it does not run
	db      *sql.DB
	mu      sync.Mutex // guards process
}

// Start starts a new server until the end of the test: binary log on, in rows and on slaves too, GTIDs on, event scheduler as is the kind's default; root has no
// password. It is set up to be quick, not to survive a power cut. The flags, `--name=value`, are added and win.
func Start(t testing.TB, k Kind, flags ...string) *Server {
	t.Helper()
	if missing := k.missing(t); missing != "" {
		t.Skipf("SKIPPED, NOT TESTED: %s", missing)
	}
	b, err := buildOf(k)
	must(t, err)
	prepared, err := preparedDatadir(b)
	must(t, err)
	dir, err := newScratch()
	must(t, err)
	s := &Server{
		Kind: k, Host: "127.0.0.1", Dir: dir, Socket: filepath.Join(dir, "sock"), Datadir: filepath.Join(dir, "data"),
		ErrorLog: filepath.Join(dir, "error.log"), build: b, flags: flags, user: credential(b),
	}
	t.Cleanup(func() { s.remove(t) })
	must(t, os.Mkdir(filepath.Join(dir, "tmp"), 0o700))
	must(t, copyTree(prepared, s.Datadir))
	must(t, own(dir, s.user))
	s.db, err = s.open()
	must(t, err)
	for try := 1; ; try++ {
		port, err := reservePort(t)
		must(t, err)
		s.Port, s.ServerID = port, uint32(port)
		if err = s.run(); err == nil {
			return s
		}
		if log, _ := os.ReadFile(s.ErrorLog); try == 5 || !strings.Contains(string(log), "Address already in use") {
			t.Fatalf("start %s: %v", k, err)
		}
		must(t, os.Remove(s.ErrorLog))
	}
}

func (s *Server) remove(t testing.TB) {
	if t.Failed() {
		t.Logf("the last lines of %s's log:\n%s", s.Kind, s.logTail())
	}
	s.Kill()
	if s.db != nil {
		s.db.Close()
	}
	if err := removeScratch(s.Dir); err != nil {
		t.Errorf("remove the server's folder: %v", err)
	}
}

// logTail is the last lines of the log, and all errors before them.
func (s *Server) logTail() string {
	log, err := os.ReadFile(s.ErrorLog)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	tail := max(0, len(lines)-40)
	errors := slices.DeleteFunc(lines[:tail:tail], func(line string) bool { return !strings.Contains(line, "[ERROR]") })
	return strings.Join(append(errors, lines[tail:]...), "\n")
}

// arguments are the server's, in the order in which later ones win.
func (s *Server) arguments() []string {
	args := append(s.build.arguments(),
		"--datadir="+s.Datadir, "--port="+fmt.Sprint(s.Port), "--bind-address="+s.Host, "--socket="+s.Socket, "--pid-file="+filepath.Join(s.Dir, "pid"),
		"--tmpdir="+filepath.Join(s.Dir, "tmp"), "--log-error="+s.ErrorLog, "--server-id="+fmt.Sprint(s.ServerID), "--secure-file-priv=",
		"--log-bin=bin", "--log-bin-index=bin.index", "--relay-log=relay", "--relay-log-index=relay.index", "--binlog-format=ROW", "--sync-binlog=0",
		"--innodb-flush-log-at-trx-commit=2", "--innodb-buffer-pool-size=32M",
	)
	if s.user == nil && os.Geteuid() == 0 {
		args = append(args, "--user=root")
	}
	return append(append(args, s.flags...), s.more...)
}

// run starts the process and waits until it answers.
func (s *Server) run() error {
	argv := append(s.build.argv("server"), s.arguments()...)
	p, err := startProcess(argv, s.Dir, s.user, nil)
	if err != nil {
		return err
	}
	deadline := time.Now().Add(patience)
	for s.ping() != nil {
		select {
		case <-p.ended:
			return fmt.Errorf("it ended: %v\n%s\n%s", p.state(), p.output(), s.logTail())
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			p.kill()
			return fmt.Errorf("it does not answer for %v\n%s", patience, s.logTail())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = p
	return nil
}

// running is the process, nil when there is none or it has ended by itself.
func (s *Server) running() *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		select {
		case <-s.process.ended:
			s.process = nil
		default:
		}
	}
	return s.process
}

// Stop shuts the server down as its administrator would.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	p := s.running()
	if p == nil {
		t.Fatalf("stop %s: it does not run", s.Kind)
	}
	s.db.SetMaxIdleConns(0) // MySQL waits two seconds for those who are connected
	defer s.db.SetMaxIdleConns(2)
	if err := p.signal(syscall.SIGTERM); err != nil {
		t.Fatalf("stop %s: %v", s.Kind, err)
	}
	for deadline := time.Now().Add(patience); ; {
		select {
		case <-p.ended:
			s.Kill()
			return
		case <-time.After(time.Second):
		}
		if time.Now().After(deadline) {
			s.Kill()
			t.Fatalf("stop %s: it did not end in %v\n%s", s.Kind, patience, s.logTail())
		}
		if c, err := net.Dial("tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port))); err == nil { // MySQL 5.7 can miss the signal right before it waits for a connection
			_ = c.Close()
		}
	}
}

// Kill ends the server as a crash would. It does nothing when the server does not run.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process != nil {
		s.process.kill()
		s.process = nil
	}
}

// Restart stops the server if it runs, and starts it on the same port. The flags are added to those of Start, and replace those of an earlier Restart.
func (s *Server) Restart(t testing.TB, flags ...string) {
	t.Helper()
	if s.running() != nil {
		s.Stop(t)
	}
	s.more = flags
	if err := s.run(); err != nil {
		t.Fatalf("restart %s: %v", s.Kind, err)
	}
}

// Pause stops the process where it is, as a frozen machine would be, and returns when all of it has stopped; Resume lets it go on.
func (s *Server) Pause(t testing.TB) {
	t.Helper()
	if pid := s.Pid(); pid != 0 {
		proctest.Stop(t, pid)
		return
	}
	t.Fatalf("stop %s: it does not run", s.Kind)
}

// Resume ends what Pause began.
func (s *Server) Resume(t testing.TB) { t.Helper(); s.send(t, syscall.SIGCONT) }

func (s *Server) send(t testing.TB, signal syscall.Signal) {
	t.Helper()
	p := s.running()
	if p == nil {
		t.Fatalf("send %v to %s: it does not run", signal, s.Kind)
	}
	must(t, p.signal(signal))
}

// Pid is the server's process, 0 when it does not run.
func (s *Server) Pid() int {
	if p := s.running(); p != nil {
		return p.pid
	}
	return 0
}

// Client is the kind's own command-line client, connected as root; MySQL57 has none and takes MariaDB's.
func (s *Server) Client(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	argv := s.Program("mysql")
	if argv == nil {
		t.Fatalf("%s has no client program", s.Kind)
	}
	argv = append(append(argv, "--no-defaults", "--user=root", "--socket="+s.Socket), args...)
	return exec.CommandContext(t.Context(), argv[0], argv[1:]...)
}

// Program is how the kind's program of that name is started, without arguments; nil when the kind has none. Either product's name for it will do: mysqldump,
// mariadb-dump, mysqlbinlog, mariadb-backup. MySQL57 takes MariaDB's clients.
func (s *Server) Program(name string) []string { return s.build.argv(name) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
