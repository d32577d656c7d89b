// Package vouch has archives count on whose signer is marked compromised: those from before the theft. doc/format.md, sections 3 and 9.
//
// It supposes the repository as it will be with the mark, and names what is whole in that; so what it has said holds for every reader. It writes records, and changes nothing.
package vouch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain/check"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// Options say for what of a host to speak.
type Options struct {
	Who    string                     // the host, or the fingerprint of one of its keys: what is marked compromised, or will be
	Before time.Time                  // by the store's clock: for what was stored then or earlier
	Left   func(id string, err error) // told of each archive of that time that does not count, and why; may be nil
}

// Summary counts what was spoken for.
type Summary struct {
	Archives int
	Left     int // archives of that time that it did not speak for
	Objects  int // index objects, packs and records
}

// vouchedEach is how many ids one record names: what it may have would suffice for more.
const vouchedEach = 200_000

// Archives writes verified records, so that what the keys of a host signed up to a time goes on to count when they are marked compromised: archives, if they are complete
// without anything that these keys signed later, and the index objects, packs and records that this takes. It is for before the mark; after it, archives are left out of which prune
// has condemned something. It takes a recovery key.
//
// The time of an object is the store's, and where versions are kept that of the oldest. All below an archive's root is fixed by hashes, so it does not matter who says where it lies: an index object
// that was stored later is spoken for, too, if archives are not complete without it, since indexes are merged.
func Archives(ctx context.Context, r *repo.Repository, o Options) (done Summary, err error) {
	if o.Left == nil {
		o.Left = func(string, error) {}
	}
	v := voucher{r: r, o: o, archives: map[index.ObjectID]time.Time{}, objects: idSet{}, again: idSet{}}
	if err = v.run(ctx, &done); err != nil {
		err = fmt.Errorf("vouch for the archives of %s: %w", o.Who, err)
	}
	return done, err
}

type idSet = map[index.ObjectID]bool

// A voucher is at work.
type voucher struct {
	r        *repo.Repository
	o        Options
	keys     *keyring.Keyring // with the mark
	verified *sealed.Vouched  // what counts by records already
	again    idSet            // late archives that count by a record that will not

	archives map[index.ObjectID]time.Time // of before, with their store times
	objects  idSet                        // of before
	later    []laterIndex
}

// A laterIndex is an index object that was stored too late.
type laterIndex struct {
	id    index.ObjectID
	packs []index.ObjectID
}

func (v *voucher) run(ctx context.Context, done *Summary) (err error) {
	if v.keys, err = v.r.Keys().Suppose(v.o.Who); err != nil {
		return err
	}
	view, err := v.r.StoreTime(ctx)
	if err != nil {
		return err
	}
	if v.verified, err = v.r.Verified(ctx); err != nil {
		return err
	}
	if err := v.collect(ctx); err != nil {
		return err
	}
	whole, left, err := v.complete(ctx, nil)
	if err != nil {
		return err
	}
	if len(left) > 0 && len(v.later) > 0 {
		merged, err := v.merged(ctx)
		if err != nil {
			return err
		}
		more, fewer, err := v.complete(ctx, merged)
		if err != nil {
			return err
		}
		if len(more) > len(whole) {
			whole, left = more, fewer
			maps.Copy(v.objects, merged)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(left)) {
		v.o.Left(id, left[id])
	}
	*done = Summary{Archives: len(whole), Left: len(left), Objects: len(v.objects)}
	maps.Copy(v.objects, whole)
	maps.Copy(whole, v.again) // which undoes no other mark
	return v.write(ctx, sortedIDs(whole), sortedIDs(v.objects), view)
}

func (v *voucher) write(ctx context.Context, archives, objects []index.ObjectID, view time.Time) error {
	for len(archives)+len(objects) > 0 {
		n := min(vouchedEach, len(archives))
		m := min(vouchedEach-n, len(objects))
		if _, err := v.r.PutVerified(ctx, &record.Verified{Archives: archives[:n], Objects: objects[:m], View: view}); err != nil {
			return err
		}
		archives, objects = archives[n:], objects[m:]
	}
	return nil
}

func sortedIDs(s idSet) []index.ObjectID {
	return slices.SortedFunc(maps.Keys(s), func(a, b index.ObjectID) int { return bytes.Compare(a[:], b[:]) })
}

// mine reports whether a key is one that is marked.
func (v *voucher) mine(f crypto.Fingerprint) bool {
	host, err := v.keys.Owner(f)
	named, notFingerprint := crypto.ParseFingerprint(v.o.Who)
	return err == nil && host == v.o.Who || notFingerprint == nil && named == f
}

// early reports whether an object was stored in time, and when.
func (v *voucher) early(ctx context.Context, info store.Info) (time.Time, bool) {
	if info.Time.After(v.o.Before) { // or stored again
		if older, ok := v.r.Recover(ctx, info.Name); ok {
			info = older
		}
	}
	return info.Time, !info.Time.After(v.o.Before)
}

// collect notes what the marked keys have signed, and of that what is of before.
func (v *voucher) collect(ctx context.Context) error {
	kinds := []string{"archive", "index", record.ForgetKind, record.LostKind, record.CondemnedKind, record.DroppedKind, record.VerifiedKind}
	all := idSet{}
	for _, kind := range kinds {
		err := v.r.Store().List(ctx, kind+"/", func(i store.Info) error {
			if id, err := sealed.ObjectID(i.Name); err == nil && sealed.Kind(i.Name) == kind {
				all[id] = true
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("list %s objects: %w", kind, err)
		}
	}
	trial, err := v.r.Suppose(ctx, &repo.Supposition{Keys: v.keys, Verified: &sealed.Vouched{Marked: all}})
	if err != nil {
		return err
	}
	defer trial.Close()
	for _, kind := range kinds {
		err := trial.Records(ctx, kind, func(x sealed.Record) error {
			switch {
			case errors.Is(x.Err, repo.ErrUnread):
				return x.Err
			case x.Err != nil || !v.mine(x.Signer): // a check says so
				return nil
			case kind == "index":
				return v.index(ctx, x)
			}
			at, early := v.early(ctx, x.Info)
			switch {
			case !early:
			case kind == "archive":
				v.archives[x.ID] = at
			case kind == record.VerifiedKind:
				return v.repeat(x)
			default:
				v.objects[x.ID] = true
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// index notes an index object.
func (v *voucher) index(ctx context.Context, x sealed.Record) error {
	object, err := index.ParseObject(x.Content)
	if err != nil {
		return nil // a check says so
	}
	var packs []index.ObjectID
	for _, run := range object.Runs {
		for i := range run.Packs {
			packs = append(packs, run.Packs[i].ID)
		}
	}
	if _, early := v.early(ctx, x.Info); !early {
		v.later = append(v.later, laterIndex{x.ID, packs})
		return nil
	}
	v.objects[x.ID] = true
	for _, id := range packs {
		v.objects[id] = true
	}
	return nil
}

// repeat notes what a record says that will not count itself.
func (v *voucher) repeat(x sealed.Record) error {
	var r record.Verified
	if err := record.Decode(x.Content, &r); err != nil {
		return nil // a check says so
	}
	for _, id := range r.Archives {
		v.again[id] = true
	}
	return nil
}

// merged returns the index objects that were stored later and name packs of before that none of before does, and these packs.
func (v *voucher) merged(ctx context.Context) (idSet, error) {
	named := idSet{}
	for _, x := range v.later {
		for _, id := range x.packs {
			named[id] = !v.objects[id]
		}
	}
	all := idSet{}
	for _, kind := range []string{"content", "metadata"} {
		err := v.r.Store().List(ctx, kind+"/", func(i store.Info) error {
			id, err := sealed.ObjectID(i.Name)
			if err != nil || sealed.Kind(i.Name) != kind || !named[id] {
				return nil
			}
			at, err := store.HomeTime(ctx, v.r.Store(), i)
			if err == nil && !at.After(v.o.Before) {
				all[id] = true
			}
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("list %s packs: %w", kind, err)
		}
	}
	for _, x := range v.later {
		if slices.ContainsFunc(x.packs, func(id index.ObjectID) bool { return all[id] }) {
			all[x.id] = true
		}
	}
	return all, nil
}

// complete returns which archives of before are complete if that and more count, and why the others are not.
func (v *voucher) complete(ctx context.Context, more idSet) (whole idSet, left map[string]error, err error) {
	marked := slices.ContainsFunc(v.r.Keys().Marked("archive"), func(s crypto.Signer) bool { return v.mine(s.Key.Fingerprint()) })
	counts := &sealed.Vouched{Late: maps.Clone(v.verified.Late), Dated: maps.Clone(v.verified.Dated), Marked: maps.Clone(v.verified.Marked)}
	maps.Copy(counts.Late, v.again)
	maps.Copy(counts.Marked, v.objects)
	maps.Copy(counts.Marked, more)
	for id := range v.archives {
		counts.Late[id], counts.Dated[id], counts.Marked[id] = true, true, true
	}
	then := &repo.Supposition{Keys: v.keys, Verified: counts, Dropped: marked}
	whole, late := idSet{}, map[string]error{}
	var walked []index.ObjectID
	left, err = check.Lacking(ctx, v.r, then, check.Options{}, func(a *repo.Archive) bool {
		id, err := index.ParseObjectID(a.ID)
		at, early := v.archives[id]
		v.r.StandAt(a, at)
		switch {
		case err != nil || !early:
			return false
		case marked && v.verified.Marked[id]: // somebody has looked at it
			whole[id] = true
			return false
		case a.Is(repo.Late) && !v.verified.Late[id] && !v.again[id]:
			late[a.ID] = errors.New("it was stored too late, and did not count before")
			return false
		}
		walked = append(walked, id)
		return true
	})
	if err != nil {
		return nil, nil, err
	}
	for _, id := range walked {
		if left[id.String()] == nil {
			whole[id] = true
		}
	}
	maps.Copy(left, late)
	return whole, left, nil
}
