package delta

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"nightjar/chunk"
)

var secret = chunk.Secret{1, 2, 3}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	var s [32]byte
	for i := range 8 {
		s[i] = byte(seed >> (8 * i))
	}
	rand.NewChaCha8(s).Read(b)
	return b
}

// model is a store of what a repository holds: whole chunks with their signatures, and recipes.
type model struct {
	t       testing.TB
	namer   *chunk.Namer
	signer  *Signer
	matcher *Matcher
	block   int
	wholes  map[chunk.ID][]byte
	signed  map[chunk.ID][]byte // encoded signatures
	recipes map[chunk.ID][]byte // encoded
}

func newModel(t testing.TB, block int) *model {
	s := NewSigner(secret)
	return &model{t: t, namer: chunk.NewNamer(secret, chunk.Content), signer: s, matcher: NewMatcher(s), block: block,
		wholes: map[chunk.ID][]byte{}, signed: map[chunk.ID][]byte{}, recipes: map[chunk.ID][]byte{}}
}

// whole stores a whole chunk and its signature with the given runs.
func (m *model) whole(data []byte, runs []int) Source {
	id := m.namer.ID(data)
	if _, ok := m.wholes[id]; !ok {
		m.wholes[id] = bytes.Clone(data)
		m.signed[id] = m.signer.Sign(id, data, m.block, runs).Append(nil)
	}
	return Source{id, len(data)}
}

func (m *model) signature(s Source) *Signature {
	b, ok := m.signed[s.ID]
	if !ok {
		return nil
	}
	sig, err := DecodeSignature(b)
	if err != nil {
		m.t.Fatal(err)
	}
	return sig
}

// base makes a base of stored chunks. Readable chunks are signed anew from their bytes, as those of metadata are.
func (m *model) base(readable bool, chunks ...Source) *Base {
	b := &Base{}
	for _, c := range chunks {
		encoded, ok := m.recipes[c.ID]
		switch {
		case !ok && readable:
			b.AppendWhole(c, m.signer.Sign(c.ID, m.wholes[c.ID], m.block, nil))
		case !ok:
			b.AppendWhole(c, m.signature(c))
		default:
			r := m.recipe(encoded)
			if readable {
				b.AppendRebuilt(r, m.get(c), m.signer, m.block)
				continue
			}
			signatures := make([]*Signature, len(r.Sources)+1)
			for n := range signatures {
				signatures[n] = m.signature(r.Source(n))
			}
			b.AppendRecipe(r, signatures)
		}
	}
	want := 0
	for _, c := range chunks {
		want += c.Length
	}
	if b.Length() != want {
		m.t.Fatalf("base of %d bytes, want %d", b.Length(), want)
	}
	return b
}

func (m *model) recipe(encoded []byte) *Recipe {
	r, err := DecodeRecipe(encoded)
	if err != nil {
		m.t.Fatal(err)
	}
	if !bytes.Equal(r.Append(nil), encoded) {
		m.t.Fatal("decoding, then appending a recipe gives other bytes")
	}
	return r
}

// get returns a chunk's bytes. Recipes may lean on whole chunks alone.
func (m *model) get(c Source) []byte {
	encoded, ok := m.recipes[c.ID]
	if !ok {
		return m.wholes[c.ID]
	}
	r := m.recipe(encoded)
	data, err := r.Apply(nil, func(n int) ([]byte, error) {
		if data, ok := m.wholes[r.Source(n).ID]; ok {
			return data, nil
		}
		return nil, fmt.Errorf("no whole chunk %v", r.Source(n).ID)
	})
	if err != nil {
		m.t.Fatal(err)
	}
	return data
}

// save stores data as a delta against the base, or whole if that has nothing of it, and returns how many bytes of it were new.
func (m *model) save(data []byte, base *Base, expected int) (Source, int) {
	id := m.namer.ID(data)
	c := Source{id, len(data)}
	if m.wholes[id] != nil || m.recipes[id] != nil {
		return c, 0
	}
	match := m.matcher.Match(data, base, expected)
	if len(match.Recipe.Sources) == 0 {
		return m.whole(data, nil), len(data)
	}
	if match.Recipe.Literal.Length != len(match.Literal) {
		m.t.Fatal("the recipe's literal has another length")
	}
	if len(match.Literal) > 0 {
		match.Recipe.Literal = m.whole(match.Literal, match.Runs)
	}
	m.recipes[id] = match.Recipe.Append(nil)
	if got := m.get(c); !bytes.Equal(got, data) {
		m.t.Fatal("what was rebuilt is not what was saved")
	}
	return c, len(match.Literal)
}
