package repo

import (
	"context"
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
	f, err := r.local.Freeze()
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
	return rd, r.local.AddUnlisted(packs)
}
