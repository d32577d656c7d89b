package repo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// When a host merges its own index objects. doc/format.md, section 6, says it too.
const (
	mergeFrom  = 16              // as many at least,
	mergeAge   = 24 * time.Hour  // as old at least by the store's clock,
	mergeSmall = 512 << 10       // of so many bytes at most as they are stored, become one
	mergeMost  = 8 << 20         // of so many at most, decompressed or not
	mergeRuns  = 1 << 15         // and of so many runs at most, half of what an index object may hold
	mergeTime  = 5 * time.Minute // a backup that is done waits no longer for it
)

// mergeIndexes stores one index object that stands for small ones that this host has written, if it is time. They stay: prune deletes them. Packs
// that skip accepts (nil: none) are left out. Whatever becomes of it, the same chunks are indexed: before the merged object is stored nothing
// has changed, after it what it stands for counts no more; and what two processes merge at the same time is there twice.
func (r *Repository) mergeIndexes(ctx context.Context, now time.Time, skip func(pack index.ObjectID) bool) (store.Info, error) {
	if len(dueIndexes(r.liveIndexes(), now)) == 0 {
		return store.Info{}, nil
	}
	// Another process of this host may just have done it.
	if err := r.SyncIndex(ctx); err != nil {
		return store.Info{}, err
	}
	parts, err := r.readIndexes(ctx, dueIndexes(r.liveIndexes(), now))
	if len(parts) < 2 || err != nil {
		return store.Info{}, err
	}
	merged := index.Join(parts, skip)
	// What prune has deleted need not be named for ever.
	there := r.ownIndexes()
	merged.Replaces = slices.DeleteFunc(merged.Replaces, func(id index.ObjectID) bool { return !there[id] })
	at := func() (time.Time, error) {
		at, err := r.StoreTime(ctx)
		if age := at.Sub(now); err == nil && age > r.Keys().Allowance(now)/2 && !r.options.Without.MergeSoon {
			err = fmt.Errorf("what they are was listed %s ago, and prune may have done away with the list that says what is dropped of it", age)
		}
		return at, err
	}
	return sealed.InTime(at, func(at time.Time) (store.Info, error) {
		merged.Time = at
		content := merged.Append(nil)
		if len(content) > pack.MaxRecord { // since it names that many others
			return store.Info{}, fmt.Errorf("%d bytes are more than a record holds", len(content))
		}
		r.index.Lock() // a listing that began before would take it for gone
		defer r.index.Unlock()
		info, err := r.PutRecordAs(ctx, r.Host(), "index", content)
		if err != nil || sealed.Skewed(at, info.Time) {
			return info, err
		}
		id, _ := store.SumOf(info.Name)
		if err := r.index.Add(index.Source{Object: id, Signer: string(r.Host().Fingerprint())}, &merged); err != nil {
			return info, fmt.Errorf("note what was merged: %w", err)
		}
		return info, nil
	})
}

// ReplacedIndexes returns the index objects that others stand for, as of the last sync: what they say counts no more.
func (r *Repository) ReplacedIndexes() map[index.ObjectID]bool {
	r.index.Lock()
	defer r.index.Unlock()
	replaced := map[index.ObjectID]bool{}
	for _, s := range r.index.Replaced() {
		replaced[s.Object] = true
	}
	return replaced
}

// ownIndexes returns what this host has signed, as of the last sync.
func (r *Repository) ownIndexes() map[index.ObjectID]bool {
	r.index.Lock()
	defer r.index.Unlock()
	own := map[index.ObjectID]bool{}
	for _, l := range r.index.mine {
		own[l.id] = true
	}
	return own
}

// liveIndexes returns what this host has signed and nothing stands for, as of the last sync.
func (r *Repository) liveIndexes() []listedIndex {
	replaced := r.ReplacedIndexes()
	r.index.Lock()
	defer r.index.Unlock()
	return slices.DeleteFunc(slices.Clone(r.index.mine), func(l listedIndex) bool { return replaced[l.id] })
}

// dueIndexes returns which to merge now, if any: old small ones, none larger than all that are smaller than it together. So whatever is written again
// comes to stand in an object of twice the size, and is not written again more often than that can be.
func dueIndexes(all []listedIndex, now time.Time) []listedIndex {
	old := slices.DeleteFunc(slices.Clone(all), func(l listedIndex) bool { return l.size > mergeSmall || now.Sub(l.time) < mergeAge })
	slices.SortFunc(old, func(a, b listedIndex) int {
		return cmp.Or(cmp.Compare(a.size, b.size), a.time.Compare(b.time), slices.Compare(a.id[:], b.id[:]))
	})
	due, sum := 0, int64(0)
	for i, l := range old {
		if sum += l.size; sum > mergeMost {
			break
		}
		if i+1 >= mergeFrom && l.size <= sum-l.size {
			due = i + 1
		}
	}
	return old[:due]
}

// readIndexes reads index objects again, as many as stay within the bounds. One that cannot be had, or is not this host's, is left as it is.
func (r *Repository) readIndexes(ctx context.Context, due []listedIndex) ([]index.Stored, error) {
	var parts []index.Stored
	bytes, runs := 0, 0
	for _, l := range due {
		x := sealed.ParseIndex(r.ReadRecord(ctx, l.info()))
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(x.Err, ErrUnavailable):
			return nil, x.Err
		case errors.Is(x.Err, store.ErrNotExist), x.Late:
			continue
		case x.Err == nil && x.Signer != r.Host().Fingerprint():
			x.Err = fmt.Errorf("%s is signed by %s: %w", x.Name, x.Signer, crypto.ErrIntegrity)
		}
		if x.Err != nil {
			r.options.Warn(fmt.Errorf("index object is not merged: %w", x.Err))
			continue
		}
		bytes, runs = bytes+len(x.Content), runs+len(x.Object.Runs)
		if bytes > mergeMost || runs > mergeRuns {
			break
		}
		parts = append(parts, index.Stored{ID: l.id, Time: x.Time, Object: x.Object})
	}
	return parts, nil
}
