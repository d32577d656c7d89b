package keyring

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo/store"
)

var secondKey = sync.OnceValue(func() *crypto.Key { return mustKey("second") })

// editor edits the place's keys as the holder of the recovery key; now may be moved.
func (p *place) editor(now *time.Time) Editor {
	return Editor{
		Store: p.memory,
		Load: func(ctx context.Context) (*Keyring, error) {
			return Load(ctx, p.memory, pinned(p.keys.Pin()), func(error) {})
		},
		Open: func(ctx context.Context, k *Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, Held(recoveryKey(), hostKey(), thiefKey()))
		},
		Now:    func() time.Time { return *now },
		Random: rand.Reader,
	}
}

// change makes new keys at a time after noon.
func (p *place) change(after time.Duration, edit func(*Draft) error) *Keyring {
	p.t.Helper()
	now := noon.Add(after)
	p.now = now
	next, _, err := p.editor(&now).Change(p.t.Context(), edit)
	if err != nil {
		p.t.Fatal(err)
	}
	p.keys = next
	return next
}

// wantSealed fails unless both messages of secrets open with exactly those keys.
func wantSealed(t *testing.T, k *Keyring, secrets, metadata []*crypto.Key) {
	t.Helper()
	for _, key := range []*crypto.Key{hostKey(), recoveryKey(), secondKey(), thiefKey()} {
		_, err := k.OpenSecrets(t.Context(), Held(key))
		if (err == nil) != slices.Contains(secrets, key) {
			t.Errorf("secrets and key %s: %v", key.Name(), err)
		}
		_, err = k.OpenMetadata(t.Context(), Held(key))
		if (err == nil) != slices.Contains(metadata, key) {
			t.Errorf("metadata key and key %s: %v", key.Name(), err)
		}
	}
}

func mayWrite(t *testing.T, k *Keyring, key *crypto.Key, kind string, want map[time.Duration]bool) {
	t.Helper()
	for after, want := range want {
		at := noon.Add(after)
		if err := k.MayWrite(key.Fingerprint(), kind, at); (err == nil) != want {
			t.Errorf("%s may write %s after %s: %v", key.Name(), kind, after, err)
		}
		counts := slices.ContainsFunc(k.Signers(kind), func(s crypto.Signer) bool {
			return s.Key.Fingerprint() == key.Fingerprint() && Span{s.NotBefore, s.NotAfter}.Holds(at)
		})
		if counts != want {
			t.Errorf("what %s signs as %s after %s counts: %t", key.Name(), kind, after, counts)
		}
	}
}

func TestHosts(t *testing.T) {
	p := newPlace(t)
	k := p.change(time.Hour, func(d *Draft) error { return d.AddHost("db2", secondKey(), Backup) })
	wantSealed(t, k, []*crypto.Key{recoveryKey()}, []*crypto.Key{recoveryKey(), hostKey(), secondKey()})
	mayWrite(t, k, secondKey(), "archive", map[time.Duration]bool{0: false, time.Hour: true, 9 * time.Hour: true})
	mayWrite(t, k, secondKey(), "forget", map[time.Duration]bool{0: false, time.Hour: false})
	mayWrite(t, k, hostKey(), "forget", map[time.Duration]bool{-time.Hour: true, 9 * time.Hour: true})

	p.change(2*time.Hour, func(d *Draft) error { return d.SetRole("db2", Prune, true) })
	p.change(3*time.Hour, func(d *Draft) error { return d.SetRole("db2", Prune, false) })
	k = p.change(4*time.Hour, func(d *Draft) error { return d.SetRole("db2", Prune, true) })
	mayWrite(t, k, secondKey(), "dropped", map[time.Duration]bool{time.Hour: false, 2 * time.Hour: true, 3 * time.Hour: true, 3*time.Hour + 1: false, 4 * time.Hour: true})

	k = p.change(5*time.Hour, func(d *Draft) error { return d.RotateHost("db2", thiefKey()) })
	wantSealed(t, k, []*crypto.Key{recoveryKey()}, []*crypto.Key{recoveryKey(), hostKey(), thiefKey()})
	mayWrite(t, k, secondKey(), "archive", map[time.Duration]bool{5 * time.Hour: true, 29 * time.Hour: true, 29*time.Hour + 1: false})
	mayWrite(t, k, thiefKey(), "archive", map[time.Duration]bool{5*time.Hour - 1: false, 5 * time.Hour: true, 99 * time.Hour: true})

	k = p.change(6*time.Hour, func(d *Draft) error { return d.RemoveHost("db2") })
	wantSealed(t, k, []*crypto.Key{recoveryKey()}, []*crypto.Key{recoveryKey(), hostKey()})
	mayWrite(t, k, thiefKey(), "archive", map[time.Duration]bool{6 * time.Hour: true, 6*time.Hour + 1: false})
	if name, err := k.HostName(thiefKey().Fingerprint()); name != "db2" || err != nil {
		t.Errorf("%q, %v", name, err)
	}
	if _, live := k.Live(thiefKey().Fingerprint()); live {
		t.Error("a removed host is live")
	}

	k = p.change(7*time.Hour, func(d *Draft) error { return d.MarkCompromised(string(secondKey().Fingerprint())) })
	mayWrite(t, k, secondKey(), "archive", map[time.Duration]bool{5 * time.Hour: false})
	mayWrite(t, k, thiefKey(), "archive", map[time.Duration]bool{6 * time.Hour: true})
	k = p.change(8*time.Hour, func(d *Draft) error { return d.MarkCompromised("db1") })
	mayWrite(t, k, hostKey(), "archive", map[time.Duration]bool{0: false})
	wantSealed(t, k, []*crypto.Key{recoveryKey()}, []*crypto.Key{recoveryKey()})

	// It comes back with another key, and with the roles that it is given now.
	again := mustKey("again")
	k = p.change(9*time.Hour, func(d *Draft) error { return d.AddHost("db2", again, Backup) })
	mayWrite(t, k, again, "archive", map[time.Duration]bool{8 * time.Hour: false, 9 * time.Hour: true})
	mayWrite(t, k, again, "forget", map[time.Duration]bool{9*time.Hour + 1: false})
	if len(k.Hosts()) != 2 {
		t.Errorf("%d hosts", len(k.Hosts()))
	}
}

func TestRecoveryKeys(t *testing.T) {
	p := newPlace(t)
	k := p.change(0, func(d *Draft) error { return d.AddRecovery(thiefKey()) })
	wantSealed(t, k, []*crypto.Key{recoveryKey(), thiefKey()}, []*crypto.Key{recoveryKey(), hostKey(), thiefKey()})
	now := p.now
	_, _, err := p.editor(&now).Change(t.Context(), func(d *Draft) error { return d.AddRecovery(thiefKey()) }) // the same again
	wantError(t, err, ErrUnchanged, "just this certificate")
	if n := len(k.Recovery()); n != 2 {
		t.Errorf("%d recovery keys", n)
	}
	k = p.change(0, func(d *Draft) error { return d.RemoveRecovery(recoveryKey().Fingerprint()) })
	wantSealed(t, k, []*crypto.Key{thiefKey()}, []*crypto.Key{hostKey(), thiefKey()})

	// One that is named twice when a repository is made is one.
	twice := []*crypto.Key{recoveryKey().Public(), recoveryKey().Public()}
	k, _, _, err = New(Owners{HostName: "db1", Host: hostKey(), Recovery: twice}, rand.Reader, noon)
	if err != nil || len(k.Recovery()) != 1 {
		t.Errorf("a recovery key that is named twice: %v", err)
	}
}

// What was sealed to a key of the past opens with the secrets of today, and what is sealed today is sealed to the new key.
func TestRotate(t *testing.T) {
	p := newPlace(t)
	oldContent, oldMetadata := must(p.keys.ContentKey()), must(p.keys.MetadataKey())
	p.change(time.Hour, (*Draft).RotateContent)
	p.change(time.Hour, (*Draft).RotateMetadata)
	k := p.change(2*time.Hour, (*Draft).RotateMetadata)
	if len(k.ContentKeys()) != 2 || len(k.MetadataKeys()) != 3 || !k.ContentKeys()[1].Retired.Equal(noon.Add(time.Hour)) {
		t.Errorf("content keys %v, metadata keys %v", k.ContentKeys(), k.MetadataKeys())
	}
	if must(k.ContentKey()).Fingerprint() == oldContent.Fingerprint() || must(k.MetadataKey()).Fingerprint() == oldMetadata.Fingerprint() {
		t.Error("an old key is in force")
	}
	secrets := must(k.OpenSecrets(t.Context(), Held(recoveryKey())))
	if len(secrets) != 6 {
		t.Errorf("%d secrets", len(secrets))
	}
	metadata := must(k.OpenMetadata(t.Context(), Held(hostKey())))
	if len(metadata) != 3 {
		t.Errorf("%d metadata keys", len(metadata))
	}
	for _, key := range []*crypto.Key{oldContent, oldMetadata, must(k.ContentKey()), must(k.MetadataKey())} {
		message := must(crypto.EncryptTo([]*crypto.Key{key}, []byte("x"), nil, noon.Add(3*time.Hour)))
		if _, err := crypto.NewOpener(secrets...).Decrypt(message); err != nil {
			t.Errorf("key %s: %v", key.Name(), err)
		}
		_, err := crypto.NewOpener(metadata...).Decrypt(message)
		if isMetadata := strings.Contains(key.Name(), "metadata"); (err == nil) != isMetadata {
			t.Errorf("metadata keys open what is sealed to %s: %v", key.Name(), err)
		}
	}
}

func TestGrace(t *testing.T) {
	const day = 24 * time.Hour
	p := newPlace(t)
	want := func(k *Keyring, after, want time.Duration) {
		t.Helper()
		if got := k.Grace(noon.Add(after)); got != want {
			t.Errorf("grace after %s is %s, not %s", after, got, want)
		}
	}
	want(p.keys, 0, 7*day)
	p.change(day, func(d *Draft) error { return d.SetGrace(10 * day) })
	p.change(2*day, func(d *Draft) error { return d.SetGrace(3 * day) }) // the ten days are over after twelve
	k := p.change(3*day, func(d *Draft) error { return d.SetGrace(day) })
	want(k, 0, 7*day)
	want(k, day-1, 7*day)
	want(k, day, 10*day)
	want(k, 3*day, 10*day)
	want(k, 12*day-1, 10*day)
	want(k, 12*day, day)
	k = p.change(20*day, func(d *Draft) error { return d.SetGrace(5 * day) })
	want(k, 19*day, day)
	want(k, 20*day, 5*day)
	// What was promised to a view neither grows nor shrinks, however often the grace changes.
	for at, want := range map[time.Duration]time.Duration{-day: 7, 0: 7, day: 10, 2*day - 1: 10, 2 * day: 3, 3 * day: 1, 19 * day: 1, 20 * day: 5, 99 * day: 5} {
		if got := k.Allowance(noon.Add(at)); got != want*day {
			t.Errorf("allowance after %s is %s, not %s", at, got, want*day)
		}
	}
	// Whatever was in view may be referred to for as long as nothing that was condemned later goes.
	for view := time.Duration(0); view < 30*day; view += day / 4 {
		for condemned := view; condemned < view+12*day; condemned += day / 4 {
			if last, gone := view+k.Allowance(noon.Add(view)), condemned+k.Grace(noon.Add(condemned)); gone < last {
				t.Fatalf("condemned after %s goes after %s, and an archive with a view of %s may come after %s", condemned, gone, view, last)
			}
		}
	}
}

func TestDraftRefuses(t *testing.T) {
	old := expiringKey(t, 30*time.Minute)
	for name, test := range map[string]struct {
		edit   func(*Draft) error
		target error
		text   string
	}{
		"host without a name":    {func(d *Draft) error { return d.AddHost("", secondKey()) }, nil, "name"},
		"host with a long name":  {func(d *Draft) error { return d.AddHost(strings.Repeat("x", 256), secondKey()) }, nil, "name"},
		"host name that is none": {func(d *Draft) error { return d.AddHost("\xff", secondKey()) }, nil, "name"},
		"host twice":             {func(d *Draft) error { return d.AddHost("db1", secondKey(), Backup) }, nil, "enrolled already"},
		"key twice":              {func(d *Draft) error { return d.AddHost("db2", hostKey(), Backup) }, nil, `key of host "db1"`},
		"expired key":            {func(d *Draft) error { return d.AddHost("db2", old, Backup) }, nil, "use host key"},
		"too many hosts": {func(d *Draft) error {
			for len(d.contents.Hosts) < hostsMax {
				d.contents.Hosts = append(d.contents.Hosts, Host{Name: fmt.Sprint(len(d.contents.Hosts))})
			}
			return d.AddHost("db2", secondKey(), Backup)
		}, ErrFull, "10000 hosts"},
		"forget a host that is enrolled": {func(d *Draft) error { return d.ForgetHost("db1") }, ErrInForce, "db1"},
		"forget a host that just ended":  {func(d *Draft) error { return errors.Join(d.RemoveHost("db1"), d.ForgetHost("db1")) }, ErrInForce, ""},
		"forget no host":                 {func(d *Draft) error { return d.ForgetHost("db9") }, nil, "db9"},
		"no such host to remove":         {func(d *Draft) error { return d.RemoveHost("db9") }, nil, "db9"},
		"no such host to rotate":         {func(d *Draft) error { return d.RotateHost("db9", secondKey()) }, nil, "db9"},
		"rotate to the same":             {func(d *Draft) error { return d.RotateHost("db1", hostKey()) }, ErrUnchanged, "just this certificate"},
		"rotate to another's": {func(d *Draft) error {
			return errors.Join(d.AddHost("db2", secondKey(), Backup), d.RotateHost("db2", hostKey()))
		}, ErrTaken, ""},
		"rotate to what is over":         {func(d *Draft) error { return errors.Join(d.RemoveHost("db1"), d.RotateHost("db1", hostKey())) }, ErrTaken, ""},
		"rotate to what was compromised": {func(d *Draft) error { return errors.Join(d.MarkCompromised("db1"), d.RotateHost("db1", hostKey())) }, ErrTaken, ""},
		"removed twice":                  {func(d *Draft) error { return errors.Join(d.RemoveHost("db1"), d.RemoveHost("db1")) }, nil, "no host"},
		"no such host's role":            {func(d *Draft) error { return d.SetRole("db9", Prune, true) }, nil, "db9"},
		"role that it has":               {func(d *Draft) error { return d.SetRole("db1", Prune, true) }, ErrUnchanged, ""},
		"nobody is compromised":          {func(d *Draft) error { return d.MarkCompromised("db9") }, nil, "db9"},
		"compromised twice":              {func(d *Draft) error { return errors.Join(d.MarkCompromised("db1"), d.MarkCompromised("db1")) }, ErrUnchanged, ""},
		"last recovery key":              {func(d *Draft) error { return d.RemoveRecovery(recoveryKey().Fingerprint()) }, nil, "last recovery key"},
		"no such recovery key":           {func(d *Draft) error { return d.RemoveRecovery(hostKey().Fingerprint()) }, nil, "no recovery key"},
		"recovery key that is there":     {func(d *Draft) error { return d.AddRecovery(recoveryKey()) }, ErrUnchanged, "just this certificate"},
		"expired recovery key":           {func(d *Draft) error { return d.AddRecovery(old) }, nil, "use recovery key"},
		"too many recovery keys": {func(d *Draft) error {
			d.contents.Recovery = slices.Repeat(d.contents.Recovery, recoveryMax)
			return d.AddRecovery(secondKey())
		}, nil, "64"},
		"no grace":         {func(d *Draft) error { return d.SetGrace(0) }, nil, "out of bounds"},
		"negative grace":   {func(d *Draft) error { return d.SetGrace(-time.Hour) }, nil, "out of bounds"},
		"eternal grace":    {func(d *Draft) error { return d.SetGrace(graceMax + time.Second) }, nil, "out of bounds"},
		"the same grace":   {func(d *Draft) error { return d.SetGrace(graceAtFirst) }, ErrUnchanged, ""},
		"half a second":    {func(d *Draft) error { return d.SetGrace(time.Hour + time.Second/2) }, nil, "out of bounds"},
		"config not there": {func(d *Draft) error { return d.HandOver() }, crypto.ErrIntegrity, "config"}, // what stands for it is not sealed
		"its own error":    {func(d *Draft) error { return errFault }, errFault, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			before := everything(t, p.memory)
			now := noon
			next, _, err := p.editor(&now).Change(t.Context(), test.edit)
			wantError(t, err, test.target, test.text)
			if next != nil {
				t.Error("there are new keys")
			}
			wantSame(t, p.memory, before)
		})
	}
}

// An expired key is left out of what is sealed, and said; but there is always a recovery key.
func TestExpiredRecipients(t *testing.T) {
	p := newPlace(t)
	expiring := expiringKey(t, 2*time.Hour) // an hour after noon
	p.change(0, func(d *Draft) error {
		return errors.Join(d.AddRecovery(expiring), d.AddHost("db2", secondKey(), Backup))
	})
	if _, err := p.keys.OpenSecrets(t.Context(), Held(expiring)); err != nil {
		t.Error(err)
	}
	now := noon.Add(2 * time.Hour)
	next, unsealed, err := p.editor(&now).Change(t.Context(), func(*Draft) error { return nil })
	if err != nil || len(unsealed) != 1 || unsealed[0] != expiring.Fingerprint() {
		t.Fatalf("left out: %v, %v", unsealed, err)
	}
	_, err = next.OpenSecrets(t.Context(), Held(expiring))
	wantError(t, err, crypto.ErrNoKey, "")
	if len(next.Recovery()) != 2 {
		t.Error("it is not listed any more")
	}
	before := everything(t, p.memory)
	_, _, err = p.editor(&now).Change(t.Context(), func(d *Draft) error { return d.RemoveRecovery(recoveryKey().Fingerprint()) })
	wantError(t, err, nil, "expired on")
	wantSame(t, p.memory, before)
}

func TestChangeNeedsTheSecrets(t *testing.T) {
	p := newPlace(t)
	now := noon
	before := everything(t, p.memory)
	for name, secrets := range map[string][]*crypto.Key{
		"none":         nil,
		"the root's":   {p.root},
		"certificates": {p.root.Public(), must(p.keys.ContentKey()), must(p.keys.MetadataKey())},
		"a thief's":    {thiefKey()},
	} {
		e := p.editor(&now)
		e.Open = func(context.Context, *Keyring) ([]*crypto.Key, error) { return secrets, nil }
		_, _, err := e.Change(t.Context(), func(*Draft) error { return nil })
		wantError(t, err, crypto.ErrNoKey, "")
		if name == "" || t.Failed() {
			t.Error(name)
		}
	}
	wantSame(t, p.memory, before)
}

// Whoever comes second begins anew with what the first has made; nothing is lost.
func TestChangesAtOnce(t *testing.T) {
	p := newPlace(t)
	const n = 4
	now := noon
	var all sync.WaitGroup
	var hosts [n]*crypto.Key
	var errs [n]error
	for i := range n {
		hosts[i] = mustKey(fmt.Sprint("host ", i))
		all.Go(func() {
			_, _, errs[i] = p.editor(&now).Change(t.Context(), func(d *Draft) error { return d.AddHost(fmt.Sprint("h", i), hosts[i], Backup) })
		})
	}
	all.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	k, err := Load(t.Context(), p.memory, noPin, func(err error) { t.Error(err) })
	if err != nil || k.Pin().Number != n+1 || len(k.Hosts()) != n+1 {
		t.Fatalf("%+v, %v", k.Pin(), err)
	}
	for _, key := range hosts {
		if _, live := k.Live(key.Fingerprint()); !live {
			t.Errorf("%s is lost", key.Name())
		}
		if _, err := k.OpenMetadata(t.Context(), Held(key)); err != nil {
			t.Error(err)
		}
	}
}

// What lies under the next numbers, be it anything, is passed over; and a change that cannot be stored is none.
func TestChangeBesideStrangers(t *testing.T) {
	p := newPlace(t)
	for _, n := range []int{2, 3, 5, 999999999} {
		p.put(Name(n), []byte("rubbish"))
	}
	k := p.change(0, (*Draft).RotateContent)
	if n := k.Pin().Number; n != 4 {
		t.Errorf("number %d", n)
	}
	k = p.change(0, (*Draft).RotateContent)
	if n := k.Pin().Number; n != 6 {
		t.Errorf("number %d", n)
	}
	now := noon
	e := p.editor(&now)
	e.Store = full{p.memory}
	_, _, err := e.Change(t.Context(), (*Draft).RotateContent)
	wantError(t, err, errFault, "keys/000007")
	e.Store = taken{p.memory}
	_, _, err = e.Change(t.Context(), (*Draft).RotateContent)
	wantError(t, err, store.ErrExists, "keys/000007")
}

type (
	full  struct{ store.Store }
	taken struct{ store.Store }
)

func (full) Put(context.Context, string, []byte) (store.Info, error) { return store.Info{}, errFault }

func (taken) Put(context.Context, string, []byte) (store.Info, error) {
	return store.Info{}, store.ErrExists
}

// Every keyring that a Draft makes reads back as what it says.
func TestDraftRoundTrip(t *testing.T) {
	p := newPlace(t)
	k := p.change(time.Hour, func(d *Draft) error {
		return errors.Join(d.AddHost("db\"2\\\n", secondKey(), Backup, Prune), d.RotateMetadata(), d.SetGrace(time.Hour), d.MarkCompromised("db1"))
	})
	_, object := k.Object()
	again, err := Read(object, pinned(p.keys.Pin()))
	if err != nil {
		t.Fatal(err)
	}
	want, got := must(json.Marshal(k.contents)), must(json.Marshal(again.contents))
	if string(want) != string(got) {
		t.Errorf("%s\nis not\n%s", got, want)
	}
}

// What is supposed changes nothing, and can be supposed again.
func TestSuppose(t *testing.T) {
	p := newPlace(t)
	k := p.change(time.Hour, func(d *Draft) error { return d.AddHost("db2", secondKey(), Backup) })
	for range 2 {
		marked, err := k.Suppose("db2")
		if err != nil {
			t.Fatal(err)
		}
		f := secondKey().Fingerprint()
		by := func(all []crypto.Signer) bool {
			return slices.ContainsFunc(all, func(s crypto.Signer) bool { return s.Key.Fingerprint() == f })
		}
		if !by(k.Signers("archive")) || by(k.Marked("archive")) {
			t.Error("the keyring itself has changed")
		}
		if by(marked.Signers("archive")) || !by(marked.Marked("archive")) || by(marked.Marked("forget")) {
			t.Error("the supposed one has no mark")
		}
		if host, err := marked.Owner(f); err != nil || host != "db2" {
			t.Errorf("owner %q, %v", host, err)
		}
		if _, err := marked.Suppose("db2"); err != nil {
			t.Error(err)
		}
	}
	if _, err := k.Suppose("db9"); err == nil {
		t.Error("a host that is not there")
	}
	_, err := k.Owner(crypto.Fingerprint(strings.Repeat("A", 40)))
	wantError(t, err, ErrNotEnrolled, "")
}
