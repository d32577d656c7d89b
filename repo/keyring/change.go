package keyring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"nightjar/crypto"
	"nightjar/repo/store"
)

// changesAtOnce is how often a change begins anew because somebody else was faster.
const changesAtOnce = 10

// An Editor makes the next keyring of a repository. All fields are needed.
type Editor struct {
	Store  store.Store
	Load   func(ctx context.Context) (*Keyring, error) // the keyring in force
	Open   func(ctx context.Context, k *Keyring) (secrets []*crypto.Key, err error)
	Now    func() time.Time
	Random io.Reader
}

// Change has edit make the next keyring and stores it under the first free number. When somebody else stores one meanwhile, edit is called again with a new
// Draft of that. unsealed are keys that are listed and have expired: what is sealed from now on does not open with them.
func (e Editor) Change(ctx context.Context, edit func(*Draft) error) (next *Keyring, unsealed []crypto.Fingerprint, err error) {
	for range changesAtOnce {
		next, unsealed, err = e.change(ctx, edit)
		if !errors.Is(err, store.ErrExists) {
			return next, unsealed, err
		}
	}
	return nil, nil, err
}

func (e Editor) change(ctx context.Context, edit func(*Draft) error) (*Keyring, []crypto.Fingerprint, error) {
	// Numbers that are taken by what Load passes over are left out. Listed before it, none is among them that it has not seen.
	found, err := list(ctx, e.Store)
	if err != nil {
		return nil, nil, err
	}
	k, err := e.Load(ctx)
	if err != nil {
		return nil, nil, err
	}
	secrets, err := e.Open(ctx, k)
	if err != nil {
		return nil, nil, err
	}
	number := k.contents.Number + 1
	for _, f := range found {
		if f.number == number {
			number++
		}
	}
	now := e.Now().UTC()
	at := now
	if c, ok := e.Store.(store.Clock); ok {
		if at, err = c.Now(ctx); err != nil {
			return nil, nil, fmt.Errorf("ask the store for its time: %w", err)
		}
	}
	d, err := k.draft(secrets, at.UTC(), now, e.Random)
	if err != nil {
		return nil, nil, fmt.Errorf("change keys: %w", err)
	}
	d.config = func() ([]byte, error) { return store.ReadAll(ctx, e.Store, configName, configMax) }
	if err := edit(d); err != nil {
		return nil, nil, err
	}
	next, err := d.finish(number)
	if err != nil {
		return nil, nil, err
	}
	name, object := next.Object()
	if _, err := e.Store.Put(ctx, name, object); err != nil {
		return nil, nil, fmt.Errorf("store %s: %w", name, err)
	}
	return next, d.unsealed, nil
}
