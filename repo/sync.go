package repo

import (
	"context"
	"errors"
	"fmt"

	"nightjar/repo/index"
	"nightjar/repo/store"
)

// SyncIndex brings the local index, and what is known of losses, up to date: it fetches what is new and forgets what is gone.
func (r *Repository) SyncIndex(ctx context.Context) error {
	r.index.Lock()
	defer r.index.Unlock()
	if err := r.SyncLost(ctx); err != nil {
		return err
	}
	if r.index.Index == nil {
		x, err := index.Open(r.options.IndexDir, index.Options{Warn: r.options.Warn, FlushAt: indexChunks})
		if err != nil {
			return fmt.Errorf("open local index: %w", err)
		}
		r.index.Index = x
	}
	listed := map[index.ObjectID]store.Info{}
	err := r.store.List(ctx, "index/", func(i store.Info) error {
		if sum, ok := sumOf(i.Name); ok && isRecordName("index", i.Name) {
			listed[sum] = i
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
	signer := map[index.ObjectID]string{}
	for _, s := range r.index.Sources() {
		signer[s.Object] = s.Signer
	}
	if err := r.index.Retain(func(id index.ObjectID) bool { _, ok := listed[id]; return ok && valid[signer[id]] }); err != nil {
		return fmt.Errorf("update local index: %w", err)
	}
	for _, s := range r.index.Sources() {
		delete(listed, s.Object)
	}
	for id, info := range listed {
		content, opened, err := r.record(ctx, info)
		var object index.Object
		if err == nil {
			object, err = index.ParseObject(content)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if errors.Is(err, ErrUnavailable) {
			return fmt.Errorf("update local index: %w", err)
		}
		if errors.Is(err, store.ErrNotExist) {
			continue // its owner replaced it meanwhile
		}
		if err != nil {
			// What it names counts as not stored. A damaged object must not stop the rest.
			r.options.Warn(fmt.Errorf("index object is passed over: %w", err))
			continue
		}
		if err := r.index.Add(index.Source{Object: id, Signer: string(opened.Signer)}, &object); err != nil {
			return fmt.Errorf("update local index: %w", err)
		}
	}
	if err := r.index.Flush(); err != nil {
		return fmt.Errorf("update local index: %w", err)
	}
	return nil
}
