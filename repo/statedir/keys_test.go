package statedir

import (
	"context"
	"crypto/rand"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
)

// newKeys makes the keys of a new repository, of hostKey and secondKey.
func newKeys() *keyring.Keyring {
	k, _, _, err := keyring.New(keyring.Owners{HostName: "db1", Host: hostKey(), Recovery: []*crypto.Key{secondKey()}}, rand.Reader, noon)
	return must(k, err)
}

// next makes the keys that follow, with nothing changed.
func next(t *testing.T, k *keyring.Keyring) *keyring.Keyring {
	t.Helper()
	e := keyring.Editor{
		Store: store.NewMemory(nil),
		Load:  func(context.Context) (*keyring.Keyring, error) { return k, nil },
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, keyring.Held(secondKey()))
		},
		Now: func() time.Time { return noon }, Random: rand.Reader,
	}
	k, _, err := e.Change(t.Context(), func(*keyring.Draft) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The newest keys that were seen are kept, believed only by the root that is remembered, and not if newer ones were seen.
func TestKeys(t *testing.T) {
	s, first := Dir(t.TempDir()), newKeys()
	id := first.ID()
	_, err := s.Keys(id)
	wantError(t, err, fs.ErrNotExist, "")
	if at, err := s.SeenAt(id); at != "" || err != nil {
		t.Errorf("seen at %q, %v", at, err)
	}
	save := func(k *keyring.Keyring) {
		t.Helper()
		if err := s.Remember(id, "home", k.Pin()); err != nil {
			t.Fatal(err)
		}
		if err := s.SaveKeys(k); err != nil {
			t.Fatal(err)
		}
	}
	want := func(number int) {
		t.Helper()
		if k, err := s.Keys(id); err != nil || k.Number() != number {
			t.Fatalf("got %v, %v, want %d", k, err, number)
		}
	}
	save(first)
	want(1)
	second := next(t, first)
	save(second)
	want(2)
	save(first) // by a process that began earlier
	want(2)
	if at, err := s.SeenAt(id); at != "home" || err != nil {
		t.Errorf("seen at %q, %v", at, err)
	}

	path := filepath.Join(string(s), id, keysFile)
	object := must(os.ReadFile(path))
	object[len(object)/2] ^= 1
	if err := os.WriteFile(path, object, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Keys(id); err == nil {
		t.Error("damaged keys are believed")
	}
	_, forged := newKeys().Object()
	if err := os.WriteFile(path, forged, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = s.Keys(id)
	wantError(t, err, crypto.ErrIntegrity, "")
	save(second)
	want(2)
	if err := s.Remember(id, "home", keyring.Pin{Root: second.Pin().Root, Number: 3}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Keys(id)
	wantError(t, err, fs.ErrNotExist, keyring.Name(3))
}
