package keyring

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto"
	"nightjar/repo/store"
)

var (
	noon     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	errFault = errors.New("the disk is on fire")
	repoA    = strings.Repeat("a", 32)
)

// Keys are made once: real ones, but not for every test.
var (
	hostKey     = sync.OnceValue(func() *crypto.Key { return mustKey("host") })
	recoveryKey = sync.OnceValue(func() *crypto.Key { return mustKey("recovery") })
	thiefKey    = sync.OnceValue(func() *crypto.Key { return mustKey("thief") })
)

func mustKey(name string) *crypto.Key { return must(crypto.Generate(name, noon.Add(-time.Hour), nil)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A place is a store with keys/000001 and something that stands for the config.
type place struct {
	t      testing.TB
	memory *store.Memory
	keys   *Keyring
	root   *crypto.Key // the first
	now    time.Time   // of the store
}

type founded struct {
	keys *Keyring
	root *crypto.Key
}

func found() founded {
	k, root, _, err := New(Owners{HostName: "db1", Host: hostKey(), Recovery: []*crypto.Key{recoveryKey().Public()}}, rand.Reader, noon)
	if err != nil {
		panic(err)
	}
	return founded{k, root}
}

var foundedOnce = sync.OnceValue(found)

// newPlace holds the same keys in each test, otherPlace holds others.
func newPlace(t testing.TB) *place   { return foundedOnce().place(t) }
func otherPlace(t testing.TB) *place { return found().place(t) }

func (f founded) place(t testing.TB) *place {
	t.Helper()
	p := &place{t: t, keys: f.keys, root: f.root, now: noon}
	p.memory = store.NewMemory(func() time.Time { return p.now })
	p.put(f.keys.Object())
	p.put(configName, []byte("a sealed config"))
	return p
}

// signed returns the next keys object as change makes it, signed by signer or else the root.
func (p *place) signed(signer *crypto.Key, change func(*contents)) []byte {
	p.t.Helper()
	r := p.keys.contents
	r.Number++
	change(&r)
	if signer == nil {
		signer = p.root
	}
	return must(r.sign(signer, noon))
}

func noPin(string) (Pin, error) { return Pin{}, nil }

// put stores an object, in place of one of that name.
func (p *place) put(name string, object []byte) {
	p.t.Helper()
	if err := p.memory.Delete(p.t.Context(), name); err != nil && !errors.Is(err, store.ErrNotExist) {
		p.t.Fatal(err)
	}
	if _, err := p.memory.Put(p.t.Context(), name, object); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) get(name string) []byte {
	p.t.Helper()
	b, err := store.ReadAll(p.t.Context(), p.memory, name, 0)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *place) delete(name string) {
	p.t.Helper()
	if err := p.memory.Delete(p.t.Context(), name); err != nil {
		p.t.Fatal(err)
	}
}

// expiringKey makes a key that was made an hour before noon.
func expiringKey(t testing.TB, lifetime time.Duration) *crypto.Key {
	t.Helper()
	off := false
	e, err := pgp.NewEntity("expiring", "", "", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: uint32(lifetime / time.Second),
		Time: func() time.Time { return noon.Add(-time.Hour) }, NonDeterministicSignaturesViaNotation: &off})
	if err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&buf, nil); err != nil {
		t.Fatal(err)
	}
	return must(crypto.ReadKey(buf.Bytes()))
}

// everything is all that is stored.
func everything(t testing.TB, s store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := s.List(context.Background(), "", func(i store.Info) error {
		b, err := store.ReadAll(context.Background(), s, i.Name, 0)
		all[i.Name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// wantSame fails if the place does not hold exactly what it held.
func wantSame(t testing.TB, s store.Store, before map[string]string) {
	t.Helper()
	if !maps.Equal(before, everything(t, s)) {
		t.Error("the store was changed")
	}
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
