package prune

import (
	"context"
	"fmt"
	"time"

	"nightjar/repo/index"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// findRuns notes the packs of runs that may not have ended.
func (p *pruner) findRuns() {
	type run struct {
		origin int
		begin  time.Time
	}
	// What an index object says of itself is up to MaxSkew before its store time.
	recent := p.now.Add(-p.grace(p.now) - sealed.MaxSkew)
	p.young = p.now.Add(-p.grace(p.now))
	alive := map[run]bool{}
	sources := map[int]*lookup.FrozenSource{}
	for n, s := range p.f.Sources() {
		sources[n] = s
		for _, t := range s.Runs {
			if !s.Late && t.Time.After(recent) && !t.Begin.IsZero() {
				alive[run{s.By, t.Begin}] = true
				if t.Begin.Before(p.young) {
					p.young = t.Begin
				}
			}
		}
	}
	for at := range p.f.Sightings() {
		s := sources[at.Source]
		if s.Late {
			continue
		}
		p.packs[at.Pack] |= named
		t := s.Runs[at.Run]
		if alive[run{s.By, t.Begin}] || t.Begin.IsZero() && t.Time.After(recent) {
			p.packs[at.Pack] |= running
		}
	}
}

// listPacks notes which packs are stored.
func (p *pruner) listPacks(ctx context.Context) error {
	for _, kind := range []pack.Kind{pack.Content, pack.Metadata} {
		err := p.r.Store().List(ctx, kind.String()+"/", func(i store.Info) error {
			id, err := sealed.ObjectID(i.Name)
			if sealed.Kind(i.Name) == "" || err != nil {
				return nil
			}
			if _, ok := p.named(id); ok {
				if p.isThere(id, kind, i.Size) {
					return nil
				}
				if older, ok := p.r.Recover(ctx, i.Name); !ok || !p.isThere(id, kind, older.Size) {
					p.o.Problem(fmt.Errorf("%s is not what its index says, and does not count", i.Name))
				}
				return nil
			}
			p.orphans[id] = orphan{p.orphans[id].state | stored, kind, i.Size, i.Time}
			return nil
		})
		if err != nil {
			return fmt.Errorf("list %v packs: %w", kind, err)
		}
	}
	return nil
}

// isThere notes that a pack is stored, with that size. What else is said of it is about a pack that is not there.
func (p *pruner) isThere(id index.ObjectID, kind pack.Kind, size int64) (found bool) {
	first, end := p.f.Numbers(id)
	for n := first; n < end; n++ {
		if known := p.f.Packs()[n]; known.Kind == kind && int64(known.Size) == size {
			p.packs[n] |= stored
			found = found || p.packs[n]&named != 0
		}
	}
	return found
}

// named returns the number of a pack that an index object names which counts: of those that it has, the one that is stored, if that is known.
func (p *pruner) named(id index.ObjectID) (number int, ok bool) {
	first, end := p.f.Numbers(id)
	for n := first; n < end; n++ {
		if p.packs[n]&named != 0 && (!ok || p.packs[n]&stored != 0) {
			number, ok = n, true
		}
	}
	return number, ok
}

// stored returns what a stored pack is.
func (p *pruner) stored(id index.ObjectID) (pack.Kind, int64, bool) {
	if n, ok := p.named(id); ok {
		known := p.f.Packs()[n]
		return known.Kind, int64(known.Size), p.packs[n]&stored != 0
	}
	o := p.orphans[id]
	return o.kind, o.size, o.state&stored != 0
}

func (p *pruner) unstore(id index.ObjectID) {
	if n, ok := p.named(id); ok {
		p.packs[n] &^= stored
	} else {
		delete(p.orphans, id)
	}
}

// note adds to what is known of a pack, and returns all of it.
func (p *pruner) note(id index.ObjectID, s state) state {
	if _, ok := p.named(id); ok {
		var all state
		first, end := p.f.Numbers(id)
		for n := first; n < end; n++ {
			p.packs[n] |= s
			all |= p.packs[n]
		}
		return all
	}
	o := p.orphans[id]
	o.state |= s
	if s != 0 {
		p.orphans[id] = o
	}
	return o.state
}
