package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"nightjar/chunk"
)

// minItem is the length of the shortest encoded item, a small hole.
const minItem = 1

func (it *Item) check(level int) error {
	switch {
	case it.Length < 1:
		return fmt.Errorf("item of length %d", it.Length)
	case it.Hole && level > 0:
		return fmt.Errorf("hole at level %d", level)
	case it.Hole && !it.ID.IsZero():
		return errors.New("hole with an id")
	case !it.Hole && level == 0 && it.Length > chunk.MaxSize:
		return fmt.Errorf("chunk of %d bytes, more than %d", it.Length, chunk.MaxSize)
	}
	return nil
}

// checkItems checks items of one level and returns the sum of their lengths.
func checkItems(level int, items []Item) (int64, error) {
	var size int64
	for i := range items {
		if err := items[i].check(level); err != nil {
			return 0, err
		}
		// So an item has 17 bytes at least, in the mean, and what is decoded is not many times what is read.
		if i > 0 && items[i].Hole && items[i-1].Hole {
			return 0, errors.New("two holes after one another")
		}
		if items[i].Length > math.MaxInt64-size {
			return 0, errors.New("lengths over 63 bits")
		}
		size += items[i].Length
	}
	return size, nil
}

// check checks contents and returns their size.
func (c *Contents) check() (int64, error) {
	switch {
	case c.Level < 0 || c.Level > MaxLevel:
		return 0, fmt.Errorf("level %d, more than %d", c.Level, MaxLevel)
	case len(c.Items) > MaxItems:
		return 0, fmt.Errorf("%d items, more than %d", len(c.Items), MaxItems)
	case c.Level > 0 && len(c.Items) == 0:
		return 0, fmt.Errorf("no items at level %d", c.Level)
	}
	return checkItems(c.Level, c.Items)
}

// checkSolid is check for contents that have no holes.
func (c *Contents) checkSolid() (int64, error) {
	for i := range c.Items {
		if c.Items[i].Hole {
			return 0, errors.New("hole outside a file")
		}
	}
	return c.check()
}

func appendContents(b []byte, c *Contents) []byte {
	b = binary.AppendUvarint(b, uint64(c.Level))
	return appendItems(b, c.Items)
}

func appendItems(b []byte, items []Item) []byte {
	b = binary.AppendUvarint(b, uint64(len(items)))
	for i := range items {
		it := &items[i]
		if it.Hole {
			b = binary.AppendUvarint(b, uint64(it.Length)<<1|1)
			continue
		}
		b = binary.AppendUvarint(b, uint64(it.Length)<<1)
		b = append(b, it.ID[:]...)
	}
	return b
}

// EncodeList encodes a list of items that a Lister would take; it is for at least one and at most MaxItems.
func EncodeList(items []Item) []byte { return appendItems([]byte{version}, items) }

// DecodeList decodes a list. Whether the items suit the list's level is for who knows it to check, as Walk does.
func DecodeList(list []byte) ([]Item, error) {
	c := newCursor(string(list))
	c.Version(version)
	items := c.items(func(n int) []Item { return make([]Item, n) })
	if len(items) == 0 {
		c.Fail(errors.New("no items"))
	}
	err := c.End()
	if err == nil {
		level := 1
		if slices.ContainsFunc(items, func(it Item) bool { return it.Hole }) {
			level = 0 // the only one with holes
		}
		_, err = checkItems(level, items)
	}
	if err != nil {
		return nil, fmt.Errorf("decode list: %w", err)
	}
	return items, nil
}
