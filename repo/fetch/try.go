package fetch

import (
	"context"
	"errors"
	"slices"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
)

// What repacking needs: to try what it copies, of which half the id is known.

// Try makes a chunk of content by a recipe, and reports what is wrong with that.
func (rd *Reader) Try(ctx context.Context, key chunk.Key, r *delta.Recipe) error {
	g := rd.newGroup([]*rebuild{{recipe: r, half: &key}}, true, func(_ int, _ []byte, err error) error { return err })
	memory := make([]byte, r.Length)
	if err := g.begin(ctx, memory); err != nil {
		return err
	}
	return g.finish(ctx, memory)
}

// Make makes a tree or list by a recipe.
func (rd *Reader) Make(ctx context.Context, key chunk.Key, r *delta.Recipe, whole pack.Type) ([]byte, error) {
	data, err := rd.apply(ctx, r, whole)
	if err == nil {
		err = rd.checkHalf(key, data, whole)
	}
	return data, err
}

// Whole hands a chunk of content that is stored as itself to f, or why it cannot be had: the bytes that an index names, which nobody has compared with the
// key. data is valid until f returns.
func (rd *Reader) Whole(ctx context.Context, key chunk.Key, f func(data []byte, err error) error) error {
	ids := []chunk.ID{halfID(key)}
	return rd.newWholeFetch(ids, false, func(_ int, data []byte, err error) error { return f(data, err) }).all(ctx)
}

// Blobs opens the frames of a stored pack that are as its index says, and hands their blobs, checked, to f.
func (rd *Reader) Blobs(object []byte, p *index.Pack, f func(b pack.Blob, data []byte) error) error {
	info := lookup.InfoOf(p, lookup.Origin{Owner: p.Directory.Owner})
	damaged := sealed.CheckFrames(object, p)
	offset := int64(0)
	for i, frame := range p.Directory.Frames {
		at := lookup.Location{Pack: info, Frame: i, FrameOffset: offset, Stored: frame.Stored, Plain: frame.Plain, Hash: p.Hashes[i]}
		offset += int64(frame.Stored)
		if slices.Contains(damaged, i) {
			continue
		}
		start, length := envelope(at).Span(at.FrameOffset, int64(at.Stored))
		data, err := rd.decode(at, append([]byte(nil), object[start:start+length]...), nil)
		if err == nil {
			err = rd.objects.CheckBlobs(data, frame)
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
