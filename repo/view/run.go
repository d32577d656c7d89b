package view

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/spool"
)

// askEvery is how often, at least, the store is asked for its time while a run looks things up.
const askEvery = 10 * time.Minute

// A Run is what one run goes by. It refers to nothing that the lists of any of its views name. A list written after a view
// takes effect more than a grace period later, after prune has looked for archives again. So a run that commits within a
// grace period of its view finds all that it refers to. A longer run takes views on its way; each counts only if it names
// nothing that the run refers to by then. It is safe for concurrent use; Close it.
type Run struct {
	local  *Local
	accept func(*lookup.Origin) bool

	mu    sync.RWMutex // held for reading from a look-up until what it found is noted: a new view misses nothing
	avoid *lists.Set   // of all views, those too that did not count
	refs  *spool.Spool // what the run refers to: key, and the form in which it must be there
	sent  *spool.Spool // ids of its packs

	asked  atomic.Int64 // when the store was last asked for its time, by the host's clock
	ending atomic.Bool  // no other view is taken

	renewing sync.Mutex // of what follows, held while a view is taken
	taken    []time.Time
	retry    time.Time // when another may be tried, after one that did not count
}

const refSize = len(chunk.Key{}) + 1

// Begin returns a Run that goes by what the Local knows, as of a view that was taken at that store time. It builds on what
// was indexed by those whom accept accepts.
func (v *Local) Begin(at time.Time, accept func(*lookup.Origin) bool) *Run {
	r := &Run{local: v, accept: accept, taken: []time.Time{at.UTC()}}
	r.avoid = v.Lists()
	r.refs, r.sent = spool.New(v.options.Temp, refSize), spool.New(v.options.Temp, len(index.ObjectID{}))
	r.asked.Store(v.options.Now().UnixNano())
	return r
}

// Close lets go of what was noted.
func (r *Run) Close() {
	r.refs.Close()
	r.sent.Close()
}

// Views returns the store times of the views that count, the first one first.
func (r *Run) Views() []time.Time {
	r.renewing.Lock()
	defer r.renewing.Unlock()
	return slices.Clone(r.taken)
}

// Sent notes that the run is about to store a pack.
func (r *Run) Sent(id index.ObjectID) { r.sent.Add(id[:]) }

// End says that the run fails: no other view is taken for it.
func (r *Run) End() { r.ending.Store(true) }

// Due reports whether the store has not been asked for its time for long, so that Current should be called. Of several
// callers one is told so.
func (r *Run) Due() bool {
	now, asked := r.local.options.Now().UnixNano(), r.asked.Load()
	since := now - asked
	return (since < 0 || since >= int64(askEvery)) && r.asked.CompareAndSwap(asked, now)
}

// Refer reports whether this run may use a chunk in one of the forms, a whole one first, and records the use. Prune's lists
// name recipes, trees and lists that lean on what they name: so nothing below has to be looked up.
func (r *Run) Refer(key chunk.Key, forms ...pack.Type) (ok bool, err error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, typ := range forms {
		if ok, err = r.usable(key, typ, r.avoid); ok || err != nil {
			break
		}
	}
	if ok {
		r.refs.Add(append(key[:], byte(forms[len(forms)-1])))
	}
	return ok, err
}

// Damaged reports whether something is known to be lost: then a tree that this run may use may lean on it.
func (r *Run) Damaged() bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.avoid.Damaged()
}

// Indexed reports whether this run could refer to a chunk in a form.
func (r *Run) Indexed(key chunk.Key, typ pack.Type) (bool, error) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.usable(key, typ, r.avoid)
}

// Trusts reports whether this run builds on what is at a place.
func (r *Run) Trusts(at lookup.Location, key chunk.Key) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.accept(&at.Pack.Origin) && r.avoid.Blob(at.Pack.ID, key, at.Type) == 0
}

// usable asks the local index. What stood in a broken part of it is stored again: a cache never stops a backup.
func (r *Run) usable(key chunk.Key, typ pack.Type, avoid *lists.Set) (bool, error) {
	_, ok, err := r.local.index.Has(key, typ, r.accept)
	if ok && err == nil && !avoid.Empty() {
		var all []lookup.Location
		all, err = r.local.index.Lookup(key, nil)
		ok = false
		for i := range all {
			ok = ok || all[i].Type == typ && r.accept(&all[i].Pack.Origin) && avoid.Blob(all[i].Pack.ID, key, typ) == 0
		}
	}
	if errors.Is(err, lookup.ErrBroken) {
		r.local.options.Warn(err)
		return false, nil
	}
	return ok, err
}

// Current returns the store's time, and takes a new view if the last is half a grace period old. It fails if the last is
// older than a grace period: what the run refers to, or has sent, may be gone. After a new view an index object is due,
// whatever it names: a sign of life.
func (r *Run) Current(ctx context.Context) (now time.Time, renewed bool, err error) {
	r.renewing.Lock()
	defer r.renewing.Unlock()
	for {
		if now, err = r.local.objects.StoreTime(ctx); err != nil {
			return now, renewed, err
		}
		last := r.taken[len(r.taken)-1]
		grace := r.local.objects.Keys().Allowance(last)
		age := now.Sub(last)
		switch {
		case age > grace:
			return now, renewed, fmt.Errorf("the run's last view of the repository is of %s, longer ago than the grace period of %s: what it refers to may be gone", sealed.Stamp(last), grace)
		case age < grace/2 || now.Before(r.retry) || r.ending.Load():
			return now, renewed, nil
		}
		against, err := r.renew(ctx)
		if err != nil {
			return now, renewed, err
		}
		if against == nil {
			r.taken, renewed = append(r.taken, now.UTC()), true
			continue // that took its time
		}
		r.retry = now.Add(grace / 8)
		r.local.options.Warn(fmt.Errorf("the run goes by its view of %s, and has to be done by %s: %w", sealed.Stamp(last), sealed.Stamp(last.Add(grace)), against))
	}
}

// renew takes a view. against says why it does not count.
func (r *Run) renew(ctx context.Context) (against, err error) {
	unread, err := r.local.Take(ctx)
	if err != nil {
		return nil, err
	}
	fresh := r.local.Lists()
	avoid := r.avoid.And(fresh)
	r.mu.Lock()
	r.avoid = avoid
	r.mu.Unlock()
	if unread != nil {
		return unread, nil
	}
	// What is referred to from now on is chosen by these lists.
	if against = r.verify(ctx, fresh); ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return against, nil
}

var errNamed = errors.New("prune is about to take what the run refers to")

// verify returns nil if nothing that the run has sent or refers to is named by these lists, or otherwise gone.
func (r *Run) verify(ctx context.Context, by *lists.Set) error {
	stop := func() error {
		if r.ending.Load() {
			return errors.New("the run ends")
		}
		return ctx.Err()
	}
	err := r.sent.Each(func(id []byte) error {
		if by.Touches(index.ObjectID(id)) {
			return fmt.Errorf("pack %s: %w", index.ObjectID(id), errNamed)
		}
		return stop()
	})
	if err != nil {
		return err
	}
	return r.refs.Each(func(ref []byte) error {
		key, typ := chunk.Key(ref), pack.Type(ref[len(chunk.Key{})])
		ok, err := r.usable(key, typ, by)
		if !ok && err == nil && typ >= pack.RecipeFor {
			ok, err = r.usable(key, typ-pack.RecipeFor, by)
		}
		if !ok && err == nil {
			err = fmt.Errorf("chunk %x: %w", key, errNamed)
		}
		if err != nil {
			return err
		}
		return stop()
	})
}
