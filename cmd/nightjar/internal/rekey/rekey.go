// Package rekey changes who holds a repository's keys, and writes the recovery kit again.
//
// The invariant: a recovery key that the kit held is not lost with the old kit, and whether the new one can be written is tried before anything is changed.
package rekey

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/cmd/nightjar/internal/userkeys"
	"nightjar/crypto"
	"nightjar/internal/durable"
	"nightjar/internal/where"
	"nightjar/repo/keyring"
)

// Changed tells of a change of keys.
type Changed struct {
	Keys   *keyring.Keyring
	Kit    string // where the recovery kit was written
	HasKey bool   // the kit holds a recovery key
}

// Change has edit make the configured repository's next keys, which takes a recovery key, and writes the recovery kit again: into kitFile, or else into the kit that the command line
// names, or else into the state directory. A recovery key that the kit held stays in it, while it is one.
func Change(ctx context.Context, set *session.Settings, kitFile string, edit func(*keyring.Draft) error) (*Changed, error) {
	set = warningOnce(set) // the keys are read again and again
	s, err := set.Site(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	load := func(ctx context.Context) (*keyring.Keyring, error) { return s.Keys(ctx, session.Write) }
	keys, err := load(ctx)
	if err != nil {
		return nil, err
	}
	host, recovery, err := s.Secrets(ctx, keys, session.ReadContent)
	if err != nil {
		return nil, err
	}
	kit, err := findKit(set, kitFile, keys.ID(), session.KitPath(s.State, keys.ID()))
	if err != nil {
		return nil, err
	}
	editor := keyring.Editor{
		Store: s.Store, Load: load, Now: set.Now, Random: rand.Reader,
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, recovery)
		},
	}
	next, unsealed, err := editor.Change(ctx, edit)
	if err != nil {
		return nil, err
	}
	for _, f := range unsealed {
		set.Warn(fmt.Errorf("key %s has expired: what is sealed from now on does not open with it; nightjar key list names its use, and key add-recovery and key rotate host take its renewed certificate", f))
	}
	if err := s.Remember(next); err != nil {
		set.Warn(err)
	}
	name, _ := next.Object()
	if kit.secret == nil && host != nil { // the one key that is host and recovery key
		if kit.secret, err = s.State.ArmoredHostKey(keys.ID()); err != nil {
			return nil, err
		}
	}
	hasKey, err := writeKit(ctx, set, s, next, kit)
	if err != nil {
		err = usage.Hinted{
			Err:  fmt.Errorf("%s is stored and counts, but its recovery kit is not written: %w", name, err),
			Hint: "nightjar key reseal --kit-file FILE writes one",
		}
	}
	return &Changed{Keys: next, Kit: kit.path, HasKey: hasKey}, err
}

// warningOnce returns the same settings that say each warning once.
func warningOnce(set *session.Settings) *session.Settings {
	once, said := *set, map[string]bool{}
	once.Warn = func(err error) {
		if !said[err.Error()] {
			said[err.Error()] = true
			set.Warn(err)
		}
	}
	return &once
}

// A kitFile is a recovery kit that is to be written again.
type kitFile struct {
	path   string
	url    string // how the old one said that the repository is reached
	secret []byte // the recovery key that the old one held
}

// findKit finds the kit that was there, and tries whether it can be replaced.
func findKit(set *session.Settings, named, repository, usual string) (kitFile, error) {
	k := kitFile{path: named}
	for _, path := range []string{named, set.Kit, set.Key, usual} {
		if path == "" {
			continue
		}
		content, err := userkeys.ReadFile(path)
		id, _, isKit := keyring.KitRoot(content)
		isKit = isKit && id == repository
		switch {
		case path == set.Key && !isKit:
			continue // it is no more than a key
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return k, fmt.Errorf("read recovery kit: %w", err)
		case !isKit:
			return k, fmt.Errorf("write recovery kit %s: it is something else: %w", path, fs.ErrExist)
		}
		k.path = cmp.Or(k.path, path)
		k.url = cmp.Or(k.url, keyring.KitURL(content))
		if k.secret == nil {
			k.secret = keyring.KitSecret(content)
		}
	}
	var err error
	if k.path, err = where.Absolute(k.path); err != nil {
		return k, fmt.Errorf("write recovery kit %s: %w", k.path, err)
	}
	if err := durable.Probe(filepath.Dir(k.path)); err != nil {
		return k, fmt.Errorf("write recovery kit: %w", err)
	}
	return k, nil
}

// writeKit puts the kit of new keys in the place of the old one.
func writeKit(ctx context.Context, set *session.Settings, s *session.Site, keys *keyring.Keyring, k kitFile) (hasKey bool, err error) {
	protected := false
	if k.secret != nil {
		key, err := crypto.ReadKey(k.secret)
		if err != nil || !slices.Contains(keys.Recovery(), key.Fingerprint()) {
			k.secret = nil
		} else {
			protected = key.Locked()
		}
	}
	url := set.Reach().Address(ctx, s.Place)
	if url == s.Name && strings.HasPrefix(k.url, url+" ") { // the flags of who made the old one
		url = k.url
	}
	kit, err := keys.Kit(ctx, s.Store, url, k.secret, protected)
	if err != nil {
		return false, err
	}
	page, err := kit.Text()
	if err != nil {
		return false, err
	}
	return k.secret != nil, durable.WriteFile(k.path, page, 0o600)
}
