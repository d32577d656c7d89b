package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nightjar/backup"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
)

// site is where everything of one repository lies.
type site struct{ dir string }

func (s site) store() string  { return filepath.Join(s.dir, "repository") }
func (s site) state() string  { return filepath.Join(s.dir, "state") }
func (s site) cache() string  { return filepath.Join(s.dir, "cache") }
func (s site) source() string { return filepath.Join(s.dir, "source") }

func hostName(i int) string { return fmt.Sprintf("host%04d", i) }

// set is a directory that lives at another time.
type set struct {
	*store.Dir
	at time.Time
}

func (s *set) Put(ctx context.Context, name string, data []byte) (store.Info, error) {
	return s.PutAt(ctx, name, data, s.at)
}

func (s *set) Now(context.Context) (time.Time, error) { return s.at, nil }

// create makes a repository of so many hosts, each of which has saved a stream of its own so many nights, the last an hour ago. The first is this machine, and
// holds the recovery key.
func (s site) create(ctx context.Context, hosts, nights int) (err error) {
	if err := os.MkdirAll(s.source(), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.source(), "file"), []byte("content"), 0o644); err != nil {
		return err
	}
	d, err := store.CreateDir(s.store())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	last := time.Now().Add(-time.Hour).Truncate(time.Second)
	at := &set{d, last.AddDate(0, 0, -nights)}
	now := func() time.Time { return at.at }
	all := make([]*crypto.Key, hosts)
	for i := range all {
		if all[i], err = crypto.Generate(hostName(i), at.at, nil); err != nil {
			return err
		}
	}
	keys, err := s.enroll(ctx, at, all)
	if err != nil {
		return err
	}
	r, err := repo.OpenContent(ctx, at, keys, keyring.Held(all[0]), repo.Options{Now: now, Warn: func(err error) { fmt.Fprintln(os.Stderr, "warning:", err) }})
	if err != nil {
		return err
	}
	previous := make([]*repo.Archive, hosts)
	for n := range nights {
		at.at = last.AddDate(0, 0, n-nights+1)
		for i, key := range all {
			if err := r.SetHost(key); err != nil {
				return err
			}
			content := strings.NewReader(fmt.Sprintf("%s, night %d\n", hostName(i), n))
			previous[i], _, err = backup.Stream(ctx, r, &repo.Archive{Host: hostName(i), Job: "dump"}, backup.Source{Name: "dump", Reader: content},
				backup.Options{Previous: previous[i], Problem: func(path string, err error) { fmt.Fprintln(os.Stderr, path, err) }})
			if err != nil {
				return err
			}
		}
	}
	return r.Close()
}

// enroll makes the repository and lets the hosts in.
func (s site) enroll(ctx context.Context, at *set, all []*crypto.Key) (*keyring.Keyring, error) {
	keys, err := repo.Init(ctx, at, repo.InitOptions{HostName: hostName(0), Host: all[0], Recovery: all[:1], Now: func() time.Time { return at.at }})
	if err != nil || len(all) == 1 {
		return keys, errors.Join(err, s.remember(keys, all[0]))
	}
	editor := keyring.Editor{
		Store: at, Now: func() time.Time { return at.at }, Random: rand.Reader,
		Load: func(context.Context) (*keyring.Keyring, error) { return keys, nil },
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, keyring.Held(all[0]))
		},
	}
	keys, _, err = editor.Change(ctx, func(d *keyring.Draft) error {
		for i, key := range all[1:] {
			if err := d.AddHost(hostName(i+1), key, keyring.Backup); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return keys, s.remember(keys, all[0])
}

// remember makes this machine the first host.
func (s site) remember(keys *keyring.Keyring, key *crypto.Key) error {
	armored, err := key.ArmorSecret(nil)
	if err != nil {
		return err
	}
	state := keyring.State(s.state())
	if err := state.SaveHostKey(keys.ID(), armored); err != nil {
		return err
	}
	return state.Remember(keys.ID(), s.store(), keys.Pin())
}
