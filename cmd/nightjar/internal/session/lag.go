package session

import (
	"context"
	"errors"
	"fmt"

	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/repo/keyring"
)

// lagging returns the keys to go by in a copy that was made before the last change of keys which this machine has seen somewhere else. For reading they are the newest that it has seen: so a
// key that is marked compromised stays so, whatever the copy says. To write there, somebody has to name the root. In the place where the newest were seen, older ones are somebody's doing.
func (s *Site) lagging(ctx context.Context, need Access, named bool, refused error) (*keyring.Keyring, error) {
	there, err := keyring.Load(ctx, s.Store, func(string) (keyring.Pin, error) { return keyring.Pin{}, nil }, func(error) {})
	if err != nil {
		return nil, refused
	}
	seenAt, err := s.State.SeenAt(there.ID())
	if err != nil || seenAt == "" || seenAt == s.Name {
		return nil, refused
	}
	known, err := s.State.Keys(there.ID())
	if err != nil || !known.Follows(there.Root().Fingerprint()) || there.Number() >= known.Number() {
		return nil, refused
	}
	lag := fmt.Errorf("%s has %s, and this machine has seen %s in %s: the copy was made before", place.Shown(s.Place), keyring.Name(there.Number()), keyring.Name(known.Number()), seenAt)
	if need != Write && need != Maintain {
		s.set.Warn(fmt.Errorf("%w. It is read by the newer keys; what was saved since is not there", lag))
		return known, nil
	}
	if !named {
		return nil, usage.Hinted{Err: errors.Join(lag, refused), Hint: "to go on there, nightjar check --repair --kit FILE stores the newer keys, of which the newest recovery kit has a copy; or name the root key with --root FINGERPRINT, and go on with the older ones"}
	}
	s.set.Warn(fmt.Errorf("%w. It is written by the older keys", lag))
	return there, nil
}
