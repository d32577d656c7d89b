package prune

import (
	"context"
	"fmt"
	"slices"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/lookup"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// choose says what is condemned: packs that nobody needs and, if there are any, what leans on something in packs that stay, and nobody needs either.
func (p *pruner) choose(ctx context.Context) error {
	found := false
	const waits = stored | condemned
	for n := range p.packs {
		if p.packs[n]&(waits|ripe|dropped|needed) == waits {
			p.sum.PacksWaiting++
			p.sum.BytesWaiting += int64(p.f.Packs()[n].Size)
		}
		if p.packs[n]&(stored|needed|running|condemned|dropped) == stored {
			p.packs[n] |= going
		}
		if p.packs[n]&going != 0 { // those that were repacked, too
			found = true
			p.sum.PacksCondemned++
			p.sum.BytesCondemned += int64(p.f.Packs()[n].Size)
		}
	}
	for id, o := range p.orphans {
		if o.state&(waits|ripe|dropped) == waits {
			p.sum.PacksWaiting++
			p.sum.BytesWaiting += o.size
		}
		if o.state&(stored|condemned|dropped) == stored && o.time.Before(p.young) {
			o.state |= going
			p.orphans[id] = o
			found = true
			p.sum.PacksCondemned++
			p.sum.BytesCondemned += o.size
		}
	}
	clear(p.walked)
	if !found {
		return nil
	}
	return p.each(ctx, func(_ chunk.Key, at *lookup.Place) error {
		if leans(at.Type) && p.there(at) && p.packs[at.Pack]&(condemned|going) == 0 && !p.needs.Has(at.Entry) && !p.held.Has(at.Entry) && !p.gone.Has(at.Entry) {
			p.walked.Set(at.Entry)
		}
		return nil
	})
}

// condemn writes what choose has found, blobs first: at no time is there a recipe that is not condemned and leans on something that is.
func (p *pruner) condemn(ctx context.Context) error {
	w := &listWriter{put: func(packs []index.ObjectID, blobs []record.Blobs) error {
		info, err := p.put(ctx, record.CondemnedKind, &record.Condemned{Packs: packs, Blobs: blobs, View: p.now})
		if err == nil {
			p.dueAt(p.ripens(&list{Info: info}))
		}
		return err
	}}
	err := p.batches(ctx, func(at *lookup.Place) bool { return p.walked.Has(at.Entry) }, func(pack int, b record.Blobs) error {
		p.sum.BlobsCondemned += len(b.Recipes) + len(b.Trees)
		return w.blob(b)
	})
	if err == nil {
		err = p.packsIn(going, w.pack)
	}
	if err != nil {
		return err
	}
	return w.flush()
}

// packsIn calls f for the id of each pack in a state.
func (p *pruner) packsIn(s state, f func(index.ObjectID) error) error {
	for n := range p.packs {
		if p.packs[n]&s == s {
			if err := f(p.f.Packs()[n].ID); err != nil {
				return err
			}
		}
	}
	for id, o := range p.orphans {
		if o.state&s == s {
			if err := f(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// drop ends the lists that are due: it takes off what is needed now, says what is gone, and deletes it.
func (p *pruner) drop(ctx context.Context) error {
	if !slices.ContainsFunc(p.condemned, func(l *list) bool { return l.due }) {
		return nil
	}
	if err := p.lean(ctx, p.usable); err != nil {
		return err
	}
	// Of a pack that stays after all, what nobody needs does not come back: what it leans on may be gone.
	left := map[index.ObjectID][]record.Blobs{}
	err := p.batches(ctx, func(at *lookup.Place) bool {
		return p.packs[at.Pack]&(ripe|needed|dropped) == ripe|needed && p.there(at) && !p.needs.Has(at.Entry) && !p.gone.Has(at.Entry)
	}, func(n int, b record.Blobs) error {
		left[b.Pack] = append(left[b.Pack], b)
		return nil
	})
	if err != nil {
		return err
	}
	for _, l := range p.condemned {
		if l.due {
			if err := p.end(ctx, l, left); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pruner) removeList(ctx context.Context, l *list) error {
	l.gone = true
	p.sum.ListsRemoved++
	return p.remove(ctx, l.Name)
}

// resume finishes what another prune has begun.
func (p *pruner) resume(ctx context.Context) error {
	var left []index.ObjectID
	err := p.packsIn(dropped|stored, func(id index.ObjectID) error {
		left = append(left, id)
		return nil
	})
	if err == nil {
		err = p.removePacks(ctx, left)
	}
	if err != nil {
		return err
	}
	for _, l := range p.condemned {
		switch stays := l.ended.Add(p.grace(l.ended)); {
		case l.due:
		case l.ended.IsZero():
			p.dueAt(p.ripens(l))
		case l.whole || p.now.After(stays):
			// Before that, another prune might drop what this list was relieved of: until then nobody shall use it.
			if err := p.removeList(ctx, l); err != nil {
				return err
			}
		default:
			p.dueAt(stays)
		}
	}
	return nil
}

// sweep deletes lists and index objects that have served.
func (p *pruner) sweep(ctx context.Context) error {
	there := map[index.ObjectID]bool{}
	for _, l := range p.condemned {
		there[l.id] = !l.gone
	}
	for _, l := range p.dropped {
		old := p.now.Sub(l.Time) > p.grace(l.Time)
		if old && !l.names && !there[l.ends] && l.read {
			if err := p.removeList(ctx, l); err != nil {
				return err
			}
		}
	}
	return p.sweepIndexes(ctx)
}

// sweepIndexes deletes index objects that others stand for, and those that name nothing any more.
func (p *pruner) sweepIndexes(ctx context.Context) error {
	old := map[index.ObjectID]bool{} // stored a grace period ago
	err := p.r.Store().List(ctx, "index/", func(i store.Info) error {
		if id, err := sealed.ObjectID(i.Name); err == nil && p.now.Sub(i.Time) > p.grace(i.Time) {
			old[id] = true
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list index objects: %w", err)
	}
	late, root := map[int]bool{}, map[int]bool{}
	for n, s := range p.f.Sources() {
		late[n] = s.Late
		root[n] = !late[n] && p.isRoot(s.By)
	}
	again := make([]bool, len(p.packs)) // indexed by the root
	for at := range p.f.Sightings() {
		again[at.Pack] = again[at.Pack] || root[at.Source]
	}
	used := map[int]bool{}
	for at := range p.f.Sightings() {
		pack := p.note(p.f.Packs()[at.Pack].ID, 0)
		// What a late one names may have been dropped so long ago that no list says so.
		if pack&dropped == 0 && (!late[at.Source] || pack&stored != 0 && !again[at.Pack]) {
			used[at.Source] = true
		}
	}
	type signed struct {
		object index.ObjectID
		signer string
	}
	replaced := map[signed]bool{}
	for _, s := range p.f.Sources() {
		if old[s.Object] && !s.Late {
			for _, id := range s.Replaces {
				replaced[signed{id, s.Signer}] = true
			}
		}
	}
	for n, s := range p.f.Sources() {
		if !old[s.Object] || s.Replaced && !replaced[signed{s.Object, s.Signer}] || !s.Replaced && used[n] {
			continue
		}
		p.sum.IndexesRemoved++
		if err := p.remove(ctx, "index/"+s.Object.String()); err != nil {
			return err
		}
	}
	return nil
}
