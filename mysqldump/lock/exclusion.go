package lock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"nightjar/mysqldump/server"
)

// An Exclusion keeps other backups of a server out, and locks nothing. It has to be closed. A goroutine keeps its session
// alive until then.
type Exclusion struct {
	guard *guard
	lost  context.Context // ends when others are no longer kept out; its cause says why
	lose  context.CancelCauseFunc
	kept  sync.WaitGroup
}

// excluding is how often it is seen whether others are still kept out.
const excluding = 2 * time.Second

var errExclusionClosed = errors.New("the exclusion is closed")

// Exclude keeps other backups of a server out: it is for those that take no snapshots. Directory is as in Options.
// Silence is how long the server may say nothing before others count as no longer kept out; 0 is DefaultMax.
func Exclude(ctx context.Context, s *server.Server, directory string, silence time.Duration) (*Exclusion, error) {
	o, _ := Options{Directory: directory}.complete()
	e := &Exclusion{guard: &guard{}}
	if err := e.guard.open(ctx, s, o); err != nil {
		return nil, fmt.Errorf("exclude other backups of %s: %w", s.Address(), errors.Join(err, e.guard.close()))
	}
	e.lost, e.lose = context.WithCancelCause(context.Background())
	e.kept.Add(1)
	go func() {
		defer e.kept.Done()
		e.keep(s.Address(), cmp.Or(silence, DefaultMax))
	}()
	return e, nil
}

func (e *Exclusion) keep(address string, silence time.Duration) {
	tick := time.NewTicker(excluding)
	defer tick.Stop()
	for {
		select {
		case <-e.lost.Done():
			return
		case <-tick.C:
			// Close does not cut it short: a session that ends in the middle would keep others out for a moment longer.
			ctx, cancel := context.WithTimeout(context.Background(), silence)
			if err := e.guard.do(func(c *server.Session) error { return c.Exec(ctx, "DO 1") }); err != nil {
				if ctx.Err() != nil {
					err = fmt.Errorf("%w: nothing in %v", server.ErrSilent, silence)
				}
				e.lose(fmt.Errorf("exclude other backups of %s: %w", address, err))
			}
			cancel()
		}
	}
}

// Context returns a context that ends with ctx, when cancel is called, or when others are no longer kept out: with a cause
// that says why.
func (e *Exclusion) Context(ctx context.Context) (context.Context, context.CancelFunc) {
	return endWith(ctx, e.lost)
}

// Close lets other backups in. A second call does nothing.
func (e *Exclusion) Close() error {
	e.lose(errExclusionClosed)
	e.kept.Wait()
	return e.guard.close()
}

// endWith returns a context that ends with ctx, when cancel is called, or when lost ends: with its cause.
func endWith(ctx, lost context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(lost, func() { cancel(context.Cause(lost)) })
	return ctx, func() {
		stop()
		cancel(context.Canceled)
	}
}
