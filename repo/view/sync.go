package view

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/lookup"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// syncBytes bounds the index objects that are read at the same time, in bytes as they are stored: decoded they take five times as much.
const syncBytes = 8 << 20

// toldEach is how many objects are named of which the same is to be said.
const toldEach = 20

// listedIndex is an index object that a listing named. There may be many, so its name is not kept.
type listedIndex struct {
	id   index.ObjectID
	size int64
	time time.Time
}

func (l *listedIndex) info() store.Info {
	return store.Info{Name: sealed.Name("index", l.id), Size: l.size, Time: l.time}
}

// ErrUnreadList says of a list of prune that it cannot be read: nobody knows what is about to go.
var ErrUnreadList = errors.New("a list of prune cannot be read")

// Take takes a view: it fetches what is new and forgets what is gone, of the lists and then of the index objects. Before
// prune ends a list, what it names is in a later one, or in no index object any more: so in this order nothing is missed.
// unread says which lists could not be read; all else is done all the same.
func (v *Local) Take(ctx context.Context) (unread, err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if unread, err = v.syncLists(ctx); err != nil {
		return unread, fmt.Errorf("read what prune has condemned and dropped: %w", err)
	}
	return unread, v.syncObjects(ctx)
}

// SyncIndex is Take for readers. A list that cannot be read is a warning: a reader that looks for what is gone finds it
// missing.
func (v *Local) SyncIndex(ctx context.Context) error {
	unread, err := v.Take(ctx)
	if unread != nil {
		v.options.Warn(unread)
	}
	return err
}

// SyncLists brings up to date what Lists returns, and nothing else.
func (v *Local) SyncLists(ctx context.Context) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	unread, err := v.syncLists(ctx)
	if unread != nil {
		v.options.Warn(unread)
	}
	return err
}

func (v *Local) syncLists(ctx context.Context) (unread, err error) {
	known := v.Lists().Lists()
	seen := map[index.ObjectID]lists.List{}
	bad := map[index.ObjectID]error{}
	for _, kind := range []string{record.CondemnedKind, record.DroppedKind, record.LostKind} {
		infos, err := v.objects.ListRecords(ctx, kind)
		if err != nil {
			return nil, err
		}
		for _, info := range infos {
			id, _ := store.SumOf(info.Name)
			if l, ok := known[id]; ok {
				seen[id] = l
				continue
			}
			x := v.objects.ReadRecord(ctx, info)
			if x.Err == nil {
				var l lists.List
				if l, x.Err = lists.Parse(kind, x.Content, x.Time, v.objects.Keys().Grace(x.Time)); x.Err == nil {
					if l.Fate == lists.Condemned && v.options.Dropped {
						l.Fate = lists.Dropped
					}
					seen[id] = l
					continue
				}
				x.Err = fmt.Errorf("open %s: %w: %w", x.Name, x.Err, crypto.ErrIntegrity)
			}
			if errors.Is(x.Err, sealed.ErrDisowned) { // what it says to be gone may be
				if seen[id], err = lists.ParseDisowned(kind, x.Disowned); err != nil {
					seen[id] = lists.List{} // nobody has believed it
				}
				continue
			}
			switch {
			case ctx.Err() != nil:
				return nil, ctx.Err()
			case errors.Is(x.Err, store.ErrUnavailable):
				return nil, x.Err
			case errors.Is(x.Err, store.ErrNotExist): // it has just ended, and what followed it is read next
			case kind == record.LostKind: // what is gone is found missing again
				v.options.Warn(fmt.Errorf("what repair gave up is not known: %w", x.Err))
			default:
				bad[id] = x.Err
			}
		}
	}
	if !maps.EqualFunc(known, seen, func(lists.List, lists.List) bool { return true }) {
		v.lists.Store(lists.New(seen))
	}
	for id, err := range bad {
		if !v.Lists().Ended(id) {
			unread = errors.Join(unread, fmt.Errorf("%w: %w", ErrUnreadList, err))
		}
	}
	return unread, nil
}

func (v *Local) syncObjects(ctx context.Context) error {
	if v.index == nil {
		x, err := lookup.Open(v.options.Dir, lookup.Options{Warn: v.options.Warn, FlushAt: ObjectChunks})
		if err != nil {
			return fmt.Errorf("open local index: %w", err)
		}
		v.index = x
	}
	listed := map[index.ObjectID]listedIndex{}
	err := v.objects.Store().List(ctx, "index/", func(i store.Info) error {
		if sum, ok := store.SumOf(i.Name); ok && sealed.IsName("index", i.Name) {
			listed[sum] = listedIndex{sum, i.Size, i.Time}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list index objects: %w", err)
	}
	// The cache may know objects of signers that have lost their trust since.
	valid := map[string]bool{}
	for _, f := range v.objects.Keys().SigningKeys("index") {
		valid[string(f)] = true
	}
	if err := v.index.Retain(func(s lookup.Source) bool {
		_, ok := listed[s.Object]
		return ok && valid[s.Signer] && v.objects.Disowned(crypto.Fingerprint(s.Signer), s.Object) == nil
	}); err != nil {
		return fmt.Errorf("update local index: %w", err)
	}
	v.mine = nil
	for _, s := range v.index.Sources() {
		if l, ok := listed[s.Object]; ok { // once, of however many owners it speaks
			v.noteMine(s, l)
			delete(listed, s.Object)
		}
	}
	if err := v.fetchIndexes(ctx, listed); err != nil {
		return err
	}
	if err := v.index.Flush(); err != nil {
		return fmt.Errorf("update local index: %w", err)
	}
	return nil
}

// noteMine notes an index object if this host signed it; v.mu is held.
func (v *Local) noteMine(s lookup.Source, l listedIndex) {
	if v.objects.Host() != nil && !s.Late && s.Signer == string(v.objects.Host().Fingerprint()) {
		v.mine = append(v.mine, l)
	}
}

// fetchIndexes adds index objects to the local index, the newest first: what those stand for need not be taken in. v.mu is held.
func (v *Local) fetchIndexes(ctx context.Context, listed map[index.ObjectID]listedIndex) error {
	todo := make([]listedIndex, 0, len(listed))
	for _, l := range listed {
		todo = append(todo, l)
	}
	slices.SortFunc(todo, func(a, b listedIndex) int { return b.time.Compare(a.time) })
	var mu sync.Mutex
	var late, bad []error
	room := semaphore.NewWeighted(syncBytes)
	v.unread = nil
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(v.options.Connections)
	for _, l := range todo {
		weight := min(max(l.size, 0), syncBytes)
		if room.Acquire(gctx, weight) != nil {
			break // g says why
		}
		g.Go(func() error {
			defer room.Release(weight)
			x := v.objects.ReadIndex(gctx, l.info())
			mu.Lock()
			defer mu.Unlock()
			switch {
			case gctx.Err() != nil:
				return gctx.Err()
			case errors.Is(x.Err, store.ErrUnavailable):
				return fmt.Errorf("update local index: %w", x.Err)
			case errors.Is(x.Err, store.ErrNotExist), // its owner replaced it meanwhile
				errors.Is(x.Err, sealed.ErrDisowned):
				return nil
			case x.Err != nil:
				// What it names counts as not stored. A damaged object must not stop the rest.
				bad = append(bad, x.Err)
				if errors.Is(x.Err, store.ErrUnread) {
					v.unread = errors.Join(v.unread, x.Err)
				}
				return nil
			}
			from := source(l.id, x.Signer, x.Late)
			if from.Late && !x.Object.Time.IsZero() { // not one that was made for readers
				late = append(late, fmt.Errorf("the store dated %s %s, it says %s", x.Name, sealed.Stamp(x.Time), sealed.Stamp(x.Object.Time)))
			}
			if err := v.index.Add(from, &x.Object); err != nil {
				return fmt.Errorf("update local index: %w", err)
			}
			l.time = x.Time
			v.noteMine(from, l)
			return nil
		})
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for i, err := range bad {
		if i == toldEach { // whoever may add objects can add thousands
			v.options.Warn(fmt.Errorf("more index objects are passed over: %d", len(bad)-i))
			break
		}
		v.options.Warn(fmt.Errorf("index object is passed over: %w", err))
	}
	if len(late) > 0 { // in a repository that was moved without its times all may be
		v.options.Warn(fmt.Errorf("no backup builds on index objects that are late, of which %d are new here: %w", len(late), late[0]))
	}
	return err
}
