// Package past says what stood around a place of a file, or of a stream, in the archive before: the base that a new chunk may
// copy from.
//
// What a file held before is mostly known by its name, and sometimes guessed: a Choice has several contents, and is told which was right.
// New content mostly stands where the old one stood, or is shifted by what was put in or taken out before it. So a Content
// follows what was found: the window that it holds of the old chunks moves with the last place where new and old agreed, and a
// file of any size needs no more memory than a small one.
//
// The invariant: whatever it says is only a hint. What is not known, or cannot be read, is left out, and costs space.
// The package neither stores anything nor decides what becomes a delta.
package past

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sort"
	"sync"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/repo/tree"
)

const (
	slack      = 256 << 10 // how far from where it is expected content is looked for, in bytes
	window     = 512       // old chunks that are held at most
	behind     = 64        // of them before the last agreement
	ahead      = 64 << 20  // how far on a chunk is looked for that is not where it is expected, in bytes
	agreements = 256       // places that are held where new and old agreed: more than chunks are on their way at a time
)

// A Source tells of chunks that are stored.
type Source interface {
	// List returns a list of chunks, encoded.
	List(ctx context.Context, id chunk.ID) ([]byte, error)
	// Describe adds a chunk of the length given to a base, or skips it if nothing is known.
	Describe(ctx context.Context, id chunk.ID, length int, to *delta.Base)
}

// A Content is what a file held before. It is safe for concurrent use; Close it.
type Content struct {
	source Source

	mu     sync.Mutex
	next   func() (tree.Item, error, bool) // nil when there is no more
	stop   func()
	items  []placed    // the window, without gaps
	agreed []agreement // the last ones, in the order of the new content
}

// An agreement says that new content at an offset was found that much further on in the old one.
type agreement struct{ offset, shift int64 }

func (a agreement) old() int64 { return a.offset + a.shift }

type placed struct {
	tree.Item
	at int64 // in the old content
}

func (p *placed) end() int64 { return p.at + p.Length }

// New returns what is known of old contents. ctx is for all that it reads.
func New(ctx context.Context, c tree.Contents, s Source) *Content {
	old := &Content{source: s}
	old.next, old.stop = iter.Pull2(func(yield func(tree.Item, error) bool) {
		get := func(id chunk.ID) ([]byte, error) { return s.List(ctx, id) }
		err := tree.Walk(c, get, func(item tree.Item) error {
			if !yield(item, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && err != errStop {
			yield(tree.Item{}, err)
		}
	})
	return old
}

type stopError struct{}

func (stopError) Error() string { return "stop" }

var errStop error = stopError{}

// Close ends the use of the Content.
func (c *Content) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop()
	c.next, c.items = nil, nil
}

// Places returns where in the old content new content at offset is expected, the likeliest first: as what was found before it,
// as what was found after it, since chunks come in no order, and where it stands itself. Of places near each other it returns one.
func (c *Content) Places(offset int64) []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.places(offset)
}

func (c *Content) places(offset int64) (places []int64) {
	after := sort.Search(len(c.agreed), func(i int) bool { return c.agreed[i].offset > offset })
	for _, a := range append(slices.Clone(c.agreed[max(after-1, 0):min(after+1, len(c.agreed))]), agreement{}) {
		at := offset + a.shift
		if !slices.ContainsFunc(places, func(p int64) bool { return max(p-at, at-p) <= slack }) {
			places = append(places, at)
		}
	}
	return places
}

// Around makes base what stood at a place of the old content, where length bytes of new content are looked for, and a little around
// it. It returns where in the old content the base starts, and where in the base the place is, which may be outside of it.
func (c *Content) Around(ctx context.Context, at int64, length int, base *delta.Base) (start int64, expected int) {
	base.Reset()
	c.mu.Lock()
	from, to := at-slack, at+int64(length)+slack
	c.read(to)
	var near []placed
	for _, p := range c.items {
		if p.end() > from && p.at < to {
			near = append(near, p)
		}
	}
	c.mu.Unlock()
	if len(near) == 0 {
		return 0, 0
	}
	start = near[0].at
	if near[0].Hole {
		start = max(start, from)
	}
	for _, p := range near {
		if p.Hole {
			base.Skip(int(min(p.end(), to) - max(p.at, start)))
		} else {
			c.source.Describe(ctx, p.ID, int(p.Length), base)
		}
	}
	return start, int(at - start)
}

// Agreed says that new content at offset was found that much further on in the old one.
func (c *Content) Agreed(offset, shift int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agree(offset, shift)
}

func (c *Content) agree(offset, shift int64) {
	i, found := slices.BinarySearchFunc(c.agreed, offset, func(a agreement, offset int64) int { return cmp.Compare(a.offset, offset) })
	if found {
		c.agreed[i].shift = shift
		return
	}
	c.agreed = slices.Insert(c.agreed, i, agreement{offset, shift})
	if len(c.agreed) > agreements {
		c.agreed = slices.Delete(c.agreed, 0, 1)
	}
}

// Known says that a chunk at offset of the new content is one that is stored. It reports whether the old content had it near. There the
// two agree, unless it was elsewhere than expected and more than once: what repeats itself, like zeros, says nothing.
func (c *Content) Known(offset int64, id chunk.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	expected := c.places(offset)[0]
	c.read(expected + 1)
	if c.holds(expected, id) {
		c.agree(offset, expected-offset)
		return true
	}
	c.read(expected + ahead)
	var found []int64
	for _, p := range c.items {
		if p.ID == id && !p.Hole {
			found = append(found, p.at)
		}
	}
	if len(found) == 1 {
		c.agree(offset, found[0]-offset)
	}
	return len(found) > 0
}

// holds reports whether a chunk of the window begins at a place of the old content.
func (c *Content) holds(at int64, id chunk.ID) bool {
	i, ok := slices.BinarySearchFunc(c.items, at, func(p placed, at int64) int { return cmp.Compare(p.at, at) })
	return ok && c.items[i].ID == id && !c.items[i].Hole
}

// read moves the window on until it holds the place, if it can.
func (c *Content) read(to int64) {
	for len(c.items) == 0 || c.items[len(c.items)-1].end() < to {
		if !c.more() {
			return
		}
	}
}

// more reads one chunk's place, and reports whether there was one. What lies far before the last agreement goes.
func (c *Content) more() bool {
	if c.next == nil {
		return false
	}
	if len(c.items) >= window {
		last := int64(0)
		if n := len(c.agreed); n > 0 {
			last = c.agreed[n-1].old()
		}
		drop := 0
		for drop < len(c.items) && c.items[drop].end() <= last {
			drop++
		}
		if drop -= behind; drop <= 0 {
			return false
		}
		c.items = append(c.items[:0], c.items[drop:]...)
	}
	item, err, ok := c.next()
	if !ok || err != nil {
		c.next = nil
		return false
	}
	at := int64(0)
	if n := len(c.items); n > 0 {
		at = c.items[n-1].end()
	}
	c.items = append(c.items, placed{item, at})
	return true
}
