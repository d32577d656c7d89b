package sealed

import (
	"context"
	"errors"
	"fmt"

	"nightjar/crypto"
	"nightjar/repo/store"
)

// Recover makes the store read the version of an object that has the hash in its name, where it keeps versions, and reports whether there is another than
// was read so far. Its Info is that of the version.
func (s *Objects) Recover(ctx context.Context, name string) (store.Info, bool) {
	return s.recover(ctx, name, func([]byte) bool { return false })
}

// recover is Recover also for an object without a hash in its name, of which right knows whether it is the one.
func (s *Objects) recover(ctx context.Context, name string, right func(object []byte) bool) (store.Info, bool) {
	versions, ok := s.store.(store.Versioned)
	if !ok {
		return store.Info{}, false
	}
	info, err := versions.Recover(ctx, name, right)
	if err != nil && !errors.Is(err, store.ErrNotExist) && ctx.Err() == nil {
		// What is wrong with the object is worse, and somebody else's to tell.
		s.unrecovered.Do(func() { s.options.Warn(fmt.Errorf("look for older versions: %w", err)) })
	}
	return info, err == nil
}

// Recovered is Recover, if err may come from an object that somebody replaced or deleted.
func (s *Objects) Recovered(ctx context.Context, name string, err error) bool {
	if !errors.Is(err, crypto.ErrIntegrity) {
		return false
	}
	_, ok := s.Recover(ctx, name)
	return ok
}
