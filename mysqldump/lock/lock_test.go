package lock_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

func open(t testing.TB, s *servertest.Server) *server.Server {
	t.Helper()
	opened, err := server.New(s.Config())
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func connect(t testing.TB, s *server.Server) *server.Session {
	t.Helper()
	c, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func number(t testing.TB, c *server.Session, query string) int {
	t.Helper()
	row, err := c.Row(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(string(row[0]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// transactions is how many transactions a position has: its server's alone, which has one domain.
func transactions(t testing.TB, h *lock.Held) int {
	t.Helper()
	set := h.Position.GTIDs.String()
	n, err := strconv.Atoi(set[strings.LastIndexAny(set, "-:")+1:])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// schema makes tables that tell how many transactions there were.
var schema = []string{
	"CREATE DATABASE d", "USE d", "CREATE TABLE hot (id INT PRIMARY KEY, n INT) ENGINE=InnoDB", "INSERT INTO hot VALUES (1, 0)",
	"CREATE TABLE log (id INT PRIMARY KEY AUTO_INCREMENT) ENGINE=InnoDB", "CREATE TABLE plain (id INT PRIMARY KEY AUTO_INCREMENT) ENGINE=MyISAM",
}

var (
	hotRow = []string{"BEGIN", "UPDATE d.hot SET n=n+1 WHERE id=1", "INSERT INTO d.log VALUES ()", "COMMIT"}
	myISAM = []string{"INSERT INTO d.plain VALUES ()"}
)

// write has sessions run statements again and again, with pauses between, until the returned function is called.
func write(t testing.TB, s *server.Server, sessions int, pause time.Duration, statements []string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for range sessions {
		c, err := s.Connect(ctx)
		if err != nil {
			t.Fatal(err)
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer c.Close()
			for ctx.Err() == nil {
				time.Sleep(pause)
				for _, statement := range statements {
					if err := c.Exec(context.WithoutCancel(ctx), statement); err != nil {
						t.Errorf("write: %v", err)
						return
					}
				}
			}
		}()
	}
	stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(stop)
	return stop
}

func take(t testing.TB, s *server.Server, o lock.Options) *lock.Held {
	t.Helper()
	h, err := lock.Take(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// takeBriefly takes a snapshot with a lock that may be held for a moment only, which a slow machine may take itself.
func takeBriefly(t testing.TB, s *server.Server, most time.Duration) *lock.Held {
	t.Helper()
	deadline := time.Now().Add(atMost)
	for {
		h, err := lock.Take(t.Context(), s, lock.Options{Max: most})
		if err == nil {
			t.Cleanup(func() { h.Close() })
			return h
		}
		if !errors.Is(err, lock.ErrTooLong) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func TestSnapshots(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		real := servertest.Start(t, k)
		s := open(t, real)
		real.Exec(t, schema...)
		empty := take(t, s, lock.Options{})
		base := transactions(t, empty)
		if err := empty.Close(); err != nil {
			t.Fatal(err)
		}
		stop := write(t, s, 4, 5*time.Millisecond, hotRow)
		stopPlain := write(t, s, 1, 5*time.Millisecond, myISAM)
		var held []time.Duration
		var longest time.Duration
		attempts := 0
		for range 20 {
			plain := 0
			h := take(t, s, lock.Options{Snapshots: 4, Covered: func(ctx context.Context, sessions []*server.Session) error {
				plain = number(t, sessions[0], "SELECT COUNT(*) FROM d.plain")
				for _, c := range sessions {
					if n := number(t, c, "SELECT COUNT(*) FROM d.plain"); n != plain {
						return fmt.Errorf("under the lock a table had %d rows, then %d", plain, n)
					}
				}
				return nil
			}})
			want := transactions(t, h) - base - plain
			for i, c := range h.Sessions {
				n, logged := number(t, c, "SELECT n FROM d.hot"), number(t, c, "SELECT COUNT(*) FROM d.log")
				if n != want || logged != want {
					t.Errorf("snapshot %d has %d and %d transactions, the position %d", i, n, logged, want)
				}
			}
			held = append(held, h.Report.Held)
			longest = max(longest, h.Report.LongestWait)
			attempts += h.Report.Attempts
			if err := h.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := h.Close(); err != nil {
				t.Fatal(err)
			}
		}
		stop()
		stopPlain()
		t.Logf("%s: held %v; longest wait %v; %d attempts in %d rounds", k, held, longest, attempts, len(held))
		testUnlogged(t, real, s)
	})
}
