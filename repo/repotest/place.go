// Package repotest makes repositories for tests: of keys that are made once, in memory, by a clock that stands still until it is moved; with what runs
// write into them.
package repotest

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/internal/versioned"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

var (
	Noon     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ErrFault = errors.New("the disk is on fire")
)

// A clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	T  time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.T
}

func (c *clock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.T = c.T.Add(d)
}

// A place is a repository in memory, made with hostKey and recoveryKey.
type Place struct {
	T      testing.TB
	Memory *store.Memory
	Faulty *storetest.Faulty // around memory
	Clock  *clock            // of the store and the hosts
	Keys   *keyring.Keyring
	Hosts  []Host           // besides the first
	Trusts map[string][]any // by the host that builds on others
}

// madeOnce is a new repository and its root, content and metadata keys: made once, copied for each test.
var madeOnce = sync.OnceValues(func() (objects map[string][]byte, secrets []*crypto.Key) {
	s := store.NewMemory(func() time.Time { return Noon })
	p := &Place{Clock: &clock{T: Noon}}
	keys := Must(repo.Init(context.Background(), s, p.InitOptions()))
	secrets = Must(keys.OpenSecrets(context.Background(), keyring.Held(RecoveryKey())))
	objects = map[string][]byte{}
	for _, name := range []string{sealed.Config, keyring.Name(1)} {
		objects[name] = Must(store.ReadAll(context.Background(), s, name, 0))
	}
	return objects, secrets
})

func EmptyPlace(t testing.TB) *Place {
	p := &Place{T: t, Clock: &clock{T: Noon}}
	p.Memory = store.NewMemory(p.Clock.Now)
	p.Faulty = &storetest.Faulty{Store: p.Memory}
	return p
}

func NewPlace(t testing.TB) *Place {
	t.Helper()
	p := EmptyPlace(t)
	objects, _ := madeOnce()
	for name, object := range objects {
		p.Put(name, object)
	}
	p.Keys = Must(keyring.Read(objects[keyring.Name(1)], NoPin))
	return p
}

// OtherPlace is another repository than all of newPlace's.
func OtherPlace(t testing.TB) *Place {
	t.Helper()
	p := EmptyPlace(t)
	var err error
	if p.Keys, err = repo.Init(t.Context(), p.Memory, p.InitOptions()); err != nil {
		t.Fatal(err)
	}
	return p
}

func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (p *Place) InitOptions() repo.InitOptions {
	return repo.InitOptions{HostName: "db1", Host: HostKey(), Recovery: []*crypto.Key{RecoveryKey().Public()}, Now: p.Clock.Now}
}

// Options have the local index in memory.
func (p *Place) Options() repo.Options {
	return repo.Options{Now: p.Clock.Now, Warn: func(err error) { p.T.Logf("warning: %v", err) }}
}

// Open opens the repository with the newest keys, as the host whose key it is.
func (p *Place) Open(key *crypto.Key, change ...func(*repo.Options)) *repo.Repository {
	p.T.Helper()
	o := p.Options()
	for _, f := range change {
		f(&o)
	}
	keys, err := keyring.Load(p.T.Context(), p.Faulty, NoPin, func(err error) { p.T.Logf("invalid keys: %v", err) })
	if err != nil {
		p.T.Fatal(err)
	}
	r, err := repo.Open(p.T.Context(), p.Faulty, keys, keyring.Held(key), o)
	if err != nil {
		p.T.Fatal(err)
	}
	p.T.Cleanup(func() { r.Close() })
	if err := r.SetHost(key); err != nil {
		p.T.Fatal(err)
	}
	return r
}

// Unlocked opens the repository with the recovery key.
func (p *Place) Unlocked(change ...func(*repo.Options)) *repo.Repository {
	p.T.Helper()
	o := p.Options()
	for _, f := range change {
		f(&o)
	}
	r, err := repo.OpenContent(p.T.Context(), p.Faulty, p.Keys, keyring.Held(RecoveryKey()), o)
	if err != nil {
		p.T.Fatal(err)
	}
	p.T.Cleanup(func() { r.Close() })
	return r
}

// Reader reads with the recovery key.
func (p *Place) Reader(change ...func(*repo.Options)) *repo.Reader {
	p.T.Helper()
	return Must(p.Unlocked(change...).NewReader(p.T.Context()))
}

func NoPin(string) (keyring.Pin, error) { return keyring.Pin{}, nil }

// Secrets are the root, content and metadata keys.
func (p *Place) Secrets() (root, content, metadata *crypto.Key) {
	_, keys := madeOnce()
	return keys[0], keys[1], keys[2]
}

// A host as keys/NNNNNN has it.
type Host map[string]any

func (p *Place) NewHost(name string, key *crypto.Key, roles ...keyring.Role) Host {
	p.T.Helper()
	grants := []any{}
	for _, r := range roles {
		grants = append(grants, Host{"role": r})
	}
	return Host{"name": name, "roles": grants, "certificates": []any{Host{"certificate": armored(p.T, key)}}}
}

// Certificate is the host's first.
func (h Host) Certificate() Host { return h["certificates"].([]any)[0].(Host) }

// Rekey publishes the next keys, with these hosts besides the first.
func (p *Place) Rekey(hosts ...Host) {
	p.T.Helper()
	root, _, metadata := p.Secrets()
	_, object := p.Keys.Object()
	var record map[string]any
	if err := json.Unmarshal(Must(crypto.PeekUnverified(object)), &record); err != nil {
		p.T.Fatal(err)
	}
	number := p.Keys.Pin().Number + 1
	record["number"] = number
	recipients := []*crypto.Key{RecoveryKey(), HostKey()}
	all := record["hosts"].([]any)[:1]
	for _, h := range hosts {
		if key := Must(crypto.ReadKey([]byte(h.Certificate()["certificate"].(string)))); key.CanEncrypt(p.Clock.Now()) == nil {
			recipients = append(recipients, key)
		}
		all = append(all, h)
	}
	for _, h := range all {
		var fields map[string]any
		switch h := h.(type) {
		case Host:
			fields = h
		case map[string]any:
			fields = h
		}
		if others := p.Trusts[fields["name"].(string)]; others != nil {
			fields["trusts"] = others
		}
	}
	record["hosts"] = all
	record["metadata_secret"] = string(Must(crypto.EncryptTo(recipients, Must(metadata.ArmorSecret(nil)), nil, p.Clock.Now())))
	b := crypto.Binding{Repository: p.Keys.ID(), Kind: keyring.Name(number)}
	object = Must(crypto.Sign(root, Must(versioned.Encode(record, versioned.Bounds{Bytes: 16 << 20, Objects: 1 << 17, Values: 1 << 20})), b, p.Clock.Now()))
	p.Put(keyring.Name(number), object)
	p.Keys = Must(keyring.Read(object, NoPin))
}

// Enroll publishes keys with one more host.
func (p *Place) Enroll(name string, key *crypto.Key, roles ...keyring.Role) {
	p.T.Helper()
	p.Hosts = append(p.Hosts, p.NewHost(name, key, roles...))
	p.Rekey(p.Hosts...)
}

// Trust publishes keys that let a host build on others.
func (p *Place) Trust(name string, others ...string) {
	p.T.Helper()
	if p.Trusts == nil {
		p.Trusts = map[string][]any{}
	}
	for _, o := range others {
		p.Trusts[name] = append(p.Trusts[name], Host{"host": o})
	}
	p.Rekey(p.Hosts...)
}

func armored(t testing.TB, key *crypto.Key) string {
	t.Helper()
	b, err := key.Public().ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
