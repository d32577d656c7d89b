package repo

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

func readTestKey(t *testing.T, name string) *crypto.Key {
	t.Helper()
	b, err := os.ReadFile("../crypto/testdata/keys/" + name)
	if err != nil {
		t.Fatal(err)
	}
	k, err := crypto.ReadKey(b)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestInitInDirectory(t *testing.T) {
	dir, err := store.OpenDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	key := mustKey("one for all")
	keys, err := Init(t.Context(), dir, InitOptions{HostName: "db1", Host: key, Recovery: []*crypto.Key{key, recoveryKey().Public()}})
	if err != nil {
		t.Fatal(err)
	}
	got := storedNames(t, dir, "")
	if fmt.Sprint(got) != "[config keys/000001]" && fmt.Sprint(got) != "[keys/000001 config]" {
		t.Errorf("stored: %q", got)
	}
	r, err := OpenContent(t.Context(), dir, keys, keyring.Held(key), Options{IndexDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.SetHost(key); err != nil {
		t.Fatal(err)
	}
	saved := mustWrite(t, r, some(1, 10))
	rd, err := r.NewReader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantRestored(t, rd, saved)
	if recovery := keys.Recovery(); len(recovery) != 2 || recovery[0] != key.Fingerprint() {
		t.Errorf("recovery keys %v", recovery)
	}
	if name, err := keys.HostName(key.Fingerprint()); name != "db1" || err != nil {
		t.Errorf("host %q, %v", name, err)
	}
}

func TestInitRefusesExisting(t *testing.T) {
	whole := newPlace(t)
	mustWrite(t, whole.open(hostKey()), some(1, 3))
	for name, keep := range map[string]func(name string) bool{
		"a repository":                func(string) bool { return true },
		"only keys":                   func(n string) bool { return strings.HasPrefix(n, "keys/") },
		"config and packs, keys lost": func(n string) bool { return !strings.HasPrefix(n, "keys/") },
		"keys and packs, config lost": func(n string) bool { return n != "config" },
	} {
		t.Run(name, func(t *testing.T) {
			p := emptyPlace(t)
			for n, b := range everything(t, whole.memory) {
				if keep(n) {
					p.put(n, []byte(b))
				}
			}
			p.clock.move(24 * time.Hour)
			before := everything(t, p.memory)
			_, err := Init(t.Context(), p.memory, p.initOptions())
			wantError(t, err, ErrExists, "")
			wantSame(t, p.memory, before)
		})
	}
}

// An Init that is killed at any of its calls does not spoil the place: the next one makes a repository, at once.
func TestInitAfterKilledInit(t *testing.T) {
	for n := int64(1); ; n++ {
		p := emptyPlace(t)
		var calls atomic.Int64
		kill := func(storetest.Call) error {
			if calls.Add(1) >= n {
				return errFault
			}
			return nil
		}
		p.faulty.Before = []storetest.Hook{kill}
		_, killed := Init(t.Context(), p.faulty, p.initOptions())
		made := len(p.names("keys/")) > 0
		p.faulty.Before = nil
		o := p.initOptions()
		if n%2 == 0 {
			o.Stopped = func([]byte) bool { return true }
		}
		o.Wait = func(context.Context, bool) error {
			if n%2 == 0 {
				t.Error("it waits")
			}
			p.clock.move(time.Minute)
			return nil
		}
		keys, err := Init(t.Context(), p.faulty, o)
		switch {
		case made:
			wantError(t, err, ErrExists, "")
			keys, err = keyring.Load(t.Context(), p.memory, noPin, func(err error) { t.Error(err) })
			fallthrough
		default:
			if err != nil {
				t.Fatalf("after a kill at call %d: %v", n, err)
			}
		}
		p.keys = keys
		saved := mustWrite(t, p.open(hostKey()), some(1, 3))
		wantRestored(t, p.reader(), saved)
		if killed == nil {
			if n < 6 {
				t.Errorf("an Init of %d calls", n)
			}
			return
		}
	}
}

// Of several Inits at once one makes the repository.
func TestInitAtOnce(t *testing.T) {
	for range 200 {
		p := emptyPlace(t)
		p.faulty.Before = []storetest.Hook{func(storetest.Call) error {
			time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
			return nil
		}}
		var wg sync.WaitGroup
		all, errs := make([]*keyring.Keyring, 2), make([]error, 2)
		for i := range all {
			o := p.initOptions()
			o.Wait = func(context.Context, bool) error { return nil }
			wg.Go(func() { all[i], errs[i] = Init(t.Context(), p.faulty, o) })
		}
		wg.Wait()
		made := slices.IndexFunc(errs, func(err error) bool { return err == nil })
		if made < 0 {
			t.Fatalf("nobody made it: %v", errs)
		}
		wantError(t, errs[1-made], ErrExists, "")
		p.keys = all[made]
		p.open(hostKey())
		if keys, err := keyring.Load(t.Context(), p.memory, noPin, func(err error) { t.Error(err) }); err != nil || keys.ID() != p.keys.ID() {
			t.Fatalf("the keys are another's: %v", err)
		}
	}
}

// An Init that was taken for dead, since it took so long, and stores its keys first all the same, gets its config back; the other gives up.
func TestInitTakenForDead(t *testing.T) {
	p := emptyPlace(t)
	slow, quick := p.initOptions(), p.initOptions()
	slow.Ready = func(*keyring.Keyring) error {
		p.clock.move(time.Hour)
		p.faulty.Before = []storetest.Hook{func(c storetest.Call) error {
			if c.Op == storetest.Put && c.Name == keyring.Name(1) {
				return errFault
			}
			return nil
		}}
		_, err := Init(t.Context(), p.faulty, quick)
		wantError(t, err, errFault, "")
		p.put("config", []byte("another's"))
		return nil
	}
	keys, err := Init(t.Context(), p.memory, slow)
	if err != nil {
		t.Fatal(err)
	}
	p.keys = keys
	p.open(hostKey())
}

// Where it is not known whether the keys are there, the config stays.
func TestInitUncertain(t *testing.T) {
	p := emptyPlace(t)
	p.faulty.After = []storetest.Hook{storetest.From(storetest.Put, 2, store.Unread(errFault))}
	_, err := Init(t.Context(), p.faulty, p.initOptions())
	wantError(t, err, errFault, "")
	if p.keys, err = keyring.Load(t.Context(), p.memory, noPin, func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	p.open(hostKey())
}

// Until the host has kept its key there is no repository.
func TestInitReady(t *testing.T) {
	p := emptyPlace(t)
	o := p.initOptions()
	var given *keyring.Keyring
	o.Ready = func(k *keyring.Keyring) error {
		given = k
		if n := len(p.names("keys/")); n != 0 {
			t.Errorf("%d keys are stored already", n)
		}
		_, err := k.Kit(t.Context(), p.memory, "url", nil, false)
		return err
	}
	keys, err := Init(t.Context(), p.memory, o)
	if err != nil || keys.Pin() != given.Pin() || keys.ID() != given.ID() {
		t.Errorf("%v, %v", keys, err)
	}
	p = emptyPlace(t)
	o.Ready = func(*keyring.Keyring) error { return errFault }
	_, err = Init(t.Context(), p.memory, o)
	wantError(t, err, errFault, "")
	_, err = keyring.Load(t.Context(), p.memory, noPin, func(err error) { t.Error(err) })
	wantError(t, err, ErrNoRepository, "")
}

func TestInitLeavesStrangersAlone(t *testing.T) {
	p := emptyPlace(t)
	p.put("configuration/of-something", []byte("x"))
	if _, err := Init(t.Context(), p.memory, p.initOptions()); err != nil {
		t.Fatal(err)
	}
	if string(p.get("configuration/of-something")) != "x" {
		t.Error("a foreign object was changed")
	}
}

func TestInitRefusesKeys(t *testing.T) {
	signOnly := oddKey(t, 0, func(e *pgp.Entity) { e.Subkeys = nil })
	expired := oddKey(t, 30*time.Minute, nil)
	revoked := oddKey(t, 0, func(e *pgp.Entity) {
		if err := e.Revoke(packet.KeyCompromised, "stolen", &packet.Config{Time: func() time.Time { return noon.Add(-time.Minute) }}); err != nil {
			t.Fatal(err)
		}
	})
	locked, offline, p256 := readTestKey(t, "locked.gpg"), readTestKey(t, "offline.gpg"), readTestKey(t, "p256.gpg")
	later := noon.AddDate(10, 0, 0) // the keys in testdata are of another time
	type change func(*InitOptions)
	recovery := func(keys ...*crypto.Key) change { return func(o *InitOptions) { o.Recovery = keys } }
	host := func(k *crypto.Key) change { return func(o *InitOptions) { o.Host = k } }
	for name, test := range map[string]struct {
		change change
		key    *crypto.Key // that the error is about
		text   string
		target error
	}{
		"no recovery key":                   {recovery(), nil, "0 recovery keys", nil},
		"too many recovery keys":            {recovery(make([]*crypto.Key, 65)...), nil, "65 recovery keys", nil},
		"recovery key that cannot encrypt":  {recovery(signOnly), signOnly, "cannot encrypt", nil},
		"second recovery key cannot":        {recovery(recoveryKey(), signOnly), signOnly, "cannot encrypt", nil},
		"expired recovery key":              {recovery(expired), expired, "expired on 2026-03-01", nil},
		"revoked recovery key":              {recovery(revoked), revoked, "revoked", nil},
		"recovery key of another kind":      {recovery(p256), p256, "not supported", nil},
		"host without a name":               {func(o *InitOptions) { o.HostName = "" }, nil, "name", nil},
		"host key that cannot encrypt":      {host(signOnly), signOnly, "cannot encrypt", nil},
		"expired host key":                  {host(expired), expired, "expired", nil},
		"revoked host key":                  {host(revoked), revoked, "revoked", nil},
		"host certificate only":             {host(hostKey().Public()), hostKey(), "secret", crypto.ErrNoKey},
		"locked host key":                   {host(locked), locked, "locked", crypto.ErrNoKey},
		"host key without its signing half": {host(offline), offline, "not at hand", nil},
		"host key of another kind":          {host(p256), p256, "not supported", nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := emptyPlace(t)
			if test.key == locked || test.key == offline || test.key == p256 {
				p.clock.t = later
			}
			o := p.initOptions()
			test.change(&o)
			_, err := Init(t.Context(), p.memory, o)
			wantError(t, err, test.target, test.text)
			if test.key != nil {
				wantError(t, err, nil, string(test.key.Fingerprint()))
			}
			if n := len(p.names("")); n != 0 {
				t.Errorf("%d objects were stored", n)
			}
		})
	}
}

func TestInitWithBrokenRandomness(t *testing.T) {
	s := store.NewMemory(nil)
	_, err := Init(t.Context(), s, InitOptions{HostName: "db1", Host: hostKey(), Recovery: []*crypto.Key{recoveryKey()}, Random: broken{}})
	wantError(t, err, errFault, "")
	if n := len(storedNames(t, s, "")); n != 0 {
		t.Errorf("%d objects were stored", n)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errFault }

// The kit brings back a repository whose own config and keys are lost.
func TestKitAlone(t *testing.T) {
	p := newPlace(t)
	saved := mustWrite(t, p.open(hostKey()), some(1, 3))
	kit, err := p.keys.Kit(t.Context(), p.memory, "url", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := kit.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config", "keys/000001"} {
		p.delete(name)
		object, err := keyring.KitObject(text, name)
		if err != nil {
			t.Fatal(err)
		}
		p.put(name, object)
	}
	wantRestored(t, p.reader(), saved)
}
