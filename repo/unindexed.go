package repo

import (
	"context"
	"fmt"
	"time"

	"nightjar/repo/blocks"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/view"
)

// putPack stores a pack.
func (w *Writer) putPack(p index.Pack, object []byte) error {
	name := PackName(p.Directory.Kind, p.ID)
	w.run.Sent(p.ID)
	if _, err := w.r.Store().Put(w.ctx, name, object); err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	if p.Directory.Kind == pack.Metadata { // the next night reads it
		w.r.Blocks().Keep(blocks.Object{Sum: p.ID, Name: name, Size: p.Size}, object)
	}
	w.Sent.Objects.Add(1)
	w.Sent.Bytes.Add(uint64(len(object)))
	return nil
}

// storedPack notes a pack that is in the store, and indexes when it is time.
func (w *Writer) storedPack(p index.Pack) error {
	w.unindexed.Lock()
	if p.Directory.Kind == pack.Content {
		w.unindexed.content = append(w.unindexed.content, p)
		w.unindexed.chunks += blobs(p)
	} else {
		w.unindexed.metadata = append(w.unindexed.metadata, p)
	}
	due := len(w.unindexed.content) > 0 && (w.unindexed.chunks >= view.ObjectChunks || w.r.options.Now().Sub(w.unindexed.last) >= indexEvery)
	w.unindexed.Unlock()
	if !due {
		return nil
	}
	return w.writeIndex(w.ctx, false)
}

// writeIndex stores index objects for what is stored and not indexed. Trees lean on content that may still be on its way, so metadata is
// named at the end of a run only, in the order in which it was made.
func (w *Writer) writeIndex(ctx context.Context, last bool) error {
	w.unindexed.Lock()
	packs := w.unindexed.content
	w.unindexed.content, w.unindexed.chunks, w.unindexed.last = nil, 0, w.r.options.Now()
	if last {
		packs = append(packs, w.unindexed.metadata...)
		w.unindexed.metadata = nil
	}
	w.unindexed.Unlock()
	for len(packs) > 0 {
		n, chunks := 0, 0
		for n < len(packs) && chunks < view.ObjectChunks {
			chunks += blobs(packs[n])
			n++
		}
		if err := w.putIndex(ctx, packs[:n]); err != nil {
			if !last { // the run ends, but may still get to index them
				w.unindexed.Lock()
				w.unindexed.content = append(w.unindexed.content, packs...)
				w.unindexed.Unlock()
			}
			return err
		}
		packs = packs[n:]
	}
	return nil
}

func blobs(p index.Pack) (n int) {
	for _, f := range p.Directory.Frames {
		n += len(f.Blobs)
	}
	return n
}

// putIndex stores one index object, by a view that is not too old, and notes what it says.
func (w *Writer) putIndex(ctx context.Context, packs []index.Pack) error {
	object := index.Object{Runs: []index.Run{{Begin: w.begin, Packs: packs}}}
	if w.root {
		_, err := w.r.AddIndex(ctx, &object)
		return err
	}
	now := func() (time.Time, error) {
		at, _, err := w.run.Current(ctx)
		if err != nil {
			return at, fmt.Errorf("index what was stored: %w", err)
		}
		return at, nil
	}
	w.unindexed.Lock()
	for _, p := range packs {
		w.unindexed.signing[p.ID] = struct{}{}
	}
	w.unindexed.Unlock()
	_, err := sealed.InTime(now, func(at time.Time) (store.Info, error) {
		info, err := w.r.local.PutIndex(ctx, at, &object)
		if err != nil {
			return info, err
		}
		w.Sent.Objects.Add(1)
		w.Sent.Bytes.Add(uint64(info.Size))
		if w.r.options.Without.Rewrite {
			info.Time = at
		}
		return info, nil
	})
	if err != nil {
		return err
	}
	w.claims.Lock()
	defer w.claims.Unlock()
	for _, p := range packs {
		for _, f := range p.Directory.Frames {
			for _, b := range f.Blobs {
				delete(w.claims.m, b.Key)
			}
		}
	}
	return nil
}
