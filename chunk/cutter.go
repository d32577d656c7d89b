package chunk

import (
	"fmt"
	"io"

	"github.com/restic/chunker"
)

// Rule says where content is cut. Every field is stored in the repository, so a program with other habits finds the same boundaries.
type Rule struct {
	Polynomial chunker.Pol // irreducible, of degree 53
	Min        int         // bytes before the first possible boundary; content up to this length is one chunk
	Bits       int         // a boundary is found every 2^Bits bytes on average
	Max        int         // bytes after which content is cut whatever it says
}

// NewRule returns the default sizes (512 KiB, 1 MiB, 8 MiB) with a random polynomial read from random: sizes of chunks then tell nothing to
// somebody who knows the content but not the polynomial.
func NewRule(random io.Reader) (Rule, error) {
	pol, err := chunker.DerivePolynomial(random)
	if err != nil {
		return Rule{}, fmt.Errorf("choose chunker polynomial: %w", err)
	}
	return Rule{Polynomial: pol, Min: 512 << 10, Bits: 20, Max: MaxSize}, nil
}

// Validate reports a rule that would cut badly or not at all.
func (r Rule) Validate() error {
	switch {
	case r.Polynomial.Deg() != 53 || !r.Polynomial.Irreducible():
		return fmt.Errorf("chunker polynomial %v is not irreducible of degree 53", r.Polynomial)
	case r.Min < 1<<10 || r.Max > MaxSize || r.Min > r.Max:
		return fmt.Errorf("chunk sizes %d to %d are out of bounds", r.Min, r.Max)
	case r.Bits < 10 || r.Bits > 23:
		return fmt.Errorf("chunk boundary bits %d are out of bounds", r.Bits)
	}
	return nil
}

// A Cutter cuts one stream after another. It is for one goroutine.
type Cutter struct {
	rule    Rule
	chunker *chunker.Chunker
}

// NewCutter returns a Cutter; the rule must be valid.
func NewCutter(r Rule) *Cutter { return &Cutter{rule: r} }

// Reset begins with a new stream, whatever became of the one before.
func (c *Cutter) Reset(r io.Reader) {
	boundaries, bits := chunker.WithBoundaries(uint(c.rule.Min), uint(c.rule.Max)), chunker.WithAverageBits(c.rule.Bits)
	if c.chunker == nil {
		c.chunker = chunker.New(r, c.rule.Polynomial, boundaries, bits)
		return
	}
	c.chunker.Reset(r, c.rule.Polynomial, boundaries, bits)
}

// Next returns the next chunk, in buf's memory when that suffices, or io.EOF after the last.
func (c *Cutter) Next(buf []byte) ([]byte, error) {
	next, err := c.chunker.Next(buf[:0])
	return next.Data, err
}
