package sealed

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"nightjar/repo/store"
)

// MaxSkew is how far the time that an archive or an index object says of itself may be from the store's.
const MaxSkew = 10 * time.Minute

// Skewed reports whether an object was dated otherwise than it says of itself.
func Skewed(signed, stored time.Time) bool { return signed.Sub(stored).Abs() > MaxSkew }

// Stamp writes a time for people.
func Stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

const tries = 3 // how often an object is written that the store dates otherwise than it says of itself

// StoreTime returns what time it is, by the store's clock.
func (s *Objects) StoreTime(ctx context.Context) (time.Time, error) {
	return StoreTime(ctx, s.store, s.options.Now)
}

// TimeFor is StoreTime. Who only looks goes by this host's time where the store may not be written, and so cannot tell.
func (s *Objects) TimeFor(ctx context.Context, looks bool) (time.Time, error) {
	now, err := s.StoreTime(ctx)
	if looks && (errors.Is(err, syscall.EROFS) || errors.Is(err, fs.ErrPermission)) {
		return s.options.Now(), nil
	}
	return now, err
}

// StoreTime asks a store for its time; one that cannot tell is taken to agree with this host.
func StoreTime(ctx context.Context, s store.Store, now func() time.Time) (time.Time, error) {
	if c, ok := s.(store.Clock); ok {
		return c.Now(ctx)
	}
	return now(), nil
}

// InTime lets put store an object that says when it was made, until the store agrees. now is asked before each time, and decides whether it may be stored at all.
func InTime(now func() (time.Time, error), put func(time.Time) (store.Info, error)) (info store.Info, err error) {
	for range tries {
		at, err := now()
		if err != nil {
			return info, err
		}
		if info, err = put(at); err != nil || !Skewed(at, info.Time) {
			return info, err
		}
	}
	return info, fmt.Errorf("store %s: the store dates it %s, again and again too far from its last answer", info.Name, Stamp(info.Time))
}
