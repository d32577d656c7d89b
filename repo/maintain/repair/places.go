package repair

import (
	"context"
	"errors"
	"slices"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/record"
)

// recipes are the forms in which something is stored as what it is made of.
var recipes = []pack.Type{pack.RecipeFor + pack.WholeContent, pack.RecipeFor + pack.WholeTree}

// places are what indexes name and nobody may build on.
type places struct {
	packs map[index.ObjectID]bool
	blobs map[index.ObjectID]map[blob]bool
	known *lists.Set              // what stands in other records
	there map[index.ObjectID]bool // the packs that are stored; nil: all but those that are named here
}

type blob struct {
	key chunk.Key
	typ pack.Type
}

func newPlaces(known *lists.Set) *places {
	return &places{packs: map[index.ObjectID]bool{}, blobs: map[index.ObjectID]map[blob]bool{}, known: known}
}

func (p *places) add(id index.ObjectID, key chunk.Key, typ pack.Type) {
	if p.has(id, key, typ) || typ >= pack.SignatureOf { // a bad signature costs space only
		return
	}
	if p.blobs[id] == nil {
		p.blobs[id] = map[blob]bool{}
	}
	p.blobs[id][blob{key, typ}] = true
}

func (p *places) has(id index.ObjectID, key chunk.Key, typ pack.Type) bool {
	return p.packs[id] || p.blobs[id][blob{key, typ}] || p.known.Blob(id, key, typ)&lists.Lost != 0
}

// lean adds the recipes of a pack one of whose sources is in no other place.
func (p *places) lean(ctx context.Context, rd *repo.Reader, of *index.Pack) error {
	if of.Directory.Kind != pack.Metadata || p.packs[of.ID] {
		return nil
	}
	for _, f := range of.Directory.Frames {
		for _, b := range f.Blobs {
			if !slices.Contains(recipes, b.Type) || p.has(of.ID, b.Key, b.Type) || p.known.Blob(of.ID, b.Key, b.Type) != 0 {
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
			stands, err := p.stands(ctx, rd, all[i])
			if err != nil {
				return err
			}
			if !stands {
				p.add(of.ID, b.Key, b.Type)
			}
		}
	}
	return nil
}

// stands reports whether all that a recipe leans on can be had. One that cannot be read stands on nothing.
func (p *places) stands(ctx context.Context, rd *repo.Reader, at lookup.Location) (bool, error) {
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
func (p *places) live(key chunk.Key, at lookup.Location) bool {
	id := at.Pack.ID
	return (p.there == nil || p.there[id]) && !p.has(id, key, at.Type) && p.known.Pack(id) == 0
}

func (p *places) lost() record.Lost {
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
