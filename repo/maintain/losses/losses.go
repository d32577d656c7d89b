// Package losses collects what indexes name and nobody may build on, and records that it is lost.
//
// The invariant: a recipe is lost as soon as one of its sources is in no place that stays. Whether something is bad, who calls has found out.
package losses

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/record"
)

// Recipes returns the forms in which something is stored as what it is made of.
func Recipes() []pack.Type {
	return []pack.Type{pack.RecipeFor + pack.WholeContent, pack.RecipeFor + pack.WholeTree}
}

// A Set is what indexes name and nobody may build on.
type Set struct {
	packs map[index.ObjectID]bool
	blobs map[index.ObjectID]map[blob]bool
	known *lists.Set              // what stands in other records
	there map[index.ObjectID]bool // the packs that are stored; nil: all but those that are named here
}

type blob struct {
	key chunk.Key
	typ pack.Type
}

// New returns an empty one. known is what stands in other records; there are the packs that are stored, nil: all but those that are added.
func New(known *lists.Set, there map[index.ObjectID]bool) *Set {
	return &Set{packs: map[index.ObjectID]bool{}, blobs: map[index.ObjectID]map[blob]bool{}, known: known, there: there}
}

// Add adds something in a pack.
func (p *Set) Add(id index.ObjectID, key chunk.Key, typ pack.Type) {
	if p.Has(id, key, typ) || typ >= pack.SignatureOf { // a bad signature costs space only
		return
	}
	if p.blobs[id] == nil {
		p.blobs[id] = map[blob]bool{}
	}
	p.blobs[id][blob{key, typ}] = true
}

// Has reports whether nobody may build on something in a pack.
func (p *Set) Has(id index.ObjectID, key chunk.Key, typ pack.Type) bool {
	return p.packs[id] || p.blobs[id][blob{key, typ}] || p.known.Blob(id, key, typ)&lists.Lost != 0
}

// AddPack adds all of a pack.
func (p *Set) AddPack(id index.ObjectID) {
	p.packs[id] = true
	p.Drop(id)
}

// Drop takes out what was added of a pack.
func (p *Set) Drop(id index.ObjectID) { delete(p.blobs, id) }

// Count returns how much was added of a pack that is not there as a whole.
func (p *Set) Count(id index.ObjectID) int { return len(p.blobs[id]) }

// Empty reports whether nothing was added.
func (p *Set) Empty() bool { return len(p.packs)+len(p.blobs) == 0 }

// Lean adds the recipes of a pack one of whose sources is in no other place.
func (p *Set) Lean(ctx context.Context, rd *repo.Reader, of *index.Pack) error {
	if of.Directory.Kind != pack.Metadata || p.packs[of.ID] {
		return nil
	}
	for _, f := range of.Directory.Frames {
		for _, b := range f.Blobs {
			if !slices.Contains(Recipes(), b.Type) || p.Has(of.ID, b.Key, b.Type) || p.known.Blob(of.ID, b.Key, b.Type) != 0 {
				continue // nobody builds on it anyway
			}
			all, err := rd.LocationsOf(ctx, b.Key, b.Type)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(all, func(at lookup.Location) bool { return at.Pack.ID == of.ID })
			if i < 0 {
				continue
			}
			stands, err := p.Stands(ctx, rd, all[i])
			if err != nil {
				return err
			}
			if !stands {
				p.Add(of.ID, b.Key, b.Type)
			}
		}
	}
	return nil
}

// Stands reports whether all that a recipe leans on can be had. One that cannot be read stands on nothing.
func (p *Set) Stands(ctx context.Context, rd *repo.Reader, at lookup.Location) (bool, error) {
	all, err := rd.BasesAt(ctx, at)
	if errors.Is(err, repo.ErrUnread) || ctx.Err() != nil {
		return false, errors.Join(err, ctx.Err())
	}
	if err != nil {
		return false, nil
	}
	for _, base := range all {
		if !slices.ContainsFunc(base.Places, func(at lookup.Location) bool { return p.live(base.ID.Key(), at) }) {
			return false, nil
		}
	}
	return true, nil
}

// live reports whether a place can be had, and will be: what is condemned may be about to go.
func (p *Set) live(key chunk.Key, at lookup.Location) bool {
	id := at.Pack.ID
	return (p.there == nil || p.there[id]) && !p.Has(id, key, at.Type) && p.known.Pack(id) == 0
}

// Record returns what was added, and stands in no other record.
func (p *Set) Record() record.Lost {
	var l record.Lost
	for id := range p.packs {
		if p.known.Pack(id)&lists.Lost == 0 {
			l.Packs = append(l.Packs, id)
		}
	}
	for id, blobs := range p.blobs {
		if p.packs[id] {
			continue
		}
		b := record.Blobs{Pack: id}
		for x := range blobs {
			switch {
			case x.typ >= pack.RecipeFor:
				b.Recipes = append(b.Recipes, x.key)
			case x.typ == pack.WholeContent:
				b.Chunks = append(b.Chunks, x.key)
			default:
				b.Trees = append(b.Trees, x.key)
			}
		}
		l.Blobs = append(l.Blobs, b)
	}
	return l
}

// ErrNotRecorded says that losses could not be recorded: so the next check tells of them again, and backups build on what is not there.
var ErrNotRecorded = errors.New("what was found is not recorded")

// Put stores a record of losses, or several that say the same if it would be too large.
func Put(ctx context.Context, r *repo.Repository, l record.Lost) error {
	size := func(l record.Lost) int {
		return len(l.Packs) + len(l.Blobs) + len(l.Objects) + len(l.Chunks) + len(l.Archives)
	}
	if size(l) == 0 {
		return nil
	}
	if _, err := record.Encode(l); err != nil {
		var a, b record.Lost
		a.Packs, b.Packs = halves(l.Packs)
		a.Blobs, b.Blobs = halves(l.Blobs)
		a.Objects, b.Objects = halves(l.Objects)
		a.Chunks, b.Chunks = halves(l.Chunks)
		a.Archives, b.Archives = halves(l.Archives)
		if size(a) > 0 {
			return errors.Join(Put(ctx, r, a), Put(ctx, r, b))
		}
	}
	return PutRecord(ctx, r, &l)
}

// PutRecord stores one record as it is.
func PutRecord(ctx context.Context, r *repo.Repository, l *record.Lost) error {
	content, err := record.Encode(l)
	if err == nil {
		_, err = r.PutRecord(ctx, record.LostKind, content)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotRecorded, err)
	}
	return nil
}

func halves[T any](all []T) (a, b []T) { return all[:len(all)/2], all[len(all)/2:] }
