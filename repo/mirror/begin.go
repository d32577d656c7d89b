package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"nightjar/crypto"
	"nightjar/repo/keyring"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// begin copies what makes the place a repository. What is there already must be the same.
func (m *Mirror) begin(ctx context.Context) error {
	const config = "config"
	home, err := store.ReadAll(ctx, m.from, config, store.MaxObject)
	if err != nil {
		return fmt.Errorf("read config: %w", err)
	}
	there, err := store.ReadAll(ctx, m.to, config, store.MaxObject)
	switch {
	case errors.Is(err, store.ErrNotExist):
		if err := m.mayCreate(ctx); err != nil {
			return err
		}
	case err != nil:
		return fmt.Errorf("read the copy's config: %w", err)
	case !bytes.Equal(home, there):
		return fmt.Errorf("the copy's config is another: %w", ErrOther)
	case !m.o.DryRun:
		same, err := store.Same(ctx, m.from, m.to, config)
		if err != nil {
			return fmt.Errorf("compare the places of repository and copy: %w", err)
		}
		if same {
			return ErrItself
		}
	}
	if err := m.claim(ctx); err != nil {
		return err
	}
	if err := m.clutter(ctx); err != nil {
		return err
	}
	if err := m.putAs(ctx, config, home, there); err != nil {
		return err
	}
	return m.copyKeys(ctx)
}

// copyKeys copies the keys that the root has signed.
func (m *Mirror) copyKeys(ctx context.Context) error {
	var keys []store.Info
	err := m.from.List(ctx, "keys/", func(i store.Info) error {
		if sealed.Kind(i.Name) == "keys" {
			keys = append(keys, i)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("list keys: %w", err)
	}
	for _, info := range keys {
		object, err := store.ReadAll(ctx, m.from, info.Name, store.MaxObject)
		if errors.Is(err, store.ErrNotExist) {
			object, err = store.ReadAll(ctx, m.from, info.Name, store.MaxObject)
		}
		if errors.Is(err, store.ErrNotExist) { // and no record can say so
			return fmt.Errorf("copy %s: %w", info.Name, ErrVanished)
		}
		if err == nil {
			err = m.believes(object)
		}
		if errors.Is(err, store.ErrUnavailable) || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if err != nil {
			m.found(Finding{Object: info.Name, Err: err})
			continue
		}
		there, err := store.ReadAll(ctx, m.to, info.Name, store.MaxObject)
		if err == nil || errors.Is(err, store.ErrNotExist) {
			err = m.putAs(ctx, info.Name, object, there)
		}
		if errors.Is(err, store.ErrExists) {
			m.found(Finding{Object: info.Name, Copy: true, Err: fmt.Errorf("it is another than at home: %w", crypto.ErrIntegrity)})
		} else if err != nil {
			return err
		}
	}
	return nil
}

// claim sees to it that the times in the copy count.
func (m *Mirror) claim(ctx context.Context) error {
	c, ok := m.to.(store.Claimer)
	if !ok || m.o.DryRun {
		return nil
	}
	if m.o.Claim != nil {
		if err := c.SetClaim(ctx, m.o.Claim); err != nil {
			return err
		}
	}
	claim, stored, err := c.Claim(ctx)
	if err != nil {
		return err
	}
	if claim == nil {
		return ErrNoClaim
	}
	if err := m.keys.IsCopy(claim, c.Place(), stored); err != nil {
		return fmt.Errorf("%w: %w", ErrNoClaim, err)
	}
	c.TrustTimes()
	return nil
}

// believes refuses keys that neither the root has signed nor one before it: whoever can write at home can put something else there.
func (m *Mirror) believes(object []byte) error {
	k, err := keyring.Read(object, func(string) (keyring.Pin, error) { return keyring.Pin{}, nil })
	if err == nil && (k.ID() != m.keys.ID() || !m.keys.Follows(k.Root().Fingerprint())) {
		err = fmt.Errorf("root key %s is not that of this repository: %w", k.Root().Fingerprint(), crypto.ErrIntegrity)
	}
	return err
}

// putAs copies an object that is not named by its hash, if it is not there.
func (m *Mirror) putAs(ctx context.Context, name string, object, there []byte) error {
	if m.o.DryRun || bytes.Equal(object, there) {
		return nil
	}
	info, err := m.from.Stat(ctx, name)
	if err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	at, err := store.HomeTime(ctx, m.from, info)
	if err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	if _, err := m.to.PutAt(ctx, name, object, at); err != nil {
		return fmt.Errorf("copy %s: %w", name, err)
	}
	return nil
}

// mayCreate refuses to begin a copy where nobody asked for one, as on a disk that is not mounted, or where something else is.
func (m *Mirror) mayCreate(ctx context.Context) error {
	err := m.to.List(ctx, "", func(store.Info) error { return ErrOther })
	if errors.Is(err, ErrOther) {
		return fmt.Errorf("the place is not empty: %w", ErrOther)
	}
	if err != nil {
		return fmt.Errorf("look into the place of the copy: %w", err)
	}
	if !m.o.Create {
		return ErrNoCopy
	}
	return nil
}
