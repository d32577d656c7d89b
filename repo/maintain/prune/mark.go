package prune

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/walk"
)

// errMissing says that no pack that is stored holds a chunk.
var errMissing = fmt.Errorf("it is in no pack that is there: %w", crypto.ErrIntegrity)

// A need is what types of blobs serve.
type need struct {
	types []pack.Type
	bytes bool // what lies there will do, even if nothing that it leans on does
}

var (
	anyContent = need{types: []pack.Type{pack.WholeContent, pack.RecipeFor + pack.WholeContent}}
	anyTree    = need{types: []pack.Type{pack.WholeTree, pack.RecipeFor + pack.WholeTree}}
	anyList    = need{types: []pack.Type{pack.WholeList}}
	anything   = need{types: slices.Concat(anyContent.types, anyTree.types, anyList.types)}
)

func (n need) served(by *lookup.Place) bool { return slices.Contains(n.types, by.Type) }

// A marker marks what has to stay.
type marker struct {
	*pruner
	ctx    context.Context
	rd     *repo.Reader                          // of what circle takes in
	circle []bool                                // of each origin: whether archives may be made of its packs; nil: nobody knows, so each host's count by themselves
	broken map[walk.Use]error                    // what archives need, and cannot have, with all that is above it
	fresh  func(key chunk.Key, at *lookup.Place) // told of each recipe, tree and list that is marked; nil: what recipes lean on is kept at once
}

// places returns the places of a key that can be had.
func (p *pruner) places(key chunk.Key, dst []lookup.Place) ([]lookup.Place, error) {
	all, err := p.f.Places(key, dst)
	return slices.DeleteFunc(all, func(at lookup.Place) bool { return !p.there(&at) || p.gone.Has(at.Entry) }), err
}

// there reports whether the bytes of a place can be had.
func (p *pruner) there(at *lookup.Place) bool {
	return !p.origin(at).Late && p.packs[at.Pack]&(stored|dropped) == stored
}

func (p *pruner) origin(at *lookup.Place) *lookup.Origin { return &p.f.Origins()[at.Origin] }

// firm reports whether no list has condemned a place.
func (p *pruner) firm(at *lookup.Place) bool {
	return p.packs[at.Pack]&condemned == 0 && !p.held.Has(at.Entry)
}

// ranks: a place serves only where there is none of a lower rank.
const (
	firstChoice = iota
	whenCondemned
	ranks
	useless
)

// rank says how well one of all places serves a need.
func (m *marker) rank(at *lookup.Place, all []lookup.Place, n need) int {
	firm := func(at *lookup.Place) bool {
		return m.firm(at) || n.bytes && m.packs[at.Pack]&condemned == 0
	}
	switch {
	case m.circle != nil && !m.circle[at.Origin]:
		return useless
	case firm(at):
		return firstChoice
	case m.circle != nil:
		return whenCondemned
	}
	for i := range all {
		if other := &all[i]; n.served(other) && firm(other) && m.origin(other).Owner == m.origin(at).Owner {
			return whenCondemned
		}
	}
	return firstChoice
}

func (p *pruner) isRoot(origin int) bool {
	return p.f.Origins()[origin].Signer == string(p.r.Keys().Root().Fingerprint())
}

// keep marks the places that serve a need best, all of them, and reports whether one of them is good.
func (m *marker) keep(key chunk.Key, all []lookup.Place, n need) (bool, error) {
	for rank := range ranks {
		found := false
		for i := range all {
			at := &all[i]
			if !n.served(at) || m.rank(at, all, n) != rank {
				continue
			}
			good, err := m.use(key, at, all, n)
			if err != nil {
				return false, err
			}
			found = found || good
		}
		if found {
			return true, nil
		}
	}
	return false, nil
}

// use marks a place, and reports whether it is good.
func (m *marker) use(key chunk.Key, at *lookup.Place, all []lookup.Place, n need) (bool, error) {
	if n.bytes {
		m.packs[at.Pack] |= needed
		m.bases.Set(at.Entry)
		return true, nil
	}
	m.mark(key, at, all)
	if isRecipe(at.Type) && m.fresh == nil {
		return m.keepSources(at)
	}
	return true, nil
}

// mark marks a place, and what other index objects say of the same blob.
func (m *marker) mark(key chunk.Key, at *lookup.Place, all []lookup.Place) {
	m.packs[at.Pack] |= needed
	for i := range all {
		twin := &all[i]
		if twin.Pack == at.Pack && twin.Type == at.Type && m.needs.Set(twin.Entry) && twin.Entry == at.Entry && leans(at.Type) && m.fresh != nil {
			m.fresh(key, at)
		}
	}
}

// keepSignatures keeps what lets the next backup of a chunk be a delta: unless it is condemned, for that backup can do without.
func (m *marker) keepSignatures(key chunk.Key, all []lookup.Place) {
	for i := range all {
		if at := &all[i]; at.Type == pack.SignatureOf+pack.WholeContent && m.firm(at) && (m.circle == nil || m.circle[at.Origin]) {
			m.mark(key, at, all)
		}
	}
}

// keepSources keeps what a recipe leans on, and reports whether all of it can be had. A recipe that cannot be read is of no use.
func (m *marker) keepSources(at *lookup.Place) (bool, error) {
	location, err := m.f.Location(at)
	if err != nil {
		return false, err
	}
	r, err := m.rd.RecipeAt(m.ctx, location)
	if err != nil {
		return false, m.passing(err)
	}
	whole := true
	for n := range len(r.Sources) + 1 {
		if s := r.Source(n); s.Length > 0 {
			ok, err := m.keepSource(s.ID.Key(), at.Type-pack.RecipeFor)
			if err != nil {
				return false, err
			}
			whole = whole && ok
		}
	}
	return whole, nil
}

// keepSource keeps a whole chunk that a recipe names, and reports whether there is one. Of trees the bytes suffice: they may be dropped as
// what they are, while their pack stays.
func (m *marker) keepSource(key chunk.Key, typ pack.Type) (bool, error) {
	n := need{[]pack.Type{typ}, typ != pack.WholeContent}
	all, err := m.f.Places(key, m.inner[:0])
	all = slices.DeleteFunc(all, func(at lookup.Place) bool { return !m.there(&at) })
	m.inner = all
	if err != nil {
		return false, err
	}
	if !n.bytes {
		m.keepSignatures(key, all)
	}
	return m.keep(key, all, n)
}

// passing returns err if it says nothing about what was read, but that all must stop.
func (m *marker) passing(err error) error {
	if m.ctx.Err() != nil {
		return m.ctx.Err()
	}
	if errors.Is(err, repo.ErrUnread) || errors.Is(err, lookup.ErrBroken) {
		return err
	}
	return nil
}
