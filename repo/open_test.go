package repo

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo/keyring"
)

func TestOpenWithWrongKey(t *testing.T) {
	p := newPlace(t)
	for name, opener := range map[string]keyring.Decrypter{
		"nobody's key":    keyring.Held(thiefKey()),
		"no key":          keyring.Held(),
		"public half":     keyring.Held(hostKey().Public()),
		"root cannot yet": keyring.Held(p.keys.Root()),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), p.memory, p.keys, opener, p.options())
			wantError(t, err, crypto.ErrNoKey, "metadata key")
		})
	}
}

func TestOpenContent(t *testing.T) {
	p := newPlace(t)
	saved := mustWrite(t, p.open(hostKey()), some(1, 3))
	for _, key := range []*crypto.Key{hostKey(), thiefKey()} {
		_, err := OpenContent(t.Context(), p.memory, p.keys, keyring.Held(key), p.options())
		wantError(t, err, crypto.ErrNoKey, "content key")
	}
	asked := &counted{Decrypter: keyring.Held(recoveryKey())}
	r, err := OpenContent(t.Context(), p.memory, p.keys, asked, p.options())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	rd, err := r.NewReader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantRestored(t, rd, saved)
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
	p := newPlace(t)
	r := p.open(hostKey())
	saved := mustWrite(t, r, some(1, 3))
	rd, err := r.NewReader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = OpenContent(t.Context(), p.memory, p.keys, keyring.Held(hostKey(), thiefKey()), p.options())
	wantError(t, err, crypto.ErrNoKey, "content key")
	for id := range saved.content {
		data, errs, err := fetchAll(t.Context(), rd, []chunk.ID{id})
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, errs[0], crypto.ErrNoKey, "content is sealed to the recovery keys")
		if data[0] != nil {
			t.Error("data was released")
		}
	}
	wantRestored(t, rd, written{trees: saved.trees}) // which it may read
	wantRestored(t, p.reader(), saved)
}

func TestSetHost(t *testing.T) {
	early, late := noon.Add(-time.Hour), noon.Add(time.Hour)
	expired := oddKey(t, 30*time.Minute, nil)
	locked := readTestKey(t, "locked.gpg")
	for name, test := range map[string]struct {
		key    *crypto.Key
		host   func(h host)
		target error
		text   string
	}{
		"in force":        {secondKey(), func(h host) { h.certificate()["from"], h.certificate()["until"] = early, late }, nil, ""},
		"not enrolled":    {thiefKey(), nil, crypto.ErrNoKey, "not enrolled"},
		"compromised":     {secondKey(), func(h host) { h.certificate()["compromised"] = true }, crypto.ErrNoKey, "compromised"},
		"no role":         {secondKey(), func(h host) { h["roles"] = []any{} }, crypto.ErrNoKey, "role"},
		"another role":    {secondKey(), func(h host) { h["roles"] = []any{host{"role": keyring.Prune}} }, crypto.ErrNoKey, "role"},
		"retired":         {secondKey(), func(h host) { h.certificate()["until"] = early }, crypto.ErrNoKey, "not in force"},
		"not yet":         {secondKey(), func(h host) { h.certificate()["from"] = late }, crypto.ErrNoKey, "not in force"},
		"expired":         {expired, nil, nil, "expired"},
		"public half":     {secondKey().Public(), nil, crypto.ErrPassphrase, "host key"},
		"locked":          {locked, nil, crypto.ErrPassphrase, "host key"},
		"recovery is not": {recoveryKey(), nil, crypto.ErrNoKey, "not enrolled"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			if test.key != thiefKey() && test.key != recoveryKey() {
				h := p.newHost("db2", test.key, keyring.Backup)
				if test.host != nil {
					test.host(h)
				}
				p.rekey(h)
			}
			r, err := Open(t.Context(), p.memory, p.keys, keyring.Held(recoveryKey()), p.options())
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			before := everything(t, p.memory)
			refused := r.SetHost(test.key)
			_, err = write(t.Context(), r, [][][]byte{some(1, 1)}, nil)
			if test.text == "" {
				if err := errors.Join(refused, err); err != nil {
					t.Error(err)
				}
				return
			}
			if refused != nil {
				wantError(t, err, nil, "no host key")
				err = refused
			}
			wantError(t, err, test.target, test.text)
			wantSame(t, p.memory, before)
		})
	}
}

// A key that expires stops writing, not the restoring of what it signed in time.
func TestExpiredHostStaysReadable(t *testing.T) {
	p := newPlace(t)
	key := oddKey(t, 2*time.Hour, nil) // until an hour after noon
	p.enroll("db2", key, keyring.Backup)
	r := p.open(key)
	saved := mustWrite(t, r, some(1, 5))
	p.clock.move(2 * time.Hour)
	before := everything(t, p.memory)
	_, err := write(t.Context(), r, [][][]byte{some(2, 5)}, nil)
	wantError(t, err, nil, "expired on 2026-03-01")
	wantSame(t, p.memory, before)
	r = p.unlocked()
	wantRestored(t, must(r.NewReader(t.Context())), saved)
	if all := archives(t, r); len(all) != 1 || all[0].ID != saved.archive.ID {
		t.Errorf("archives: %+v", all)
	}

	// What it signs when it has expired does not count.
	late, err := seal(must(p.keys.MetadataKey()), key, crypto.Binding{Repository: p.keys.ID(), Kind: "archive", Version: FormatVersion}, []byte(`{"version":0}`), rand.Reader, func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	p.put(named("archive", late), late)
	damaged := 0
	if _, err := r.Archives(t.Context(), func(name string, err error) {
		damaged++
		wantError(t, err, crypto.ErrIntegrity, "expired")
	}); err != nil || damaged != 1 {
		t.Errorf("%d damaged, %v", damaged, err)
	}
}

// With the mark, a host's index objects and archives count no more, even for one who has them in the cache.
func TestCompromisedHost(t *testing.T) {
	p := newPlace(t)
	p.enroll("db2", secondKey(), keyring.Backup)
	saved := mustWrite(t, p.open(secondKey()), some(1, 5))
	cache := t.TempDir()
	wantRestored(t, p.reader(func(o *Options) { o.IndexDir = cache }), saved)
	p.hosts[0].certificate()["compromised"] = true
	p.rekey(p.hosts...)
	r := p.unlocked(func(o *Options) { o.IndexDir = cache })
	rd := must(r.NewReader(t.Context()))
	for id := range saved.content {
		_, errs, err := fetchAll(t.Context(), rd, []chunk.ID{id})
		if err != nil {
			t.Fatal(err)
		}
		wantError(t, errs[0], ErrMissing, "")
	}
	damaged := 0
	all, err := r.Archives(t.Context(), func(name string, err error) { damaged++; wantError(t, err, ErrDisowned, "marked compromised") })
	if err != nil || len(all) != 0 || damaged != 1 {
		t.Errorf("%d archives, %d damaged, %v", len(all), damaged, err)
	}
}
