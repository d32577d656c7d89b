package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"nightjar/backup"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/pack"
	"nightjar/repo/statedir"
	"nightjar/repo/store"
	"nightjar/repo/store/directory"
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
	*directory.Store
	at time.Time
}

func (s *set) Put(ctx context.Context, name string, data []byte) (store.Info, error) {
	return s.PutAt(ctx, name, data, s.at)
}

func (s *set) Now(context.Context) (time.Time, error) { return s.at, nil }

// create makes a repository of so many hosts with an archive each for so many nights, the last an hour ago. The first is this machine, holds the recovery key,
// and has saved a stream; what the others have is made up.
func (s site) create(ctx context.Context, hosts, nights int) (err error) {
	if err := os.MkdirAll(s.source(), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.source(), "file"), []byte("content"), 0o644); err != nil {
		return err
	}
	d, err := directory.Create(s.store())
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
	var previous *repo.Archive
	names := make([]string, hosts) // of each host's newest archive
	for n := range nights {
		at.at = last.AddDate(0, 0, n-nights+1)
		if err := r.SetHost(all[0]); err != nil {
			return err
		}
		content := strings.NewReader(fmt.Sprintf("night %d\n", n))
		previous, _, err = backup.Stream(ctx, r, &repo.Record{Host: hostName(0), Job: "dump"}, backup.Source{Name: "dump", Reader: content},
			backup.Options{Previous: previous, Problem: func(path string, err error) { fmt.Fprintln(os.Stderr, path, err) }})
		if err != nil {
			return err
		}
		for i := 1; i < hosts; i++ {
			a := *previous
			a.Host, a.Predecessor = hostName(i), names[i]
			if names[i], err = put(ctx, r, all[i], &a, n >= nights-indexed); err != nil {
				return err
			}
		}
	}
	return r.Close()
}

// indexed is about how many index objects of a host stand beside one another: its runs merge them.
const indexed = 5

// put stores an archive as another host, and an index object if it is told to: made up, since nobody reads what is below them.
func put(ctx context.Context, r *repo.Repository, host *crypto.Key, a *repo.Archive, withIndex bool) (name string, err error) {
	if withIndex {
		p := index.Pack{Size: 4096, Session: make([]byte, 96)}
		if _, err := rand.Read(p.ID[:]); err != nil {
			return "", err
		}
		p.Directory.Kind, p.Directory.Owner = pack.Content, a.Host
		o := index.Object{Time: a.Time, Runs: []index.Run{{Owner: a.Host, Begin: a.Time, Packs: []index.Pack{p}}}}
		if _, err := r.PutRecordAs(ctx, host, "index", o.Append(nil)); err != nil {
			return "", err
		}
	}
	content, err := a.Encode()
	if err != nil {
		return "", err
	}
	info, err := r.PutRecordAs(ctx, host, "archive", content)
	return path.Base(info.Name), err
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
	state := statedir.Dir(s.state())
	if err := state.SaveHostKey(keys.ID(), armored); err != nil {
		return err
	}
	return state.Remember(keys.ID(), s.store(), keys.Pin())
}
