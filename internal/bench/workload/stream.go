package workload

import (
	"bytes"
	stdbinary "encoding/binary"
	"io"
	"math/rand/v2"
)

const (
	poolSize = 16 << 20
	lineSize = 64
)

// Stream is content that is made far faster than anybody can save it: pieces out of two pools, of text
// and of rows, with eight fresh bytes in every line of 64, and pieces of noise, in the proportions of
// the tree's files. No line of it occurs twice.
type Stream struct {
	size  int64
	seed  uint64
	pools [2][]byte // text, binary
}

// NewStream prepares a stream of so many bytes.
func NewStream(size int64, seed uint64) *Stream {
	s := &Stream{size: size, seed: seed}
	words := newVocabulary(seed)
	for k := range s.pools {
		var pool bytes.Buffer
		pool.Grow(poolSize)
		// A bytes.Buffer takes everything.
		words.content(&pool, kind(k), poolSize, generator(seed, forStream, uint64(k)), make([]byte, 0, pieceSize+maxItem))
		s.pools[k] = pool.Bytes()
	}
	return s
}

// First returns the stream's first bytes, so many of them, as a stream.
func (s *Stream) First(size int64) *Stream {
	first := *s
	first.size = min(size, s.size)
	return &first
}

// WriteTo writes the whole stream, the same bytes each time.
func (s *Stream) WriteTo(w io.Writer) (written int64, err error) {
	src := generator(s.seed, forStream, uint64(len(s.pools)))
	r := rand.New(src)
	marks := rand.NewPCG(s.seed, forStream)
	piece := make([]byte, pieceSize)
	for left := s.size; left > 0; {
		switch p := r.IntN(100); {
		case p < 14:
			src.Read(piece) // never fails
		default:
			pool := s.pools[text]
			if p < 44 {
				pool = s.pools[binary]
			}
			copy(piece, pool[r.IntN(poolSize-pieceSize):])
			for line := 0; line < pieceSize; line += lineSize {
				stdbinary.LittleEndian.PutUint64(piece[line:], marks.Uint64())
			}
		}
		n, err := w.Write(piece[:min(pieceSize, left)])
		written += int64(n)
		left -= int64(n)
		if err != nil {
			return written, err
		}
	}
	return written, nil
}
