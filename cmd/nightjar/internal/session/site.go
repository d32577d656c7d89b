package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"nightjar/cmd/nightjar/internal/passphrase"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/cmd/nightjar/internal/userkeys"
	"nightjar/crypto"
	"nightjar/repo/keyring"
	"nightjar/repo/statedir"
	"nightjar/repo/store"
)

// A Site is a repository of which no keys are known yet.
type Site struct {
	Place store.Location
	Store store.Store
	State statedir.Dir
	Name  string // what this machine calls the place
	set   *Settings
}

// Site finds the configured repository, or the embedded one if there is one.
func (set *Settings) Site(ctx context.Context) (*Site, error) {
	at, err := set.configured()
	if err != nil {
		return nil, err
	}
	return set.siteAt(ctx, at)
}

func (set *Settings) siteAt(ctx context.Context, at store.Location) (*Site, error) {
	if set.CheckOnly {
		return nil, set.checkPlace(at)
	}
	state, err := set.StateFolder()
	if err != nil {
		if _, root, _ := set.NamedRoot(); root == "" || set.StateDir != "" {
			return nil, err
		}
		set.Warn(fmt.Errorf("go on without what this machine remembers: %w", err)) // the user says what is to be believed
	}
	reach := set.Reach()
	if err := reach.CheckConnections(); err != nil {
		return nil, err
	}
	s, err := reach.Open(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("open repository: %w", err)
	}
	return &Site{Place: at, Store: s, State: statedir.Dir(state), Name: reach.Name(ctx, at), set: set}, nil
}

// Close ends its use.
func (s *Site) Close() { place.Close(s.Store) }

// Remember has this machine believe these keys from now on.
func (s *Site) Remember(keys *keyring.Keyring) error {
	if err := s.State.Remember(keys.ID(), s.Name, keys.Pin()); err != nil {
		return err
	}
	return s.State.SaveKeys(keys)
}

// Keys reads the repository's keys, believing what is pinned: by --root, the kit, or what this machine remembers.
func (s *Site) Keys(ctx context.Context, need Access) (*keyring.Keyring, error) {
	keys, err := s.loadKeyring(ctx, need)
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", place.Shown(s.Place), err)
	}
	return keys, nil
}

func (s *Site) loadKeyring(ctx context.Context, need Access) (*keyring.Keyring, error) {
	repository, root, err := s.set.NamedRoot()
	if err != nil {
		return nil, err
	}
	remembered := func(claimed string) (keyring.Pin, error) {
		if repository != "" && claimed != repository {
			return keyring.Pin{}, fmt.Errorf("this is repository %s, the recovery kit is of %s: %w", claimed, repository, ErrOtherKit)
		}
		var pin keyring.Pin
		var err error
		if s.State != "" {
			pin, err = s.State.Pin(claimed, s.Name)
		}
		if s.set.Bucket.AsOf != "" { // there were fewer keys then, maybe of a root that is named by an old kit
			pin = keyring.Pin{Root: cmp.Or(root, pin.Root)}
		}
		if (errors.Is(err, keyring.ErrRollback) || errors.Is(err, statedir.ErrPin)) && root != "" {
			pin, err = keyring.Pin{}, nil // the user says which one is meant
		}
		pin.Root = cmp.Or(pin.Root, root)
		return pin, err
	}
	keys, err := keyring.Load(ctx, s.Store, remembered, s.passOver)
	if errors.Is(err, keyring.ErrRollback) {
		return s.lagging(ctx, need, root != "", err)
	}
	if err != nil {
		return nil, err
	}
	if root != "" && !keys.Follows(root) { // which a root of the past that is named in an old kit does
		return nil, fmt.Errorf("its root key is %s, not %s: %w", keys.Pin().Root, root, crypto.ErrIntegrity)
	}
	pin, err := remembered(keys.ID())
	if err != nil {
		return nil, err
	}
	if pin.Root == "" && s.set.Unattended {
		return nil, fmt.Errorf("repository %s is new to this machine, and nobody is there to believe it", keys.ID())
	}
	if pin.Root == "" {
		s.set.Warn(fmt.Errorf("repository %s is new to this machine and is believed: compare its root key with your recovery kit: %s", keys.ID(), keys.Pin().Root))
	}
	if s.State == "" && need != Write {
		return keys, nil
	}
	if err := s.Remember(keys); err != nil {
		if need == Write {
			return nil, err
		}
		s.set.Warn(err)
	}
	return keys, nil
}

// Secrets returns the keys that open what is needed. host is unlocked, and nil where recovery does instead.
func (s *Site) Secrets(ctx context.Context, keys *keyring.Keyring, need Access) (host *crypto.Key, recovery keyring.Decrypter, err error) {
	known := keys.Recovery()
	if need != Write && need != ReadIfAble {
		recovery, err = s.set.UserKeys().Recovery(ctx, s.set.Key, s.set.Kit, known)
		if recovery != nil || err != nil {
			return nil, recovery, err
		}
	}
	host, err = hostKey(keys, s.State)
	if errors.Is(err, crypto.ErrNoKey) {
		err = usage.Hinted{Err: fmt.Errorf("this machine has no key of repository %s: %w", keys.ID(), err), Hint: userkeys.NameRecovery(known)}
		if need == Write {
			err = usage.Hinted{Err: err, Hint: "is --state-dir that of the user who made the repository? A new host begins with nightjar key enroll --root FINGERPRINT"}
		}
	}
	if err != nil {
		return nil, nil, err
	}
	recovers := slices.Contains(known, host.Fingerprint())
	if need == ReadContent && !recovers {
		return nil, nil, usage.Hinted{Err: fmt.Errorf("read content: the host key cannot open it: %w", crypto.ErrNoKey), Hint: userkeys.NameRecovery(known)}
	}
	if need == Write || !recovers {
		if _, err := keys.HostName(host.Fingerprint()); err != nil {
			return nil, nil, err
		}
		if _, live := keys.Live(host.Fingerprint()); !live {
			return nil, nil, usage.Hinted{
				Err:  fmt.Errorf("the time of host key %s is over: %w", host.Fingerprint(), crypto.ErrNoKey),
				Hint: "nightjar key enroll makes a new one; where a recovery key is, nightjar key add-host enrolls it",
			}
		}
	}
	if err := s.set.UserKeys().Unlock(ctx, host, passphrase.Host); err != nil {
		return nil, nil, err
	}
	if need == ReadContent || (need == ReadMost || need == Maintain) && recovers {
		recovery = keyring.Held(host)
	}
	return host, recovery, nil
}

// passOver tells of keys that do not count, and what ends it.
func (s *Site) passOver(err error) {
	if errors.Is(err, store.ErrClutter) {
		s.set.Warn(fmt.Errorf("%w; nightjar check --repair moves it aside", err))
		return
	}
	s.set.Warn(fmt.Errorf("%w; it is passed over, and no more mentioned once nightjar key reseal has written the next keys", err))
}

// able reports whether this machine has a key that opens metadata without a passphrase.
func (s *Site) able(keys *keyring.Keyring) bool {
	host, err := hostKey(keys, s.State)
	if err != nil || host.Locked() {
		return false
	}
	_, live := keys.Live(host.Fingerprint())
	return live
}

// hostKey returns this machine's key, the next one as soon as it is enrolled.
func hostKey(keys *keyring.Keyring, state statedir.Dir) (*crypto.Key, error) {
	next, err := state.NextHostKey(keys.ID())
	if err == nil {
		if _, live := keys.Live(next.Fingerprint()); live {
			return next, nil
		}
	} else if !errors.Is(err, crypto.ErrNoKey) {
		return nil, err
	}
	return state.HostKey(keys.ID())
}

// NamedRoot returns the root key, and the repository, that the command line names; empty where it names none.
func (set *Settings) NamedRoot() (repository string, root crypto.Fingerprint, err error) {
	if set.Root != "" {
		if root, err = crypto.ParseFingerprint(set.Root); err != nil {
			return "", "", usage.Error{Err: err}
		}
	}
	files, err := set.KitFiles()
	if err != nil {
		return "", "", err
	}
	for _, f := range files {
		id, fingerprint, ok := keyring.KitRoot(f.Content)
		switch {
		case !ok && f.Path == set.Key:
			continue // it is no more than a key
		case !ok:
			return "", "", fmt.Errorf("read recovery kit %s: it names no root key", f.Path)
		case root != "" && fingerprint != root || repository != "" && id != repository:
			return "", "", fmt.Errorf("read recovery kit %s: its root key is %s, not %s: %w", f.Path, fingerprint, root, crypto.ErrIntegrity)
		}
		repository, root = id, fingerprint
	}
	return repository, root, nil
}

// A KitFile is a file that is, or may be, a recovery kit.
type KitFile struct {
	Path    string
	Content []byte
}

// KitFiles returns what --kit names, and what --key does if that is a file.
func (set *Settings) KitFiles() (all []KitFile, err error) {
	if set.Kit != "" {
		content, err := userkeys.ReadFile(set.Kit)
		if err != nil {
			return nil, fmt.Errorf("read recovery kit: %w", err)
		}
		all = append(all, KitFile{set.Kit, content})
	}
	if set.Key != "" {
		content, _, isFile, err := userkeys.Read(set.Key)
		if err != nil {
			return nil, err
		}
		if isFile {
			all = append(all, KitFile{set.Key, content})
		}
	}
	return all, nil
}

// KitPath is where the recovery kit of a repository lies, unless another place is named.
func KitPath(state statedir.Dir, repository string) string {
	return filepath.Join(string(state), repository, "recovery-kit.txt")
}
