package repo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"nightjar/crypto"
	"nightjar/repo/index"
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
	return store.Info{Name: nameOf("index", l.id), Size: l.size, Time: l.time}
}

// SyncIndex brings the local index up to date: it fetches what is new and forgets what is gone.
func (r *Repository) SyncIndex(ctx context.Context) error {
	r.index.Lock()
	defer r.index.Unlock()
	if r.index.Index == nil {
		x, err := index.Open(r.options.IndexDir, index.Options{Warn: r.options.Warn, FlushAt: indexChunks})
		if err != nil {
			return fmt.Errorf("open local index: %w", err)
		}
		r.index.Index = x
	}
	listed := map[index.ObjectID]listedIndex{}
	err := r.store.List(ctx, "index/", func(i store.Info) error {
		if sum, ok := sumOf(i.Name); ok && isRecordName("index", i.Name) {
			listed[sum] = listedIndex{sum, i.Size, i.Time}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list index objects: %w", err)
	}
	// The cache may know objects of signers that have lost their trust since.
	valid := map[string]bool{}
	for _, s := range r.signers["index"] {
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
	if r.host != nil && s.Signer == string(r.host.Fingerprint()) {
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
			object, signer, _, err := r.readIndex(gctx, &l)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case gctx.Err() != nil:
				return gctx.Err()
			case errors.Is(err, ErrUnavailable):
				return fmt.Errorf("update local index: %w", err)
			case errors.Is(err, store.ErrNotExist): // its owner replaced it meanwhile
				return nil
			case err != nil:
				// What it names counts as not stored. A damaged object must not stop the rest.
				r.options.Warn(fmt.Errorf("index object is passed over: %w", err))
				return nil
			}
			s := index.Source{Object: l.id, Signer: string(signer)}
			if err := r.index.Add(s, &object); err != nil {
				return fmt.Errorf("update local index: %w", err)
			}
			r.noteMine(s, l)
			return nil
		})
	}
	err := g.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

// readIndex reads an index object as a whole: who signed it, and its bytes decompressed. The time in l becomes the home's.
func (r *Repository) readIndex(ctx context.Context, l *listedIndex) (o index.Object, signer crypto.Fingerprint, size int, err error) {
	info := l.info()
	content, opened, err := r.record(ctx, &info)
	l.time = info.Time
	if err == nil {
		if o, err = index.ParseObject(content); err != nil {
			err = fmt.Errorf("open %s: %w: %w", info.Name, err, crypto.ErrIntegrity)
		}
	}
	return o, opened.Signer, len(content), err
}
