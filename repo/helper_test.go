package repo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto"
	"nightjar/internal/versioned"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

var (
	noon     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	errFault = errors.New("the disk is on fire")
)

// Keys are made once: real ones, but not for every test.
var (
	hostKey     = sync.OnceValue(func() *crypto.Key { return mustKey("host") })
	recoveryKey = sync.OnceValue(func() *crypto.Key { return mustKey("recovery") })
	secondKey   = sync.OnceValue(func() *crypto.Key { return mustKey("second") })
	thiefKey    = sync.OnceValue(func() *crypto.Key { return mustKey("thief") })
)

func mustKey(name string) *crypto.Key {
	k, err := crypto.Generate(name, noon.Add(-time.Hour), nil)
	if err != nil {
		panic(err)
	}
	return k
}

// oddKey makes a key that change has altered before it is written.
func oddKey(t testing.TB, lifetime time.Duration, change func(*pgp.Entity)) *crypto.Key {
	t.Helper()
	off := false
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: uint32(lifetime / time.Second),
		Time: func() time.Time { return noon.Add(-time.Hour) }, NonDeterministicSignaturesViaNotation: &off}
	e, err := pgp.NewEntity("odd", "", "", config)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(e)
	}
	var buf bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&buf, nil); err != nil {
		t.Fatal(err)
	}
	k, err := crypto.ReadKey(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// A place is a repository in memory, made with hostKey and recoveryKey.
type place struct {
	t      testing.TB
	memory *store.Memory
	faulty *storetest.Faulty // around memory
	clock  *clock            // of the store and the hosts
	keys   *keyring.Keyring
	hosts  []host           // besides the first
	trusts map[string][]any // by the host that builds on others
}

// madeOnce is a new repository and its root, content and metadata keys: made once, copied for each test.
var madeOnce = sync.OnceValues(func() (objects map[string][]byte, secrets []*crypto.Key) {
	s := store.NewMemory(func() time.Time { return noon })
	p := &place{clock: &clock{t: noon}}
	keys := must(Init(context.Background(), s, p.initOptions()))
	secrets = must(keys.OpenSecrets(context.Background(), keyring.Held(recoveryKey())))
	objects = map[string][]byte{}
	for _, name := range []string{sealed.Config, keyring.Name(1)} {
		objects[name] = must(store.ReadAll(context.Background(), s, name, 0))
	}
	return objects, secrets
})

func emptyPlace(t testing.TB) *place {
	p := &place{t: t, clock: &clock{t: noon}}
	p.memory = store.NewMemory(p.clock.now)
	p.faulty = &storetest.Faulty{Store: p.memory}
	return p
}

func newPlace(t testing.TB) *place {
	t.Helper()
	p := emptyPlace(t)
	objects, _ := madeOnce()
	for name, object := range objects {
		p.put(name, object)
	}
	p.keys = must(keyring.Read(objects[keyring.Name(1)], noPin))
	return p
}

// otherPlace is another repository than all of newPlace's.
func otherPlace(t testing.TB) *place {
	t.Helper()
	p := emptyPlace(t)
	var err error
	if p.keys, err = Init(t.Context(), p.memory, p.initOptions()); err != nil {
		t.Fatal(err)
	}
	return p
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func (p *place) initOptions() InitOptions {
	return InitOptions{HostName: "db1", Host: hostKey(), Recovery: []*crypto.Key{recoveryKey().Public()}, Now: p.clock.now}
}

// options have the local index in memory.
func (p *place) options() Options {
	return Options{Now: p.clock.now, Warn: func(err error) { p.t.Logf("warning: %v", err) }}
}

// open opens the repository with the newest keys, as the host whose key it is.
func (p *place) open(key *crypto.Key, change ...func(*Options)) *Repository {
	p.t.Helper()
	o := p.options()
	for _, f := range change {
		f(&o)
	}
	keys, err := keyring.Load(p.t.Context(), p.faulty, noPin, func(err error) { p.t.Logf("invalid keys: %v", err) })
	if err != nil {
		p.t.Fatal(err)
	}
	r, err := Open(p.t.Context(), p.faulty, keys, keyring.Held(key), o)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { r.Close() })
	if err := r.SetHost(key); err != nil {
		p.t.Fatal(err)
	}
	return r
}

// unlocked opens the repository with the recovery key.
func (p *place) unlocked(change ...func(*Options)) *Repository {
	p.t.Helper()
	o := p.options()
	for _, f := range change {
		f(&o)
	}
	r, err := OpenContent(p.t.Context(), p.faulty, p.keys, keyring.Held(recoveryKey()), o)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { r.Close() })
	return r
}

// reader reads with the recovery key.
func (p *place) reader(change ...func(*Options)) *Reader {
	p.t.Helper()
	return must(p.unlocked(change...).NewReader(p.t.Context()))
}

func noPin(string) (keyring.Pin, error) { return keyring.Pin{}, nil }

// secrets are the root, content and metadata keys.
func (p *place) secrets() (root, content, metadata *crypto.Key) {
	_, keys := madeOnce()
	return keys[0], keys[1], keys[2]
}

// A host as keys/NNNNNN has it.
type host map[string]any

func (p *place) newHost(name string, key *crypto.Key, roles ...keyring.Role) host {
	p.t.Helper()
	grants := []any{}
	for _, r := range roles {
		grants = append(grants, host{"role": r})
	}
	return host{"name": name, "roles": grants, "certificates": []any{host{"certificate": armored(p.t, key)}}}
}

// certificate is the host's first.
func (h host) certificate() host { return h["certificates"].([]any)[0].(host) }

// rekey publishes the next keys, with these hosts besides the first.
func (p *place) rekey(hosts ...host) {
	p.t.Helper()
	root, _, metadata := p.secrets()
	_, object := p.keys.Object()
	var record map[string]any
	if err := json.Unmarshal(must(crypto.PeekUnverified(object)), &record); err != nil {
		p.t.Fatal(err)
	}
	number := p.keys.Pin().Number + 1
	record["number"] = number
	recipients := []*crypto.Key{recoveryKey(), hostKey()}
	all := record["hosts"].([]any)[:1]
	for _, h := range hosts {
		if key := must(crypto.ReadKey([]byte(h.certificate()["certificate"].(string)))); key.CanEncrypt(p.clock.now()) == nil {
			recipients = append(recipients, key)
		}
		all = append(all, h)
	}
	for _, h := range all {
		var fields map[string]any
		switch h := h.(type) {
		case host:
			fields = h
		case map[string]any:
			fields = h
		}
		if others := p.trusts[fields["name"].(string)]; others != nil {
			fields["trusts"] = others
		}
	}
	record["hosts"] = all
	record["metadata_secret"] = string(must(crypto.EncryptTo(recipients, must(metadata.ArmorSecret(nil)), nil, p.clock.now())))
	b := crypto.Binding{Repository: p.keys.ID(), Kind: keyring.Name(number)}
	object = must(crypto.Sign(root, must(versioned.Encode(record, versioned.Bounds{Bytes: 16 << 20, Objects: 1 << 17, Values: 1 << 20})), b, p.clock.now()))
	p.put(keyring.Name(number), object)
	p.keys = must(keyring.Read(object, noPin))
}

// enroll publishes keys with one more host.
func (p *place) enroll(name string, key *crypto.Key, roles ...keyring.Role) {
	p.t.Helper()
	p.hosts = append(p.hosts, p.newHost(name, key, roles...))
	p.rekey(p.hosts...)
}

// trust publishes keys that let a host build on others.
func (p *place) trust(name string, others ...string) {
	p.t.Helper()
	if p.trusts == nil {
		p.trusts = map[string][]any{}
	}
	for _, o := range others {
		p.trusts[name] = append(p.trusts[name], host{"host": o})
	}
	p.rekey(p.hosts...)
}

func armored(t testing.TB, key *crypto.Key) string {
	t.Helper()
	b, err := key.Public().ArmorPublic()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

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

// seal makes a record as anybody could.
func seal(metadata, signer *crypto.Key, b crypto.Binding, text []byte, random io.Reader, now func() time.Time) ([]byte, error) {
	sealer, err := crypto.NewSealer(metadata, signer, b, random, now)
	if err != nil {
		return nil, err
	}
	object, err := sealer.Seal(must(pack.NewCompressor(pack.Default)).AppendRecord(nil, text))
	return object.Object, err
}

// named is the name of an object of a kind with this content.
func named(kind string, object []byte) string { return sealed.Name(kind, sha256.Sum256(object)) }

// names lists what is stored under a prefix, by name.
func (p *place) names(prefix string) []string { return storedNames(p.t, p.memory, prefix) }

func storedNames(t testing.TB, s store.Store, prefix string) (names []string) {
	t.Helper()
	if err := s.List(t.Context(), prefix, func(i store.Info) error { names = append(names, i.Name); return nil }); err != nil {
		t.Fatal(err)
	}
	return names
}

// everything is all that is stored.
func everything(t testing.TB, s store.Store) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range storedNames(t, s, "") {
		b, err := store.ReadAll(t.Context(), s, name, 0)
		if err != nil {
			t.Fatal(err)
		}
		all[name] = string(b)
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

// indexObject reads an index object.
func (p *place) indexObject(r *Repository, name string) (index.Object, store.Info) {
	p.t.Helper()
	info, err := p.memory.Stat(p.t.Context(), name)
	if err != nil {
		p.t.Fatal(err)
	}
	content, _, err := r.Record(p.t.Context(), info)
	if err != nil {
		p.t.Fatal(err)
	}
	o, err := index.ParseObject(content)
	if err != nil {
		p.t.Fatal(err)
	}
	return o, info
}

// indexedPacks returns the names of all packs that any index object names, and fails if one is not stored.
func (p *place) indexedPacks(r *Repository) map[string]bool {
	p.t.Helper()
	packs := map[string]bool{}
	for _, name := range p.names("index/") {
		o, _ := p.indexObject(r, name)
		for _, run := range o.Runs {
			for _, pack := range run.Packs {
				name := sealed.Name(pack.Directory.Kind.String(), pack.ID)
				packs[name] = true
				if _, err := p.memory.Stat(p.t.Context(), name); err != nil {
					p.t.Errorf("an index names what is not stored: %v", err)
				}
			}
		}
	}
	return packs
}

// archives lists them, and fails if one is damaged.
func archives(t testing.TB, r *Repository) []Archive {
	t.Helper()
	all, err := r.Archives(t.Context(), func(name string, err error) { t.Errorf("damaged %s: %v", name, err) })
	if err != nil {
		t.Fatal(err)
	}
	return all
}
