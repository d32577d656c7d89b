package quiet_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"nightjar/cmd/nightjar/internal/quiet"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
	"nightjar/snapshot/host"
)

// What has this test's program hold a server's writers back, for as long as it says, until it is killed.
const address, most = "NIGHTJAR_QUIET_ADDRESS", "NIGHTJAR_QUIET_MOST"

func TestMain(m *testing.M) {
	if os.Getenv(address) == "" {
		os.Exit(m.Run())
	}
	c := mysql.NewConfig()
	c.Net, c.Addr, c.User = "tcp", os.Getenv(address), "root"
	limit, err := time.ParseDuration(os.Getenv(most))
	if err != nil {
		panic(err)
	}
	if _, err := database(c).Freeze(context.Background(), limit); err != nil {
		panic(err)
	}
	fmt.Println("quiet")
	select {}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

const patience = 2 * time.Minute

// database locks with more patience than writers deserve, on slow machines.
func database(c *mysql.Config) *quiet.Database {
	s, err := server.New(c)
	if err != nil {
		panic(err)
	}
	return &quiet.Database{Server: s, Options: lock.Options{Attempt: 2 * time.Second, Wait: patience}}
}

// writers write a row into each of some tables, and return what ends once all are written.
func writers(t *testing.T, s *servertest.Server, tables ...string) (written chan struct{}) {
	t.Helper()
	written = make(chan struct{})
	done := make(chan error)
	for _, table := range tables {
		c := s.Connect(t)
		go func() {
			_, err := c.ExecContext(context.Background(), "INSERT INTO d."+table+" VALUES (1)")
			done <- err
		}()
	}
	go func() {
		defer close(written)
		for range tables {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	}()
	return written
}

// waiting waits until as many sessions wait for a lock.
func waiting(t *testing.T, s *servertest.Server, want int) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		n := 0
		for _, row := range s.Query(t, "SELECT STATE FROM information_schema.PROCESSLIST WHERE INFO LIKE 'INSERT INTO d.%'") {
			if strings.HasPrefix(row[0], "Waiting for") {
				n++
			}
		}
		if n == want {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d sessions wait, not %d: %v", n, want, s.Query(t, "SHOW PROCESSLIST"))
		}
	}
}

func ends(t *testing.T, what string, c chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal("waited in vain: " + what)
	}
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s := servertest.Start(t, k, "--innodb-flush-log-at-trx-commit=1", "--sync-binlog=1", "--innodb-doublewrite=ON")
		s.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.i (n INT) ENGINE=InnoDB", "CREATE TABLE d.m (n INT) ENGINE=MyISAM", "INSERT INTO d.i VALUES (0)")
		t.Run("durable", func(t *testing.T) { testDurable(t, s) })
		t.Run("held", func(t *testing.T) { testHeld(t, s) })
		t.Run("limit", func(t *testing.T) { testLimit(t, s) })
		t.Run("gone", func(t *testing.T) { testGone(t, s) })
		t.Run("unlogged", func(t *testing.T) { testUnlogged(t, s) })
	})
}

func testHeld(t *testing.T, s *servertest.Server) {
	d := database(s.Config())
	at, err := d.Freeze(t.Context(), 5*time.Minute)
	must(t, err)
	t.Cleanup(func() { _ = d.Thaw() })
	if at.File == "" || at.Offset == 0 || at.Server == "" || at.GTIDs == "" || len(at.GTIDSum) != 64 {
		t.Errorf("the position is %+v", at)
	}
	written := writers(t, s, "i", "m")
	waiting(t, s, 2)
	must(t, d.Held(t.Context()))
	if _, err := d.Freeze(t.Context(), time.Minute); err == nil {
		t.Error("it was made to stand still twice")
	}
	other := database(s.Config())
	if _, err := other.Freeze(t.Context(), time.Minute); !errors.Is(err, lock.ErrBusy) {
		t.Error("another backup:", err)
	}
	status := "SHOW MASTER STATUS"
	if s.Kind == servertest.MySQL97 {
		status = "SHOW BINARY LOG STATUS"
	}
	if now := s.QueryRow(t, status); now["File"] != at.File || now["Position"] != fmt.Sprint(at.Offset) {
		t.Errorf("the server is at %v, and said %+v", now, at)
	}
	must(t, d.Thaw())
	must(t, d.Thaw())
	ends(t, "the writers to go on", written)
	if d.Held(t.Context()) == nil {
		t.Error("it is held after Thaw")
	}
	if now := s.QueryRow(t, status); now["File"] == at.File && now["Position"] == fmt.Sprint(at.Offset) {
		t.Error("nothing was written to the binary log after Thaw")
	}
}

// testUnlogged has a server without a binary log stand still where that will do, without a place.
func testUnlogged(t *testing.T, s *servertest.Server) {
	s.Restart(t, "--skip-log-bin", "--skip-log-slave-updates")
	d := database(s.Config())
	if _, err := d.Freeze(t.Context(), time.Minute); !errors.Is(err, server.ErrNoBinaryLog) {
		t.Error("a position was asked for:", err)
	}
	d.Options.Unlogged = true
	at, err := d.Freeze(t.Context(), 5*time.Minute)
	must(t, err)
	t.Cleanup(func() { _ = d.Thaw() })
	if at.File != "" || at.Offset != 0 || at.Server == "" {
		t.Errorf("the position is %+v", at)
	}
	written := writers(t, s, "i", "m")
	waiting(t, s, 2)
	must(t, d.Held(t.Context()))
	must(t, d.Thaw())
	ends(t, "the writers to go on", written)
}

func testLimit(t *testing.T, s *servertest.Server) {
	d := database(s.Config())
	_, err := d.Freeze(t.Context(), 12*time.Second)
	must(t, err)
	ends(t, "the writers to go on", writers(t, s, "i", "m"))
	if err := d.Held(t.Context()); err == nil {
		t.Error("it is held after its time")
	}
	if err := d.Thaw(); err == nil {
		t.Error("nobody was told that writers were let go")
	}
	must(t, d.Thaw())
}

// testGone has who holds writers back killed, and stopped.
func testGone(t *testing.T, s *servertest.Server) {
	self, err := os.Executable()
	must(t, err)
	for limit, signal := range map[string]os.Signal{"10m": syscall.SIGKILL, "8s": syscall.SIGSTOP} {
		c := exec.Command(self)
		c.Env = append(os.Environ(), address+"="+s.Config().Addr, most+"="+limit)
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		c.Stderr = os.Stderr
		out, err := c.StdoutPipe()
		must(t, err)
		must(t, c.Start())
		if said, err := io.ReadAll(io.LimitReader(out, 6)); string(said) != "quiet\n" {
			t.Fatalf("%q, %v", said, err)
		}
		must(t, c.Process.Signal(signal))
		ends(t, "the writers to go on after "+signal.String(), writers(t, s, "i", "m"))
		_ = c.Process.Kill()
		_ = c.Wait()
	}
}

func testDurable(t *testing.T, s *servertest.Server) {
	d := database(s.Config())
	n, err := host.NumberOf(s.Datadir)
	must(t, err)
	here := []host.Device{{Path: "/dev/x", Number: n}}
	faults := func(devices []host.Device) string {
		t.Helper()
		f, err := quiet.Durable(t.Context(), d.Server, devices, host.Machine{})
		must(t, err)
		return strings.Join(f, "\n")
	}
	if got := faults(here); got != "" {
		t.Errorf("faults: %s", got)
	}
	if got := faults(nil); !strings.Contains(got, "datadir, "+s.Datadir) || !strings.Contains(got, "none of the volumes") {
		t.Errorf("of another volume: %s", got)
	}
	s.Exec(t, "CREATE TABLE d.rows (n INT) ENGINE=MyISAM", "INSERT INTO d.rows VALUES (1)", "SET GLOBAL innodb_flush_log_at_trx_commit=2, GLOBAL sync_binlog=0")
	for _, want := range []string{"d.rows (MyISAM)", "innodb_flush_log_at_trx_commit", "sync_binlog"} {
		if got := faults(here); !strings.Contains(got, want) || strings.Contains(got, "d.m ") {
			t.Errorf("%s is missing: %s", want, got)
		}
	}
	s.Exec(t, "DROP TABLE d.rows", "SET GLOBAL innodb_flush_log_at_trx_commit=1, GLOBAL sync_binlog=1")
}
