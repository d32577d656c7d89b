package repo

import (
	"context"
	"crypto/sha256"
	"fmt"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/repo/index"
	"nightjar/repo/pack"
)

// What prune needs: all of the index at one moment, and blobs by their places.

// FreezeIndex brings the local index up to date and returns what it says now, and a Reader.
func (r *Repository) FreezeIndex(ctx context.Context) (*index.Frozen, *Reader, error) {
	rd, err := r.NewReader(ctx)
	if err != nil {
		return nil, nil, err
	}
	f, err := r.index.Freeze()
	return f, rd, err
}

// RecipeAt returns the recipe that lies there.
func (rd *Reader) RecipeAt(ctx context.Context, at index.Location) (*delta.Recipe, error) {
	return rd.readRecipe(ctx, at)
}

// MetadataAt returns the tree or list that a blob is, or that it is the recipe of, as far as its key tells.
func (rd *Reader) MetadataAt(ctx context.Context, key chunk.Key, at index.Location) (data []byte, err error) {
	if at.Type >= pack.RecipeFor {
		data, err = rd.rebuildMetadata(ctx, at)
	} else if data, err = rd.frame(ctx, at); err == nil {
		data = blobIn(data, at)
	}
	if err == nil {
		err = rd.checkHalf(key, data, at.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("read metadata %x: %w", key, err)
	}
	return data, nil
}

// NewReaderOf is NewReader, and knows packs, too, that no index object names.
func (r *Repository) NewReaderOf(ctx context.Context, packs []index.Pack) (*Reader, error) {
	rd, err := r.NewReader(ctx)
	if err != nil || len(packs) == 0 {
		return rd, err
	}
	o := &index.Object{Runs: []index.Run{{Packs: packs}}}
	// The next sync forgets it, since the store has no such object.
	if err := r.index.Add(index.Source{Object: sha256.Sum256(o.Append(nil)), Signer: nobody}, o); err != nil {
		return nil, err
	}
	return rd, nil
}
