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
	"errors"

	"nightjar/chunk"
)

// Limits of the format.
const (
	MinBlock   = 128     // the smallest block of a stored signature
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

var errMalformed = errors.New("malformed")
