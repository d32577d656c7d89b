package save

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"nightjar/repo/blocks"
	"nightjar/repo/index"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/view"
)

// putPack stores a pack.
func (w *Writer) putPack(p index.Pack, object []byte) error {
	name := sealed.PackName(p.Directory.Kind, p.ID)
	w.view.Sent(p.ID)
	if _, err := w.r.Store().Put(w.run.work, name, object); err != nil {
		return fmt.Errorf("store %s: %w", name, err)
	}
	if p.Directory.Kind == pack.Metadata { // the next night reads it
		w.r.Blocks().Keep(blocks.Object{Sum: p.ID, Name: name, Size: p.Size}, object)
	}
	w.sent(p.Size)
	return nil
}

// unindexed are the packs that this run has stored, and not indexed yet.
type unindexed struct {
	mu                sync.Mutex
	content, metadata []index.Pack
	chunks            int                         // of content
	most              int                         // chunks of content that may wait; 0: view.ObjectChunks
	last              time.Time                   // when the last index object was written
	ours              map[index.ObjectID]struct{} // packs of content that were indexed: their signatures come with the metadata
}

// add notes a pack, and reports whether an index object is due.
func (u *unindexed) add(p index.Pack, now time.Time) (due bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if p.Directory.Kind == pack.Content {
		u.content = append(u.content, p)
		u.chunks += blobs(p)
	} else {
		u.metadata = append(u.metadata, p)
	}
	return len(u.content) > 0 && (u.chunks >= cmp.Or(u.most, view.ObjectChunks) || now.Sub(u.last) >= indexEvery)
}

// take returns what is to be indexed now. Trees lean on content that may still be on its way: so metadata is named at the end
// of a run only, in the order in which it was made.
func (u *unindexed) take(now time.Time, last bool) []index.Pack {
	u.mu.Lock()
	defer u.mu.Unlock()
	packs := u.content
	u.content, u.chunks, u.last = nil, 0, now
	if last {
		packs = append(packs, u.metadata...)
		u.metadata = nil
	}
	return packs
}

// back takes packs of content back.
func (u *unindexed) back(packs []index.Pack) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.content = append(u.content, packs...)
}

// note says that packs are about to be indexed.
func (u *unindexed) note(packs []index.Pack) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range packs {
		u.ours[p.ID] = struct{}{}
	}
}

// others reports whether one of the places, as far as they count, is in a pack that this run has not indexed.
func (u *unindexed) others(places []lookup.Location, counts func(*lookup.Origin) bool) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.ContainsFunc(places, func(at lookup.Location) bool {
		_, ours := u.ours[at.Pack.ID]
		return !ours && counts(&at.Pack.Origin)
	})
}

// storedPack notes a pack that is in the store, and indexes when it is time.
func (w *Writer) storedPack(p index.Pack) error {
	if !w.unindexed.add(p, w.r.Options().Now()) {
		return nil
	}
	return w.writeIndex(w.run.work, false)
}

// writeIndex stores index objects for what is stored and not indexed; the last ones name metadata, too.
func (w *Writer) writeIndex(ctx context.Context, last bool) error {
	packs := w.unindexed.take(w.r.Options().Now(), last)
	for len(packs) > 0 {
		n, chunks := 0, 0
		for n < len(packs) && chunks < view.ObjectChunks {
			chunks += blobs(packs[n])
			n++
		}
		if err := w.putIndex(ctx, packs[:n]); err != nil {
			if !last { // the run ends, but may still get to index them
				w.unindexed.back(packs)
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
	object := index.Object{Runs: []index.Run{{Owner: w.self, Begin: w.begin, Packs: packs}}}
	if w.root {
		_, err := w.r.AddIndex(ctx, &object)
		return err
	}
	now := func() (time.Time, error) {
		at, _, err := w.view.Current(ctx)
		if err != nil {
			return at, fmt.Errorf("index what was stored: %w", err)
		}
		return at, nil
	}
	w.unindexed.note(packs)
	_, err := sealed.InTime(now, func(at time.Time) (store.Info, error) {
		info, err := w.r.View().PutIndex(ctx, at, &object)
		if err != nil {
			return info, err
		}
		w.sent(info.Size)
		return info, nil
	})
	if err != nil {
		return err
	}
	w.claims.drop(packs)
	return nil
}
