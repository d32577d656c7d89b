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
	return s.Records(ctx, "index", func(x Record) error { return f(s.parseIndex(ctx, x)) })
}

// ReadIndex reads one index object.
func (s *Objects) ReadIndex(ctx context.Context, info store.Info) IndexRecord {
	return s.parseIndex(ctx, s.ReadRecord(ctx, info))
}

// parseIndex parses an index object that the store has.
func (s *Objects) parseIndex(ctx context.Context, r Record) IndexRecord {
	x := s.openIndex(r)
	if x.Late && !x.Object.Time.IsZero() {
		x.Time = s.FirstStored(ctx, r.Info)
		x.Late = Skewed(x.Object.Time, x.Time)
	}
	return x
}

// OpenIndex opens an index object that has the hash in its name, and need not be in the store. It overwrites it.
func (s *Objects) OpenIndex(info store.Info, object []byte) IndexRecord {
	content, opened, err := s.openRecord("index", info, object)
	return s.openIndex(newRecord(info, content, opened, err))
}

func (s *Objects) openIndex(x Record) IndexRecord {
	var object index.Object
	if x.Err == nil {
		var err error
		if object, err = index.ParseObject(x.Content); err != nil {
			x.Err = fmt.Errorf("open %s: %w: %w", x.Name, err, crypto.ErrIntegrity)
		}
		for i := 0; i < len(object.Runs) && x.Err == nil && !object.Time.IsZero(); i++ {
			if err := s.checkOwner(x.Signer, object.Runs[i].Owner); err != nil {
				x.Err = fmt.Errorf("open %s: %w", x.Name, err)
			}
		}
	}
	if x.Err != nil {
		object = index.Object{}
	}
	return IndexRecord{x, object, x.Err == nil && Skewed(object.Time, x.Time)}
}

// checkOwner refuses what one host has signed of the packs of another. The root speaks for all.
func (s *Objects) checkOwner(signer crypto.Fingerprint, owner string) error {
	if host, err := s.keys.Owner(signer); err == nil && host != owner {
		return fmt.Errorf("host %q has signed what it says is of host %q: %w", host, owner, crypto.ErrIntegrity)
	}
	return nil
}

// AddIndex stores an index object as the root, whose word every host takes. It needs OpenContent.
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
