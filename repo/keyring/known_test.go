package keyring

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"nightjar/crypto"
)

// The newest keys that were seen are kept, believed only by the root that is remembered, and not if newer ones were seen.
func TestStateKeys(t *testing.T) {
	p := newPlace(t)
	s, first := State(t.TempDir()), p.keys
	id := first.ID()
	_, err := s.Keys(id)
	wantError(t, err, fs.ErrNotExist, "")
	if at, err := s.SeenAt(id); at != "" || err != nil {
		t.Errorf("seen at %q, %v", at, err)
	}
	save := func(k *Keyring) {
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
	second := must(Read(p.signed(nil, func(*contents) {}), noPin))
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
	_, forged := otherPlace(t).keys.Object()
	if err := os.WriteFile(path, forged, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = s.Keys(id)
	wantError(t, err, crypto.ErrIntegrity, "")
	save(second)
	want(2)
	if err := s.Remember(id, "home", Pin{second.Pin().Root, 3}); err != nil {
		t.Fatal(err)
	}
	_, err = s.Keys(id)
	wantError(t, err, fs.ErrNotExist, Name(3))
}
