package delta

import (
	"encoding/binary"
	"errors"
	"fmt"

	"nightjar/chunk"
	"nightjar/internal/wire"
)

// A Recipe says how a chunk is put together out of whole chunks.
type Recipe struct {
	Length  int    // bytes of the chunk
	Literal Source // the new bytes, a whole chunk too; without a length there is none
	Sources []Source
	Copies  []Copy // in the order of what they make
}

// A Copy is a stretch of a whole chunk.
type Copy struct {
	Source int // 0 is the literal, n the n-th source
	Offset int
	Length int
}

// Source returns the whole chunk that copies call by number: the literal for 0, else the n-th source.
func (r *Recipe) Source(n int) Source {
	if n == 0 {
		return r.Literal
	}
	return r.Sources[n-1]
}

// Validate reports a recipe that is out of the format's bounds, or that no sources of the lengths it says could satisfy.
func (r *Recipe) Validate() error {
	if r.Length < 0 || r.Length > chunk.MaxSize || len(r.Sources) > MaxSources || len(r.Copies) > MaxCopies {
		return errors.New("recipe is too large")
	}
	for n := range len(r.Sources) + 1 {
		if length := r.Source(n).Length; length < 0 || length > chunk.MaxSize {
			return fmt.Errorf("recipe's source %d has %d bytes", n, length)
		}
	}
	made := 0
	for i, c := range r.Copies {
		if c.Source < 0 || c.Source > len(r.Sources) {
			return fmt.Errorf("recipe's copy %d is of an unknown source", i)
		}
		length := r.Source(c.Source).Length
		if c.Offset < 0 || c.Length <= 0 || c.Offset > length || c.Length > length-c.Offset || c.Length > r.Length-made {
			return fmt.Errorf("recipe's copy %d is out of bounds", i)
		}
		made += c.Length
	}
	if made != r.Length {
		return fmt.Errorf("recipe makes %d bytes instead of %d", made, r.Length)
	}
	return nil
}

// Append appends the recipe's encoding to b. The recipe must be valid.
func (r *Recipe) Append(b []byte) []byte {
	b = append(b, version)
	b = binary.AppendUvarint(b, uint64(r.Length))
	b = binary.AppendUvarint(b, uint64(r.Literal.Length))
	if r.Literal.Length > 0 {
		b = append(b, r.Literal.ID[:]...)
	}
	b = binary.AppendUvarint(b, uint64(len(r.Sources)))
	for _, s := range r.Sources {
		b = append(b, s.ID[:]...)
		b = binary.AppendUvarint(b, uint64(s.Length))
	}
	b = binary.AppendUvarint(b, uint64(len(r.Copies)))
	for _, c := range r.Copies {
		b = binary.AppendUvarint(b, uint64(c.Source))
		b = binary.AppendUvarint(b, uint64(c.Offset))
		b = binary.AppendUvarint(b, uint64(c.Length))
	}
	return b
}

// DecodeRecipe decodes a valid recipe as Append made it, and nothing else.
func DecodeRecipe(b []byte) (*Recipe, error) {
	in := wire.NewReader(b)
	in.Version(version)
	r := &Recipe{Length: in.Int(chunk.MaxSize)}
	if r.Literal.Length = in.Int(chunk.MaxSize); r.Literal.Length > 0 {
		in.Into(r.Literal.ID[:])
	}
	r.Sources = make([]Source, in.Count(MaxSources, len(chunk.ID{})+1))
	for i := range r.Sources {
		in.Into(r.Sources[i].ID[:])
		r.Sources[i].Length = in.Int(chunk.MaxSize)
	}
	r.Copies = make([]Copy, in.Count(MaxCopies, 3))
	for i := range r.Copies {
		r.Copies[i] = Copy{in.Int(MaxSources), in.Int(chunk.MaxSize), in.Int(chunk.MaxSize)}
	}
	err := in.End()
	if err == nil {
		err = r.Validate()
	}
	if err != nil {
		return nil, fmt.Errorf("decode recipe: %w", err)
	}
	return r, nil
}

// Apply appends the chunk to dst. It asks for the bytes of the source of each copy, by its number, as often as copies name it. What it
// makes must still be checked against the chunk's ID.
func (r *Recipe) Apply(dst []byte, source func(n int) ([]byte, error)) ([]byte, error) {
	if err := r.Validate(); err != nil {
		return dst, fmt.Errorf("apply recipe: %w", err)
	}
	out := dst
	for _, c := range r.Copies {
		data, err := source(c.Source)
		if err != nil {
			return dst, fmt.Errorf("apply recipe: %w", err)
		}
		if s := r.Source(c.Source); len(data) != s.Length {
			return dst, fmt.Errorf("apply recipe: source %v has %d bytes instead of %d", s.ID, len(data), s.Length)
		}
		out = append(out, data[c.Offset:c.Offset+c.Length]...)
	}
	return out, nil
}
