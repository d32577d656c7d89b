package prune

import (
	"context"

	"nightjar/repo/index"
	"nightjar/repo/lookup"
	"nightjar/repo/record"
)

const (
	listFull  = record.MaxSize - 1<<20 // about what a list may have when it is stored
	listPack  = 2*32 + 3               // bytes of a pack in a list
	listBlobs = 2*32 + 64              // of a pack that stays, without its keys
	listKey   = 22                     // of each
)

// batches calls f with the recipes, trees and lists that want accepts, pack by pack. A pack may come several times.
func (p *pruner) batches(ctx context.Context, want func(*lookup.Place) bool, f func(pack int, b record.Blobs) error) error {
	return p.leaners(ctx, want, func(batch []leaner) error {
		for len(batch) > 0 {
			n := batch[0].at.Pack
			b := record.Blobs{Pack: p.f.Packs()[n].ID}
			for ; len(batch) > 0 && batch[0].at.Pack == n; batch = batch[1:] {
				keys := &b.Trees
				if isRecipe(batch[0].at.Type) {
					keys = &b.Recipes
				}
				if k := *keys; len(k) == 0 || k[len(k)-1] != batch[0].key { // another index object may say the same
					*keys = append(k, batch[0].key)
				}
			}
			if err := f(n, b); err != nil {
				return err
			}
		}
		return nil
	})
}

// A listWriter splits what is too long for one list.
type listWriter struct {
	put   func(packs []index.ObjectID, blobs []record.Blobs) error
	packs []index.ObjectID
	blobs []record.Blobs
	size  int
	lists int // that were put
}

func (w *listWriter) pack(id index.ObjectID) error {
	w.packs = append(w.packs, id)
	return w.grown(listPack)
}

func (w *listWriter) blob(b record.Blobs) error {
	w.blobs = append(w.blobs, b)
	return w.grown(listBlobs + listKey*(len(b.Recipes)+len(b.Trees)))
}

func (w *listWriter) grown(n int) error {
	if w.size += n; w.size < listFull {
		return nil
	}
	return w.flush()
}

func (w *listWriter) flush() error {
	if len(w.packs)+len(w.blobs) == 0 {
		return nil
	}
	err := w.put(w.packs, w.blobs)
	w.packs, w.blobs, w.size = nil, nil, 0
	w.lists++
	return err
}
