// Package thaw brings back packs that lie in an archive storage class, so that they can be read.
package thaw

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"nightjar/repo/store"
)

// Progress says how far objects are on their way back from an archive class.
type Progress struct {
	Ready   int      // can be read
	Asked   int      // were asked for now
	Bytes   int64    // of what cannot be read yet
	Pending []string // names of these, in no order
}

// Ask asks for all objects that have to be brought back before they can be read, unless that was done before; sizes are by their names. What is not there
// is passed over: whoever reads it tells of it. connections are requests at the same time; 0: 4.
func Ask(ctx context.Context, s store.Thawer, sizes map[string]int64, o store.ThawOptions, connections int) (Progress, error) {
	var done Progress
	var mu sync.Mutex
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cmp.Or(connections, askedAtOnce))
	for name, size := range sizes {
		if gctx.Err() != nil {
			break
		}
		g.Go(func() error {
			state, err := s.ThawState(gctx, name)
			asked := err == nil && state == store.Frozen
			if asked {
				err = s.Thaw(gctx, name, o)
			}
			if errors.Is(err, store.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if state == store.Readable {
				done.Ready++
				return nil
			}
			if asked {
				done.Asked++
			}
			done.Bytes += size
			done.Pending = append(done.Pending, name)
			return nil
		})
	}
	err := g.Wait()
	return done, errors.Join(err, ctx.Err())
}

const askedAtOnce = 4

// The pauses between questions whether an object has come.
const (
	firstPause = time.Second
	mostPause  = 5 * time.Minute
)

// Await waits until all objects can be read: hours, mostly. left is told how many are still to come, after each that has.
func Await(ctx context.Context, s store.Thawer, names []string, left func(n int)) error {
	pause := firstPause
	for i, name := range names {
		for {
			state, err := s.ThawState(ctx, name)
			if err != nil {
				return err
			}
			if state == store.Frozen {
				return fmt.Errorf("thaw object %s: it was not asked for, or is archived again: %w", name, store.ErrArchived)
			}
			if state == store.Readable {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(pause):
			}
			pause = min(2*pause, mostPause)
		}
		left(len(names) - i - 1)
	}
	return nil
}
