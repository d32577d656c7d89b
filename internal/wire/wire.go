// Package wire decodes what the formats are made of: numbers of variable length, counts, strings with their length before them, fields of a fixed size.
//
// The invariants: every call says how much it takes at most, and nothing is returned that asks for more memory than bytes are there for it. There is one way to write
// each value: a number that is not in its shortest form is refused. After its first error a Reader reads nothing but zeros, so that callers look at Err once in a while,
// before they loop or believe.
//
// What the fields mean, and which values go together, is for the codecs to know. They encode with encoding/binary, and what that does not know with Append….
package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"
)

// ErrTruncated is in the error of an encoding that ends too early, or announces more than follows.
var ErrTruncated = errors.New("truncated")

// A Reader takes fields off the front of an encoding. What it returns shares the encoding's memory: of a string where names need no copies of their own.
type Reader[T string | []byte] struct {
	in  T // empty after an error
	at  int
	err error
}

// NewReader returns a Reader of an encoding.
func NewReader[T string | []byte](in T) Reader[T] { return Reader[T]{in: in} }

// Err returns the first error, which says at which byte it is.
func (r *Reader[T]) Err() error { return r.err }

// Fail makes err the error, if it is the first.
func (r *Reader[T]) Fail(err error) {
	if r.err == nil {
		r.err = fmt.Errorf("at byte %d: %w", r.at, err)
		r.in, r.at = r.in[:0], 0
	}
}

// Left returns how many bytes are left; after an error, none.
func (r *Reader[T]) Left() int { return len(r.in) - r.at }

// Rest returns what is left, without taking it.
func (r *Reader[T]) Rest() T { return r.in[r.at:] }

// End fails if anything is left, and returns the first error.
func (r *Reader[T]) End() error {
	if n := r.Left(); n > 0 {
		r.Fail(fmt.Errorf("%d bytes too many", n))
	}
	return r.err
}

// Version fails if the next byte is not the version that is known.
func (r *Reader[T]) Version(known byte) {
	if b := r.Byte(); b != known {
		r.Fail(fmt.Errorf("unknown version %d", b))
	}
}

// Byte returns the next byte.
func (r *Reader[T]) Byte() byte {
	if r.at >= len(r.in) {
		r.Fail(ErrTruncated)
		return 0
	}
	b := r.in[r.at]
	r.at++
	return b
}

// Bytes returns the next n bytes; after an error it is empty.
func (r *Reader[T]) Bytes(n int) T {
	if n < 0 || n > r.Left() {
		r.Fail(ErrTruncated)
		return r.in
	}
	b := r.in[r.at : r.at+n]
	r.at += n
	return b
}

// Into fills b with the next bytes; after an error with zeros.
func (r *Reader[T]) Into(b []byte) {
	if len(b) > r.Left() {
		r.Fail(ErrTruncated)
		clear(b)
		return
	}
	r.at += copy(b, r.in[r.at:])
}

// Uint32 and Uint64 return the next number of 4 and 8 bytes, little-endian.
func (r *Reader[T]) Uint32() uint32 {
	var b [4]byte
	r.Into(b[:])
	return binary.LittleEndian.Uint32(b[:])
}

func (r *Reader[T]) Uint64() uint64 {
	var b [8]byte
	r.Into(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// Uint returns the next uvarint, at most limit.
func (r *Reader[T]) Uint(limit uint64) uint64 {
	if r.at < len(r.in) && r.in[r.at] < 0x80 && uint64(r.in[r.at]) <= limit {
		v := uint64(r.in[r.at])
		r.at++
		return v
	}
	return r.long(limit)
}

// long reads any uvarint.
func (r *Reader[T]) long(limit uint64) uint64 {
	var v uint64
	for i, shift := r.at, uint(0); i < len(r.in); i, shift = i+1, shift+7 {
		b := r.in[i]
		if shift == 63 && b > 1 {
			r.Fail(errors.New("number over 64 bits"))
			return 0
		}
		v |= uint64(b&0x7f) << shift
		if b >= 0x80 {
			continue
		}
		if b == 0 && shift > 0 {
			r.Fail(errors.New("number not in its shortest form"))
			return 0
		}
		if v > limit {
			r.Fail(fmt.Errorf("number %d, more than %d", v, limit))
			return 0
		}
		r.at = i + 1
		return v
	}
	r.Fail(ErrTruncated)
	return 0
}

// Int is Uint for an int; limit is not negative.
func (r *Reader[T]) Int(limit int) int { return int(r.Uint(uint64(limit))) }

// Signed returns the next varint, a signed number of 64 bits.
func (r *Reader[T]) Signed() int64 {
	u := r.Uint(math.MaxUint64)
	return int64(u>>1) ^ -int64(u&1)
}

// Count returns how many things follow, at most limit, of which each takes size bytes at least. Size is positive.
func (r *Reader[T]) Count(limit, size int) int {
	n := r.Int(limit)
	if n > r.Left()/size {
		r.Fail(ErrTruncated)
		return 0
	}
	return n
}

// Sized returns the next string, of at most limit bytes, which has its length before it.
func (r *Reader[T]) Sized(limit int) T { return r.Bytes(r.Int(limit)) }

// AppendSized appends what Sized reads.
func AppendSized(b, s []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// AppendTime appends what Time reads.
func AppendTime(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return binary.AppendVarint(b, 0)
	}
	return binary.AppendVarint(b, t.UnixNano())
}

// Time takes a time off the front: nanoseconds since 1970; 0 is the zero time.
func (r *Reader[T]) Time() time.Time {
	if t := r.Signed(); t != 0 {
		return time.Unix(0, t).UTC()
	}
	return time.Time{}
}
