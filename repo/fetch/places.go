package fetch

import (
	"context"
	"errors"
	"fmt"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/store"
)

// Locations returns all places of a chunk, tree or list that are not dropped, in the forms given; without any, of content stored as itself.
func (rd *Reader) Locations(ctx context.Context, id chunk.ID, types ...pack.Type) ([]lookup.Location, error) {
	if len(types) == 0 {
		types = []pack.Type{pack.WholeContent}
	}
	return rd.locate(ctx, id, types...)
}

// LocationsOf is Locations for the half of an id that a pack knows.
func (rd *Reader) LocationsOf(ctx context.Context, key chunk.Key, types ...pack.Type) ([]lookup.Location, error) {
	return rd.locate(ctx, halfID(key), types...)
}

// halfID returns an id that begins with key: the index looks at no more.
func halfID(key chunk.Key) (id chunk.ID) {
	copy(id[:], key[:])
	return id
}

// sourcesAt returns the whole chunks on which the recipe leans that lies there.
func (rd *Reader) sourcesAt(ctx context.Context, at lookup.Location) ([]chunk.ID, error) {
	r, err := rd.RecipeAt(ctx, at)
	if err != nil {
		return nil, err
	}
	var ids []chunk.ID
	for n := range len(r.Sources) + 1 {
		if s := r.Source(n); s.Length > 0 {
			ids = append(ids, s.ID)
		}
	}
	return ids, nil
}

// A Base is a whole chunk, tree or list on which a recipe leans.
type Base struct {
	ID     chunk.ID
	Places []lookup.Location // those that serve the recipe
}

// BasesAt returns what the recipe leans on that lies there.
func (rd *Reader) BasesAt(ctx context.Context, at lookup.Location) ([]Base, error) {
	ids, err := rd.sourcesAt(ctx, at)
	if err != nil {
		return nil, err
	}
	all := make([]Base, len(ids))
	for i, id := range ids {
		places, err := rd.bases(ctx, id, at.Type-pack.RecipeFor)
		if err != nil {
			return nil, err
		}
		all[i] = Base{id, places}
	}
	return all, nil
}

// Sources returns what the recipes of a chunk of content lean on: for each recipe that can be read, its whole chunks.
func (rd *Reader) Sources(ctx context.Context, id chunk.ID) ([][]chunk.ID, error) {
	locations, err := rd.locate(ctx, id, pack.RecipeFor+pack.WholeContent)
	if err != nil {
		return nil, err
	}
	var all [][]chunk.ID
	for _, at := range locations {
		ids, err := rd.sourcesAt(ctx, at)
		if errors.Is(err, store.ErrUnread) || ctx.Err() != nil {
			return nil, errors.Join(err, ctx.Err())
		}
		if err == nil {
			all = append(all, ids)
		}
	}
	return all, nil
}

// Places returns the packs, of those that are there, from which a chunk of content, or a tree or list, can be read: those that hold it, and those of recipes for it
// with all that they lean on. It is an ErrMissing if they do not suffice.
func (rd *Reader) Places(ctx context.Context, id chunk.ID, kind pack.Kind, there func(index.ObjectID) bool) ([]index.ObjectID, error) {
	types := []pack.Type{pack.WholeTree, pack.WholeList}
	if kind == pack.Content {
		types = []pack.Type{pack.WholeContent}
	}
	packsOf := func(all []lookup.Location) (packs []index.ObjectID) {
		for _, at := range all {
			if there(at.Pack.ID) {
				packs = append(packs, at.Pack.ID)
			}
		}
		return packs
	}
	var packs []index.ObjectID
	for _, t := range types {
		whole, err := rd.locate(ctx, id, t)
		if err != nil {
			return nil, err
		}
		packs = append(packs, packsOf(whole)...)
		recipes, err := rd.locate(ctx, id, pack.RecipeFor+t)
		if err != nil {
			return nil, err
		}
	recipes:
		for _, at := range recipes {
			if !there(at.Pack.ID) {
				continue
			}
			r, err := rd.RecipeAt(ctx, at)
			if errors.Is(err, store.ErrUnread) || ctx.Err() != nil {
				return nil, errors.Join(err, ctx.Err())
			}
			if err != nil {
				continue
			}
			all := []index.ObjectID{at.Pack.ID}
			for n := range len(r.Sources) + 1 {
				s := r.Source(n)
				if s.Length == 0 {
					continue
				}
				bases, err := rd.bases(ctx, s.ID, t)
				if err != nil {
					return nil, err
				}
				found := packsOf(bases)
				if len(found) == 0 {
					continue recipes
				}
				all = append(all, found...)
			}
			packs = append(packs, all...)
		}
	}
	if len(packs) == 0 {
		return nil, fmt.Errorf("find %v: %w", id, rd.Absent(ctx, id))
	}
	return packs, nil
}

// Packs calls f with name and size of each content pack that Fetch reads for a chunk, unless one of them turns out to be damaged.
func (rd *Reader) Packs(ctx context.Context, id chunk.ID, f func(name string, size int64)) error {
	ok, err := rd.wholePack(ctx, id, f)
	if ok || err != nil {
		return err
	}
	recipes, err := rd.Sources(ctx, id)
	if err != nil {
		return err
	}
	if len(recipes) == 0 {
		return fmt.Errorf("find chunk %v: %w", id, rd.Absent(ctx, id))
	}
	for _, source := range recipes[0] {
		if ok, err := rd.wholePack(ctx, source, f); err != nil {
			return err
		} else if !ok {
			return fmt.Errorf("find chunk %v, which is made of %v: %w", id, source, rd.Absent(ctx, source))
		}
	}
	return nil
}

func (rd *Reader) wholePack(ctx context.Context, id chunk.ID, f func(name string, size int64)) (ok bool, err error) {
	locations, err := rd.locate(ctx, id, pack.WholeContent)
	if err != nil || len(locations) == 0 {
		return false, err
	}
	f(packName(locations[0]), locations[0].Pack.Size)
	return true, nil
}

// RecipeAt returns the recipe that lies there.
func (rd *Reader) RecipeAt(ctx context.Context, at lookup.Location) (*delta.Recipe, error) {
	encoded, err := rd.Blob(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("in %s: %w", rd.said(&at), err)
	}
	r, err := delta.DecodeRecipe(encoded)
	if err != nil {
		return nil, fmt.Errorf("in %s: %w: %w", rd.said(&at), err, crypto.ErrIntegrity)
	}
	return r, nil
}
