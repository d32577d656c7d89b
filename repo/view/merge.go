package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// When a host merges its own index objects. doc/format.md, section 6, says it too.
const (
	mergeFrom  = 16             // as many at least,
	mergeAge   = 24 * time.Hour // as old at least by the store's clock,
	mergeSmall = 512 << 10      // of so many bytes at most as they are stored, become one
	mergeMost  = 8 << 20        // of so many at most, decompressed or not
	mergeRuns  = 1 << 15        // and of so many runs at most, half of what an index object may hold
)

// Merge stores one index object in place of small ones that this host has written, if it is time. They stay: prune deletes
// them. Until the merged object is stored nothing changes; then readers ignore what it replaces. What two processes merge at
// the same time is there twice. now is a store time. The Info is zero if nothing was merged.
func (v *Local) Merge(ctx context.Context, now time.Time) (store.Info, error) {
	if len(dueIndexes(v.liveIndexes(), now)) == 0 {
		return store.Info{}, nil
	}
	// Another process of this host may just have done it.
	if err := v.SyncIndex(ctx); err != nil {
		return store.Info{}, err
	}
	parts, err := v.readIndexes(ctx, dueIndexes(v.liveIndexes(), now))
	if len(parts) < 2 || err != nil {
		return store.Info{}, err
	}
	merged := index.Join(parts, nil)
	// What prune has deleted need not be named for ever.
	there := v.ownIndexes()
	merged.Replaces = slices.DeleteFunc(merged.Replaces, func(id index.ObjectID) bool { return !there[id] })
	at := func() (time.Time, error) {
		at, err := v.objects.StoreTime(ctx)
		if age := at.Sub(now); err == nil && age > v.objects.Keys().Allowance(now)/2 {
			err = fmt.Errorf("what they are was listed %s ago, and prune may have done away with the list that says what is dropped of it", age)
		}
		return at, err
	}
	return sealed.InTime(at, func(at time.Time) (store.Info, error) {
		merged.Time = at
		content := merged.Append(nil)
		if len(content) > index.MaxObject { // since it names that many others
			return store.Info{}, fmt.Errorf("%d bytes are more than a record holds", len(content))
		}
		return v.putIndex(ctx, &merged, content)
	})
}

// ownIndexes returns what this host has signed.
func (v *Local) ownIndexes() map[index.ObjectID]bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	own := map[index.ObjectID]bool{}
	for _, l := range v.mine {
		own[l.id] = true
	}
	return own
}

// liveIndexes returns what this host has signed and nothing stands for.
func (v *Local) liveIndexes() []listedIndex {
	replaced := v.ReplacedIndexes()
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(v.mine), func(l listedIndex) bool { return replaced[l.id] })
}

// dueIndexes returns which to merge now, if any: old small ones, none larger than all that are smaller than it together. So
// whatever is written again comes to lie in an object of twice the size: that happens only as often as sizes can double.
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
func (v *Local) readIndexes(ctx context.Context, due []listedIndex) ([]index.Stored, error) {
	var parts []index.Stored
	bytes, runs := 0, 0
	for _, l := range due {
		x := v.objects.ReadIndex(ctx, l.info())
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case errors.Is(x.Err, store.ErrUnavailable):
			return nil, x.Err
		case errors.Is(x.Err, store.ErrNotExist), x.Late:
			continue
		case x.Err == nil && x.Signer != v.objects.Host().Fingerprint():
			x.Err = fmt.Errorf("%s is signed by %s: %w", x.Name, x.Signer, crypto.ErrIntegrity)
		}
		if x.Err != nil {
			v.options.Warn(fmt.Errorf("index object is not merged: %w", x.Err))
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
