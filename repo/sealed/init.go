package sealed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"nightjar/crypto"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
)

// ErrExists says that there is a repository already.
var ErrExists = errors.New("a repository is there already")

// InitOptions say whose repository it becomes.
type InitOptions struct {
	HostName string           // of the first host
	Host     *crypto.Key      // its key, with the secret half, unlocked
	Recovery []*crypto.Key    // at least one; certificates suffice
	Now      func() time.Time // nil: time.Now
	Random   io.Reader        // nil: crypto/rand
	// Ready is called when everything but the keys object is stored: an error leaves no repository. It is where the host keeps its key and its kit. May be nil.
	Ready func(k *keyring.Keyring) error
}

// abandoned is how old a config without keys must be before it is taken for the rest of an Init that died, rather than of one that is at work.
const abandoned = time.Minute

// Init makes a repository in an empty store and returns its keyring. The first host gets both roles. Where there is a repository, or a part of one, the error is
// ErrExists and nothing is changed. But a config that is the only object there, and a minute old by the store's clock, is what an Init left that died before it stored the
// keys: nothing can ever have been sealed to it, so it is replaced.
func Init(ctx context.Context, s store.Store, o InitOptions) (*keyring.Keyring, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Random == nil {
		o.Random = rand.Reader
	}
	keys, root, metadata, err := keyring.New(keyring.Owners{HostName: o.HostName, Host: o.Host, Recovery: o.Recovery}, o.Random, o.Now().UTC())
	if err != nil {
		return nil, err
	}
	if err := refuseExisting(ctx, s, o.Now); err != nil {
		return nil, err
	}
	plain, err := newConfig(keys.ID(), o.Random)
	if err != nil {
		return nil, err
	}
	config, err := seal(metadata.Public(), root, binding(keys.ID(), Config), plain, o.Random, o.Now)
	if err != nil {
		return nil, fmt.Errorf("seal config: %w", err)
	}
	// config first: keys make the repository, so a run that dies in between leaves none.
	put := func(name string, data []byte) error {
		_, err := s.Put(ctx, name, data)
		if errors.Is(err, store.ErrExists) {
			err = ErrExists
		}
		if err != nil {
			return fmt.Errorf("store %s: %w", name, err)
		}
		return nil
	}
	if err := put(Config, config); err != nil {
		return nil, err
	}
	if o.Ready != nil {
		if err := o.Ready(keys); err != nil {
			return nil, err
		}
	}
	name, object := keys.Object()
	return keys, put(name, object)
}

// refuseExisting returns ErrExists if there is a repository, or something like one, and removes what Init replaces.
func refuseExisting(ctx context.Context, s store.Store, clock func() time.Time) error {
	found := errors.New("found")
	look := func(prefix string) error {
		err := s.List(ctx, prefix, func(i store.Info) error {
			if i.Name == Config {
				return nil
			}
			return found
		})
		if errors.Is(err, found) {
			return ErrExists
		}
		if err != nil {
			return fmt.Errorf("look for a repository: %w", err)
		}
		return nil
	}
	if err := look("keys/"); err != nil {
		return err
	}
	config, err := s.Stat(ctx, Config)
	if errors.Is(err, store.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look for a repository: %w", err)
	}
	if err := look(""); err != nil {
		return err
	}
	now, err := storeTime(ctx, s, clock)
	if err != nil {
		return fmt.Errorf("look for a repository: %w", err)
	}
	if now.Sub(config.Time) < abandoned {
		return fmt.Errorf("%w, or is being made: if that was stopped, try again in a minute", ErrExists)
	}
	if err := s.Delete(ctx, Config); err != nil {
		return fmt.Errorf("remove what a stopped run left: %w", err)
	}
	return nil
}
