// Package delta makes content out of older content: block signatures, which tell what old content was made of when its bytes
// are out of reach; the matcher, which finds the old blocks again in new content; and recipes, which say how to put a chunk
// together out of what the matcher found and a literal, the bytes that nobody had.
//
// Content-defined chunking alone sends a whole chunk for one changed page of a database. A signature has fourteen bytes for
// every block of old content, so it can be kept where the content itself cannot be read, and the next change of the
// page costs a block or two.
//
// The invariant: every copy points into a whole chunk. Old content that was itself put together by a recipe enters a
// Base as the stretches of whole chunks that it was made of, so what is matched against it needs no further recipe,
// however many nights lie between.
//
// A Signature cannot be checked against the chunk that it describes, and its sums could be equal where blocks are not: so what
// a recipe makes counts only when it has the chunk's ID. Who knows the secret can find another block for the sum of one, but only
// once its chunk is there, and by 2^80 tries for each.
//
// The package does not check what a recipe makes, nor does it fetch, store or decide anything: when a delta is worth it, and
// when a chunk is stored whole again, is its caller's to say.
package delta

import (
	"encoding/binary"
	"errors"

	"nightjar/chunk"
)

// Limits of the format.
const (
	MinBlock   = 256     // the smallest block of a stored signature
	MaxBlock   = 1 << 16 // the largest block
	MaxRuns    = 1 << 16 // runs of a signature
	MaxSources = 1 << 16 // sources of a recipe
	MaxCopies  = 1 << 20 // copies of a recipe

	version = 0
)

// A Source is a whole chunk that copies point into.
type Source struct {
	ID     chunk.ID
	Length int
}

// reader takes fields off the front of b; after an error it returns zeros.
type reader struct {
	b   []byte
	err error
}

var errMalformed = errors.New("malformed")

func (r *reader) version() {
	if r.err == nil && (len(r.b) == 0 || r.b[0] != version) {
		r.err = errors.New("unknown version")
		return
	}
	if r.err == nil {
		r.b = r.b[1:]
	}
}

func (r *reader) id() (id chunk.ID) {
	if r.err != nil || len(r.b) < len(id) {
		r.err = errMalformed
		return id
	}
	r.b = r.b[copy(id[:], r.b):]
	return id
}

// uvarint reads a number in its shortest form, at most limit.
func (r *reader) uvarint(limit int) int { return r.count(limit, 0) }

// count reads a number of things that take at least size bytes each in what follows.
func (r *reader) count(limit, size int) int {
	v, n := binary.Uvarint(r.b)
	if r.err != nil || n <= 0 || n > 1 && r.b[n-1] == 0 || v > uint64(limit) || v*uint64(size) > uint64(len(r.b)-n) {
		r.err = errMalformed
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

// end returns the first error; bytes that are left over are one.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.err = errMalformed
	}
	return r.err
}
