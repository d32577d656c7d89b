// Package locks keeps what a repository needs from being deleted, in a store that locks objects for a time.
package locks

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// Extended counts what Extend looked at.
type Extended struct{ Objects, Extended int }

const lockedAtOnce = 4

// Extend sees to it that nobody can delete what is needed for as long as the store keeps new objects: the packs that are named, and everything that is no
// pack. What is not there is passed over. It does nothing where new objects are not locked. connections are requests at the same time; 0: 4.
func Extend(ctx context.Context, s store.Store, packs iter.Seq[string], connections int) (Extended, error) {
	r, ok := s.(store.Retainer)
	if !ok || r.Retention() == 0 {
		return Extended{}, nil
	}
	var objects, extended atomic.Int64
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(cmp.Or(connections, lockedAtOnce))
	extend := func(name string) {
		g.Go(func() error {
			did, err := r.Retain(gctx, name)
			if errors.Is(err, store.ErrNotExist) {
				return nil
			}
			objects.Add(1)
			if did {
				extended.Add(1)
			}
			return err
		})
	}
	err := s.List(gctx, "", func(i store.Info) error {
		switch sealed.Kind(i.Name) {
		case "", "content", "metadata":
		default:
			extend(i.Name)
		}
		return nil
	})
	for name := range packs {
		if gctx.Err() != nil {
			break
		}
		extend(name)
	}
	if waitErr := g.Wait(); waitErr != nil {
		err = waitErr // which ended the listing
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		err = fmt.Errorf("extend object locks: %w", err)
	}
	return Extended{int(objects.Load()), int(extended.Load())}, err
}
