package statedir

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo/keyring"
)

var (
	repoA = strings.Repeat("a", 32)
	repoB = strings.Repeat("b", 32)
	rootA = keyring.Pin{Root: crypto.Fingerprint(strings.Repeat("A", 40)), Number: 3}
	rootB = keyring.Pin{Root: crypto.Fingerprint(strings.Repeat("B", 40)), Number: 1}
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Keys are made once: real ones, but not for every test.
var (
	hostKey   = sync.OnceValue(func() *crypto.Key { return mustKey("host") })
	secondKey = sync.OnceValue(func() *crypto.Key { return mustKey("second") })
)

func mustKey(name string) *crypto.Key { return must(crypto.Generate(name, noon.Add(-time.Hour), nil)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// wantError fails unless err is target and says text.
func wantError(t testing.TB, err, target error, text string) {
	t.Helper()
	switch {
	case err == nil:
		t.Errorf("no error, want %v", target)
	case target != nil && !errors.Is(err, target):
		t.Errorf("error %q is not %q", err, target)
	case !strings.Contains(err.Error(), text):
		t.Errorf("error %q does not say %q", err, text)
	}
}

func wantPin(t *testing.T, s Dir, repository, url string, want keyring.Pin) {
	t.Helper()
	if got, err := s.Pin(repository, url); err != nil || got != want {
		t.Errorf("pin of %s is %+v, %v", repository, got, err)
	}
}

func TestPins(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "not", "there", "yet")
	s := Dir(folder)
	wantPin(t, s, repoA, "url", keyring.Pin{})
	if _, err := os.Stat(folder); err == nil {
		t.Error("looking made a folder")
	}
	remember := func(repository, url string, p keyring.Pin) {
		t.Helper()
		if err := s.Remember(repository, url, p); err != nil {
			t.Fatal(err)
		}
	}
	remember(repoA, "url", rootA)
	wantPin(t, s, repoA, "url", rootA)
	wantPin(t, s, repoA, "moved", rootA)
	_, err := s.Pin(repoB, "url")
	wantError(t, err, keyring.ErrRollback, repoA)
	wantPin(t, s, repoB, "elsewhere", keyring.Pin{})
	remember(repoB, "elsewhere", rootB)
	wantPin(t, s, repoB, "elsewhere", rootB)
	wantPin(t, s, repoA, "url", rootA)

	remember(repoA, "url", keyring.Pin{Root: rootA.Root, Number: 2}) // by a process that began earlier
	wantPin(t, s, repoA, "url", rootA)
	remember(repoA, "url", keyring.Pin{Root: rootB.Root, Number: 2}) // likewise, before the root was handed over
	wantPin(t, s, repoA, "url", rootA)
	remember(repoA, "url", keyring.Pin{Root: rootB.Root, Number: 4})
	wantPin(t, s, repoA, "url", keyring.Pin{Root: rootB.Root, Number: 4})
	remember(repoA, "new url", keyring.Pin{Root: rootB.Root, Number: 4})
	wantPin(t, s, strings.Repeat("c", 32), "url", keyring.Pin{}) // it moved away
}

// What a hostile store calls itself becomes no path.
func TestMalformedIDs(t *testing.T) {
	folder := t.TempDir()
	inside := filepath.Join(folder, "state")
	s := Dir(inside)
	for _, id := range []string{"", ".", "..", "../x", "/etc", strings.Repeat("../", 10) + "aa", strings.Repeat("A", 32), strings.Repeat("a", 31), strings.Repeat("a", 33), strings.Repeat("a", 31) + "\x00", strings.Repeat("a", 31) + "/"} {
		_, err := s.Pin(id, "url")
		wantError(t, err, crypto.ErrIntegrity, "malformed")
		wantError(t, s.Remember(id, "url", rootA), crypto.ErrIntegrity, "malformed")
		wantError(t, s.SaveHostKey(id, []byte("x")), crypto.ErrIntegrity, "malformed")
		_, err = s.HostKey(id)
		wantError(t, err, crypto.ErrIntegrity, "malformed")
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) != 0 {
		t.Errorf("made %v, %v", entries, err)
	}
}

// A state that nobody named is not the working directory.
func TestWithoutFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	s := Dir("")
	seen, errSeen := s.Seen(repoA)
	pin, errPin := s.Pin(repoA, "url")
	_, errAt := s.At("url")
	_, errKey := s.HostKey(repoA)
	for _, err := range []error{errSeen, errPin, errAt, errKey, s.Remember(repoA, "url", rootA), s.SaveHostKey(repoA, []byte("x")), s.SaveSeen(repoA, []ArchiveSeen{{ID: "x"}}), s.AdoptHostKey(repoA)} {
		wantError(t, err, errNoState, "")
	}
	if entries, err := os.ReadDir("."); seen != nil || pin != (keyring.Pin{}) || err != nil || len(entries) != 0 {
		t.Errorf("%v, %v; made %v, %v", seen, pin, entries, err)
	}
}

func TestWithStrangersInIt(t *testing.T) {
	folder := t.TempDir()
	s := Dir(folder)
	for _, f := range []string{"notes.txt", ".DS_Store", strings.Repeat("d", 32)} {
		if err := os.WriteFile(filepath.Join(folder, f), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(folder, "lost+found", "pin.json"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(folder, repoB), 0o700); err != nil { // a host key alone
		t.Fatal(err)
	}
	wantPin(t, s, repoA, "url", keyring.Pin{})
	if err := s.Remember(repoA, "url", rootA); err != nil {
		t.Fatal(err)
	}
	wantPin(t, s, repoA, "url", rootA)
	wantPin(t, s, repoB, "elsewhere", keyring.Pin{})
}

// A pin that cannot be read is not the same as none: else damaging it would be a way around it.
func TestDamagedPin(t *testing.T) {
	s := Dir(t.TempDir())
	if err := s.Remember(repoA, "url", rootA); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(string(s), repoA, "pin.json")
	for _, text := range []string{"", "{", `{"root":7}`} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := s.Pin(repoA, "url")
		wantError(t, err, nil, path)
	}
}

func TestHostKey(t *testing.T) {
	s := Dir(t.TempDir())
	_, err := s.HostKey(repoA)
	wantError(t, err, crypto.ErrNoKey, "host.asc")
	secret, err := hostKey().ArmorSecret(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SaveHostKey(repoA, secret); err != nil {
		t.Fatal(err)
	}
	key, err := s.HostKey(repoA)
	if err != nil || key.Fingerprint() != hostKey().Fingerprint() || !key.HasSecret() {
		t.Errorf("%v, %v", key, err)
	}
	path := filepath.Join(string(s), repoA, "host.asc")
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Dir(path)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, bytes.Repeat([]byte("x"), 100), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = s.HostKey(repoA)
	wantError(t, err, nil, path)
}

// A key that is to follow waits beside the present one until it is adopted.
func TestNextHostKey(t *testing.T) {
	s := Dir(t.TempDir())
	present, next := must(hostKey().ArmorSecret(nil)), must(secondKey().ArmorSecret(nil))
	wantError(t, s.AdoptHostKey(repoA), nil, "adopt host key")
	wantError(t, s.AdoptHostKey("../x"), crypto.ErrIntegrity, "adopt host key")
	if err := s.SaveHostKey(repoA, present); err != nil {
		t.Fatal(err)
	}
	_, err := s.NextHostKey(repoA)
	wantError(t, err, crypto.ErrNoKey, "host-next.asc")
	if err := s.SaveNextHostKey(repoA, next); err != nil {
		t.Fatal(err)
	}
	want := func(read func(string) (*crypto.Key, error), want *crypto.Key) {
		t.Helper()
		if got, err := read(repoA); err != nil || got.Fingerprint() != want.Fingerprint() || !got.HasSecret() {
			t.Errorf("%v, %v", got, err)
		}
	}
	want(s.HostKey, hostKey())
	want(s.NextHostKey, secondKey())
	if err := s.AdoptHostKey(repoA); err != nil {
		t.Fatal(err)
	}
	want(s.HostKey, secondKey())
	_, err = s.NextHostKey(repoA)
	wantError(t, err, crypto.ErrNoKey, "")
	if kept, err := os.ReadFile(filepath.Join(string(s), repoA, "host-"+string(hostKey().Fingerprint())+".asc")); err != nil || !bytes.Equal(kept, present) {
		t.Errorf("the old key is %d bytes, %v", len(kept), err)
	}
	if armored, err := s.ArmoredHostKey(repoA); err != nil || !bytes.Equal(armored, next) {
		t.Errorf("%d bytes, %v", len(armored), err)
	}
}

func TestAt(t *testing.T) {
	s := Dir(filepath.Join(t.TempDir(), "not there"))
	for url, want := range map[string]string{"url": "", "": ""} {
		if got, err := s.At(url); got != want || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := s.Remember(repoA, "url", rootA); err != nil {
		t.Fatal(err)
	}
	if got, err := s.At("url"); got != repoA || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := s.At("elsewhere"); got != "" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
