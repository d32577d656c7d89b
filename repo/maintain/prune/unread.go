package prune

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lookup"
	"nightjar/repo/record"
)

// EndUnread ends condemned and dropped lists that nobody can read, so that they stop no backup any more: what they may have named, which is all that no archive needs that
// is not forgotten, is condemned. Nobody drops anything by them, and they go when a later prune drops what is condemned now. It returns the lists by the hashes in their names, those
// too that were ended before and have not gone; if it is a dry run, those that it would end.
func EndUnread(ctx context.Context, r *repo.Repository, o Options) (ended []index.ObjectID, err error) {
	if o.Problem == nil {
		o.Problem = func(error) {}
	}
	for tries := 1; ; tries++ {
		p := newPruner(r, o)
		p.caution = true
		err = p.endUnread(ctx)
		if tries < 3 && (errors.Is(err, errAgain) || errors.Is(err, lookup.ErrBroken)) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("end lists that cannot be read: %w", err)
		}
		return p.unread(), nil
	}
}

// unread returns the lists that nobody can read.
func (p *pruner) unread() (all []index.ObjectID) {
	for _, l := range slices.Concat(p.condemned, p.dropped) {
		if p.unreadable[l.id] != nil {
			all = append(all, l.id)
		}
	}
	return slices.SortedFunc(slices.Values(all), func(a, b index.ObjectID) int { return bytes.Compare(a[:], b[:]) })
}

func (p *pruner) endUnread(ctx context.Context) error {
	if err := p.look(ctx); err != nil {
		return err
	}
	open := slices.DeleteFunc(p.unread(), p.r.Lists().Ended)
	if len(open) == 0 || p.o.DryRun {
		return nil
	}
	if err := p.r.MayPut(ctx, record.CondemnedKind); err != nil {
		return err
	}
	if err := p.walkArchives(ctx); err != nil {
		return err
	}
	if err := p.lean(ctx, p.mayRun); err != nil {
		return err
	}
	if err := p.chooseAll(ctx); err != nil {
		return err
	}
	if err := p.condemn(ctx); err != nil {
		return err
	}
	// Those that name what it is are stored: now it is said of which they stand for.
	c := record.Condemned{Unread: open, View: p.now}
	info, err := p.put(ctx, record.CondemnedKind, &c)
	if err == nil && c.Void(info.Time, p.grace(info.Time)) {
		err = fmt.Errorf("store %s: it took too long: %w", info.Name, errAgain)
	}
	return err
}

// chooseAll is choose for all that a list that was written at any time may have named: what is condemned already, and packs that are gone, too.
func (p *pruner) chooseAll(ctx context.Context) error {
	for n := range p.packs {
		if p.packs[n]&named != 0 && p.packs[n]&(needed|running|dropped) == 0 {
			p.packs[n] |= going
		}
	}
	for id, o := range p.orphans {
		if o.state&(stored|dropped) == stored && o.time.Before(p.young) {
			o.state |= going
			p.orphans[id] = o
		}
	}
	clear(p.walked)
	return p.each(ctx, func(_ chunk.Key, at *lookup.Place) error {
		if leans(at.Type) && p.there(at) && p.packs[at.Pack]&going == 0 && !p.needs.Has(at.Entry) && !p.gone.Has(at.Entry) {
			p.walked.Set(at.Entry)
		}
		return nil
	})
}

// removeUnread removes lists that nobody can read, when what they may have named is about to be dropped.
func (p *pruner) removeUnread(ctx context.Context, ids []index.ObjectID) error {
	of := map[index.ObjectID]bool{}
	for _, id := range ids {
		of[id] = true
	}
	for _, l := range p.condemned { // be it that somebody can read it: nobody drops by it
		if of[l.id] && !l.gone {
			if err := p.removeList(ctx, l); err != nil {
				return err
			}
		}
	}
	for _, l := range p.dropped {
		if of[l.id] && !l.gone && p.unreadable[l.id] != nil {
			if err := p.removeList(ctx, l); err != nil {
				return err
			}
		}
	}
	return nil
}
