package lock_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"nightjar/internal/proctest"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

const (
	longest = 2 * time.Second
	atLeast = time.Second
	atMost  = 5 * time.Minute // after which a machine that is slow is not the reason
)

// TestMain is the other process, when its environment says where the server is: it locks, says so, and stays.
func TestMain(m *testing.M) {
	if address := os.Getenv("NIGHTJAR_TEST_LOCK_ADDRESS"); address != "" {
		config := (&servertest.Server{}).Config()
		config.Addr = address
		o := lock.Options{Max: longest, Directory: os.Getenv("NIGHTJAR_TEST_LOCK_DIRECTORY")}
		if o.Directory != "" {
			o.Sources, o.Max = true, atMost // until somebody kills it
		}
		locked := false
		o.Snapshot = func(ctx context.Context, _ *server.Session) error {
			locked = true
			fmt.Println("locked")
			<-ctx.Done()
			return ctx.Err()
		}
		s, err := server.New(config)
		if err == nil {
			_, err = lock.Take(context.Background(), s, o)
			for !locked && errors.Is(err, lock.ErrTooLong) { // the machine was too slow
				_, err = lock.Take(context.Background(), s, o)
			}
		}
		fmt.Println(err, errors.Is(err, lock.ErrTooLong))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// other starts a process that locks, and returns once it has.
func other(t *testing.T, address, directory string) (process *os.Process, said *bufio.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), "NIGHTJAR_TEST_LOCK_ADDRESS="+address, "NIGHTJAR_TEST_LOCK_DIRECTORY="+directory)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	said = bufio.NewReader(out)
	if line, err := said.ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatalf("the other process: %q, %v", line, err)
	}
	return cmd.Process, said
}

func TestFaults(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		f := faults{real: servertest.Start(t, k)}
		f.s = open(t, f.real)
		f.real.Exec(t, schema...)
		t.Run("stopped", f.stopped)
		t.Run("killed", f.killed)
		t.Run("cut off", f.cutOff)
		t.Run("too long", f.tooLong)
		t.Run("busy", f.busy)
		t.Run("long statement", f.longStatement)
		t.Run("long write", f.longWrite)
		t.Run("long change of a table", f.longAlter)
		t.Run("hot row", f.hotRow)
		t.Run("privileges", f.privileges)
		t.Run("connections", f.connections)
		t.Run("expired", f.expired)
		t.Run("none", f.none)
		t.Run("instance", f.instance)
	})
}

type faults struct {
	real *servertest.Server
	s    *server.Server
}

// writes makes a write of each engine, and returns when that was done.
func (f *faults) writes(t *testing.T) time.Time {
	t.Helper()
	f.real.Exec(t, hotRow...)
	f.real.Exec(t, myISAM...)
	return time.Now()
}

// free has the server hold nothing that keeps another from locking.
func (f *faults) free(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(atMost)
	for {
		h, err := lock.Take(t.Context(), f.s, lock.Options{})
		if err == nil {
			h.Close()
			return
		}
		if !errors.Is(err, lock.ErrBusy) || time.Now().After(deadline) {
			t.Fatalf("lock again: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (f *faults) stopped(t *testing.T) {
	start := time.Now()
	process, said := other(t, f.s.Address(), "")
	proctest.Stop(t, process.Pid)
	if took := f.writes(t).Sub(start); took < atLeast || took > atMost {
		t.Errorf("writes behind a process that was stopped, which may lock for %v, took %v", longest, took)
	}
	if err := process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	if line, err := said.ReadString('\n'); err != nil || !strings.HasSuffix(line, " true\n") {
		t.Errorf("the process that was stopped: %q, %v", line, err)
	}
	f.free(t)
}

func (f *faults) killed(t *testing.T) {
	start := time.Now()
	process, _ := other(t, f.s.Address(), "")
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	if took := f.writes(t).Sub(start); took > atMost {
		t.Errorf("writes behind a process that was killed took %v", took)
	}
	f.free(t)
}

// proxy hands on what is said between a client and the server, until it is cut: then nothing, and nobody hears of it.
type proxy struct {
	net.Listener
	cut chan struct{}
}

func (f *faults) proxy(t *testing.T) (*server.Server, *proxy) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{l, make(chan struct{})}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	hand := func(to, from net.Conn) {
		buffer := make([]byte, 1<<16)
		for {
			n, err := from.Read(buffer)
			select {
			case <-p.cut:
				return
			default:
			}
			if _, err2 := to.Write(buffer[:n]); err != nil || err2 != nil {
				to.Close()
				return
			}
		}
	}
	wg.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			behind, err := net.Dial("tcp", f.s.Address())
			if err != nil {
				client.Close()
				continue
			}
			mu.Lock()
			open = append(open, client, behind)
			mu.Unlock()
			wg.Go(func() { hand(behind, client) })
			wg.Go(func() { hand(client, behind) })
		}
	})
	config := f.real.Config()
	config.Addr = l.Addr().String()
	s, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

func (f *faults) cutOff(t *testing.T) {
	s, p := f.proxy(t)
	wrote, locked, start := make(chan time.Time, 1), false, time.Now()
	o := lock.Options{Max: longest, Snapshot: func(ctx context.Context, c *server.Session) error {
		locked = true
		close(p.cut)
		go func() { wrote <- f.writes(t) }()
		return c.Exec(ctx, "DO 1")
	}}
	_, err := lock.Take(t.Context(), s, o)
	for !locked && errors.Is(err, lock.ErrTooLong) { // the machine was too slow
		start = time.Now()
		_, err = lock.Take(t.Context(), s, o)
	}
	if !locked || !errors.Is(err, lock.ErrTooLong) {
		t.Fatalf("lock through a network that was cut: %v", err)
	}
	if took := (<-wrote).Sub(start); took < atLeast || took > atMost {
		t.Errorf("writes behind a network that was cut took %v", took)
	}
}

func (f *faults) tooLong(t *testing.T) {
	f.freeSoon(t)
	for name, o := range map[string]lock.Options{
		"waits": {Covered: func(ctx context.Context, _ []*server.Session) error { <-ctx.Done(); return ctx.Err() }},
		"runs":  {Covered: func(ctx context.Context, s []*server.Session) error { return s[0].Exec(ctx, "SELECT SLEEP(60)") }},
	} {
		o.Max = time.Second
		if _, err := lock.Take(t.Context(), f.s, o); !errors.Is(err, lock.ErrTooLong) {
			t.Errorf("lock for what %s: %v", name, err)
		}
		f.free(t)
	}
	mine := errors.New("mine")
	if _, err := lock.Take(t.Context(), f.s, lock.Options{Covered: func(context.Context, []*server.Session) error { return mine }}); !errors.Is(err, mine) {
		t.Errorf("lock for what fails: %v", err)
	}
	f.free(t)
	if _, err := lock.Take(t.Context(), f.s, lock.Options{Max: time.Second / 2}); err == nil {
		t.Error("locked for half of a second at most, which no server counts")
	}
}

// freeSoon ends what a client that was cut off left behind, which is no lock of tables.
func (f *faults) freeSoon(t *testing.T) {
	t.Helper()
	c := connect(t, f.s)
	row, err := c.Row(t.Context(), "SELECT IS_USED_LOCK('nightjar.backup')")
	if err == nil && row[0] != nil {
		var id uint64
		if id, err = strconv.ParseUint(string(row[0]), 10, 64); err == nil {
			err = c.Kill(t.Context(), id)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (f *faults) busy(t *testing.T) {
	f.free(t)
	directory := t.TempDir()
	h := take(t, f.s, lock.Options{Directory: directory})
	for _, other := range []string{"", directory, t.TempDir()} {
		if _, err := lock.Take(t.Context(), f.s, lock.Options{Directory: other}); !errors.Is(err, lock.ErrBusy) {
			t.Errorf("a second backup, with its file in %q: %v", other, err)
		}
	}
	// One that the server's lock does not keep out, as after the server's restart.
	f.freeSoon(t)
	if _, err := lock.Take(t.Context(), f.s, lock.Options{Directory: directory}); !errors.Is(err, lock.ErrBusy) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("a second backup on the same machine: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	take(t, f.s, lock.Options{Directory: directory}).Close()
}

// run runs a statement in a session of its own, for some seconds by the server's list before run returns. The function ends it.
func (f *faults) run(t *testing.T, statement string, seconds int) (end func()) {
	t.Helper()
	c := connect(t, f.s)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.Exec(ctx, statement)
	}()
	waitFor(t, func() bool {
		return len(f.real.Query(t, fmt.Sprintf("SELECT 1 FROM information_schema.processlist WHERE id=%d AND command='Query' AND time>=%d", c.ID(), seconds))) == 1
	})
	end = sync.OnceFunc(func() {
		f.real.Exec(t, fmt.Sprintf("KILL %d", c.ID()))
		cancel()
		<-done
	})
	t.Cleanup(end)
	return end
}

func (f *faults) stages() bool { return f.real.Kind.MariaDB() }

func (f *faults) longStatement(t *testing.T) {
	end := f.run(t, "SELECT SLEEP(3600) FROM d.hot", 1)
	if f.stages() {
		take(t, f.s, lock.Options{}).Close()
		return
	}
	covered := func(context.Context, []*server.Session) error { return nil }
	_, err := lock.Take(t.Context(), f.s, lock.Options{Wait: 3 * time.Second, Covered: covered})
	for wait := 6 * time.Second; errors.Is(err, lock.ErrWait) && !strings.Contains(err.Error(), "a statement of root") && wait < atMost; wait *= 2 {
		_, err = lock.Take(t.Context(), f.s, lock.Options{Wait: wait, Covered: covered})
	}
	if !errors.Is(err, lock.ErrWait) || !strings.Contains(err.Error(), "a statement of root") {
		t.Errorf("lock behind a long statement: %v", err)
	}
	h := take(t, f.s, lock.Options{Snapshots: 4})
	if h.Report.Held != 0 {
		t.Errorf("locked behind a long statement: %+v", h.Report)
	}
	h.Close()
	f.writes(t)
	f.endsWhile(t, end, 0, lock.Options{Covered: covered})
}

// endsWhile has what holds the lock back end while it is waited for.
func (f *faults) endsWhile(t *testing.T, end func(), attempts int, o lock.Options) {
	t.Helper()
	var asked sync.Once
	o.Now = func() time.Time {
		asked.Do(func() { time.AfterFunc(500*time.Millisecond, end) }) // the wait begins with the first look at the clock
		return time.Now()
	}
	h := take(t, f.s, o)
	if h.Report.Attempts <= attempts || h.Report.Waited < 300*time.Millisecond {
		t.Errorf("lock behind what ends: %+v", h.Report)
	}
	end()
	h.Close()
}

func (f *faults) longWrite(t *testing.T) {
	end := f.run(t, "INSERT INTO d.plain SELECT 1000000 + SLEEP(3600)", 0)
	start := time.Now()
	o := lock.Options{Wait: 500 * time.Millisecond, Covered: func(context.Context, []*server.Session) error { return nil }}
	if _, err := lock.Take(t.Context(), f.s, o); !errors.Is(err, lock.ErrWait) {
		t.Errorf("lock behind a long write: %v", err)
	}
	if took := time.Since(start); took > atMost {
		t.Errorf("gave up after %v", took)
	}
	f.real.Exec(t, hotRow...) // which does not wait
	o.Wait = 0
	f.endsWhile(t, end, 0, o)
}

func (f *faults) longAlter(t *testing.T) {
	f.real.Exec(t, "CREATE TABLE IF NOT EXISTS d.slow (id INT PRIMARY KEY, v INT) ENGINE=InnoDB", "REPLACE INTO d.slow VALUES (1, 1)")
	reader := f.real.Connect(t) // whom the change waits for
	if _, err := reader.ExecContext(t.Context(), "BEGIN"); err != nil {
		t.Fatal(err)
	}
	if _, err := reader.ExecContext(t.Context(), "SELECT * FROM d.slow"); err != nil {
		t.Fatal(err)
	}
	end := f.run(t, "ALTER TABLE d.slow ADD COLUMN w INT, ALGORITHM=COPY", 0)
	start := time.Now()
	h, err := lock.Take(t.Context(), f.s, lock.Options{Wait: 500 * time.Millisecond})
	if err == nil && f.real.Kind != servertest.MySQL97 { // which may let it go on
		h.Close()
	} else if !errors.Is(err, lock.ErrWait) {
		t.Errorf("lock behind a change of a table: %v", err)
	}
	if took := time.Since(start); took > atMost {
		t.Errorf("gave up after %v", took)
	}
	if took := f.writes(t).Sub(start); took > atMost {
		t.Errorf("writes took %v", took)
	}
	end()
	f.free(t)
}

// hotRow has writers of one row that never pause, between which MySQL finds no moment for its lock: but it stands still.
func (f *faults) hotRow(t *testing.T) {
	for _, statements := range [][]string{hotRow, append([]string{"SET SESSION sql_log_bin=0"}, hotRow...)} {
		stop := write(t, f.s, 4, 0, statements)
		before := -1 // transactions of the position that did not write the row
		for range 3 {
			h := take(t, f.s, lock.Options{Snapshots: 4, Attempt: time.Second})
			first := number(t, h.Sessions[0], "SELECT n FROM d.hot")
			for _, c := range h.Sessions {
				n, logged := number(t, c, "SELECT n FROM d.hot"), number(t, c, "SELECT COUNT(*) FROM d.log")
				if n != first || n > logged {
					t.Errorf("%+v: a snapshot has %d and %d transactions, another %d", h.Report, n, logged, first)
				}
			}
			if others := transactions(t, h) - first; before >= 0 && others != before && len(statements) == len(hotRow) {
				t.Errorf("%+v: the position %v has %d other transactions, then %d", h.Report, h.Position, before, others)
			} else {
				before = others
			}
			if h.Report.LongestWait > atMost {
				t.Errorf("writers waited: %+v", h.Report)
			}
			t.Logf("%+v", h.Report)
			h.Close()
		}
		stop() // fails if a writer did
	}
}

func (f *faults) privileges(t *testing.T) {
	needed := []string{"RELOAD", "PROCESS", "REPLICATION CLIENT"}
	if f.real.Kind == servertest.MySQL97 {
		needed = append(needed, "BACKUP_ADMIN")
	}
	f.real.Exec(t, "CREATE USER backup@'%'")
	config := f.real.Config()
	config.User = "backup"
	s, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	for i := range needed {
		others := append(append([]string{}, needed[:i]...), needed[i+1:]...)
		f.real.Exec(t, "REVOKE ALL, GRANT OPTION FROM backup@'%'", "GRANT "+strings.Join(others, ", ")+" ON *.* TO backup@'%'")
		_, err := lock.Take(t.Context(), s, lock.Options{})
		name := needed[i]
		if f.stages() && name == "REPLICATION CLIENT" {
			name = "BINLOG MONITOR"
		}
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("lock without %s: %v", needed[i], err)
		}
	}
	f.real.Exec(t, "GRANT "+strings.Join(needed, ", ")+" ON *.* TO backup@'%'")
	h := take(t, s, lock.Options{Snapshots: 2})
	if err := h.Check(t.Context()); err != nil {
		t.Error(err)
	}
	h.Close()
}

func (f *faults) connections(t *testing.T) {
	before := f.real.Query(t, "SELECT @@GLOBAL.max_connections")[0][0]
	f.real.Exec(t, "SET GLOBAL max_connections=10")
	defer f.real.Exec(t, "SET GLOBAL max_connections="+before)
	_, err := lock.Take(t.Context(), f.s, lock.Options{Snapshots: 20})
	if server.Number(err) != 1040 || !strings.Contains(err.Error(), " of 20: ") {
		t.Errorf("open more sessions than the server has: %v", err)
	}
	f.free(t)
}

func (f *faults) expired(t *testing.T) {
	h := take(t, f.s, lock.Options{Snapshots: 2, MaxSnapshot: 300 * time.Millisecond}) // which may be over at once
	ctx, cancel := h.Context(t.Context())
	defer cancel()
	err := h.Sessions[0].Exec(ctx, "SELECT SLEEP(3600)") // which may see the end of its session before the reason
	if <-ctx.Done(); err == nil || !errors.Is(context.Cause(ctx), lock.ErrSnapshot) {
		t.Errorf("a statement in a snapshot that was held for too long: %v, %v", err, context.Cause(ctx))
	}
	if err := h.Check(t.Context()); !errors.Is(err, lock.ErrSnapshot) {
		t.Errorf("check snapshots that were held for too long: %v", err)
	}
	h.Close()

	h = take(t, f.s, lock.Options{Snapshots: 2})
	f.real.Exec(t, fmt.Sprintf("KILL %d", h.Sessions[1].ID()))
	deadline := time.Now().Add(atMost)
	for h.Check(t.Context()) == nil {
		if time.Now().After(deadline) {
			t.Fatal("nobody sees that a snapshot is gone")
		}
		time.Sleep(10 * time.Millisecond)
	}
	h.Close()

	h = takeBriefly(t, f.s, time.Second)
	f.freeSoon(t)
	ctx, cancel = h.Context(t.Context())
	defer cancel()
	select {
	case <-ctx.Done():
	case <-time.After(atMost):
		t.Error("nobody sees that others are let in")
	}
	h.Close()
	if err := h.Close(); err != nil {
		t.Errorf("close twice: %v", err)
	}
}

func (f *faults) none(t *testing.T) {
	h, err := lock.Take(t.Context(), f.s, lock.Options{None: true, Snapshots: 3})
	if !f.stages() {
		if err == nil || errors.Is(err, lock.ErrWait) {
			t.Errorf("MySQL without a lock: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	_, err = lock.Take(t.Context(), f.s, lock.Options{None: true, Covered: func(context.Context, []*server.Session) error { return nil }})
	if err == nil {
		t.Error("covered by no lock")
	}
	write(t, f.s, 2, time.Millisecond, hotRow)
	for range 10 {
		h := take(t, f.s, lock.Options{None: true})
		row, err := h.Sessions[0].Row(t.Context(), fmt.Sprintf("SELECT BINLOG_GTID_POS('%s', %d)", h.Position.File, h.Position.Offset))
		if err != nil || string(row[0]) != h.Position.GTIDs.String() {
			t.Errorf("GTIDs of %v: %s, %v", h.Position, row, err)
		}
		h.Close()
	}
}

// instance has MySQL's lock of the instance hold back DDL while the snapshots are held, and for longer than its session would
// be left alone.
func (f *faults) instance(t *testing.T) {
	if f.real.Kind != servertest.MySQL97 {
		return
	}
	h := takeBriefly(t, f.s, 5*time.Second) // which bears a pause of this process
	f.real.Exec(t, hotRow...)
	c := connect(t, f.s)
	if err := c.Exec(t.Context(), "SET lock_wait_timeout=6"); err != nil {
		t.Fatal(err)
	}
	if err := c.Exec(t.Context(), "TRUNCATE TABLE d.log"); server.Number(err) != 1205 {
		t.Errorf("DDL while snapshots are held: %v", err)
	}
	if err := h.Check(t.Context()); err != nil {
		t.Error(err)
	}
	h.Close()
	f.real.Exec(t, "TRUNCATE TABLE d.log")
}
