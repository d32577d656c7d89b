package repo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// syncBytes bounds the index objects that are read at the same time, in bytes as they are stored: decoded they take five times as much.
const syncBytes = 8 << 20

// listedIndex is an index object that a listing named. There may be many, so its name is not kept.
type listedIndex struct {
	id   index.ObjectID
	size int64
	time time.Time
}

func (l *listedIndex) info() store.Info {
	return store.Info{Name: sealed.Name("index", l.id), Size: l.size, Time: l.time}
}

// SyncIndex brings the local index, and what is known of prune's and repair's lists, up to date: it fetches what is new and forgets what is gone.
// What a list says that cannot be read is a warning: who only reads may look for what is gone, and says so.
func (r *Repository) SyncIndex(ctx context.Context) error {
	unread, err := r.sync(ctx)
	if unread != nil {
		r.options.Warn(unread)
	}
	return err
}

// Lists returns what prune has condemned and dropped, and repair has given up, as of the last sync.
func (r *Repository) Lists() *lists.Set { return r.lists.Load() }

// SyncLists brings up to date what Lists returns, and nothing else.
func (r *Repository) SyncLists(ctx context.Context) error {
	r.index.Lock()
	defer r.index.Unlock()
	unread, err := r.syncLists(ctx)
	if unread != nil {
		r.options.Warn(unread)
	}
	return err
}

// sync takes a view: the lists, and then the index objects. What prune takes from a list lies in a later one, or in no index object any more, before
// it is gone: so in this order nothing is missed. unread says which lists could not be read; all else is done all the same.
func (r *Repository) sync(ctx context.Context) (unread, err error) {
	r.index.Lock()
	defer r.index.Unlock()
	if r.options.Without.ListsFirst {
		if err := r.syncObjects(ctx); err != nil {
			return nil, err
		}
	}
	if unread, err = r.syncLists(ctx); err != nil {
		return unread, fmt.Errorf("read what prune has condemned and dropped: %w", err)
	}
	if r.options.Without.ListsFirst {
		return unread, nil
	}
	return unread, r.syncObjects(ctx)
}

func (r *Repository) syncLists(ctx context.Context) (unread, err error) {
	known := r.Lists().Lists()
	seen := map[index.ObjectID]lists.List{}
	kinds := []string{record.CondemnedKind, record.DroppedKind, record.LostKind}
	if r.options.Without.CondemnedFirst {
		slices.Reverse(kinds)
	}
	for _, kind := range kinds {
		infos, err := r.ListRecords(ctx, kind)
		if err != nil {
			return nil, err
		}
		for _, info := range infos {
			id, _ := store.SumOf(info.Name)
			if l, ok := known[id]; ok {
				seen[id] = l
				continue
			}
			x := r.ReadRecord(ctx, info)
			if x.Err == nil {
				var l lists.List
				if l, x.Err = lists.Parse(kind, x.Content, x.Time, r.voidAfter(x.Time)); x.Err == nil {
					seen[id] = l
					continue
				}
				x.Err = fmt.Errorf("open %s: %w: %w", x.Name, x.Err, crypto.ErrIntegrity)
			}
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case errors.Is(x.Err, ErrUnavailable):
				return nil, x.Err
			case errors.Is(x.Err, store.ErrNotExist): // it has just ended, and what followed it is read next
			case kind == record.LostKind: // what is gone is found missing again
				r.options.Warn(fmt.Errorf("what repair gave up is not known: %w", x.Err))
			default:
				unread = errors.Join(unread, fmt.Errorf("a list of prune cannot be read: %w", x.Err))
			}
		}
	}
	if !maps.EqualFunc(known, seen, func(lists.List, lists.List) bool { return true }) {
		r.lists.Store(lists.New(seen))
	}
	return unread, nil
}

// voidAfter returns the grace that tells whether a dropped list came too late.
func (r *Repository) voidAfter(stored time.Time) time.Duration {
	if r.options.Without.Void {
		return math.MaxInt64
	}
	return r.Keys().Grace(stored)
}

// nobody is the signer of a late index object in the local index: no writer trusts it, and what it says it replaces counts on. Who
// reads may try what it names, as everywhere.
const nobody = ""

func (r *Repository) syncObjects(ctx context.Context) error {
	if r.index.Index == nil {
		x, err := index.Open(r.options.IndexDir, index.Options{Warn: r.options.Warn, FlushAt: indexChunks})
		if err != nil {
			return fmt.Errorf("open local index: %w", err)
		}
		r.index.Index = x
	}
	listed := map[index.ObjectID]listedIndex{}
	err := r.Store().List(ctx, "index/", func(i store.Info) error {
		if sum, ok := store.SumOf(i.Name); ok && sealed.IsName("index", i.Name) {
			listed[sum] = listedIndex{sum, i.Size, i.Time}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list index objects: %w", err)
	}
	// The cache may know objects of signers that have lost their trust since.
	valid := map[string]bool{nobody: true}
	for _, s := range r.Keys().Signers("index") {
		valid[string(s.Key.Fingerprint())] = true
	}
	if err := r.index.Retain(func(s index.Source) bool { _, ok := listed[s.Object]; return ok && valid[s.Signer] }); err != nil {
		return fmt.Errorf("update local index: %w", err)
	}
	r.index.mine = nil
	for _, s := range r.index.Sources() {
		r.noteMine(s, listed[s.Object])
		delete(listed, s.Object)
	}
	if err := r.fetchIndexes(ctx, listed); err != nil {
		return err
	}
	if err := r.index.Flush(); err != nil {
		return fmt.Errorf("update local index: %w", err)
	}
	return nil
}

// noteMine notes an index object if this host signed it; r.index is locked.
func (r *Repository) noteMine(s index.Source, l listedIndex) {
	if r.Host() != nil && s.Signer == string(r.Host().Fingerprint()) {
		r.index.mine = append(r.index.mine, l)
	}
}

// fetchIndexes adds index objects to the local index, the newest first: what those stand for need not be taken in. r.index is locked.
func (r *Repository) fetchIndexes(ctx context.Context, listed map[index.ObjectID]listedIndex) error {
	todo := make([]listedIndex, 0, len(listed))
	for _, l := range listed {
		todo = append(todo, l)
	}
	slices.SortFunc(todo, func(a, b listedIndex) int { return b.time.Compare(a.time) })
	var mu sync.Mutex
	room := semaphore.NewWeighted(syncBytes)
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(r.options.Connections)
	for _, l := range todo {
		weight := min(max(l.size, 0), syncBytes)
		if room.Acquire(gctx, weight) != nil {
			break // g says why
		}
		g.Go(func() error {
			defer room.Release(weight)
			x := sealed.ParseIndex(r.ReadRecord(gctx, l.info()))
			mu.Lock()
			defer mu.Unlock()
			switch {
			case gctx.Err() != nil:
				return gctx.Err()
			case errors.Is(x.Err, ErrUnavailable):
				return fmt.Errorf("update local index: %w", x.Err)
			case errors.Is(x.Err, store.ErrNotExist): // its owner replaced it meanwhile
				return nil
			case x.Err != nil:
				// What it names counts as not stored. A damaged object must not stop the rest.
				r.options.Warn(fmt.Errorf("index object is passed over: %w", x.Err))
				return nil
			}
			from := index.Source{Object: l.id, Signer: string(x.Signer)}
			if x.Late && !r.options.Without.LateIndex {
				if !x.Object.Time.IsZero() { // not one that was made for readers
					r.options.Warn(fmt.Errorf("no backup builds on %s: the store dated it %s, it says %s", x.Name, sealed.Stamp(x.Time), sealed.Stamp(x.Object.Time)))
				}
				from.Signer = nobody
			}
			if err := r.index.Add(from, &x.Object); err != nil {
				return fmt.Errorf("update local index: %w", err)
			}
			l.time = x.Time
			r.noteMine(from, l)
			return nil
		})
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
