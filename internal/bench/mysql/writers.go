package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// writers update rows of the table counters, so many transactions a second, and note how long each statement took.
type writers struct {
	stop   context.CancelFunc
	done   sync.WaitGroup
	mu     sync.Mutex
	waits  []time.Duration
	failed error
}

const sessions = 8

// write begins to write until waited is called.
func (b *bench) write(ctx context.Context) *writers {
	ctx, stop := context.WithCancel(ctx)
	w := &writers{stop: stop}
	if b.writes == 0 {
		return w
	}
	due := make(chan struct{}, 10*b.writes)
	w.done.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(b.writes))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				select {
				case due <- struct{}{}:
				default:
				}
			}
		}
	})
	for range sessions {
		w.done.Go(func() {
			if err := w.session(ctx, b.source, due); err != nil && ctx.Err() == nil {
				w.mu.Lock()
				w.failed = err
				w.mu.Unlock()
			}
		})
	}
	return w
}

func (w *writers) session(ctx context.Context, s *instance, due <-chan struct{}) error {
	c, err := s.db.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-due:
		}
		first := rand.IntN(counters) + 1
		for _, statement := range []string{
			"BEGIN",
			fmt.Sprintf("UPDATE bench.counters SET n = n + 1, at = NOW() WHERE id = %d", first),
			fmt.Sprintf("UPDATE bench.counters SET n = n - 1, at = NOW() WHERE id = %d", min(counters, first+1)),
			"COMMIT",
		} {
			start := time.Now()
			if _, err := c.ExecContext(ctx, statement); err != nil {
				return err
			}
			took := time.Since(start)
			w.mu.Lock()
			w.waits = append(w.waits, took)
			w.mu.Unlock()
		}
	}
}

// waits are the longest, and the percentiles 99.9 and 99.
type waits struct{ max, p999, p99 time.Duration }

// waited ends the writers, and says how long they waited.
func (w *writers) waited() (waits, error) {
	w.stop()
	w.done.Wait()
	if len(w.waits) == 0 {
		return waits{}, w.failed
	}
	slices.Sort(w.waits)
	return waits{w.waits[len(w.waits)-1], w.waits[len(w.waits)*999/1000], w.waits[len(w.waits)*99/100]}, w.failed
}
