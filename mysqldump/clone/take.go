package clone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"nightjar/mysqldump/server"
)

const (
	// looking is how often the server is asked how far it is.
	looking = 200 * time.Millisecond
	// patience is how long the server may take to end a clone.
	patience = time.Minute
)

func statement(at string) string { return "CLONE LOCAL DATA DIRECTORY = " + server.Literal(at) }

// take has the server clone itself. When ctx ends, so does the clone: a server goes on with the clone of a client that is gone.
func take(ctx context.Context, s *server.Server, c *server.Session, f *folder, o Options) error {
	worker, err := s.Connect(ctx)
	if err != nil {
		return err
	}
	w := watch{c: c, id: worker.ID(), o: o}
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended, gone := make(chan error, 1), make(chan struct{})
	go func() {
		defer close(gone)
		defer worker.Close()
		ended <- worker.Exec(working, statement(f.path))
	}()
	defer func() {
		stop()
		<-gone
	}()
	tick := time.NewTicker(looking)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return f.cloned(err)
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), end(s, w.id, ended))
		case <-tick.C:
			if err := w.look(ctx); err != nil {
				return errors.Join(err, end(s, w.id, ended))
			}
		}
	}
}

// cloned says what became of the statement.
func (f *folder) cloned(err error) error {
	if err != nil {
		return err
	}
	if _, err := os.Stat(f.path); err != nil { // it made one somewhere, such as in a container
		return fmt.Errorf("%w: it has cloned itself into a folder %s, which is another one here: %w", ErrElsewhere, f.path, err)
	}
	return nil
}

// end ends a clone, and waits until the server writes no more into the folder. It needs a session of its own, as one whose context
// has ended is closed.
func end(s *server.Server, id uint64, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := s.Connect(ctx)
	if err != nil {
		return nil // the server is gone, and the clone with it
	}
	defer c.Close()
	if err := c.KillStatement(ctx, id); err != nil {
		return err
	}
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return errors.New("the server does not end the clone")
	}
}

// A watch looks at a clone that is being made.
type watch struct {
	c       *server.Session
	id      uint64
	o       Options
	blind   bool      // the account may not see the progress
	waiting time.Time // since when it waits; zero: it does not
}

const (
	errSelectDenied = 1142
	errNoSuchTable  = 1146
)

func (w *watch) look(ctx context.Context) error {
	if !w.blind {
		var done, all uint64
		err := w.c.Query(ctx, "SELECT ESTIMATE, DATA FROM performance_schema.clone_progress WHERE STAGE IN ('FILE COPY', 'PAGE COPY', 'REDO COPY')", func(row [][]byte) error {
			estimate, err1 := strconv.ParseUint(string(row[0]), 10, 64)
			data, err2 := strconv.ParseUint(string(row[1]), 10, 64)
			all, done = all+estimate, done+data
			return errors.Join(err1, err2)
		})
		switch server.Number(err) {
		case errSelectDenied, errNoSuchTable:
			w.blind = true
		default:
			if err != nil {
				return err
			}
		}
		w.o.Cloned(done, all)
	}
	rows, err := w.c.Rows(ctx, "SHOW PROCESSLIST")
	if err != nil {
		return err
	}
	for _, row := range rows {
		if row["Id"] == strconv.FormatUint(w.id, 10) {
			return w.state(row["State"])
		}
	}
	return nil
}

// state bounds how long the clone waits for a lock.
func (w *watch) state(state string) error {
	if !strings.HasPrefix(state, "Waiting for") {
		w.waiting = time.Time{}
		return nil
	}
	now := w.o.Now()
	if w.waiting.IsZero() {
		w.waiting = now
	}
	if now.Sub(w.waiting) > w.o.LockWait {
		return fmt.Errorf("%w: %s", ErrDDL, state)
	}
	return nil
}

// endLeft ends a clone into our folder that a killed run has begun, and that the server goes on with.
func endLeft(ctx context.Context, c *server.Session, at string) error {
	waited, cancel := context.WithTimeoutCause(ctx, patience, errors.New("the server does not end the clone of a run that was killed"))
	defer cancel()
	for first := true; ; first = false {
		rows, err := c.Rows(waited, "SHOW FULL PROCESSLIST")
		if err != nil {
			return err
		}
		runs := false
		for _, row := range rows {
			if row["Info"] != statement(at) {
				continue
			}
			runs = true
			id, err := strconv.ParseUint(row["Id"], 10, 64)
			if err == nil && first {
				err = c.Kill(waited, id)
			}
			if err != nil {
				return fmt.Errorf("end the clone of a run that was killed: %w", err)
			}
		}
		if !runs {
			return nil
		}
		select {
		case <-waited.Done():
			return context.Cause(waited)
		case <-time.After(looking):
		}
	}
}
