package sealed

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

var (
	noon     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	errFault = errors.New("the disk is on fire")
)

// Keys are made once: real ones, but not for every test.
var (
	hostKey     = sync.OnceValue(func() *crypto.Key { return must(crypto.Generate("host", noon.Add(-time.Hour), nil)) })
	recoveryKey = sync.OnceValue(func() *crypto.Key { return must(crypto.Generate("recovery", noon.Add(-time.Hour), nil)) })
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A place is a store with a config, and keys of which no object is stored.
type place struct {
	t              testing.TB
	memory         *store.Memory
	faulty         *storetest.Faulty // around memory
	now            time.Time         // of the store and the host
	keys           *keyring.Keyring
	root, metadata *crypto.Key
}

func newPlace(t testing.TB) *place {
	t.Helper()
	p := &place{t: t, now: noon}
	p.memory = store.NewMemory(p.clock)
	p.faulty = &storetest.Faulty{Store: p.memory}
	var err error
	p.keys, p.root, p.metadata, err = keyring.New(keyring.Owners{HostName: "db1", Host: hostKey(), Recovery: []*crypto.Key{recoveryKey().Public()}}, rand.Reader, noon)
	if err != nil {
		t.Fatal(err)
	}
	p.putConfig(p.root, Config, p.configText(p.keys.ID()))
	return p
}

func (p *place) clock() time.Time { return p.now }

func (p *place) options() Options {
	return Options{Now: p.clock, Random: rand.Reader, Warn: func(err error) { p.t.Logf("warning: %v", err) }}
}

// open opens everything, as the host.
func (p *place) open() *Objects {
	p.t.Helper()
	s := must(OpenContent(context.Background(), p.faulty, p.keys, keyring.Held(recoveryKey()), p.options()))
	if err := s.SetHost(hostKey()); err != nil {
		p.t.Fatal(err)
	}
	return s
}

// configText is a valid config of a repository.
func (p *place) configText(repository string) []byte { return must(newConfig(repository, rand.Reader)) }

func (p *place) putConfig(signer *crypto.Key, kind string, text []byte) {
	p.t.Helper()
	p.put(Config, must(seal(p.metadata, signer, binding(p.keys.ID(), kind), text, rand.Reader, p.clock)))
}

// put stores an object, in place of one of that name.
func (p *place) put(name string, object []byte) {
	p.t.Helper()
	if err := p.memory.Delete(context.Background(), name); err != nil && !errors.Is(err, store.ErrNotExist) {
		p.t.Fatal(err)
	}
	must(p.memory.Put(context.Background(), name, object))
}

func (p *place) get(name string) []byte {
	p.t.Helper()
	return must(store.ReadAll(context.Background(), p.memory, name, 0))
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
