package session

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"nightjar/crypto"
	"nightjar/internal/durable"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
)

// Keys returns the configured repository's keys, for which it takes no secret.
func (set *Settings) Keys(ctx context.Context) (*keyring.Keyring, error) {
	stateDir, _, err := set.folders()
	if err != nil {
		return nil, err
	}
	place, err := set.place()
	if err != nil {
		return nil, err
	}
	stored, err := set.openStore(ctx, place)
	if err != nil {
		return nil, fmt.Errorf("open repository: %w", err)
	}
	defer closeStore(stored)
	keys, err := set.loadKeyring(ctx, stored, place, keyring.State(stateDir), ReadMetadata)
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", Shown(place), err)
	}
	return keys, nil
}

// Changed tells of a change of keys.
type Changed struct {
	Keys   *keyring.Keyring
	Kit    string // where the recovery kit was written
	HasKey bool   // the kit holds a recovery key
}

// ChangeKeys has edit make the configured repository's next keys, which takes a recovery key, and writes the recovery kit again: into kitFile, or else into the kit that the command line
// names, or else into the state directory. A recovery key that the kit held stays in it, while it is one.
func (set *Settings) ChangeKeys(ctx context.Context, kitFile string, edit func(*keyring.Draft) error) (*Changed, error) {
	stateDir, _, err := set.folders()
	if err != nil {
		return nil, err
	}
	place, err := set.place()
	if err != nil {
		return nil, err
	}
	state := keyring.State(stateDir)
	stored, err := set.openStore(ctx, place)
	if err != nil {
		return nil, fmt.Errorf("open repository: %w", err)
	}
	defer closeStore(stored)
	load := func(ctx context.Context) (*keyring.Keyring, error) {
		return set.loadKeyring(ctx, stored, place, state, Write)
	}
	keys, err := load(ctx)
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", Shown(place), err)
	}
	host, recovery, err := set.sessionKeys(ctx, keys, state, ReadContent)
	if err != nil {
		return nil, err
	}
	kit, err := set.findKit(kitFile, kitPath(stateDir, keys.ID()))
	if err != nil {
		return nil, err
	}
	editor := keyring.Editor{
		Store: stored, Load: load, Now: set.Now, Random: rand.Reader,
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, recovery)
		},
	}
	next, unsealed, err := editor.Change(ctx, edit)
	if err != nil {
		return nil, err
	}
	for _, f := range unsealed {
		set.Warn(fmt.Errorf("key %s has expired: what is sealed from now on does not open with it", f))
	}
	if err := state.Remember(next.ID(), set.seenAt(place), next.Pin()); err != nil {
		set.Warn(err)
	}
	name, _ := next.Object()
	if kit.secret == nil && host != nil { // the one key that is host and recovery key
		if kit.secret, err = state.ArmoredHostKey(keys.ID()); err != nil {
			return nil, err
		}
	}
	hasKey, err := set.writeKit(ctx, stored, place, next, kit)
	if err != nil {
		err = Hinted{
			fmt.Errorf("%s is stored and counts, but its recovery kit is not written: %w", name, err),
			"nightjar key reseal --kit-file FILE writes one",
		}
	}
	return &Changed{Keys: next, Kit: kit.path, HasKey: hasKey}, err
}

// A kitFile is a recovery kit that is to be written again.
type kitFile struct {
	path   string
	secret []byte // the recovery key that the old one held
}

// findKit finds the kit that was there, and tries whether it can be replaced.
func (set *Settings) findKit(named, usual string) (kitFile, error) {
	k := kitFile{path: named}
	for _, path := range []string{named, set.Kit, set.Key, usual} {
		if path == "" {
			continue
		}
		content, err := readSmallFile(path)
		if path == set.Key {
			if _, _, isKit := keyring.KitRoot(content); err != nil || !isKit {
				continue
			}
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return k, fmt.Errorf("read recovery kit: %w", err)
		}
		k.path = cmp.Or(k.path, path)
		if k.secret == nil {
			k.secret = keyring.KitSecret(content)
		}
	}
	var err error
	if k.path, err = filepath.Abs(k.path); err != nil {
		return k, err
	}
	if err := os.MkdirAll(filepath.Dir(k.path), 0o700); err != nil {
		return k, fmt.Errorf("write recovery kit: %w", err)
	}
	if err := probe(filepath.Dir(k.path)); err != nil {
		return k, fmt.Errorf("write recovery kit: %w", err)
	}
	return k, nil
}

// writeKit puts the kit of new keys in the place of the old one.
func (set *Settings) writeKit(ctx context.Context, s store.Store, place store.Location, keys *keyring.Keyring, k kitFile) (hasKey bool, err error) {
	protected := false
	if k.secret != nil {
		key, err := crypto.ReadKey(k.secret)
		if err != nil || !slices.Contains(keys.Recovery(), key.Fingerprint()) {
			k.secret = nil
		} else {
			protected = key.Locked()
		}
	}
	kit, err := keys.Kit(ctx, s, set.address(place), k.secret, protected)
	if err != nil {
		return false, err
	}
	page, err := kit.Text()
	if err != nil {
		return false, err
	}
	return k.secret != nil, durable.WriteFile(k.path, page, 0o600)
}
