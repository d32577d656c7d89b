package tree

import (
	"errors"
	"fmt"
	"math"
)

// version is the first byte of trees and lists.
const version = 0

var errTruncated = errors.New("truncated")

// A cursor reads an encoding from the front. After an error it reads zeros only, so that callers look at err once per
// entry. It reads a string since then names need no copies of their own.
type cursor struct {
	text string
	off  int
	err  error
}

func (c *cursor) fail(err error) {
	if c.err == nil {
		c.err = fmt.Errorf("at byte %d: %w", c.off, err)
	}
}

func (c *cursor) remaining() int { return len(c.text) - c.off }

// end fails if anything is left.
func (c *cursor) end() {
	if c.err == nil && c.remaining() > 0 {
		c.fail(fmt.Errorf("%d bytes too many", c.remaining()))
	}
}

func (c *cursor) version() {
	if b := c.bytes(1); c.err == nil && b[0] != version {
		c.fail(fmt.Errorf("unknown version %d", b[0]))
	}
}

// bytes returns the next n bytes, or "" after an error.
func (c *cursor) bytes(n int) string {
	if c.err != nil {
		return ""
	}
	if n > c.remaining() {
		c.fail(errTruncated)
		return ""
	}
	s := c.text[c.off : c.off+n]
	c.off += n
	return s
}

// uvarint reads a number in its shortest form, at most limit.
func (c *cursor) uvarint(limit uint64) uint64 {
	if c.err != nil {
		return 0
	}
	var v uint64
	for i, shift := c.off, uint(0); ; i, shift = i+1, shift+7 {
		if i == len(c.text) {
			c.fail(errTruncated)
			return 0
		}
		b := c.text[i]
		if shift == 63 && b > 1 {
			c.fail(errors.New("number over 64 bits"))
			return 0
		}
		v |= uint64(b&0x7f) << shift
		if b >= 0x80 {
			continue
		}
		if b == 0 && shift > 0 {
			c.fail(errors.New("number not in its shortest form"))
			return 0
		}
		if v > limit {
			c.fail(fmt.Errorf("number %d, more than %d", v, limit))
			return 0
		}
		c.off = i + 1
		return v
	}
}

// varint reads a signed number in its shortest form.
func (c *cursor) varint() int64 {
	u := c.uvarint(math.MaxUint64)
	return int64(u>>1) ^ -int64(u&1)
}

// count reads how many things follow, of at least size bytes each.
func (c *cursor) count(limit, size int) int {
	n := int(c.uvarint(uint64(limit)))
	if n > c.remaining()/size {
		c.fail(errTruncated)
		return 0
	}
	return n
}

// str reads a string of at most limit bytes. It shares the memory of the text.
func (c *cursor) str(limit int) string { return c.bytes(int(c.uvarint(uint64(limit)))) }
