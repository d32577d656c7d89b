package repo_test

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
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/repotest"
	"nightjar/repo/store"
	"nightjar/repo/store/directory"
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
	dir, err := directory.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	key := repotest.MustKey("one for all")
	keys, err := repo.Init(t.Context(), dir, repo.InitOptions{HostName: "db1", Host: key, Recovery: []*crypto.Key{key, repotest.RecoveryKey().Public()}})
	if err != nil {
		t.Fatal(err)
	}
	got := repotest.StoredNames(t, dir, "")
	if fmt.Sprint(got) != "[config keys/000001]" && fmt.Sprint(got) != "[keys/000001 config]" {
		t.Errorf("stored: %q", got)
	}
	r, err := repo.OpenContent(t.Context(), dir, keys, keyring.Held(key), repo.Options{IndexDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.SetHost(key); err != nil {
		t.Fatal(err)
	}
	saved := repotest.MustWrite(t, r, repotest.Some(1, 10))
	rd, err := r.NewReader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	repotest.WantRestored(t, rd, saved)
	if recovery := keys.Recovery(); len(recovery) != 2 || recovery[0] != key.Fingerprint() {
		t.Errorf("recovery keys %v", recovery)
	}
	if name, err := keys.HostName(key.Fingerprint()); name != "db1" || err != nil {
		t.Errorf("host %q, %v", name, err)
	}
}

func TestInitRefusesExisting(t *testing.T) {
	whole := repotest.NewPlace(t)
	repotest.MustWrite(t, whole.Open(repotest.HostKey()), repotest.Some(1, 3))
	for name, keep := range map[string]func(name string) bool{
		"a repository":                func(string) bool { return true },
		"only keys":                   func(n string) bool { return strings.HasPrefix(n, "keys/") },
		"config and packs, keys lost": func(n string) bool { return !strings.HasPrefix(n, "keys/") },
		"keys and packs, config lost": func(n string) bool { return n != "config" },
	} {
		t.Run(name, func(t *testing.T) {
			p := repotest.EmptyPlace(t)
			for n, b := range repotest.Everything(t, whole.Memory) {
				if keep(n) {
					p.Put(n, []byte(b))
				}
			}
			p.Clock.Move(24 * time.Hour)
			before := repotest.Everything(t, p.Memory)
			_, err := repo.Init(t.Context(), p.Memory, p.InitOptions())
			repotest.WantError(t, err, repo.ErrExists, "")
			repotest.WantSame(t, p.Memory, before)
		})
	}
}

// An Init that is killed at any of its calls does not spoil the place: the next one makes a repository, at once.
func TestInitAfterKilledInit(t *testing.T) {
	for n := int64(1); ; n++ {
		p := repotest.EmptyPlace(t)
		var calls atomic.Int64
		kill := func(storetest.Call) error {
			if calls.Add(1) >= n {
				return repotest.ErrFault
			}
			return nil
		}
		p.Faulty.Before = []storetest.Hook{kill}
		_, killed := repo.Init(t.Context(), p.Faulty, p.InitOptions())
		made := len(p.Names("keys/")) > 0
		p.Faulty.Before = nil
		o := p.InitOptions()
		if n%2 == 0 {
			o.Stopped = func([]byte) bool { return true }
		}
		o.Wait = func(context.Context, bool) error {
			if n%2 == 0 {
				t.Error("it waits")
			}
			p.Clock.Move(time.Minute)
			return nil
		}
		keys, err := repo.Init(t.Context(), p.Faulty, o)
		switch {
		case made:
			repotest.WantError(t, err, repo.ErrExists, "")
			keys, err = keyring.Load(t.Context(), p.Memory, repotest.NoPin, func(err error) { t.Error(err) })
			fallthrough
		default:
			if err != nil {
				t.Fatalf("after a kill at call %d: %v", n, err)
			}
		}
		p.Keys = keys
		saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 3))
		repotest.WantRestored(t, p.Reader(), saved)
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
	for range 50 {
		p := repotest.EmptyPlace(t)
		p.Faulty.Before = []storetest.Hook{func(storetest.Call) error {
			time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
			return nil
		}}
		var wg sync.WaitGroup
		all, errs := make([]*keyring.Keyring, 2), make([]error, 2)
		for i := range all {
			o := p.InitOptions()
			o.Wait = func(context.Context, bool) error { return nil }
			wg.Go(func() { all[i], errs[i] = repo.Init(t.Context(), p.Faulty, o) })
		}
		wg.Wait()
		made := slices.IndexFunc(errs, func(err error) bool { return err == nil })
		if made < 0 {
			t.Fatalf("nobody made it: %v", errs)
		}
		repotest.WantError(t, errs[1-made], repo.ErrExists, "")
		p.Keys = all[made]
		p.Open(repotest.HostKey())
		if keys, err := keyring.Load(t.Context(), p.Memory, repotest.NoPin, func(err error) { t.Error(err) }); err != nil || keys.ID() != p.Keys.ID() {
			t.Fatalf("the keys are another's: %v", err)
		}
	}
}

// An Init that was taken for dead, since it took so long, and stores its keys first all the same, gets its config back; the other gives up.
func TestInitTakenForDead(t *testing.T) {
	p := repotest.EmptyPlace(t)
	slow, quick := p.InitOptions(), p.InitOptions()
	slow.Ready = func(*keyring.Keyring) error {
		p.Clock.Move(time.Hour)
		p.Faulty.Before = []storetest.Hook{func(c storetest.Call) error {
			if c.Op == storetest.Put && c.Name == keyring.Name(1) {
				return repotest.ErrFault
			}
			return nil
		}}
		_, err := repo.Init(t.Context(), p.Faulty, quick)
		repotest.WantError(t, err, repotest.ErrFault, "")
		p.Put("config", []byte("another's"))
		return nil
	}
	keys, err := repo.Init(t.Context(), p.Memory, slow)
	if err != nil {
		t.Fatal(err)
	}
	p.Keys = keys
	p.Open(repotest.HostKey())
}

// Where it is not known whether the keys are there, the config stays.
func TestInitUncertain(t *testing.T) {
	p := repotest.EmptyPlace(t)
	p.Faulty.After = []storetest.Hook{storetest.From(storetest.Put, 2, store.Unread(repotest.ErrFault))}
	_, err := repo.Init(t.Context(), p.Faulty, p.InitOptions())
	repotest.WantError(t, err, repotest.ErrFault, "")
	if p.Keys, err = keyring.Load(t.Context(), p.Memory, repotest.NoPin, func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	p.Open(repotest.HostKey())
}

// Until the host has kept its key there is no repository.
func TestInitReady(t *testing.T) {
	p := repotest.EmptyPlace(t)
	o := p.InitOptions()
	var given *keyring.Keyring
	o.Ready = func(k *keyring.Keyring) error {
		given = k
		if n := len(p.Names("keys/")); n != 0 {
			t.Errorf("%d keys are stored already", n)
		}
		_, err := k.Kit(t.Context(), p.Memory, "url", nil, false)
		return err
	}
	keys, err := repo.Init(t.Context(), p.Memory, o)
	if err != nil || keys.Pin() != given.Pin() || keys.ID() != given.ID() {
		t.Errorf("%v, %v", keys, err)
	}
	p = repotest.EmptyPlace(t)
	o.Ready = func(*keyring.Keyring) error { return repotest.ErrFault }
	_, err = repo.Init(t.Context(), p.Memory, o)
	repotest.WantError(t, err, repotest.ErrFault, "")
	_, err = keyring.Load(t.Context(), p.Memory, repotest.NoPin, func(err error) { t.Error(err) })
	repotest.WantError(t, err, repo.ErrNoRepository, "")
}

func TestInitLeavesStrangersAlone(t *testing.T) {
	p := repotest.EmptyPlace(t)
	p.Put("configuration/of-something", []byte("x"))
	if _, err := repo.Init(t.Context(), p.Memory, p.InitOptions()); err != nil {
		t.Fatal(err)
	}
	if string(p.Get("configuration/of-something")) != "x" {
		t.Error("a foreign object was changed")
	}
}

func TestInitRefusesKeys(t *testing.T) {
	signOnly := repotest.OddKey(t, 0, func(e *pgp.Entity) { e.Subkeys = nil })
	expired := repotest.OddKey(t, 30*time.Minute, nil)
	revoked := repotest.OddKey(t, 0, func(e *pgp.Entity) {
		if err := e.Revoke(packet.KeyCompromised, "stolen", &packet.Config{Time: func() time.Time { return repotest.Noon.Add(-time.Minute) }}); err != nil {
			t.Fatal(err)
		}
	})
	locked, offline, p256 := readTestKey(t, "locked.gpg"), readTestKey(t, "offline.gpg"), readTestKey(t, "p256.gpg")
	later := repotest.Noon.AddDate(10, 0, 0) // the keys in testdata are of another time
	type change func(*repo.InitOptions)
	recovery := func(keys ...*crypto.Key) change { return func(o *repo.InitOptions) { o.Recovery = keys } }
	host := func(k *crypto.Key) change { return func(o *repo.InitOptions) { o.Host = k } }
	for name, test := range map[string]struct {
		change change
		key    *crypto.Key // that the error is about
		text   string
		target error
	}{
		"no recovery key":                   {recovery(), nil, "0 recovery keys", nil},
		"too many recovery keys":            {recovery(make([]*crypto.Key, 65)...), nil, "65 recovery keys", nil},
		"recovery key that cannot encrypt":  {recovery(signOnly), signOnly, "cannot encrypt", nil},
		"second recovery key cannot":        {recovery(repotest.RecoveryKey(), signOnly), signOnly, "cannot encrypt", nil},
		"expired recovery key":              {recovery(expired), expired, "expired on 2026-03-01", nil},
		"revoked recovery key":              {recovery(revoked), revoked, "revoked", nil},
		"recovery key of another kind":      {recovery(p256), p256, "not supported", nil},
		"host without a name":               {func(o *repo.InitOptions) { o.HostName = "" }, nil, "name", nil},
		"host key that cannot encrypt":      {host(signOnly), signOnly, "cannot encrypt", nil},
		"expired host key":                  {host(expired), expired, "expired", nil},
		"revoked host key":                  {host(revoked), revoked, "revoked", nil},
		"host certificate only":             {host(repotest.HostKey().Public()), repotest.HostKey(), "secret", crypto.ErrNoKey},
		"locked host key":                   {host(locked), locked, "locked", crypto.ErrNoKey},
		"host key without its signing half": {host(offline), offline, "not at hand", nil},
		"host key of another kind":          {host(p256), p256, "not supported", nil},
	} {
		t.Run(name, func(t *testing.T) {
			p := repotest.EmptyPlace(t)
			if test.key == locked || test.key == offline || test.key == p256 {
				p.Clock.T = later
			}
			o := p.InitOptions()
			test.change(&o)
			_, err := repo.Init(t.Context(), p.Memory, o)
			repotest.WantError(t, err, test.target, test.text)
			if test.key != nil {
				repotest.WantError(t, err, nil, string(test.key.Fingerprint()))
			}
			if n := len(p.Names("")); n != 0 {
				t.Errorf("%d objects were stored", n)
			}
		})
	}
}

func TestInitWithBrokenRandomness(t *testing.T) {
	s := store.NewMemory(nil)
	_, err := repo.Init(t.Context(), s, repo.InitOptions{HostName: "db1", Host: repotest.HostKey(), Recovery: []*crypto.Key{repotest.RecoveryKey()}, Random: broken{}})
	repotest.WantError(t, err, repotest.ErrFault, "")
	if n := len(repotest.StoredNames(t, s, "")); n != 0 {
		t.Errorf("%d objects were stored", n)
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, repotest.ErrFault }

// The kit brings back a repository whose own config and keys are lost.
func TestKitAlone(t *testing.T) {
	p := repotest.NewPlace(t)
	saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 3))
	kit, err := p.Keys.Kit(t.Context(), p.Memory, "url", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := kit.Text()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"config", "keys/000001"} {
		p.Delete(name)
		object, err := keyring.KitObject(text, name)
		if err != nil {
			t.Fatal(err)
		}
		p.Put(name, object)
	}
	repotest.WantRestored(t, p.Reader(), saved)
}
