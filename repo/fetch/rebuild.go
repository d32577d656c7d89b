package fetch

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/crypto"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/store"
)

// How much is put together at the same time: groups of chunks, and what is in each.
const (
	rebuildsAtOnce = 3
	rebuildBytes   = 12 << 20
	rebuildCopies  = 1 << 18 // each takes 24 bytes, or a few more
)

// A rebuild is a chunk in the making.
type rebuild struct {
	i       int // place in the ids that Fetch was given
	id      chunk.ID
	half    *chunk.Key      // all that is known of id; nil: id is known
	at      lookup.Location // of the recipe
	recipe  *delta.Recipe
	data    []byte
	pending atomic.Int32 // sources that have not come yet
	mu      sync.Mutex
	err     error
}

// A group is chunks that are made together: a source that they share is read once.
type group struct {
	rd      *Reader
	all     []*rebuild
	checked bool // sources are, too: else only what is made of them
	deliver func(i int, data []byte, err error) error

	sources *wholeFetch
	users   [][]stretch    // of each source; those of one chunk stand together
	own     []*wantedFrame // that nobody else needs, and that have not been asked for

	mu    sync.Mutex
	wrong []*rebuild // what was made of unchecked sources, and is not what it should be
}

// A stretch is where bytes of a source go.
type stretch struct {
	to           *rebuild
	source       int32
	at           int32 // in what is made
	from, length int32
}

// rebuildAll makes chunks of recipes, about in the order given, and delivers them.
//
// What a file of many nights is made of is of two kinds: large chunks in frames of their own, and small literals of all those nights, in frames that serve many
// chunks. For the literals one group comes after another, so that a frame that is kept is never read or decoded twice; the rest, which is most of the work, is
// done for some groups at the same time.
func (rd *Reader) rebuildAll(ctx context.Context, all []*rebuild, deliver func(i int, data []byte, err error) error) error {
	work, ctx := errgroup.WithContext(ctx)
	spare := make(chan []byte, rebuildsAtOnce)
	for range cap(spare) {
		spare <- nil
	}
	start := func(some []*rebuild, least int) error {
		bytes := 0
		for _, b := range some {
			bytes += b.recipe.Length
		}
		memory := <-spare
		if len(memory) < bytes {
			memory = make([]byte, max(bytes, least))
		}
		g := rd.newGroup(some, false, deliver)
		if err := g.begin(ctx, memory); err != nil {
			return err
		}
		work.Go(func() error {
			defer func() { spare <- memory }()
			return g.finish(ctx, memory)
		})
		return nil
	}
	work.Go(func() error {
		var waiting []*rebuild
		bytes, copies := 0, 0
		for _, b := range all {
			var err error
			b.recipe, err = rd.RecipeAt(ctx, b.at)
			switch {
			case errors.Is(err, store.ErrUnavailable):
				return err
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				if err := deliver(b.i, nil, fmt.Errorf("read recipe of chunk %v: %w", b.id, err)); err != nil {
					return err
				}
				continue
			}
			waiting = append(waiting, b)
			bytes, copies = bytes+b.recipe.Length, copies+len(b.recipe.Copies)
			if len(waiting) == 1 || bytes <= rebuildBytes && copies <= rebuildCopies {
				continue
			}
			n := cut(waiting)
			if err := start(waiting[:n], rebuildBytes); err != nil {
				return err
			}
			waiting, bytes, copies = waiting[n:], 0, 0
			for _, b := range waiting {
				bytes, copies = bytes+b.recipe.Length, copies+len(b.recipe.Copies)
			}
		}
		return start(waiting, 0)
	})
	return work.Wait()
}

// cut returns how many of some chunks, not all, make a group: as many as can be without a source that those after them need, too; but more than half.
func cut(some []*rebuild) int {
	first := map[chunk.ID]int{}
	reach := make([]int, len(some)) // the first chunk with which each shares a source
	for n, b := range some {
		reach[n] = n
		for s := range len(b.recipe.Sources) + 1 {
			source := b.recipe.Source(s)
			if other, ok := first[source.ID]; ok {
				reach[n] = min(reach[n], other)
			} else if source.Length > 0 {
				first[source.ID] = n
			}
		}
	}
	back := len(some)
	for n := len(some) - 1; n > len(some)/2; n-- {
		if back = min(back, reach[n]); back == n {
			return n
		}
	}
	return len(some) - 1
}

func (rd *Reader) newGroup(some []*rebuild, checked bool, deliver func(int, []byte, error) error) *group {
	g := &group{rd: rd, all: some, checked: checked, deliver: deliver}
	var ids []chunk.ID
	number := map[chunk.ID]int{}
	for _, b := range some {
		used := map[int]bool{}
		at := 0
		for _, c := range b.recipe.Copies {
			id := b.recipe.Source(c.Source).ID
			n, ok := number[id]
			if !ok {
				n = len(ids)
				number[id], ids, g.users = n, append(ids, id), append(g.users, nil)
			}
			used[n] = true
			g.users[n] = append(g.users[n], stretch{b, int32(c.Source), int32(at), int32(c.Offset), int32(c.Length)})
			at += c.Length
		}
		b.pending.Store(int32(len(used)))
	}
	g.sources = rd.newWholeFetch(ids, checked, g.arrived)
	return g
}

// begin takes memory for what is made, and fills in what comes from frames that serve other groups, too.
func (g *group) begin(ctx context.Context, memory []byte) error {
	for _, b := range g.all {
		n := b.recipe.Length
		b.data, memory = memory[:n:n], memory[n:]
		if n == 0 { // of nothing nothing is made
			if err := g.rebuilt(b); err != nil {
				return err
			}
		}
	}
	frames, err := g.sources.plan(ctx, 0)
	if err != nil {
		return err
	}
	var shared []*wantedFrame
	for _, w := range frames {
		if w.partly() {
			shared = append(shared, w)
		} else {
			g.own = append(g.own, w)
		}
	}
	return g.sources.read(ctx, shared)
}

// finish reads the rest. Should what was made be wrong, then it is made again of checked sources: somebody wants to know which of them is to blame.
func (g *group) finish(ctx context.Context, memory []byte) error {
	err := g.sources.read(ctx, g.own)
	if err == nil {
		err = g.sources.retry(ctx)
	}
	if err != nil || len(g.wrong) == 0 {
		return err
	}
	for _, b := range g.wrong {
		b.err = nil
	}
	again := g.rd.newGroup(g.wrong, true, g.deliver)
	if err := again.begin(ctx, memory); err != nil {
		return err
	}
	return again.finish(ctx, memory)
}

// arrived puts a source where it belongs.
func (g *group) arrived(n int, data []byte, err error) error {
	users := g.users[n]
	for i, s := range users {
		err := err
		if source := s.to.recipe.Source(int(s.source)); err == nil && len(data) != source.Length {
			err = fmt.Errorf("source %v has %d bytes, not %d: %w", source.ID, len(data), source.Length, crypto.ErrIntegrity)
		}
		if err != nil {
			s.to.fail(err)
		} else {
			copy(s.to.data[s.at:s.at+s.length], data[s.from:])
		}
		if i+1 == len(users) || users[i+1].to != s.to {
			if s.to.pending.Add(-1) > 0 {
				continue
			}
			if err := g.rebuilt(s.to); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *rebuild) fail(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err = err
	}
}

// rebuilt checks and delivers a chunk that is complete.
func (g *group) rebuilt(b *rebuild) error {
	err := b.err
	if err == nil && b.half != nil {
		err = g.rd.checkHalf(*b.half, b.data, pack.WholeContent)
	} else if err == nil {
		err = g.rd.check(b.id, b.data, pack.WholeContent)
	}
	if err != nil && !g.checked {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.wrong = append(g.wrong, b)
		return nil
	}
	data := b.data
	b.recipe, b.data = nil, nil // those of a whole window would be much
	if err != nil {
		return g.deliver(b.i, nil, fmt.Errorf("rebuild chunk %v: %w", b.id, err))
	}
	return g.deliver(b.i, data, nil)
}
