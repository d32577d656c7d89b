package delta

import (
	"encoding/binary"
	"fmt"
	"iter"
	"sort"

	"nightjar/chunk"
	"nightjar/internal/wire"
)

// A Signature holds the sums of a whole chunk's blocks.
type Signature struct {
	block int
	runs  []run
	sums  []sum
}

// A run is a stretch with a grid of its own: blocks of the nominal size and, at its end, one that may be shorter.
type run struct {
	end   int // in the chunk
	first int // its first block
}

type sum struct {
	rolling uint32
	strong  [strongSize]byte
}

const (
	strongSize = 10
	sumSize    = 4 + strongSize
)

// newSignature returns a signature whose sums are zero.
func newSignature(block int, runs []int) (*Signature, error) {
	s := &Signature{block: block, runs: make([]run, len(runs))}
	end, blocks := 0, 0
	for i, n := range runs {
		if n <= 0 || n > chunk.MaxSize-end {
			return nil, errMalformed
		}
		end += n
		s.runs[i] = run{end, blocks}
		blocks += (n + block - 1) / block
	}
	s.sums = make([]sum, blocks)
	return s, nil
}

// Block returns the nominal size of the blocks.
func (s *Signature) Block() int { return s.block }

// Length returns the length of the chunk.
func (s *Signature) Length() int {
	if len(s.runs) == 0 {
		return 0
	}
	return s.runs[len(s.runs)-1].end
}

// Runs returns the lengths of the stretches that have a grid of their own, as Sign takes them.
func (s *Signature) Runs() []int {
	lengths := make([]int, len(s.runs))
	start := 0
	for i, r := range s.runs {
		lengths[i], start = r.end-start, r.end
	}
	return lengths
}

// Append appends the signature's encoding to b.
func (s *Signature) Append(b []byte) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(s.block))
	b = binary.AppendUvarint(b, uint64(len(s.runs)))
	start := 0
	for _, r := range s.runs {
		b = binary.AppendUvarint(b, uint64(r.end-start))
		start = r.end
	}
	for i := range s.sums {
		b = binary.LittleEndian.AppendUint32(b, s.sums[i].rolling)
		b = append(b, s.sums[i].strong[:]...)
	}
	return b
}

// DecodeSignature decodes what Append made, and nothing else.
func DecodeSignature(b []byte) (*Signature, error) {
	s, err := decodeSignature(b)
	if err != nil {
		return nil, fmt.Errorf("decode block signature: %w", err)
	}
	return s, nil
}

func decodeSignature(b []byte) (*Signature, error) {
	r := wire.NewReader(b)
	r.Version(version)
	block := r.Int(MaxBlock)
	if r.Err() == nil && block < MinBlock {
		r.Fail(fmt.Errorf("blocks of %d bytes", block))
	}
	runs := make([]int, r.Count(MaxRuns, 1+sumSize))
	blocks := 0
	for i := range runs {
		runs[i] = r.Int(chunk.MaxSize)
		blocks += (runs[i] + block - 1) / block
	}
	sums := r.Bytes(blocks * sumSize)
	if err := r.End(); err != nil {
		return nil, err
	}
	s, err := newSignature(block, runs)
	if err != nil {
		return nil, err
	}
	for i := range s.sums {
		s.sums[i].rolling = binary.LittleEndian.Uint32(sums[i*sumSize:])
		copy(s.sums[i].strong[:], sums[i*sumSize+4:])
	}
	return s, nil
}

// A stretch is a block's place in its chunk.
type stretch struct{ at, length int }

// within returns the blocks that lie in a range with all their bytes.
func (s *Signature) within(from, to int) iter.Seq2[stretch, *sum] {
	return func(yield func(stretch, *sum) bool) {
		i := sort.Search(len(s.runs), func(i int) bool { return s.runs[i].end > from })
		for ; i < len(s.runs); i++ {
			start := 0
			if i > 0 {
				start = s.runs[i-1].end
			}
			if start >= to {
				return
			}
			k := (max(from-start, 0) + s.block - 1) / s.block
			for at := start + k*s.block; at < s.runs[i].end; at += s.block {
				n := min(s.block, s.runs[i].end-at)
				if at+n > to || !yield(stretch{at, n}, &s.sums[s.runs[i].first+k]) {
					return
				}
				k++
			}
		}
	}
}
