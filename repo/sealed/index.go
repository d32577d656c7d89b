package sealed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/store"
)

// An IndexRecord is one index object as it was read, or why it could not be.
type IndexRecord struct {
	Record
	Object index.Object
	Late   bool // the store dated it otherwise than it says of itself: it counts for nothing
}

// IndexObjects calls f for each index object in the repository, those that count for nothing or are replaced too. Only one is in memory at a time.
func (s *Objects) IndexObjects(ctx context.Context, f func(IndexRecord) error) error {
	return s.Records(ctx, "index", func(x Record) error { return f(ParseIndex(x)) })
}

// OpenIndex opens an index object that has the hash in its name, and need not be in the store. It overwrites it.
func (s *Objects) OpenIndex(info store.Info, object []byte) IndexRecord {
	content, opened, err := s.openRecord("index", info, object)
	return ParseIndex(newRecord(info, content, opened, err))
}

// ParseIndex parses an index object that was read.
func ParseIndex(x Record) IndexRecord {
	var object index.Object
	if x.Err == nil {
		if object, x.Err = index.ParseObject(x.Content); x.Err != nil {
			x.Err = fmt.Errorf("open %s: %w: %w", x.Name, x.Err, crypto.ErrIntegrity)
		}
	}
	return IndexRecord{x, object, x.Err == nil && Skewed(object.Time, x.Time)}
}

// Runs are the store times of the newest index object of each run that sent packs.
type Runs map[RunID]time.Time

// RunID names a run.
type RunID struct {
	Signer crypto.Fingerprint
	Begin  time.Time // store time of its first view
}

// Add notes what an index object says of runs. A merged one has kept the times of those that it stands for.
func (n Runs) Add(x IndexRecord) {
	if x.Err != nil || x.Late {
		return
	}
	for _, run := range x.Object.Runs {
		at := run.Time
		if at.IsZero() {
			at = x.Time
		}
		id := RunID{x.Signer, run.Begin}
		if at.After(n[id]) {
			n[id] = at
		}
	}
}

// AddIndex stores an index object as the root, whose word every host takes. It needs UnlockContent.
func (s *Objects) AddIndex(ctx context.Context, o *index.Object) (store.Info, error) {
	root := s.Root()
	if root == nil {
		return store.Info{}, errors.New("store index: it takes a recovery key")
	}
	now := func() (time.Time, error) { return s.StoreTime(ctx) }
	return InTime(now, func(at time.Time) (store.Info, error) {
		o.Time = at
		return s.PutRecordAs(ctx, root, "index", o.Append(nil))
	})
}

// AddReadersIndex stores an index object without a time, so that it is late: readers find by it what they look for, and no backup builds on it.
func (s *Objects) AddReadersIndex(ctx context.Context, o *index.Object) (store.Info, error) {
	o.Time = time.Time{}
	return s.PutRecord(ctx, "index", o.Append(nil))
}
