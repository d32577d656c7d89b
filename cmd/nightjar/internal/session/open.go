package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"nightjar/cmd/nightjar/internal/cache"
	"nightjar/cmd/nightjar/internal/passphrase"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/cmd/nightjar/internal/userkeys"
	"nightjar/crypto"
	"nightjar/internal/tempdir"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
)

// Access says what a command needs of a repository.
type Access int

const (
	ReadNothing  Access = iota // no key: there is no Repository in the Session
	ReadMetadata               // the host key or a recovery key
	ReadContent                // a recovery key
	ReadMost                   // the host key or a recovery key, which is made use of if it is there
	Write                      // the host key
	Maintain                   // the host key, or a recovery key that is named and stands for the root
)

// A Session is an open repository.
type Session struct {
	*repo.Repository
	Place   store.Location
	Store   store.Store
	Keyring *keyring.Keyring
	Cache   string // the folder of all caches
	Host    string // the name under which this machine is enrolled; only for writing
	state   keyring.State
	seenAt  string // what this machine calls the place
	past    bool   // an earlier state was asked for
	warn    func(error)
}

func (s *Session) Close() {
	if s.Repository != nil {
		_ = s.Repository.Close() // the local index is a cache, and all that matters has been written
	}
	place.Close(s.Store)
}

// Requests returns how many requests of each kind were sent to the store; nil if it is none that is asked by requests.
func (s *Session) Requests() map[string]uint64 {
	return place.Requests(s.Store)
}

// Folders returns those of this machine that a backup must not save: the repository and the caches.
func (s *Session) Folders() []string {
	if s.Place.Scheme == store.SchemeFile {
		return []string{s.Place.Path, s.Cache}
	}
	return []string{s.Cache}
}

// Previous returns this host's newest archive of a job, nil if there is none.
func (s *Session) Previous(ctx context.Context, job repo.Text) (*repo.Archive, error) {
	all, err := s.Archives(ctx, func(name string, err error) {
		if !errors.Is(err, repo.ErrDisowned) { // which is known
			s.warn(fmt.Errorf("pass over %s: %w", name, err))
		}
	})
	if err != nil {
		return nil, err
	}
	for i := len(all) - 1; i >= 0; i-- {
		p := &all[i]
		if p.Host == s.Host && p.Job == job && p.Displaces() {
			return p, nil
		}
	}
	return nil, nil
}

// Embedded returns where the repository lies that a backup makes when none is named.
func (set *Settings) Embedded() (store.Location, error) {
	state, _, err := set.Folders()
	return store.Location{Scheme: store.SchemeFile, Path: filepath.Join(state, "repository")}, err
}

// Open opens the configured repository, or the embedded one if there is one.
func (set *Settings) Open(ctx context.Context, need Access) (*Session, error) {
	at, err := set.place()
	if err != nil {
		return nil, err
	}
	return set.OpenAt(ctx, at, need)
}

// place returns where the configured repository is, or else the embedded one.
func (set *Settings) place() (store.Location, error) {
	if set.Repo != "" {
		return place.Parse(set.Repo)
	}
	at, err := set.Embedded()
	if err != nil {
		return at, err
	}
	if _, err := os.Stat(at.Path); err != nil {
		return at, ErrNotConfigured
	}
	return at, nil
}

// OpenAt opens the repository at a place.
func (set *Settings) OpenAt(ctx context.Context, at store.Location, need Access) (_ *Session, err error) {
	state, cacheDir, err := set.Folders()
	if err != nil {
		return nil, err
	}
	if err := set.Reach().CheckConnections(); err != nil {
		return nil, err
	}
	stored, err := set.Reach().Open(ctx, at)
	if err != nil {
		return nil, fmt.Errorf("open repository: %w", err)
	}
	defer func() {
		if err != nil {
			place.Close(stored)
		}
	}()
	keys, err := set.loadKeyring(ctx, stored, at, keyring.State(state), need)
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", place.Shown(at), err)
	}
	if err := set.trustTimes(ctx, stored, keys); err != nil {
		return nil, fmt.Errorf("open repository %s: %w", place.Shown(at), err)
	}
	if need == ReadNothing {
		return &Session{Place: at, Store: stored, Keyring: keys, Cache: cacheDir, state: keyring.State(state), seenAt: set.Reach().Name(at), past: set.Bucket.AsOf != "", warn: set.Warn}, nil
	}
	host, recovery, err := set.sessionKeys(ctx, keys, keyring.State(state), need)
	if err != nil {
		return nil, err
	}
	openWith, opener := repo.Open, recovery
	switch {
	case need == ReadContent, (need == ReadMost || need == Maintain) && opener != nil:
		openWith = repo.OpenContent
	case opener == nil || need == Write:
		opener = keyring.Held(host)
	}
	limit, err := set.Bucket.CacheBytes()
	if err != nil {
		return nil, err
	}
	if at.Scheme == store.SchemeFile { // what is on this machine need not be here twice
		limit = 0
	}
	indexes, blocks, err := cache.Use(cacheDir, keys.ID(), set.Now())
	if err != nil {
		set.Warn(err)
	}
	var temp tempdir.Dir
	if need == Write {
		temp = set.temp()
	}
	r, err := openWith(ctx, stored, keys, opener, repo.Options{
		IndexDir:    indexes,
		BlockDir:    blocks,
		BlockLimit:  limit,
		Connections: set.Connections,
		Compression: set.Compression,
		Now:         set.Now,
		Warn:        set.Warn,
		Temp:        temp,
	})
	if err != nil {
		return nil, fmt.Errorf("open repository %s: %w", place.Shown(at), err)
	}
	s := &Session{Repository: r, Place: at, Store: stored, Keyring: keys, Cache: cacheDir, state: keyring.State(state), seenAt: set.Reach().Name(at), past: set.Bucket.AsOf != "", warn: set.Warn}
	if need == Write || need == Maintain && host != nil {
		if err = r.SetHost(host); err == nil {
			s.Host, err = keys.HostName(host.Fingerprint())
		}
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return s, nil
}

// sessionKeys returns the keys that are needed. host is unlocked, and nil where recovery does instead.
func (set *Settings) sessionKeys(ctx context.Context, keys *keyring.Keyring, state keyring.State, need Access) (host *crypto.Key, recovery keyring.Decrypter, err error) {
	known := keys.Recovery()
	if need != Write {
		recovery, err = set.UserKeys().Recovery(ctx, set.Key, set.Kit, known)
		if recovery != nil || err != nil {
			return nil, recovery, err
		}
	}
	host, err = hostKey(keys, state)
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
	if err := set.UserKeys().Unlock(ctx, host, passphrase.Host); err != nil {
		return nil, nil, err
	}
	if need == ReadContent || (need == ReadMost || need == Maintain) && recovers {
		recovery = keyring.Held(host)
	}
	return host, recovery, nil
}

// hostKey returns this machine's key, the next one as soon as it is enrolled.
func hostKey(keys *keyring.Keyring, state keyring.State) (*crypto.Key, error) {
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

// loadKeyring reads the repository's keys, believing what is pinned: by --root, the kit, or what this machine remembers.
func (set *Settings) loadKeyring(ctx context.Context, s store.Store, at store.Location, state keyring.State, need Access) (*keyring.Keyring, error) {
	repository, root, err := set.namedRoot()
	if err != nil {
		return nil, err
	}
	remembered := func(claimed string) (keyring.Pin, error) {
		if repository != "" && claimed != repository {
			return keyring.Pin{}, fmt.Errorf("it is repository %s, the recovery kit is of %s: %w", claimed, repository, crypto.ErrIntegrity)
		}
		pin, err := state.Pin(claimed, set.Reach().Name(at))
		if set.Bucket.AsOf != "" { // there were fewer keys then, maybe of a root that is named by an old kit
			pin = keyring.Pin{Root: cmp.Or(root, pin.Root)}
		}
		if errors.Is(err, keyring.ErrRollback) && root != "" {
			pin, err = keyring.Pin{}, nil // the user says which one is meant
		}
		pin.Root = cmp.Or(pin.Root, root)
		return pin, err
	}
	keys, err := keyring.Load(ctx, s, remembered, set.Warn)
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
	if pin.Root == "" {
		set.Warn(fmt.Errorf("repository %s is new to this machine and is believed: compare its root key with your recovery kit: %s", keys.ID(), keys.Pin().Root))
	}
	if err := state.Remember(keys.ID(), set.Reach().Name(at), keys.Pin()); err != nil {
		if need == Write {
			return nil, err
		}
		set.Warn(err)
	}
	return keys, nil
}

// namedRoot returns the root key, and the repository, that the command line names; empty where it names none.
func (set *Settings) namedRoot() (repository string, root crypto.Fingerprint, err error) {
	if set.Root != "" {
		if root, err = crypto.ParseFingerprint(set.Root); err != nil {
			return "", "", usage.Error{Err: err}
		}
	}
	for _, file := range []string{set.Kit, set.Key} {
		if file == "" {
			continue
		}
		content, _, isFile, err := userkeys.Read(file)
		if err != nil {
			return "", "", err
		}
		id, fingerprint, ok := keyring.KitRoot(content)
		switch {
		case !isFile || !ok && file == set.Key:
			continue
		case !ok:
			return "", "", fmt.Errorf("read recovery kit %s: it names no root key", file)
		case root != "" && fingerprint != root || repository != "" && id != repository:
			return "", "", fmt.Errorf("read recovery kit %s: its root key is %s, not %s: %w", file, fingerprint, root, crypto.ErrIntegrity)
		}
		repository, root = id, fingerprint
	}
	return repository, root, nil
}
