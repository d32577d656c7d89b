package lock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// testUnlogged has a server without a binary log, where the lock alone makes all snapshots of one moment, with what it covers.
func testUnlogged(t *testing.T, real *servertest.Server, s *server.Server) {
	real.Restart(t, "--skip-log-bin", "--skip-log-slave-updates")
	real.Exec(t, "CREATE TABLE d.twin (id INT PRIMARY KEY AUTO_INCREMENT) ENGINE=InnoDB", "DELETE FROM d.plain")
	if _, err := lock.Take(t.Context(), s, lock.Options{}); !errors.Is(err, server.ErrNoBinaryLog) {
		t.Errorf("a position was asked for: %v", err)
	}
	if _, err := lock.Take(t.Context(), s, lock.Options{Unlogged: true, None: true, Snapshots: 2}); !errors.Is(err, server.ErrNoBinaryLog) {
		t.Errorf("several snapshots without a proof: %v", err)
	}
	stop := write(t, s, 4, 5*time.Millisecond, hotRow)
	stopTwins := write(t, s, 1, 5*time.Millisecond, []string{"INSERT INTO d.plain VALUES ()", "INSERT INTO d.twin VALUES ()"})
	moved := 0
	for round := range 8 {
		plain := 0
		o := lock.Options{Unlogged: true, Snapshots: 4, Covered: func(_ context.Context, sessions []*server.Session) error {
			plain = number(t, sessions[0], "SELECT COUNT(*) FROM d.plain")
			return nil
		}}
		if round%4 == 3 {
			o = lock.Options{Unlogged: true, None: true}
		}
		h := take(t, s, o)
		if p := h.Position; p.HasPlace() || p.ServerID != real.ServerID {
			t.Errorf("position without a binary log: %v", p)
		}
		want := number(t, h.Sessions[0], "SELECT n FROM d.hot")
		for i, c := range h.Sessions {
			n, logged, twins := number(t, c, "SELECT n FROM d.hot"), number(t, c, "SELECT COUNT(*) FROM d.log"), number(t, c, "SELECT COUNT(*) FROM d.twin")
			if n != want || logged != want || !o.None && twins != plain && twins != plain-1 {
				t.Errorf("snapshot %d has %d and %d transactions, the first %d; %d rows beside %d that are covered", i, n, logged, want, twins, plain)
			}
		}
		if want > moved {
			moved = want
		} else {
			t.Errorf("round %d: %d transactions, as before", round, want)
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	stopTwins()
}
