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
	"context"
	"iter"
	"sync"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/repo/tree"
)

const (
	slack  = 256 << 10 // how far from where it is expected content is looked for, in bytes
	window = 512       // old chunks that are held at most
	behind = 64        // of them before the last agreement
	ahead  = 64 << 20  // how far on a chunk is looked for that is not where it is expected, in bytes
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

	mu      sync.Mutex
	next    func() (tree.Item, error, bool) // nil when there is no more
	stop    func()
	items   []placed // the window, without gaps
	shift   int64    // new content at x is expected at x + shift of the old
	learned int64    // place in the new content where it agreed last
	agreed  int64    // the same place in the old content
}

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

// Around makes base what stood where length bytes of new content at offset are expected, and a little around it. It returns where in
// the old content the base starts, and where in the base they are expected, which may be outside of it.
func (c *Content) Around(ctx context.Context, offset int64, length int, base *delta.Base) (start int64, expected int) {
	base.Reset()
	c.mu.Lock()
	from, to := offset+c.shift-slack, offset+c.shift+int64(length)+slack
	c.read(to)
	var near []placed
	for _, p := range c.items {
		if p.end() > from && p.at < to {
			near = append(near, p)
		}
	}
	shift := c.shift
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
	return start, int(offset + shift - start)
}

// Agreed says that new content at offset was found that much further on in the old one.
func (c *Content) Agreed(offset, shift int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.agree(offset, shift)
}

func (c *Content) agree(offset, shift int64) {
	if offset < c.learned { // chunks of one file come in no order
		return
	}
	c.learned, c.agreed, c.shift = offset, offset+shift, shift
}

// Known says that a chunk at offset of the new content is one that is stored. It reports whether the old content had it near: there the two agree.
func (c *Content) Known(offset int64, id chunk.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.items) > 0 && offset >= c.learned {
		for _, p := range c.items {
			if p.at == offset+c.shift && p.ID == id && !p.Hole {
				c.agree(offset, c.shift)
				return true
			}
		}
	}
	for _, p := range c.items {
		if p.ID == id && !p.Hole {
			c.agree(offset, p.at-offset)
			return true
		}
	}
	for len(c.items) == 0 || c.items[len(c.items)-1].at < offset+c.shift+ahead {
		if !c.more() {
			return false
		}
		if p := c.items[len(c.items)-1]; p.ID == id && !p.Hole {
			c.agree(offset, p.at-offset)
			return true
		}
	}
	return false
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
		drop := 0
		for drop < len(c.items) && c.items[drop].end() <= c.agreed {
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
