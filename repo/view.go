package repo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/spool"
	"nightjar/repo/tree"
)

// askEvery is how often, at least, the store is asked for its time while a run looks things up.
const askEvery = 10 * time.Minute

// A view is what a run goes by: prune's lists, and then the index objects, as they were listed after a store time. The run refers to nothing that
// any view's lists name. A list that was written after the view is carried out later than a grace period on, and only after prune has looked for archives
// again: so a run that commits within a grace period of its view finds all that it refers to. A longer run has to take views on its way, and each counts
// only if nothing that the run has come to refer to is named there. doc/format.md, section 9.1.
type view struct {
	sync.RWMutex              // held for reading from a look-up until what it found is noted: a new view misses nothing
	avoid        *lists.Set   // of all views, those too that did not count
	refs         *spool.Spool // what the run refers to: key, and the form in which it must be there
	sent         *spool.Spool // ids of its packs

	asked  atomic.Int64 // when the store was last asked for its time, by the host's clock
	ending atomic.Bool  // no other view is taken

	renewing sync.Mutex // of what follows, held while a view is taken
	taken    []time.Time
	retry    time.Time // when another may be tried, after one that did not count
}

const refSize = len(chunk.Key{}) + 1

func (w *Writer) firstView(at time.Time) {
	v := &w.view
	v.taken = []time.Time{at.UTC()}
	if !w.r.options.Without.Avoid {
		v.avoid = w.r.Lists()
	}
	v.refs, v.sent = spool.New(w.r.options.Temp, refSize), spool.New(w.r.options.Temp, len(index.ObjectID{}))
	v.asked.Store(w.r.options.Now().UnixNano())
}

func (v *view) close() {
	v.refs.Close()
	v.sent.Close()
}

// Has reports whether a chunk of content is stored, by somebody whom this run trusts, where this run may refer to it; if so, it is taken to.
func (w *Writer) Has(id chunk.ID) (bool, error) { return w.has(id.Key(), pack.WholeContent) }

// Holds is Has for all that contents of a file name: of those of more than a few hundred chunks these are lists, and a list that may be referred to
// is complete.
func (w *Writer) Holds(c tree.Contents) (bool, error) {
	whole := pack.WholeContent
	if c.Level > 0 {
		whole = pack.WholeList
	}
	for _, item := range c.Items {
		if item.Hole {
			continue
		}
		if ok, err := w.has(item.ID.Key(), whole); !ok || err != nil {
			return ok, err
		}
	}
	return true, nil
}

// has reports whether a chunk is stored in either form, and notes that the run refers to it. Prune's lists name recipes, trees and lists that
// lean on what they name: so nothing below has to be looked up.
func (w *Writer) has(key chunk.Key, whole pack.Type) (bool, error) {
	return w.refer(key, whole, pack.RecipeFor+whole)
}

// refer reports whether a chunk is stored in one of the forms, a whole one first, where this run may refer to it; if so, it is taken to.
func (w *Writer) refer(key chunk.Key, forms ...pack.Type) (ok bool, err error) {
	if err := w.tick(); err != nil {
		return false, err
	}
	w.view.RLock()
	defer w.view.RUnlock()
	for _, typ := range forms {
		if ok, err = w.usable(key, typ, w.view.avoid); ok || err != nil {
			break
		}
	}
	if ok {
		w.view.refs.Add(append(key[:], byte(forms[len(forms)-1])))
	}
	return ok, err
}

// indexed reports whether this run could refer to a chunk in a form.
func (w *Writer) indexed(key chunk.Key, typ pack.Type) (bool, error) {
	w.view.RLock()
	defer w.view.RUnlock()
	return w.usable(key, typ, w.view.avoid)
}

// usable asks the local index. What stood in a broken part of it is stored again: a cache may cost time, and never stops a backup.
func (w *Writer) usable(key chunk.Key, typ pack.Type, avoid *lists.Set) (bool, error) {
	_, ok, err := w.r.index.Has(key, typ, w.trusted)
	if ok && err == nil && !avoid.Empty() {
		var all []index.Location
		all, err = w.r.index.Lookup(key, nil)
		ok = false
		for i := range all {
			ok = ok || all[i].Type == typ && w.trusted(all[i].Pack.Signer) && avoid.Blob(all[i].Pack.ID, key, typ) == 0
		}
	}
	if errors.Is(err, index.ErrBroken) {
		w.r.options.Warn(err)
		return false, nil
	}
	return ok, err
}

// avoids reports whether a place is named by a list.
func (w *Writer) avoids(at index.Location, key chunk.Key) bool {
	w.view.RLock()
	defer w.view.RUnlock()
	return w.view.avoid.Blob(at.Pack.ID, key, at.Type) != 0
}

// tick looks after the view of a run that stores nothing for long.
func (w *Writer) tick() error {
	now, asked := w.r.options.Now().UnixNano(), w.view.asked.Load()
	if since := now - asked; since >= 0 && since < int64(askEvery) || !w.view.asked.CompareAndSwap(asked, now) {
		return nil
	}
	_, renewed, err := w.current(w.ctx)
	if err == nil && renewed {
		err = w.putIndex(w.ctx, nil)
	}
	if err != nil {
		w.fail(err)
	}
	return err
}

// current returns the store's time, and takes a new view if the last is half a grace period old. It fails when that is older than it may be: what the
// run refers to, or has sent, may be gone. After a new view an index object is due, whatever it names: a sign of life.
func (w *Writer) current(ctx context.Context) (now time.Time, renewed bool, err error) {
	v, without := &w.view, &w.r.options.Without
	v.renewing.Lock()
	defer v.renewing.Unlock()
	for {
		if now, err = w.r.StoreTime(ctx); err != nil {
			return now, renewed, err
		}
		last := v.taken[len(v.taken)-1]
		grace := w.r.Keys().Allowance(last)
		age := now.Sub(last)
		switch {
		case age > grace && !without.Expiry:
			return now, renewed, fmt.Errorf("the run's last view of the repository is of %s, longer ago than the grace period of %s: what it refers to may be gone", sealed.Stamp(last), grace)
		case age < grace/2 || now.Before(v.retry) || v.ending.Load() || without.Renewal:
			return now, renewed, nil
		}
		against, err := w.renew(ctx)
		if err != nil {
			return now, renewed, err
		}
		if against == nil {
			v.taken, renewed = append(v.taken, now.UTC()), !without.SignOfLife
			continue // that took its time
		}
		v.retry = now.Add(grace / 8)
		w.r.options.Warn(fmt.Errorf("the run goes by its view of %s, and has to be done by %s: %w", sealed.Stamp(last), sealed.Stamp(last.Add(grace)), against))
	}
}

// renew takes a view. against says why it does not count.
func (w *Writer) renew(ctx context.Context) (against, err error) {
	unread, err := w.r.sync(ctx)
	if err != nil {
		return nil, err
	}
	fresh := w.r.Lists()
	if without := &w.r.options.Without; !without.Avoid && !without.AvoidLater {
		avoid := w.view.avoid.And(fresh)
		w.view.Lock()
		w.view.avoid = avoid
		w.view.Unlock()
	}
	if unread != nil && !w.r.options.Without.UnreadLater {
		return unread, nil
	}
	// What is referred to from now on is chosen by these lists.
	if against = w.verify(ctx, fresh); ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return against, nil
}

var errNamed = errors.New("prune is about to take what the run refers to")

// verify returns nil if nothing that the run has sent or refers to is named by these lists, or otherwise gone.
func (w *Writer) verify(ctx context.Context, by *lists.Set) error {
	stop := func() error {
		if w.view.ending.Load() {
			return errors.New("the run ends")
		}
		return ctx.Err()
	}
	err := w.view.sent.Each(func(id []byte) error {
		if by.Touches(index.ObjectID(id)) && !w.r.options.Without.VerifySent {
			return fmt.Errorf("pack %s: %w", index.ObjectID(id), errNamed)
		}
		return stop()
	})
	if err != nil {
		return err
	}
	return w.view.refs.Each(func(ref []byte) error {
		key, typ := chunk.Key(ref), pack.Type(ref[len(chunk.Key{})])
		ok, err := w.usable(key, typ, by)
		if !ok && err == nil && typ >= pack.RecipeFor {
			ok, err = w.usable(key, typ-pack.RecipeFor, by)
		}
		if !ok && err == nil && !w.r.options.Without.VerifyReferences {
			err = fmt.Errorf("chunk %x: %w", key, errNamed)
		}
		if err != nil {
			return err
		}
		return stop()
	})
}
