package prune

import (
	"context"
	"fmt"

	"nightjar/repo/index"
	"nightjar/repo/lookup"
	"nightjar/repo/record"
)

// An ending is of a condemned list that is due: what it names is dropped, but for what is needed.
type ending struct {
	*pruner
	list *list
	w    listWriter       // of what is dropped
	goes []index.ObjectID // packs
	keep bool             // something of the list stays
}

// end drops what a condemned list names, but for what is needed, and what nobody needs of packs that stay.
func (p *pruner) end(ctx context.Context, l *list, left map[index.ObjectID][]record.Blobs) error {
	var c record.Condemned
	if ok, err := p.read(ctx, l.Info, &c); !ok {
		return err
	}
	if err := p.removeUnread(ctx, c.Unread); err != nil {
		return err
	}
	e := &ending{pruner: p, list: l}
	e.w.put = func(packs []index.ObjectID, blobs []record.Blobs) error { return e.put(ctx, packs, blobs) }
	for _, b := range c.Blobs {
		if err := e.blobs(b); err != nil {
			return err
		}
	}
	if err := e.packs(c.Packs, left); err != nil {
		return err
	}
	return e.finish(ctx)
}

// put stores a dropped list.
func (e *ending) put(ctx context.Context, packs []index.ObjectID, blobs []record.Blobs) error {
	d := record.Dropped{Packs: packs, Blobs: blobs, Condemned: e.list.id, View: e.now}
	info, err := e.pruner.put(ctx, record.DroppedKind, &d)
	if err != nil {
		return err
	}
	if e.list.ended = info.Time; d.Void(info.Time, e.grace(info.Time)) {
		return fmt.Errorf("store %s: the prune took too long: %w", info.Name, errAgain)
	}
	return nil
}

// blobs drops blobs of a pack that nobody needs.
func (e *ending) blobs(b record.Blobs) error {
	rest := record.Blobs{Pack: b.Pack}
	var err error
	if rest.Recipes, err = e.unneeded(b.Pack, b.Recipes, true); err != nil {
		return err
	}
	if rest.Trees, err = e.unneeded(b.Pack, b.Trees, false); err != nil {
		return err
	}
	return e.dropBlobs(rest)
}

// unneeded returns the keys that nobody needs of those in a pack.
func (e *ending) unneeded(id index.ObjectID, keys record.Keys, recipe bool) (rest record.Keys, err error) {
	for _, key := range keys {
		stays := false
		if err := e.inPack(id, key, recipe, func(at *lookup.Place) { stays = stays || e.needs.Has(at.Entry) }); err != nil {
			return nil, err
		}
		if stays {
			e.keep = true
			e.sum.BlobsReprieved++
			continue
		}
		rest = append(rest, key)
	}
	return rest, nil
}

func (e *ending) dropBlobs(b record.Blobs) error {
	n := len(b.Recipes) + len(b.Trees)
	if n == 0 {
		return nil
	}
	e.sum.BlobsRemoved += n
	return e.w.blob(b)
}

// packs drops packs that nobody needs and, of those that stay, what is left over.
func (e *ending) packs(ids []index.ObjectID, left map[index.ObjectID][]record.Blobs) error {
	for _, id := range ids {
		if e.note(id, 0)&needed == 0 {
			e.goes = append(e.goes, id)
			continue
		}
		e.keep = true
		e.sum.PacksReprieved++
		for _, b := range left[id] {
			if err := e.dropBlobs(b); err != nil {
				return err
			}
		}
	}
	for _, id := range e.goes {
		if err := e.w.pack(id); err != nil {
			return err
		}
	}
	return nil
}

// finish says what is dropped, and then deletes it. A list that drops nothing says that all of it stays.
func (e *ending) finish(ctx context.Context) error {
	if err := e.w.flush(); err != nil {
		return err
	}
	if e.w.lists == 0 {
		if err := e.w.put(nil, nil); err != nil {
			return err
		}
	}
	for _, id := range e.goes {
		e.note(id, dropped)
	}
	if err := e.removePacks(ctx, e.goes); err != nil {
		return err
	}
	if e.list.whole = !e.keep; e.list.whole {
		return e.removeList(ctx, e.list)
	}
	e.dueAt(e.list.ended.Add(e.grace(e.list.ended)))
	return nil
}
