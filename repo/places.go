package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/pack"
)

// Locations returns all places of a chunk, tree or list that are not dropped, in the forms given; without any, of content stored as itself.
func (rd *Reader) Locations(ctx context.Context, id chunk.ID, types ...pack.Type) ([]index.Location, error) {
	if len(types) == 0 {
		types = []pack.Type{pack.WholeContent}
	}
	return rd.locate(ctx, id, types...)
}

// LocationsOf is Locations for the half of an id that a pack knows.
func (rd *Reader) LocationsOf(ctx context.Context, key chunk.Key, types ...pack.Type) ([]index.Location, error) {
	var id chunk.ID
	copy(id[:], key[:])
	return rd.locate(ctx, id, types...)
}

// Tree returns a tree of which half the id is known, and all of the id.
func (rd *Reader) Tree(ctx context.Context, key chunk.Key) (id chunk.ID, data []byte, err error) {
	locations, err := rd.LocationsOf(ctx, key, pack.WholeTree, pack.RecipeFor+pack.WholeTree)
	if err == nil && len(locations) == 0 {
		err = ErrMissing
	}
	for _, at := range locations {
		if at.Type != pack.WholeTree {
			data, err = rd.rebuildMetadata(ctx, at)
		} else if data, err = rd.frame(ctx, at); err == nil {
			data = blobIn(data, at)
		}
		if err == nil {
			if err = rd.checkHalf(key, data, pack.WholeTree); err == nil {
				return rd.name(data, pack.WholeTree), data, nil
			}
		}
	}
	return id, nil, fmt.Errorf("read tree %x: %w", key, err)
}

// SourcesAt returns the whole chunks on which the recipe leans that lies there.
func (rd *Reader) SourcesAt(ctx context.Context, at index.Location) ([]chunk.ID, error) {
	r, err := rd.readRecipe(ctx, at)
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

// Sources returns what the recipes of a chunk of content lean on: for each recipe that can be read, its whole chunks.
func (rd *Reader) Sources(ctx context.Context, id chunk.ID) ([][]chunk.ID, error) {
	locations, err := rd.locate(ctx, id, pack.RecipeFor+pack.WholeContent)
	if err != nil {
		return nil, err
	}
	var all [][]chunk.ID
	for _, at := range locations {
		ids, err := rd.SourcesAt(ctx, at)
		if errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
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
	var packs []index.ObjectID
	whole := func(id chunk.ID, t pack.Type) ([]index.ObjectID, error) {
		locations, err := rd.locate(ctx, id, t)
		var packs []index.ObjectID
		for _, at := range locations {
			if there(at.Pack.ID) {
				packs = append(packs, at.Pack.ID)
			}
		}
		return packs, err
	}
	for _, t := range types {
		found, err := whole(id, t)
		if err != nil {
			return nil, err
		}
		packs = append(packs, found...)
		recipes, err := rd.locate(ctx, id, pack.RecipeFor+t)
		if err != nil {
			return nil, err
		}
	recipes:
		for _, at := range recipes {
			if !there(at.Pack.ID) {
				continue
			}
			r, err := rd.readRecipe(ctx, at)
			if errors.Is(err, ErrUnavailable) || ctx.Err() != nil {
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
				found, err := whole(s.ID, t)
				if err != nil {
					return nil, err
				}
				if len(found) == 0 {
					continue recipes
				}
				all = append(all, found...)
			}
			packs = append(packs, all...)
		}
	}
	if len(packs) == 0 {
		return nil, fmt.Errorf("find %v: %w", id, ErrMissing)
	}
	return packs, nil
}

// blobs opens the frames of a stored pack that are as its index says, and hands their blobs, checked, to f.
func (rd *Reader) blobs(object []byte, p *index.Pack, f func(b pack.Blob, data []byte) error) error {
	info := index.PackInfo{ID: p.ID, Kind: p.Directory.Kind, Size: p.Size, Session: p.Session, Stream: p.Stream, Data: p.Data}
	damaged := CheckFrames(object, p)
	offset := int64(0)
	for i, frame := range p.Directory.Frames {
		at := index.Location{Pack: &info, Frame: i, FrameOffset: offset, Stored: frame.Stored, Plain: frame.Plain, Hash: p.Hashes[i]}
		offset += int64(frame.Stored)
		if slices.Contains(damaged, i) {
			continue
		}
		start, length := envelope(at).Span(at.FrameOffset, int64(at.Stored))
		data, err := rd.decode(at, append([]byte(nil), object[start:start+length]...), nil)
		if err == nil {
			err = rd.r.CheckBlobs(data, frame)
		}
		if errors.Is(err, crypto.ErrIntegrity) {
			continue
		}
		if err != nil {
			return err
		}
		for _, b := range frame.Blobs {
			if err := f(b, data[:b.Length]); err != nil {
				return err
			}
			data = data[b.Length:]
		}
	}
	return nil
}
