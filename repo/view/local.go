// Package view is what a run goes by: prune's lists, and then the index objects, as they were listed at a time by the store's clock.
//
// A Local keeps the newest view on this machine, in the local index, for whoever reads or writes. A Run is what one run that writes may refer to: it
// takes views on its way, and proves to itself that what it has come to refer to stays. doc/format.md, sections 6 and 9.1, has the rules.
//
// Invariants: lists are read before index objects, so that nothing is missed between the two; no run refers to what any of its views names; the
// index is a cache.
//
// The package neither reads nor writes packs, and does not know what a chunk holds.
package view

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/internal/tempdir"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/lookup"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// ObjectChunks is about how many chunks an index object names at most, so that it stays small. The local index holds as many in memory.
const ObjectChunks = 250_000

// Options say how a Local works. All functions are needed.
type Options struct {
	Dir         string           // folder of the local index; "": it is in memory
	Connections int              // objects read at the same time
	Temp        tempdir.Dir      // for what a Run refers to, when that does not fit in memory
	Now         func() time.Time // of this host
	Warn        func(error)      // told what is wrong but stops nothing
	Dropped     bool             // what is condemned counts as dropped
}

// A Local is what this machine knows of a repository as of its last view. Before the first it knows nothing, and may not be asked what is
// indexed. It is safe for concurrent use.
type Local struct {
	objects *sealed.Objects
	options Options

	mu     sync.Mutex // held while a view is taken
	index  *lookup.Index
	mine   []listedIndex // what this host has signed and is known
	unread error         // of the index objects that the last view lacks
	lists  atomic.Pointer[lists.Set]
}

// New returns a Local that has no view yet.
func New(objects *sealed.Objects, o Options) *Local { return &Local{objects: objects, options: o} }

// Close ends the use of the local index.
func (v *Local) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.index == nil {
		return nil
	}
	return v.index.Close()
}

// Lists returns what prune has condemned and dropped, and repair has given up.
func (v *Local) Lists() *lists.Set { return v.lists.Load() }

// Unread says which index objects the last view lacks since they could not be looked at; nil: none. What they name is no less there.
func (v *Local) Unread() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.unread
}

// Mark stands for what the last view says: as long as nothing else is known to be stored or gone, it is the same.
func (v *Local) Mark() [sha256.Size]byte {
	v.mu.Lock()
	defer v.mu.Unlock()
	ids := slices.Collect(maps.Keys(v.Lists().Lists()))
	if v.index != nil {
		for _, s := range v.index.Sources() {
			ids = append(ids, s.Object)
		}
	}
	slices.SortFunc(ids, func(a, b index.ObjectID) int { return bytes.Compare(a[:], b[:]) })
	h := sha256.New()
	for _, id := range slices.Compact(ids) {
		h.Write(id[:])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// Chunks returns how many places of chunks, trees and lists are indexed, those too that prune has dropped. It is 0 before the first view.
func (v *Local) Chunks() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.index == nil {
		return 0
	}
	return v.index.Entries()
}

// Lookup returns all indexed places of a chunk, tree or list, in all forms, those too that prune has dropped.
func (v *Local) Lookup(ctx context.Context, key chunk.Key) ([]lookup.Location, error) {
	all, err := v.index.Lookup(key, nil)
	if errors.Is(err, lookup.ErrBroken) { // only a cache: what it held is fetched again
		v.options.Warn(err)
		if err = v.SyncIndex(ctx); err == nil {
			all, err = v.index.Lookup(key, nil)
		}
		if errors.Is(err, lookup.ErrBroken) { // the disk of this machine fails
			err = &unavailableError{err}
		}
	}
	return all, err
}

// unavailableError is a store.ErrUnavailable: what the index does not say is not missing.
type unavailableError struct{ error }

func (e *unavailableError) Unwrap() error { return e.error }
func (e *unavailableError) Is(target error) bool {
	return target == store.ErrUnavailable || target == store.ErrUnread
}

// AddUnlisted takes in packs that no index object names, until the next view.
func (v *Local) AddUnlisted(packs []index.Pack) error {
	o := &index.Object{Runs: index.RunsOf(packs)}
	return v.index.Add(lookup.Source{Object: sha256.Sum256(o.Append(nil)), Origin: lookup.Origin{Late: true}}, o)
}

// Freeze returns what the index says now.
func (v *Local) Freeze() (*lookup.Frozen, error) { return v.index.Freeze() }

// Flush writes what is in memory only to the folder of the index.
func (v *Local) Flush() error { return v.index.Flush() }

// ReplacedIndexes returns the index objects that others stand for: what they say counts no more.
func (v *Local) ReplacedIndexes() map[index.ObjectID]bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	replaced := map[index.ObjectID]bool{}
	for _, s := range v.index.Replaced() {
		replaced[s.Object] = true
	}
	return replaced
}

// PutIndex stores an index object, dated as given and signed by this host, and takes it in. Of one that the store dates otherwise it
// does nothing but return the Info: for that is late.
func (v *Local) PutIndex(ctx context.Context, at time.Time, o *index.Object) (store.Info, error) {
	o.Time = at
	return v.putIndex(ctx, o, o.Append(nil))
}

func (v *Local) putIndex(ctx context.Context, o *index.Object, encoded []byte) (store.Info, error) {
	host := v.objects.Host()
	v.mu.Lock() // a listing that began before would take it for gone
	defer v.mu.Unlock()
	info, err := v.objects.PutRecordAs(ctx, host, "index", encoded)
	if err != nil || sealed.Skewed(o.Time, info.Time) {
		return info, err
	}
	id, _ := store.SumOf(info.Name)
	if err := v.index.Add(source(id, host.Fingerprint(), false), o); err != nil {
		return info, fmt.Errorf("note what was indexed: %w", err)
	}
	return info, nil
}

func source(id index.ObjectID, signer crypto.Fingerprint, late bool) lookup.Source {
	return lookup.Source{Object: id, Origin: lookup.Origin{Signer: string(signer), Late: late}}
}
