package chunk

import "github.com/restic/chunker"

// A Splitter finds in content that comes piece by piece the boundaries that a Cutter finds. It is for one goroutine.
type Splitter struct {
	rule Rule
	base *chunker.BaseChunker
}

// NewSplitter returns a Splitter at the beginning of content; the rule must be valid.
func NewSplitter(r Rule) *Splitter {
	s := &Splitter{rule: r}
	s.Reset()
	return s
}

// Reset begins with new content, or with a new chunk of the same.
func (s *Splitter) Reset() {
	s.base = chunker.NewBase(s.rule.Polynomial, chunker.WithBaseBoundaries(uint(s.rule.Min), uint(s.rule.Max)), chunker.WithBaseAverageBits(s.rule.Bits))
}

// Next is given how the content goes on, and returns how many bytes of piece end the chunk; -1: all of them belong to
// it, and it goes on. After an end, the next piece begins the next chunk: so what remains of this one is given again.
func (s *Splitter) Next(piece []byte) int { return s.base.NextSplitPoint(piece) }
