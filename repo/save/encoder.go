package save

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"nightjar/chunk/delta"
	"nightjar/repo/pack"
	"nightjar/repo/past"
)

// Trees are read every night, so they are put together of fewer sources; and what changes in one is small.
const (
	treeBlock   = 64
	treeSources = 8
)

// A form is how a piece is stored.
type form int

const (
	known  form = iota // it is already, or on its way
	recipe             // as copies out of whole pieces, and a literal
	whole              // as itself
)

// An encoder decides in which form a piece is stored, and makes its recipe. It is for one goroutine.
type encoder struct {
	w       *Writer
	signer  *delta.Signer
	matcher *delta.Matcher
	spare   *delta.Matcher // its match is kept while matcher makes others
	base    delta.Base
	made    []byte // by a recipe that is tried
}

func newEncoder(w *Writer) encoder {
	signer := delta.NewSigner(w.r.Secret())
	return encoder{w: w, signer: signer, matcher: delta.NewMatcher(signer), spare: delta.NewMatcher(signer)}
}

// decide returns the form of a piece. Unless that is known, the caller has to save it so. The Match is that of a recipe; its
// literal has no ID yet, and the next call uses its memory again.
func (e *encoder) decide(p *piece) (form, *delta.Match, error) {
	is, err := e.w.claim(p)
	if err != nil {
		return 0, nil, fmt.Errorf("look up %s %v: %w", p.kind(), p.id, err)
	}
	if is {
		if p.before != nil {
			p.before.Known(p.place.Offset, p.id)
		}
		return known, nil, nil
	}
	if p.literal {
		return whole, nil, nil
	}
	if m, err := e.encode(p); m != nil || err != nil {
		return recipe, m, err
	}
	if !e.w.claims.take(p.id.Key(), true) { // meanwhile it has become a literal
		return known, nil, nil
	}
	return whole, nil, nil
}

// encode makes a recipe for a piece. It returns nil if there is none that is worth it.
func (e *encoder) encode(p *piece) (*delta.Match, error) {
	switch {
	case p.typ != pack.WholeContent:
		return e.encodeMetadata(p)
	case p.before == nil || len(p.data) < signFrom:
		return nil, nil
	}
	for _, old := range p.before.Likely() {
		if m, err := e.encodeContent(p, old); m != nil || err != nil {
			p.before.Right(old)
			return m, err
		}
	}
	p.before.Wrong(len(p.data))
	return nil, nil
}

// encodeContent makes a recipe for a chunk out of what its file may have held.
func (e *encoder) encodeContent(p *piece, old *past.Content) (*delta.Match, error) {
	m, copied := e.compare(p, old)
	if m == nil {
		return nil, nil
	}
	// What a recipe takes itself does not compress.
	if cost := recipeSize(&m.Recipe); copied < 4*cost || 4*copied < len(p.data) || outgrown(&m.Recipe, cost) {
		return nil, nil
	}
	if ok, err := e.leans(&m.Recipe, p.typ); !ok || err != nil {
		return nil, err
	}
	return m, nil
}

// compare returns the match that copies most of a chunk, and how much, of those at the places where its file may have held it; nil: nothing is known of
// these. The first is mostly right. Where a fourth or more is new there, the others are tried: what repeats itself, like zeros, makes wrong places look right.
func (e *encoder) compare(p *piece, old *past.Content) (best *delta.Match, most int) {
	shift := int64(0)
	for _, at := range old.Places(p.place.Offset) {
		start, expected := old.Around(e.w.run.work, at, len(p.data), &e.base)
		if e.base.Length() == 0 {
			continue
		}
		m := e.matcher.Match(p.data, &e.base, expected)
		if copied := len(p.data) - m.Recipe.Literal.Length; best == nil || copied > most {
			best, most, shift = m, copied, start+int64(m.Shift)-p.place.Offset
			e.matcher, e.spare = e.spare, e.matcher // which keeps it
		}
		if 4*most >= 3*len(p.data) {
			break
		}
	}
	if most > 0 {
		old.Agreed(p.place.Offset, shift)
	}
	return best, most
}

// encodeMetadata makes a recipe for a tree or list out of those that it resembles. They can be read, so they need no stored
// signature, and the recipe is tried: trees hold names that anybody may have chosen.
func (e *encoder) encodeMetadata(p *piece) (*delta.Match, error) {
	e.base.Reset()
	for _, item := range p.others {
		e.w.bases.describeMetadata(e.w.run.work, p.typ, item, e.signer, &e.base)
	}
	if e.base.Length() == 0 {
		return nil, nil
	}
	m := e.matcher.Match(p.data, &e.base, 0)
	copied := len(p.data) - m.Recipe.Literal.Length
	if copied < 3*recipeSize(&m.Recipe) || len(m.Recipe.Sources) > treeSources {
		return nil, nil
	}
	if ok, err := e.leans(&m.Recipe, p.typ); !ok || err != nil || !e.makes(m, p) {
		return nil, err
	}
	return m, nil
}

// leans reports whether this run may use all sources of a recipe, and records the use. Since they were described a new view
// may have been taken.
func (e *encoder) leans(r *delta.Recipe, whole pack.Type) (bool, error) {
	for _, source := range r.Sources {
		if ok, err := e.w.refer(source.ID.Key(), whole); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// makes reports whether a recipe makes the piece that it is for, of its literal and what is stored.
func (e *encoder) makes(m *delta.Match, p *piece) bool {
	made, err := e.w.reader.Apply(e.w.run.work, e.made[:0], &m.Recipe, m.Literal, p.typ)
	e.made = made
	return err == nil && bytes.Equal(made, p.data)
}

// recipeSize is about how long a recipe is, encoded.
func recipeSize(r *delta.Recipe) int { return 64 + 35*len(r.Sources) + 6*len(r.Copies) }

// outgrown reports whether the chunk of a recipe, which has the size given, is better stored whole again. That pays when what
// the chunk has cost since it was whole is about its length: what its sources hold, but for two (one is what it was, or its
// edges moved and two are), and a recipe with each of them, half as long as this one in the mean.
//
// The chunks of a file change together. So each has a limit of its own, between half its length and one and a half, drawn
// from its largest source: they become whole in different nights, and in each about as many bytes as that night has literals
// and recipes.
func outgrown(r *delta.Recipe, size int) bool {
	var base delta.Source
	total, second := 0, 0
	for _, s := range r.Sources {
		total += s.Length
		if s.Length > base.Length {
			base, second = s, base.Length
		} else {
			second = max(second, s.Length)
		}
	}
	cost := total - base.Length - second + len(r.Sources)*size/2
	limit := 0.5 + float64(binary.BigEndian.Uint32(base.ID[:]))/(1<<32)
	return float64(cost) > limit*float64(r.Length)
}
