// Package prune gives up what no archive needs any more, beside backups, restores and other prunes.
//
// It goes in two phases, a grace period apart: what is not needed is condemned, and what is still not needed then is dropped. doc/format.md, section 9.1,
// has the rules, and internal/simulate shows of each what it is there for.
package prune

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/lookup"
	"nightjar/repo/maintain/locks"
	"nightjar/repo/maintain/retain"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// Options say what a prune does. The zero value prunes whole packs.
type Options struct {
	DryRun    bool                  // say what would be done, and change nothing
	Repack    bool                  // also write anew what is needed of packs that are mostly not; needs OpenContent
	Threshold float64               // packs of which less than this share is needed are repacked; 0: 0.5
	Seen      []retain.Seen         // archives that this host remembers: nothing is given up while one is missing
	Problem   func(error)           // told of what is passed over; may be nil
	Progress  func(done, total int) // of archives whose trees are walked; may be nil
}

// Summary counts what a prune did, or would do.
type Summary struct {
	Archives          int   // that count and are kept
	ArchivesLate      int   // that are kept and do not count: what they need may go
	ArchivesForgotten int   // of those that are kept: forgotten less than a grace period ago
	ArchivesRemoved   int   // that were forgotten a grace period ago
	PacksRemoved      int   // condemned a grace period ago, or left by a prune that was interrupted
	BytesRemoved      int64 // of them
	BlobsRemoved      int   // recipes, trees and lists that the indexes count without from now on
	PacksReprieved    int   // condemned a grace period ago, and needed now
	BlobsReprieved    int
	PacksCondemned    int   // by this prune: they go after the grace period
	BytesCondemned    int64 // of them
	BlobsCondemned    int
	PacksWaiting      int // condemned before, and not due
	BytesWaiting      int64
	PacksRepacked     int // their needed parts were written anew
	BytesRepacked     int64
	PacksWritten      int // by repacking
	BytesWritten      int64
	IndexesRemoved    int       // that others stand for, or that name nothing any more
	ListsRemoved      int       // that have served
	LocksExtended     int       // of objects that are needed, where the store locks objects
	Due               time.Time // when there is something to do again; zero: when archives are forgotten
}

// Run deletes what was condemned a grace period ago and is still not needed, then condemns what is not needed now. It may end anywhere: what it has done
// is good, and the next prune goes on from there.
//
// Memory: a bit for each entry of the index in each of six sets of marks, some fifty bytes for each pack, and one list.
func Run(ctx context.Context, r *repo.Repository, o Options) (Summary, error) {
	if o.Threshold == 0 {
		o.Threshold = 0.5
	}
	if o.Problem == nil {
		o.Problem = func(error) {}
	}
	if o.Repack && !r.CanReadContent() {
		return Summary{}, errors.New("repack: it takes a recovery key")
	}
	if !o.DryRun {
		if err := r.MayPut(ctx, record.DroppedKind); err != nil {
			return Summary{}, fmt.Errorf("prune: %w", err)
		}
	}
	for tries := 1; ; tries++ {
		p := newPruner(r, o)
		err := p.run(ctx)
		var gap *retain.GapError // in what the store has listed
		if tries < 3 && (errors.Is(err, errAgain) || errors.Is(err, lookup.ErrBroken) || errors.As(err, &gap) && gap.Stored) {
			continue
		}
		if err != nil {
			err = fmt.Errorf("prune: %w", err)
		}
		return p.sum, err
	}
}

// errAgain says that another prune has changed what this one looks at.
var errAgain = errors.New("another prune was at work")

// A state says what is known of a pack.
type state uint8

const (
	named     state = 1 << iota // by an index object that counts
	stored                      // whole
	running                     // sent by a run that may not have ended
	condemned                   // by a list
	ripe                        // by a list that is due
	dropped                     // by a list
	needed                      // in part at least
	going                       // condemned by this prune
)

// A pruner is a prune at work.
type pruner struct {
	r   *repo.Repository
	rd  *repo.Reader
	f   *lookup.Frozen
	o   Options
	sum Summary

	now time.Time // the store's, before anything was listed

	archives   []repo.Archive // that count
	incomplete IncompleteError
	lost       *lists.Set               // what repair gave up, and nothing else
	hold       time.Time                // until then nothing is dropped
	unreadable map[index.ObjectID]error // lists that nobody can read
	caution    bool                     // it is about what those may have named
	condemned  []*list
	dropped    []*list

	packs   []state                   // by number
	orphans map[index.ObjectID]orphan // the packs that no index object names
	young   time.Time                 // an orphan stored since then may be of a run that has not ended

	// Of entries.
	needs  lookup.Marks // needed
	walked lookup.Marks // while archives are walked: dealt with. Then: condemned by this prune
	held   lookup.Marks // condemned
	due    lookup.Marks // condemned by a list that is due
	gone   lookup.Marks // dropped
	bases  lookup.Marks // trees of which a recipe needs the bytes

	outer, inner []lookup.Place // scratch
}

// An orphan is a pack that no index object names, or that a list names without.
type orphan struct {
	state
	kind pack.Kind
	size int64
	time time.Time // store time
}

func newPruner(r *repo.Repository, o Options) *pruner {
	return &pruner{r: r, o: o, unreadable: map[index.ObjectID]error{}}
}

// look finds out what there is.
func (p *pruner) look(ctx context.Context) error {
	var err error
	if p.now, err = p.r.TimeFor(ctx, p.o.DryRun); err != nil {
		return err
	}
	// In this order nothing is missed: what ends a list is written before the list is deleted, what an archive needs is indexed before it.
	if err := p.findLists(ctx); err != nil {
		return err
	}
	if err := p.readArchives(ctx); err != nil {
		return err
	}
	if p.f, p.rd, err = p.r.FreezeIndex(ctx); err != nil {
		return err
	}
	n := p.f.Entries()
	for _, m := range []*lookup.Marks{&p.needs, &p.walked, &p.held, &p.due, &p.gone, &p.bases} {
		*m = lookup.NewMarks(n)
	}
	p.packs, p.orphans = make([]state, len(p.f.Packs())), map[index.ObjectID]orphan{}
	p.findRuns()
	if err := p.readLists(ctx); err != nil {
		return err
	}
	return p.listPacks(ctx)
}

func (p *pruner) run(ctx context.Context) error {
	if err := p.look(ctx); err != nil {
		return err
	}
	if err := p.resume(ctx); err != nil {
		return err
	}
	if err := p.walkArchives(ctx); err != nil {
		return err
	}
	if err := p.lean(ctx, p.mayRun); err != nil {
		return err
	}
	if err := p.extendLocks(ctx); err != nil {
		return err
	}
	if p.o.Repack {
		if err := p.repack(ctx); err != nil {
			return err
		}
	}
	if err := p.choose(ctx); err != nil {
		return err
	}
	if err := p.drop(ctx); err != nil {
		return err
	}
	if err := p.condemn(ctx); err != nil {
		return err
	}
	p.tidy(ctx)
	return p.sweep(ctx)
}

// tidy removes what killed writers have left of objects that they did not finish. That it cannot is no failure of the prune.
func (p *pruner) tidy(ctx context.Context) {
	s, ok := p.r.Store().(store.Sweeper)
	if !ok || p.o.DryRun {
		return
	}
	if _, err := s.Sweep(ctx, p.grace(p.now)); err != nil {
		p.o.Problem(err)
	}
}

// extendLocks keeps what archives need from being deleted by somebody else.
func (p *pruner) extendLocks(ctx context.Context) error {
	if p.o.DryRun {
		return nil
	}
	packs := func(yield func(name string) bool) {
		for n, known := range p.f.Packs() {
			if p.packs[n]&(stored|needed) == stored|needed && !yield(sealed.PackName(known.Kind, known.ID)) {
				return
			}
		}
	}
	done, err := locks.Extend(ctx, p.r.Store(), packs, removedAtOnce)
	p.sum.LocksExtended = done.Extended
	return err
}

// grace returns how long what was stored then has to be kept.
func (p *pruner) grace(at time.Time) time.Duration { return p.r.Keys().Grace(at) }

// dueAt notes that there is something to do then.
func (p *pruner) dueAt(t time.Time) {
	if p.sum.Due.IsZero() || t.Before(p.sum.Due) {
		p.sum.Due = t
	}
}

// each visits every entry of the index that counts.
func (p *pruner) each(ctx context.Context, visit func(key chunk.Key, at *lookup.Place) error) error {
	n := 0
	return p.f.All(func(key chunk.Key, at *lookup.Place) error {
		if n++; n%(1<<16) == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		return visit(key, at)
	})
}

// put stores a record.
func (p *pruner) put(ctx context.Context, kind string, v any) (store.Info, error) {
	if p.o.DryRun {
		return store.Info{Time: p.now}, nil
	}
	content, err := record.Encode(v)
	if err != nil {
		return store.Info{}, err
	}
	return p.r.PutRecord(ctx, kind, content)
}

// remove deletes an object; that somebody else has done so is as good.
func (p *pruner) remove(ctx context.Context, name string) error {
	if p.o.DryRun {
		return nil
	}
	if err := p.r.Store().Delete(ctx, name); err != nil && !errors.Is(err, store.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// removePacks deletes packs that a list has dropped, and counts them.
func (p *pruner) removePacks(ctx context.Context, ids []index.ObjectID) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(removedAtOnce)
	for _, id := range ids {
		kind, size, ok := p.stored(id)
		if !ok {
			continue
		}
		p.unstore(id)
		p.sum.PacksRemoved++
		p.sum.BytesRemoved += size
		g.Go(func() error { return p.remove(gctx, sealed.PackName(kind, id)) })
	}
	return g.Wait()
}

const removedAtOnce = 8
