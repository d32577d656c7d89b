package restore

import (
	"context"
	"errors"
	"sync"
	"time"

	"nightjar/mysqldump/server"
)

// answered runs f, which may take the server as long as it needs: keys of a large table take hours. Meanwhile other sessions ask it,
// again and again, whether it is there; if that gets no answer, somebody is told, and f is given up in the end, as patient does.
func (r *run) answered(ctx context.Context, what string, f func(ctx context.Context) error) error {
	bounded, cancel := context.WithCancelCause(ctx)
	var asking sync.WaitGroup
	asking.Go(func() {
		for pause(bounded, r.o.Patience/20) {
			if err := r.patient(bounded, what, r.ask); errors.Is(err, ErrNoAnswer) {
				cancel(err)
			}
		}
	})
	err := f(bounded)
	cause := context.Cause(bounded)
	cancel(nil)
	asking.Wait()
	if err != nil && errors.Is(cause, ErrNoAnswer) {
		return cause
	}
	return err
}

// ask returns when the server has answered a new session. That it lets nobody in is an answer.
func (r *run) ask(ctx context.Context) error {
	for {
		s, err := r.srv.Connect(ctx)
		if err == nil {
			s.Close()
			return nil
		}
		if server.Number(err) != 0 {
			return nil
		}
		if !pause(ctx, r.o.Patience/20) {
			return context.Cause(ctx)
		}
	}
}

// pause waits; it returns false if the context ends.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
