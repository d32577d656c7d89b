package repo_test

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/repotest"
)

func TestOpenWithWrongKey(t *testing.T) {
	p := repotest.NewPlace(t)
	for name, opener := range map[string]keyring.Decrypter{
		"nobody's key":    keyring.Held(repotest.ThiefKey()),
		"no key":          keyring.Held(),
		"public half":     keyring.Held(repotest.HostKey().Public()),
		"root cannot yet": keyring.Held(p.Keys.Root()),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := repo.Open(t.Context(), p.Memory, p.Keys, opener, p.Options())
			repotest.WantError(t, err, crypto.ErrNoKey, "metadata key")
		})
	}
}

func TestOpenContent(t *testing.T) {
	p := repotest.NewPlace(t)
	saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 3))
	for _, key := range []*crypto.Key{repotest.HostKey(), repotest.ThiefKey()} {
		_, err := repo.OpenContent(t.Context(), p.Memory, p.Keys, keyring.Held(key), p.Options())
		repotest.WantError(t, err, crypto.ErrNoKey, "content key")
	}
	asked := &counted{Decrypter: keyring.Held(repotest.RecoveryKey())}
	r, err := repo.OpenContent(t.Context(), p.Memory, p.Keys, asked, p.Options())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rd, err := r.NewReader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	repotest.WantRestored(t, rd, saved)
	if asked.n != 1 {
		t.Errorf("the recovery key was asked %d times", asked.n)
	}
}

type counted struct {
	keyring.Decrypter
	n int
}

func (c *counted) Decrypt(ctx context.Context, armored []byte) ([]byte, error) {
	c.n++
	return c.Decrypter.Decrypt(ctx, armored)
}

func TestContentTakesRecoveryKey(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	saved := repotest.MustWrite(t, r, repotest.Some(1, 3))
	rd, err := r.NewReader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = repo.OpenContent(t.Context(), p.Memory, p.Keys, keyring.Held(repotest.HostKey(), repotest.ThiefKey()), p.Options())
	repotest.WantError(t, err, crypto.ErrNoKey, "content key")
	for id := range saved.Content {
		data, errs, err := repotest.FetchAll(t.Context(), rd, []chunk.ID{id})
		if err != nil {
			t.Fatal(err)
		}
		repotest.WantError(t, errs[0], crypto.ErrNoKey, "content is sealed to the recovery keys")
		if data[0] != nil {
			t.Error("data was released")
		}
	}
	repotest.WantRestored(t, rd, repotest.Written{Trees: saved.Trees}) // which it may read
	repotest.WantRestored(t, p.Reader(), saved)
}

func TestSetHost(t *testing.T) {
	early, late := repotest.Noon.Add(-time.Hour), repotest.Noon.Add(time.Hour)
	expired := repotest.OddKey(t, 30*time.Minute, nil)
	locked := readTestKey(t, "locked.gpg")
	for name, test := range map[string]struct {
		key    *crypto.Key
		host   func(h repotest.Host)
		target error
		text   string
	}{
		"in force":        {repotest.SecondKey(), func(h repotest.Host) { h.Certificate()["from"], h.Certificate()["until"] = early, late }, nil, ""},
		"not enrolled":    {repotest.ThiefKey(), nil, crypto.ErrNoKey, "not enrolled"},
		"compromised":     {repotest.SecondKey(), func(h repotest.Host) { h.Certificate()["compromised"] = true }, crypto.ErrNoKey, "compromised"},
		"no role":         {repotest.SecondKey(), func(h repotest.Host) { h["roles"] = []any{} }, crypto.ErrNoKey, "role"},
		"another role":    {repotest.SecondKey(), func(h repotest.Host) { h["roles"] = []any{repotest.Host{"role": keyring.Prune}} }, crypto.ErrNoKey, "role"},
		"retired":         {repotest.SecondKey(), func(h repotest.Host) { h.Certificate()["until"] = early }, crypto.ErrNoKey, "not in force"},
		"not yet":         {repotest.SecondKey(), func(h repotest.Host) { h.Certificate()["from"] = late }, crypto.ErrNoKey, "not in force"},
		"expired":         {expired, nil, nil, "expired"},
		"public half":     {repotest.SecondKey().Public(), nil, crypto.ErrPassphrase, "host key"},
		"locked":          {locked, nil, crypto.ErrPassphrase, "host key"},
		"recovery is not": {repotest.RecoveryKey(), nil, crypto.ErrNoKey, "not enrolled"},
	} {
		t.Run(name, func(t *testing.T) {
			p := repotest.NewPlace(t)
			if test.key != repotest.ThiefKey() && test.key != repotest.RecoveryKey() {
				h := p.NewHost("db2", test.key, keyring.Backup)
				if test.host != nil {
					test.host(h)
				}
				p.Rekey(h)
			}
			r, err := repo.Open(t.Context(), p.Memory, p.Keys, keyring.Held(repotest.RecoveryKey()), p.Options())
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			before := repotest.Everything(t, p.Memory)
			refused := r.SetHost(test.key)
			_, err = repotest.Write(t.Context(), r, [][][]byte{repotest.Some(1, 1)}, nil)
			if test.text == "" {
				if err := errors.Join(refused, err); err != nil {
					t.Error(err)
				}
				return
			}
			if refused != nil {
				repotest.WantError(t, err, nil, "no host key")
				err = refused
			}
			repotest.WantError(t, err, test.target, test.text)
			repotest.WantSame(t, p.Memory, before)
		})
	}
}

// A key that expires stops writing, not the restoring of what it signed in time.
func TestExpiredHostStaysReadable(t *testing.T) {
	p := repotest.NewPlace(t)
	key := repotest.OddKey(t, 2*time.Hour, nil) // until an hour after noon
	p.Enroll("db2", key, keyring.Backup)
	r := p.Open(key)
	saved := repotest.MustWrite(t, r, repotest.Some(1, 5))
	p.Clock.Move(2 * time.Hour)
	before := repotest.Everything(t, p.Memory)
	_, err := repotest.Write(t.Context(), r, [][][]byte{repotest.Some(2, 5)}, nil)
	repotest.WantError(t, err, nil, "expired on 2026-03-01")
	repotest.WantSame(t, p.Memory, before)
	r = p.Unlocked()
	repotest.WantRestored(t, repotest.Must(r.NewReader(t.Context())), saved)
	if all := repotest.Archives(t, r); len(all) != 1 || all[0].ID != saved.Archive.ID {
		t.Errorf("archives: %+v", all)
	}

	// What it signs when it has expired does not count.
	late, err := repotest.Seal(repotest.Must(p.Keys.MetadataKey()), key, crypto.Binding{Repository: p.Keys.ID(), Kind: "archive", Version: repo.FormatVersion}, []byte(`{"version":0}`), rand.Reader, func() time.Time { return repotest.Noon })
	if err != nil {
		t.Fatal(err)
	}
	p.Put(repotest.Named("archive", late), late)
	damaged := 0
	if _, err := r.Archives(t.Context(), func(name string, err error) {
		damaged++
		repotest.WantError(t, err, crypto.ErrIntegrity, "expired")
	}); err != nil || damaged != 1 {
		t.Errorf("%d damaged, %v", damaged, err)
	}
}

// With the mark, a host's index objects and archives count no more, even for one who has them in the cache.
func TestCompromisedHost(t *testing.T) {
	p := repotest.NewPlace(t)
	p.Enroll("db2", repotest.SecondKey(), keyring.Backup)
	saved := repotest.MustWrite(t, p.Open(repotest.SecondKey()), repotest.Some(1, 5))
	cache := t.TempDir()
	repotest.WantRestored(t, p.Reader(func(o *repo.Options) { o.IndexDir = cache }), saved)
	p.Hosts[0].Certificate()["compromised"] = true
	p.Rekey(p.Hosts...)
	r := p.Unlocked(func(o *repo.Options) { o.IndexDir = cache })
	rd := repotest.Must(r.NewReader(t.Context()))
	for id := range saved.Content {
		_, errs, err := repotest.FetchAll(t.Context(), rd, []chunk.ID{id})
		if err != nil {
			t.Fatal(err)
		}
		repotest.WantError(t, errs[0], repo.ErrMissing, "")
	}
	damaged := 0
	all, err := r.Archives(t.Context(), func(name string, err error) {
		damaged++
		repotest.WantError(t, err, repo.ErrDisowned, "marked compromised")
	})
	if err != nil || len(all) != 0 || damaged != 1 {
		t.Errorf("%d archives, %d damaged, %v", len(all), damaged, err)
	}
}
