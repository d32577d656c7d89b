package tree

import (
	"math"

	"nightjar/internal/wire"
)

// version is the first byte of trees and lists.
const version = 0

// A cursor reads an encoding as a string, since then names need no copies of their own.
type cursor struct{ wire.Reader[string] }

func newCursor(text string) cursor { return cursor{wire.NewReader(text)} }

func (c *cursor) time() Time {
	return Time{Sec: c.Signed(), Nsec: uint32(c.Uint(1e9 - 1))}
}

func (c *cursor) owner() Owner {
	return Owner{
		UID:   uint32(c.Uint(math.MaxUint32)),
		GID:   uint32(c.Uint(math.MaxUint32)),
		User:  c.Sized(MaxOwner),
		Group: c.Sized(MaxOwner),
	}
}

// items reads a count and items into memory from alloc.
func (c *cursor) items(alloc func(n int) []Item) []Item {
	n := c.Count(MaxItems, minItem)
	if n == 0 {
		return nil
	}
	items := alloc(n)
	for i := range items {
		v := c.Uint(math.MaxUint64)
		items[i].Length, items[i].Hole = int64(v>>1), v&1 != 0
		if !items[i].Hole {
			c.Into(items[i].ID[:])
		}
		if c.Err() != nil {
			return nil
		}
	}
	return items
}
