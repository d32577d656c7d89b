package fetch

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/repo/lists"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/store"
)

// Metadata returns a tree's or a list's bytes, which the caller must not change.
func (rd *Reader) Metadata(ctx context.Context, id chunk.ID) ([]byte, error) {
	locations, err := rd.locate(ctx, id, pack.WholeTree, pack.WholeList, pack.RecipeFor+pack.WholeTree)
	if err != nil {
		return nil, fmt.Errorf("read metadata %v: %w", id, err)
	}
	return rd.metadata(ctx, id, locations)
}

// Fetcher returns Metadata in the form that package tree takes.
func (rd *Reader) Fetcher(ctx context.Context) func(chunk.ID) ([]byte, error) {
	return func(id chunk.ID) ([]byte, error) { return rd.Metadata(ctx, id) }
}

// wholeMetadata is Metadata for what a recipe leans on, which is stored as itself.
func (rd *Reader) wholeMetadata(ctx context.Context, id chunk.ID, whole pack.Type) ([]byte, error) {
	all, err := rd.bases(ctx, id, whole)
	if err != nil {
		return nil, fmt.Errorf("read metadata %v: %w", id, err)
	}
	return rd.metadata(ctx, id, all)
}

// bases returns where something lies on which a recipe leans, which is no recipe. A tree that prune has dropped serves as long as its pack is there:
// only its bytes are wanted.
func (rd *Reader) bases(ctx context.Context, id chunk.ID, whole pack.Type) ([]lookup.Location, error) {
	all, err := rd.lookup(ctx, id)
	dropped := rd.local.Lists()
	return slices.DeleteFunc(all, func(at lookup.Location) bool {
		return at.Type != whole || dropped.Pack(at.Pack.ID)&lists.Dropped != 0
	}), err
}

// metadata tries all places; whichever is what it should be serves.
func (rd *Reader) metadata(ctx context.Context, id chunk.ID, locations []lookup.Location) ([]byte, error) {
	var err error
	if len(locations) == 0 {
		err = rd.Absent(ctx, id)
	}
	var problems []error
	for _, at := range locations {
		var data []byte
		if data, err = rd.metadataAt(ctx, at); err == nil {
			if err = rd.check(id, data, at.Type); err == nil {
				return data, nil
			}
		}
		problems = append(problems, fmt.Errorf("in %s: %w", rd.said(&at), err))
		err = nil
	}
	err = errors.Join(append(problems, err)...)
	if rd.local.Lists().Chunk(id) && !errors.Is(err, store.ErrUnread) && !errors.Is(err, ErrForeign) {
		err = ErrLost
	}
	return nil, fmt.Errorf("read metadata %v: %w", id, err)
}

// MetadataAt returns the tree or list that a blob is, or the tree that it is the recipe of, as far as its key tells.
func (rd *Reader) MetadataAt(ctx context.Context, key chunk.Key, at lookup.Location) ([]byte, error) {
	data, err := rd.metadataAt(ctx, at)
	if err == nil {
		err = rd.checkHalf(key, data, at.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("read metadata %x: %w", key, err)
	}
	return data, nil
}

// metadataAt is MetadataAt for what has not been checked.
func (rd *Reader) metadataAt(ctx context.Context, at lookup.Location) ([]byte, error) {
	if at.Type < pack.RecipeFor {
		return rd.Blob(ctx, at)
	}
	r, err := rd.RecipeAt(ctx, at)
	if err != nil {
		return nil, err
	}
	return rd.apply(ctx, r, at.Type-pack.RecipeFor)
}

// apply makes a tree of a recipe.
func (rd *Reader) apply(ctx context.Context, r *delta.Recipe, whole pack.Type) ([]byte, error) {
	return rd.Apply(ctx, nil, r, nil, whole)
}

// Apply appends the tree that a recipe makes to dst. A literal that is not stored yet is given, or nil. The tree is not compared with an id.
func (rd *Reader) Apply(ctx context.Context, dst []byte, r *delta.Recipe, literal []byte, whole pack.Type) ([]byte, error) {
	known := map[int][]byte{} // most have several copies
	if literal != nil {
		known[0] = literal
	}
	held := 0
	return r.Apply(dst, func(n int) ([]byte, error) {
		if data, ok := known[n]; ok {
			return data, nil
		}
		data, err := rd.wholeMetadata(ctx, r.Source(n).ID, whole)
		if held += len(data); err == nil && held <= chunk.MaxSize {
			known[n] = data
		}
		return data, err
	})
}

// Tree returns a tree of which half the id is known, and all of the id.
func (rd *Reader) Tree(ctx context.Context, key chunk.Key) (id chunk.ID, data []byte, err error) {
	locations, err := rd.LocationsOf(ctx, key, pack.WholeTree, pack.RecipeFor+pack.WholeTree)
	if err == nil && len(locations) == 0 {
		err = rd.Absent(ctx, halfID(key))
	}
	for _, at := range locations {
		if data, err = rd.metadataAt(ctx, at); err == nil {
			if err = rd.checkHalf(key, data, pack.WholeTree); err == nil {
				return rd.name(data, pack.WholeTree), data, nil
			}
		}
	}
	return id, nil, fmt.Errorf("read tree %x: %w", key, err)
}
