package content

import (
	"errors"
	"fmt"
	"iter"

	"nightjar/chunk"
	"nightjar/repo/tree"
)

// Same appends the next n bytes as the predecessor has them at this offset, unread: of the entry that Hint.Base says.
// It takes whole chunks only, from the offset on, and only those that are still held. It returns how many bytes it
// took; with fewer than n, the error is ErrNotSame: the caller then reads the bytes after those by itself, and writes
// them. That is so at the edges of n too, where they are no boundaries of the predecessor's chunks: what was written as
// Blocks has one at the edge of each block, what was written otherwise has them anywhere. Of a hole of the predecessor
// it takes any part.
func (c *Content) Same(n int64) (int64, error) {
	if err := c.enter(); err != nil {
		return 0, err
	}
	defer c.using.Unlock()
	if err := c.ready(); err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, c.fail(fmt.Errorf("the same %d bytes", n))
	}
	if c.old == nil {
		c.old = c.oldItems()
	}
	taken := int64(0)
	for taken < n {
		item, ok, err := c.take(n - taken)
		if err != nil {
			return taken, c.fail(err)
		}
		if !ok {
			return taken, fmt.Errorf("save %q: %d bytes from %d on: %w", c.place.Path, n-taken, c.offset+int64(c.buf.Len()), ErrNotSame)
		}
		taken += item.Length
	}
	return taken, nil
}

// take appends one item of the predecessor that begins at the end of the content and has at most most bytes, if there
// is one.
func (c *Content) take(most int64) (item tree.Item, ok bool, err error) {
	at := c.offset + int64(c.buf.Len())
	old, begin := c.old.at(at)
	switch {
	case old.Length == 0:
		return item, false, nil
	case old.Hole:
		item = tree.Item{Length: min(begin+old.Length-at, most), Hole: true}
	case begin != at || old.Length > most:
		return item, false, nil
	default:
		if ok, err := c.shared.o.Writer.Has(old.ID); !ok || err != nil {
			return item, false, err
		}
		item = old
	}
	if err := c.flush(); err != nil {
		return item, false, err
	}
	if item.Hole {
		c.insert(item)
		c.shared.o.Taken(item.Length)
	} else {
		c.known(item)
	}
	c.counts.same.Add(uint64(item.Length))
	return item, true, c.collect(false)
}

// Again appends a chunk that is stored already, as one that Block was given in a run that has ended. It reports whether it could: nothing is appended of
// one that is not stored, or not any more. The length is that of what Block was given.
func (c *Content) Again(id chunk.ID, length int) (bool, error) {
	if err := c.enter(); err != nil {
		return false, err
	}
	defer c.using.Unlock()
	if err := c.ready(); err != nil {
		return false, err
	}
	if length < 1 || length > chunk.MaxSize {
		return false, c.fail(fmt.Errorf("chunk of %d bytes", length))
	}
	if ok, err := c.shared.o.Writer.Has(id); !ok || err != nil {
		return false, c.fail(err)
	}
	if err := c.flush(); err != nil {
		return false, c.fail(err)
	}
	c.known(tree.Item{ID: id, Length: int64(length)})
	return true, c.fail(c.collect(false))
}

// known appends a chunk that is stored.
func (c *Content) known(item tree.Item) {
	c.counts.chunksKnown.Add(1)
	c.shared.o.Writer.Sent.ChunksKnown.Add(1)
	c.shared.o.Writer.Sent.PlainKnown.Add(uint64(item.Length))
	c.insert(item)
	c.shared.o.Taken(item.Length)
}

// oldItems are chunks and holes of a file of the predecessor, from which the content takes some. They are read as it
// goes on.
type oldItems struct {
	next  func() (tree.Item, error, bool)
	stop  func()
	item  tree.Item // zero: before the first, or after the last
	begin int64
}

func (c *Content) oldItems() *oldItems {
	var contents tree.Contents
	if n := c.base(); n != nil && n.IsRegular() {
		contents = n.Contents
	}
	o := new(oldItems)
	o.next, o.stop = iter.Pull2(func(yield func(tree.Item, error) bool) {
		err := tree.Walk(contents, c.shared.o.Writer.Reader().Fetcher(c.shared.ctx), func(item tree.Item) error {
			if !yield(item, nil) {
				return errClosed
			}
			return nil
		})
		if err != nil && !errors.Is(err, errClosed) {
			c.shared.o.Unread(c.place.Path, err)
		}
	})
	return o
}

// at returns the item in which an offset lies, and where it begins; a zero one: there is none. Offsets ascend.
func (o *oldItems) at(offset int64) (tree.Item, int64) {
	for o.begin+o.item.Length <= offset {
		o.begin += o.item.Length
		item, _, ok := o.next()
		if !ok {
			o.item = tree.Item{}
			break
		}
		o.item = item
	}
	return o.item, o.begin
}
