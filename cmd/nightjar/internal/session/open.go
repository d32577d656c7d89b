package session

import (
	"context"
	"errors"
	"fmt"

	"nightjar/cmd/nightjar/internal/cache"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/crypto"
	"nightjar/internal/tempdir"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
)

// A Session is an open repository.
type Session struct {
	*repo.Repository
	Place   store.Location
	Store   store.Store
	Keyring *keyring.Keyring
	Cache   string // the folder of all caches; empty: there is none
	// Journals is the folder of journals of archives of EBS snapshots; empty: there is none.
	Journals string
	Host     string // the name under which this machine is enrolled; only for writing
	site     *Site
}

func (s *Session) Close() {
	if s.Repository != nil {
		_ = s.Repository.Close() // the local index is a cache, and all that matters has been written
	}
	s.site.Close()
}

// Requests returns how many requests of each kind were sent to the store; nil if it is none that is asked by requests.
func (s *Session) Requests() map[string]uint64 {
	return place.Requests(s.Store)
}

// Folders returns those of this machine that a backup must not save: the repository and the caches.
func (s *Session) Folders() []string {
	var all []string
	if local, ok := s.Store.(store.Local); ok {
		all = append(all, local.Path())
	}
	if s.Cache != "" {
		all = append(all, s.Cache)
	}
	return all
}

// Folders returns what Session.Folders does before anything is opened: where the repository is or would be, and the caches.
func (set *Settings) Folders() (all []string, err error) {
	at, err := set.configured()
	if err != nil && !errors.Is(err, ErrNotConfigured) {
		return nil, err
	}
	if folder := place.Folder(at); folder != "" {
		all = append(all, folder)
	}
	if caches, err := set.CacheFolder(); err == nil && caches != "" {
		all = append(all, caches)
	}
	return all, nil
}

// PassOver warns of a record that cannot be used, but for one that is known not to count, or to be given up.
func (s *Session) PassOver(name string, err error) {
	if !errors.Is(err, repo.ErrDisowned) && !errors.Is(err, ErrGivenUp) {
		s.site.set.Warn(fmt.Errorf("pass over %s: %w", name, err))
	}
}

// Previous returns this host's newest archive of a job, nil if there is none.
func (s *Session) Previous(ctx context.Context, job repo.Text) (*repo.Archive, error) {
	roll, err := s.Roll(ctx)
	if err != nil {
		return nil, err
	}
	found, err := roll.Newest(ctx, s.Host, repo.Selection{Job: string(job)}.Fits, s.PassOver)
	return found.Newest, err
}

// Open opens the configured repository, or the embedded one if there is one.
func (set *Settings) Open(ctx context.Context, need Access) (*Session, error) {
	at, err := set.configured()
	if set.CheckOnly && errors.Is(err, ErrNotConfigured) {
		return nil, ErrChecked
	}
	if err != nil {
		return nil, err
	}
	return set.OpenAt(ctx, at, need)
}

// OpenAt opens the repository at a place.
func (set *Settings) OpenAt(ctx context.Context, at store.Location, need Access) (_ *Session, err error) {
	if set.CheckOnly {
		return nil, set.checkPlace(at)
	}
	caches, err := set.CacheFolder()
	if err != nil {
		set.Warn(fmt.Errorf("go on without a cache, which costs time: %w", err))
	}
	site, err := set.siteAt(ctx, at)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			site.Close()
		}
	}()
	keys, err := site.Keys(ctx, need)
	if err != nil {
		return nil, err
	}
	if err := site.trustTimes(ctx, site.Store, keys); err != nil {
		return nil, fmt.Errorf("open repository %s: %w", place.Shown(at), err)
	}
	s := &Session{Place: at, Store: site.Store, Keyring: keys, Cache: caches, site: site}
	if need == ReadNothing || need == ReadIfAble && !site.able(keys) {
		return s, nil
	}
	host, recovery, err := site.Secrets(ctx, keys, need)
	if err != nil {
		return nil, err
	}
	set.warnExpiry(keys, host)
	if err := s.open(ctx, need, host, recovery); err != nil {
		return nil, err
	}
	if need == Write || need == Maintain && host != nil {
		if err = hostError(s.SetHost(host), keys, host.Fingerprint()); err == nil {
			s.Host, err = keys.HostName(host.Fingerprint())
		}
	}
	if err != nil {
		_ = s.Repository.Close()
		return nil, err
	}
	return s, nil
}

// open opens the repository itself, with what there is of host and recovery keys.
func (s *Session) open(ctx context.Context, need Access, host *crypto.Key, recovery keyring.Decrypter) error {
	set := s.site.set
	with, opener := repo.Open, recovery
	switch {
	case need == ReadContent, (need == ReadMost || need == Maintain) && opener != nil:
		with = repo.OpenContent
	case opener == nil || need == Write:
		opener = keyring.Held(host)
	}
	limit, err := set.Bucket.CacheBytes()
	if err != nil {
		return err
	}
	var folders cache.Folders
	if s.Cache != "" {
		if folders, err = cache.Use(s.Cache, s.Keyring.ID(), set.Now()); err != nil {
			set.Warn(err)
		}
	}
	if limit == 0 {
		folders.Records = ""
	}
	s.Journals = folders.EBS
	_, local := s.Store.(store.Local)
	if local { // what is on this machine need not be here twice
		limit = 0
	}
	var temp tempdir.Dir
	if need == Write {
		temp = set.temp()
	}
	s.Repository, err = with(ctx, s.Store, s.Keyring, opener, repo.Options{
		IndexDir:    folders.Indexes,
		BlockDir:    folders.Blocks,
		BlockLimit:  limit,
		RecordDir:   folders.Records,
		Reread:      local,
		Connections: set.Connections,
		Compression: set.Compression,
		Now:         set.Now,
		Warn:        set.Warn,
		Temp:        temp,
	})
	if err != nil {
		return fmt.Errorf("open repository %s: %w", place.Shown(s.Place), err)
	}
	return nil
}
