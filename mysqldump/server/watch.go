package server

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrSilent says that a server has not answered for as long as it may.
var ErrSilent = errors.New("the server does not answer")

// Watch asks the server now and then whether it is there, in sessions of its own, until the returned function is called. The
// context ends, with ErrSilent in its cause, when it has not answered for as long as given. So what waits for the server under
// that context waits for as long as the server works on it, and not for one that is gone without a word. Now is the clock.
func (s *Server) Watch(ctx context.Context, silence time.Duration, now func() time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		w := &watch{server: s}
		defer w.close()
		tick := time.NewTicker(max(silence/6, time.Millisecond))
		defer tick.Stop()
		for heard := now(); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if w.answers(ctx, silence-now().Sub(heard)) {
				heard = now()
			} else if ctx.Err() == nil && now().Sub(heard) >= silence {
				cancel(fmt.Errorf("watch %s: %w: nothing in %v", s.Address(), ErrSilent, silence))
			}
		}
	}()
	return ctx, func() {
		cancel(context.Canceled)
		<-done
	}
}

// watch is the session in which a server is asked.
type watch struct {
	server  *Server
	session *Session // nil: none is open
}

// answers asks the server, and waits for so long.
func (w *watch) answers(ctx context.Context, wait time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var err error
	if w.session == nil {
		w.session, err = w.server.Connect(ctx)
	}
	if err == nil {
		err = w.session.Exec(ctx, "DO 1")
	}
	if err != nil {
		w.close()
	}
	return err == nil || Number(err) != 0 // it says why not
}

func (w *watch) close() {
	if w.session != nil {
		_ = w.session.Close()
		w.session = nil
	}
}
