package repo

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/pack"
)

// How much is put together at the same time: groups of chunks, and bytes in each. Sources that neighbours share are read once for a group.
const (
	rebuildsAtOnce = 2
	rebuildBytes   = 16 << 20
)

// made is memory of chunks that were delivered.
var made = sync.Pool{New: func() any { return new([]byte) }}

// A rebuild is a chunk in the making.
type rebuild struct {
	i       int // place in the ids that Fetch was given
	id      chunk.ID
	half    *chunk.Key // all that is known of id; nil: id is known
	recipe  *delta.Recipe
	data    []byte
	memory  *[]byte      // of data, to be used again
	pending atomic.Int32 // sources that have not come yet
	mu      sync.Mutex
	err     error
}

// A stretch is where bytes of a source go.
type stretch struct {
	to           *rebuild
	source       int
	at           int // in what is made
	from, length int
}

// readRecipe reads the recipe that lies there.
func (rd *Reader) readRecipe(ctx context.Context, at index.Location) (*delta.Recipe, error) {
	frame, err := rd.frame(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("in %s: %w", packName(at), err)
	}
	r, err := delta.DecodeRecipe(blobIn(frame, at))
	if err != nil {
		return nil, fmt.Errorf("in %s: %w: %w", packName(at), err, crypto.ErrIntegrity)
	}
	return r, nil
}

// rebuildAll makes chunks of recipes, some at a time about in the order given, and delivers them.
func (rd *Reader) rebuildAll(ctx context.Context, all []*rebuild, deliver func(i int, data []byte, err error) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(rebuildsAtOnce)
	for len(all) > 0 && ctx.Err() == nil {
		n, sum := 0, 0
		for n < len(all) && (n == 0 || sum+all[n].recipe.Length <= rebuildBytes) {
			sum += all[n].recipe.Length
			n++
		}
		some := all[:n]
		all = all[n:]
		g.Go(func() error { return rd.rebuildGroup(ctx, some, deliver) })
	}
	return g.Wait()
}

// rebuildGroup makes some chunks. What is made is checked, so its sources need not be: unless it is wrong, and somebody wants to know why.
func (rd *Reader) rebuildGroup(ctx context.Context, some []*rebuild, deliver func(i int, data []byte, err error) error) error {
	place := map[int]*rebuild{}
	for _, b := range some {
		place[b.i] = b
	}
	var mu sync.Mutex
	var wrong []*rebuild
	err := rd.rebuildSome(ctx, some, false, func(i int, data []byte, err error) error {
		if err == nil {
			return deliver(i, data, nil)
		}
		mu.Lock()
		defer mu.Unlock()
		wrong = append(wrong, &rebuild{i: i, id: place[i].id, recipe: place[i].recipe})
		return nil
	})
	if err == nil && len(wrong) > 0 {
		err = rd.rebuildSome(ctx, wrong, true, deliver)
	}
	return err
}

// rebuildSome reads every source of some recipes once, and checks it if that is wanted.
func (rd *Reader) rebuildSome(ctx context.Context, some []*rebuild, checked bool, deliver func(i int, data []byte, err error) error) error {
	var ids []chunk.ID
	var users [][]stretch
	number := map[chunk.ID]int{}
	for _, b := range some {
		b.memory, _ = made.Get().(*[]byte)
		b.data = grown(*b.memory, int64(b.recipe.Length))
		at := 0
		used := map[int]bool{}
		for _, c := range b.recipe.Copies {
			source := b.recipe.Source(c.Source)
			n, ok := number[source.ID]
			if !ok {
				n = len(ids)
				number[source.ID], ids, users = n, append(ids, source.ID), append(users, nil)
			}
			users[n] = append(users[n], stretch{b, c.Source, at, c.Offset, c.Length})
			if !used[n] {
				used[n] = true
				b.pending.Add(1)
			}
			at += c.Length
		}
	}
	for _, b := range some {
		if b.pending.Load() == 0 { // of nothing nothing is made
			if err := rd.rebuilt(b, deliver); err != nil {
				return err
			}
		}
	}
	return rd.fetchWhole(ctx, ids, checked, func(n int, data []byte, err error) error {
		var last *rebuild
		for _, s := range users[n] {
			if source := s.to.recipe.Source(s.source); err == nil && len(data) != source.Length {
				err = fmt.Errorf("source %v has %d bytes, not %d: %w", source.ID, len(data), source.Length, crypto.ErrIntegrity)
			}
			if err != nil {
				s.to.fail(err)
			} else {
				copy(s.to.data[s.at:s.at+s.length], data[s.from:])
			}
			if last != nil && last != s.to {
				if err := rd.arrived(last, deliver); err != nil {
					return err
				}
			}
			last = s.to
		}
		return rd.arrived(last, deliver)
	})
}

func (b *rebuild) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
}

// arrived notes that a source has come.
func (rd *Reader) arrived(b *rebuild, deliver func(int, []byte, error) error) error {
	if b.pending.Add(-1) > 0 {
		return nil
	}
	return rd.rebuilt(b, deliver)
}

// rebuilt checks and delivers a chunk that is complete.
func (rd *Reader) rebuilt(b *rebuild, deliver func(int, []byte, error) error) error {
	err := b.err
	if err == nil && b.half != nil {
		err = rd.checkHalf(*b.half, b.data, pack.WholeContent)
	} else if err == nil {
		err = rd.check(b.id, b.data, pack.WholeContent)
	}
	if err != nil {
		return deliver(b.i, nil, fmt.Errorf("rebuild chunk %v: %w", b.id, err))
	}
	err = deliver(b.i, b.data, nil)
	*b.memory = b.data
	made.Put(b.memory)
	b.data, b.memory = nil, nil
	return err
}

// rebuildMetadata makes a tree or a list of a recipe.
func (rd *Reader) rebuildMetadata(ctx context.Context, at index.Location) ([]byte, error) {
	r, err := rd.readRecipe(ctx, at)
	if err != nil {
		return nil, err
	}
	whole := at.Type - pack.RecipeFor
	return r.Apply(nil, func(n int) ([]byte, error) { return rd.wholeMetadata(ctx, r.Source(n).ID, whole) })
}
