package past

import (
	"context"
	"slices"
	"sync"

	"nightjar/chunk"
	"nightjar/repo/tree"
)

// patience is how many bytes of new content are compared in vain with all of a Choice, before only the likeliest is left.
const patience = 8 << 20

// A Choice is what a file may have held before: several contents, of which one is hoped to be right. It is safe for concurrent use; Close it.
type Choice struct {
	mu       sync.Mutex
	contents []*Content // the likeliest first
	vain     int
}

// Choose returns a Choice of old contents, the likeliest first. ctx is for all that is read of them.
func Choose(ctx context.Context, s Source, contents []tree.Contents) *Choice {
	c := new(Choice)
	for _, old := range contents {
		c.contents = append(c.contents, New(ctx, old, s))
	}
	return c
}

// Likely returns the contents to compare with, in order.
func (c *Choice) Likely() []*Content {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.contents)
}

// Right says that new content was found in this one, which is tried first from now on.
func (c *Choice) Right(old *Content) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if i := slices.Index(c.contents, old); i > 0 {
		copy(c.contents[1:], c.contents[:i])
		c.contents[0] = old
	}
}

// Wrong says that length bytes of new content were found in none.
func (c *Choice) Wrong(length int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.vain += length; c.vain > patience {
		c.keep(1)
	}
}

// Known says that a chunk at offset of the new content is one that is stored.
func (c *Choice) Known(offset int64, id chunk.ID) {
	for _, old := range c.Likely() {
		if old.Known(offset, id) {
			c.Right(old)
			return
		}
	}
}

// Close ends the use of the Choice.
func (c *Choice) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(0)
}

// keep closes all but the first n; others may still use them.
func (c *Choice) keep(n int) {
	for len(c.contents) > n {
		last := len(c.contents) - 1
		c.contents[last].Close()
		c.contents = c.contents[:last]
	}
}
