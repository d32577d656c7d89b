package mirror

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// Of an archive that is gone at home, and that nobody forgot. What repair records as lost at home is no leave to delete what may be the last good one.
var (
	ErrUnexplained = fmt.Errorf("it is gone at home, and no record says that it was given up: %w", crypto.ErrIntegrity)
	ErrLost        = fmt.Errorf("it is lost at home, and nobody forgot it: %w", crypto.ErrIntegrity)
)

// Prune deletes from the copy what was deleted at home, after All. home has the metadata key. It takes a signature for everything, each as old as the grace period:
// a forget record for an archive, an index object of the same signer, or of the root, that stands for another, a dropped list for a pack. What is
// gone without one stays, and so does every pack as long as there are archives that stay. So whoever only deletes at home deletes nothing here.
func (m *Mirror) Prune(ctx context.Context, home *repo.Repository) error {
	clock, ok := m.to.(store.Clock)
	if !ok {
		return errors.New("delete from the copy: its store has no clock")
	}
	now, err := clock.Now(ctx)
	if err != nil {
		return fmt.Errorf("delete from the copy: %w", err)
	}
	place, err := home.In(ctx, m.to)
	if m.o.DryRun { // records that would have been copied are at home
		place, err = home, nil
	}
	if err != nil {
		return fmt.Errorf("open the copy: %w", err)
	}
	p := pruner{Mirror: m, copy: place, now: now, stored: map[index.ObjectID]time.Time{}}
	for _, kind := range []string{record.ForgetKind, record.LostKind, record.DroppedKind, "index"} {
		err := each(ctx, m.to, kind, func(id index.ObjectID, info store.Info) error {
			p.stored[id] = info.Time
			return nil
		})
		if err != nil {
			return err
		}
	}
	kept, err := p.archives(ctx)
	if err != nil {
		return err
	}
	if err := p.indexes(ctx); err != nil || kept > 0 {
		return err
	}
	if err := m.kind(ctx, record.DroppedKind, nil, nil); err != nil {
		return err
	}
	return p.packs(ctx)
}

type pruner struct {
	*Mirror
	copy   *repo.Repository
	now    time.Time                    // by the copy's clock
	stored map[index.ObjectID]time.Time // when the copy got a record, where that is known
}

// old reports whether the grace period of a record is over. It begins anew when the copy gets the record, if its store tells that: at home somebody may
// have made it look older than it is.
func (p *pruner) old(x sealed.Record) bool {
	at := x.Time
	if t := p.stored[x.ID]; t.After(at) {
		at = t
	}
	return p.now.Sub(at) > p.keys.Grace(p.now)
}

// archives deletes archives that were forgotten, and returns how many are left that home has not.
func (p *pruner) archives(ctx context.Context) (kept int, err error) {
	gone, err := p.onlyInCopy(ctx, "archive")
	if err != nil || len(gone) == 0 {
		return 0, err
	}
	forgotten := map[index.ObjectID]bool{} // true: long enough ago
	err = records(ctx, p, record.ForgetKind, func(x sealed.Record, r *record.Forget) {
		for _, a := range r.Archives {
			forgotten[a.Archive] = forgotten[a.Archive] || p.old(x)
		}
	})
	lost := idSet{}
	if err == nil {
		err = records(ctx, p, record.LostKind, func(_ sealed.Record, r *record.Lost) {
			for _, id := range r.Objects {
				lost[id] = struct{}{}
			}
		})
	}
	if err != nil {
		return 0, err
	}
	for id, info := range gone {
		switch long, ok := forgotten[id]; {
		case long:
			if err := p.remove(ctx, info); err != nil {
				return 0, err
			}
			p.count(func(s *Summary) {
				s.Kept.Objects--
				s.Kept.Bytes -= info.Size
			})
		case ok:
			kept++
		default:
			why := ErrUnexplained
			if lost.has(id) {
				why = ErrLost
			}
			p.found(Finding{Object: info.Name, Copy: true, Err: why})
			kept++
		}
	}
	return kept, nil
}

// indexes deletes index objects that others stand for.
func (p *pruner) indexes(ctx context.Context) error {
	gone, err := p.onlyInCopy(ctx, "index")
	if err != nil || len(gone) == 0 {
		return err
	}
	type claim struct {
		signer   crypto.Fingerprint
		replaces []index.ObjectID
	}
	claims := map[index.ObjectID]claim{}
	var standing []index.ObjectID
	err = p.copy.IndexObjects(ctx, func(x sealed.IndexRecord) error {
		if x.Err != nil {
			return nil // check says so
		}
		c := claim{signer: x.Signer}
		if !x.Late && p.old(x.Record) {
			c.replaces = x.Object.Replaces
		}
		claims[x.ID] = c
		if _, ok := gone[x.ID]; !ok {
			standing = append(standing, x.ID)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for len(standing) > 0 {
		by := claims[standing[0]]
		standing = standing[1:]
		for _, id := range by.replaces {
			info, ok := gone[id]
			if !ok || !p.keys.Follows(by.signer) && by.signer != claims[id].signer {
				continue
			}
			delete(gone, id)
			standing = append(standing, id) // for what it replaced itself
			if err := p.remove(ctx, info); err != nil {
				return err
			}
		}
	}
	return nil
}

// packs deletes what was dropped.
func (p *pruner) packs(ctx context.Context) error {
	dropped := map[index.ObjectID]struct{}{}
	err := records(ctx, p, record.DroppedKind, func(x sealed.Record, r *record.Dropped) {
		if p.old(x) {
			for _, id := range r.Packs {
				dropped[id] = struct{}{}
			}
		}
	})
	if err != nil || len(dropped) == 0 {
		return err
	}
	for _, kind := range packKinds {
		var gone []store.Info
		err := each(ctx, p.to, kind, func(id index.ObjectID, info store.Info) error {
			if _, ok := dropped[id]; ok {
				gone = append(gone, info)
			}
			return nil
		})
		if err != nil {
			return err
		}
		for _, info := range gone {
			_, err := p.from.Stat(ctx, info.Name)
			if errors.Is(err, store.ErrNotExist) {
				err = p.remove(ctx, info)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// records calls f for each record of a kind in the copy. One that cannot be read says nothing.
func records[T any](ctx context.Context, p *pruner, kind string, f func(x sealed.Record, r *T)) error {
	return p.copy.Records(ctx, kind, func(x sealed.Record) error {
		r := new(T)
		if x.Err == nil {
			x.Err = record.Decode(x.Content, r)
		}
		switch {
		case errors.Is(x.Err, store.ErrUnavailable):
			return x.Err
		case errors.Is(x.Err, repo.ErrDisowned):
			return nil
		}
		if x.Err != nil {
			p.found(Finding{Object: x.Name, Copy: true, Err: x.Err})
			return nil
		}
		f(x, r)
		return nil
	})
}

func (p *pruner) remove(ctx context.Context, info store.Info) error {
	if !p.o.DryRun {
		if err := p.to.Delete(ctx, info.Name); err != nil && !errors.Is(err, store.ErrNotExist) {
			return fmt.Errorf("delete from the copy: %w", err)
		}
	}
	p.count(func(s *Summary) { s.Deleted.add(info.Size) })
	return nil
}
