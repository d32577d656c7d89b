// Package mirror keeps a copy of a repository in a second store: another region, account, provider or directory.
//
// A copy is made of names and bytes alone. Objects are immutable and most are named by their hash, so what is there need not be copied again, what is
// copied is verified without any key, and a run that was cut off goes on where it stopped. Each object keeps the time that it was stored at home, by which
// readers judge signatures, archives and grace periods.
//
// The invariant: at every moment the copy is a repository, from which each of its archives can be restored as well as it can at home. It rests on the order in which things are
// looked at. A backup stores packs, then indexes, then the archive; so they are listed the other way round, archives first, and copied packs first. Prune takes an archive away long before its
// packs; so one that is still at home when the packs have been copied needs nothing that was taken away meanwhile. Prune writes what it drops before it deletes, and keeps that as long as an index names any of it; so
// the lists are copied after the packs, and of the indexes those that are still at home then: they name only what is in the copy, or on a list.
//
// What was listed and is gone when it is read is looked for again. It stops the copy before anything that needs it is there, unless a record says that it went.
//
// What is damaged at home is named and left out. The package does not judge what is there already, unless it is told to verify; it deletes nothing but in Prune.
package mirror

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// Errors that callers branch on.
var (
	// ErrNoCopy says that there is nothing in the place of the copy, and nobody said to begin one.
	ErrNoCopy = errors.New("there is no copy yet")
	// ErrOther says that something else is in the place of the copy.
	ErrOther = errors.New("it is not a copy of this repository")
	// ErrItself says that the place of the copy is the repository's own, under another name.
	ErrItself = errors.New("it is the repository itself, under another name")
	// ErrNoClaim says that nothing the root has signed says that the place is a copy.
	ErrNoClaim = errors.New("no recovery key has signed yet that this is a copy")
)

// Options say how a Mirror works.
type Options struct {
	Connections int              // objects copied at the same time; 0: 4
	Create      bool             // begin a copy in a place that is empty
	Claim       []byte           // what says that the place is a copy, for a store.Claimer; nil: it has that already
	DryRun      bool             // look, and change nothing
	Verify      bool             // compare what is there already with its hash, too
	Home        *repo.Repository // says why objects are gone; nil: nobody has a key

	Now   func() time.Time // nil: time.Now
	Found func(Finding)    // told of each object that is not as it should be, one call at a time; may be nil
}

// A Finding is an object that is not as it should be.
type Finding struct {
	Object string
	Copy   bool // it is in the copy, and not at home
	Err    error
}

// Summary counts objects and their bytes.
type Summary struct {
	Direct   Count `json:"direct"`   // copied by the stores' server
	Streamed Count `json:"streamed"` // copied through this machine
	Present  Count `json:"present"`  // there already
	Verified Count `json:"verified"` // of those present
	Kept     Count `json:"kept"`     // archives that home has no more
	Deleted  Count `json:"deleted"`  // from the copy
	Vanished int   `json:"vanished"` // from home, meanwhile
	Findings int   `json:"findings"`
}

// Count is a number of objects and the sum of their sizes.
type Count struct {
	Objects int   `json:"objects"`
	Bytes   int64 `json:"bytes"`
}

func (c *Count) add(bytes int64) {
	c.Objects++
	c.Bytes += bytes
}

// A Mirror copies one repository to one place.
type Mirror struct {
	from store.Store
	to   store.Carrier
	keys *keyring.Keyring
	o    Options

	mu       sync.Mutex
	sum      Summary
	vanished []string // from home, since explained was asked

	buffers sync.Pool
}

// New returns a Mirror of the repository whose keys these are, as they are in from.
func New(from store.Store, to store.Carrier, keys *keyring.Keyring, o Options) *Mirror {
	if o.Connections == 0 {
		o.Connections = 4
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Mirror{from: from, to: to, keys: keys, o: o, buffers: sync.Pool{New: func() any { return new([]byte) }}}
}

// Summary returns what was done by now.
func (m *Mirror) Summary() Summary {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sum
}

func (m *Mirror) count(f func(*Summary)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.sum)
}

func (m *Mirror) found(f Finding) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum.Findings++
	if m.o.Found != nil {
		m.o.Found(f)
	}
}

// All copies everything. It needs no key.
func (m *Mirror) All(ctx context.Context) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	var archives, indexes idSet
	for again := true; again; {
		start := m.o.Now()
		var err error
		if archives, err = ids(ctx, m.from, "archive"); err != nil {
			return err
		}
		if indexes, err = ids(ctx, m.from, "index"); err != nil {
			return err
		}
		for _, kind := range packKinds {
			if err := m.kind(ctx, kind, nil, nil); err != nil {
				return err
			}
		}
		if err := m.explained(ctx); err != nil {
			return err
		}
		// What replaces an index object is there for a grace period before that goes. So both are listed, or this took too long.
		again = !m.o.DryRun && m.o.Now().Sub(start) > m.keys.Grace(start)/2
	}
	for _, kind := range []string{"verified", "forget", "lost"} {
		if err := m.kind(ctx, kind, nil, nil); err != nil {
			return err
		}
	}
	kept, err := m.onlyInCopy(ctx, "archive")
	if err != nil {
		return err
	}
	for _, info := range kept {
		m.count(func(s *Summary) { s.Kept.add(info.Size) })
	}
	if len(kept) == 0 {
		if err := m.kind(ctx, "dropped", nil, nil); err != nil {
			return err
		}
	}
	if err := m.kind(ctx, "index", indexes.has, indexes); err != nil {
		return err
	}
	if err := m.explained(ctx); err != nil {
		return err
	}
	if err := m.kind(ctx, "archive", archives.has, archives); err != nil {
		return err
	}
	return m.explained(ctx)
}

// packKinds are in the order in which they lean on each other.
var packKinds = []string{"content", "metadata"}

// idSet is objects of a kind.
type idSet map[index.ObjectID]struct{}

func (s idSet) has(id index.ObjectID) bool {
	_, ok := s[id]
	return ok
}

// ids returns which objects of some kinds a store has.
func ids(ctx context.Context, s store.Store, kinds ...string) (idSet, error) {
	all := idSet{}
	for _, kind := range kinds {
		err := each(ctx, s, kind, func(id index.ObjectID, _ store.Info) error {
			all[id] = struct{}{}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// each calls f for each object of a kind in a store.
func each(ctx context.Context, s store.Store, kind string, f func(index.ObjectID, store.Info) error) error {
	err := s.List(ctx, kind+"/", func(info store.Info) error {
		id, err := sealed.ObjectID(info.Name)
		if err != nil || sealed.Kind(info.Name) != kind {
			return nil // no object of this format
		}
		return f(id, info)
	})
	if err != nil {
		return fmt.Errorf("list %s objects: %w", kind, err)
	}
	return nil
}

// onlyInCopy returns the copy's objects of a kind that are not at home.
func (m *Mirror) onlyInCopy(ctx context.Context, kind string) (map[index.ObjectID]store.Info, error) {
	there := map[index.ObjectID]store.Info{}
	err := each(ctx, m.to, kind, func(id index.ObjectID, info store.Info) error {
		there[id] = info
		return nil
	})
	if err != nil || len(there) == 0 {
		return nil, err
	}
	err = each(ctx, m.from, kind, func(id index.ObjectID, _ store.Info) error {
		delete(there, id)
		return nil
	})
	return there, err
}

// kind copies the objects of a kind that home lists now; if chosen is not nil, only those for which it holds. Those that were listed before are looked for one by one
// if this listing lacks them.
func (m *Mirror) kind(ctx context.Context, kind string, chosen func(index.ObjectID) bool, listed idSet) error {
	sizes := map[index.ObjectID]int64{}
	err := each(ctx, m.to, kind, func(id index.ObjectID, info store.Info) error {
		sizes[id] = info.Size
		return nil
	})
	if err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(m.o.Connections)
	missed := maps.Clone(listed)
	err = each(gctx, m.from, kind, func(id index.ObjectID, info store.Info) error {
		if chosen != nil && !chosen(id) {
			return nil
		}
		delete(missed, id)
		size, there := sizes[id]
		if there && size == info.Size && !m.o.Verify {
			m.count(func(s *Summary) { s.Present.add(size) })
			return nil
		}
		g.Go(func() error { return m.object(gctx, id, info, there, size) })
		return gctx.Err()
	})
	if first := g.Wait(); first != nil { // the listing may have ended because of it
		return first
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for id := range missed {
		if err != nil {
			break
		}
		var info store.Info
		var there bool
		if info, there, err = m.again(ctx, sealed.Name(kind, id)); there {
			size, has := sizes[id]
			err = m.object(ctx, id, info, has, size)
		}
	}
	return err
}
