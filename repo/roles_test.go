package repo

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo/keyring"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// forge stores a record as anybody could, whatever the repository thinks of it.
func (p *place) forge(signer *crypto.Key, kind, text string) store.Info {
	p.t.Helper()
	o := p.options()
	o.fill()
	b := crypto.Binding{Repository: p.keys.ID(), Kind: kind}
	object := must(seal(must(p.keys.MetadataKey()), signer, b, []byte(text), o.Random, o.Now))
	return must(p.memory.Put(p.t.Context(), named(kind, object), object))
}

// Who signed an object must have had the role for its kind when it was stored.
func TestRolesOfSigners(t *testing.T) {
	p := newPlace(t)
	root, _, _ := p.secrets()
	pruner := thiefKey()
	p.hosts = []host{p.newHost("db2", secondKey(), keyring.Backup), p.newHost("pruner", pruner, keyring.Prune)}
	p.hosts[0]["roles"] = append(p.hosts[0]["roles"].([]any), host{"role": keyring.Prune, "from": noon.Add(time.Hour), "until": noon.Add(2 * time.Hour)})
	p.rekey(p.hosts...)
	r := p.unlocked()
	const soon, during, after = 0, 90 * time.Minute, 3 * time.Hour
	for kind, allowed := range map[string]map[*crypto.Key][3]bool{
		"archive":   {hostKey(): {true, true, true}, secondKey(): {true, true, true}, pruner: {}, root: {}},
		"index":     {secondKey(): {true, true, true}, pruner: {}, root: {true, true, true}},
		"forget":    {hostKey(): {true, true, true}, secondKey(): {false, true, false}, pruner: {true, true, true}, root: {true, true, true}},
		"verified":  {secondKey(): {false, true, false}, pruner: {true, true, true}, root: {true, true, true}},
		"lost":      {secondKey(): {false, true, false}, pruner: {true, true, true}, root: {true, true, true}},
		"condemned": {secondKey(): {false, true, false}, pruner: {true, true, true}, root: {true, true, true}},
		"dropped":   {secondKey(): {false, true, false}, pruner: {true, true, true}, root: {true, true, true}},
	} {
		for signer, want := range allowed {
			for i, at := range []time.Duration{soon, during, after} {
				info := p.forge(signer, kind, `{"version":0}`)
				info.Time = noon.Add(at)
				_, _, err := r.Record(t.Context(), info)
				if want[i] {
					if err != nil {
						t.Errorf("%s by %s, after %s: %v", kind, signer.Name(), at, err)
					}
					continue
				}
				wantError(t, err, crypto.ErrIntegrity, info.Name)
			}
		}
	}
}

// A host can archive in its own name only: neither its own program nor a forged one gets another's accepted.
func TestArchiveOfAnotherHost(t *testing.T) {
	p := newPlace(t)
	p.enroll("db2", secondKey(), keyring.Backup)
	r := p.open(secondKey())
	saved := mustWrite(t, r, some(1, 3))
	if saved.archive.Host != "db2" {
		t.Errorf("archive of %q", saved.archive.Host)
	}
	forged := p.forge(secondKey(), "archive", `{"version":0,"host":"db1"}`)
	damaged := 0
	all, err := r.Archives(t.Context(), func(name string, err error) {
		damaged++
		wantError(t, err, crypto.ErrIntegrity, `of host "db1", and host "db2" has signed it`)
		if name != forged.Name {
			t.Errorf("%s is damaged: %v", name, err)
		}
	})
	if err != nil || len(all) != 1 || damaged != 1 {
		t.Errorf("%d archives, %d damaged, %v", len(all), damaged, err)
	}
}

// Records are signed by the host where its role suffices, else by the root where a recovery key is at hand, else by nobody.
func TestPutRecord(t *testing.T) {
	p := newPlace(t)
	p.enroll("db2", secondKey(), keyring.Backup)
	p.enroll("pruner", thiefKey(), keyring.Prune)
	root, _, _ := p.secrets()
	for _, test := range []struct {
		host     *crypto.Key
		recovery bool
		kind     string
		want     *crypto.Key
	}{
		{hostKey(), false, "forget", hostKey()},
		{hostKey(), true, "forget", hostKey()},
		{secondKey(), false, "index", secondKey()},
		{secondKey(), false, "forget", nil},
		{secondKey(), true, "forget", root},
		{thiefKey(), false, "forget", thiefKey()},
		{thiefKey(), false, "archive", nil},
		{thiefKey(), true, "archive", nil},
		{thiefKey(), true, "index", root},
		{nil, true, "dropped", root},
		{nil, false, "dropped", nil},
		{nil, true, "archive", nil},
	} {
		open := Open
		if test.recovery {
			open = OpenContent
		}
		r := must(open(t.Context(), p.faulty, p.keys, keyring.Held(recoveryKey()), p.options()))
		if test.host != nil {
			if err := r.SetHost(test.host); err != nil {
				t.Fatal(err)
			}
		}
		before := everything(t, p.memory)
		info, err := r.PutRecord(t.Context(), test.kind, []byte(`{"version":0}`))
		if test.want == nil {
			wantError(t, err, nil, "sign "+test.kind)
			wantSame(t, p.memory, before)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.kind, err)
			continue
		}
		if _, signer, err := r.Record(t.Context(), info); err != nil || signer != test.want.Fingerprint() {
			t.Errorf("%s is signed by %s, %v", test.kind, signer, err)
		}
	}
}

// A root that has handed over keeps what it signed, and gets nothing more accepted: not even another config.
func TestHandedOverRoot(t *testing.T) {
	p := newPlace(t)
	stolen, _, _ := p.secrets()
	saved := mustWrite(t, p.open(hostKey()), some(1, 3))
	before := p.forge(stolen, "forget", `{"version":0}`)
	p.clock.move(time.Hour)
	recovery := keyring.Held(recoveryKey())
	e := keyring.Editor{
		Store: p.memory, Now: p.clock.now, Random: rand.Reader,
		Load: func(context.Context) (*keyring.Keyring, error) { return p.keys, nil },
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, recovery)
		},
	}
	edits := []func(*keyring.Draft) error{(*keyring.Draft).HandOver, (*keyring.Draft).RotateMetadata, (*keyring.Draft).RotateContent}
	for _, edit := range edits {
		var err error
		if p.keys, _, err = e.Change(t.Context(), edit); err != nil {
			t.Fatal(err)
		}
	}
	p.clock.move(time.Hour)
	again := mustWrite(t, p.open(hostKey()), some(1, 3), some(2, 3))
	if again.sent.ChunksKnown.Load() != 3 {
		t.Errorf("%d chunks known", again.sent.ChunksKnown.Load())
	}
	r := p.unlocked()
	wantRestored(t, must(r.NewReader(t.Context())), saved, again)
	if _, _, err := r.Record(t.Context(), before); err != nil {
		t.Error(err)
	}
	_, _, err := r.Record(t.Context(), p.forge(stolen, "forget", `{"version":0,"x":1}`))
	wantError(t, err, crypto.ErrIntegrity, "does not count for the time")
	if _, err := r.PutRecord(t.Context(), "forget", []byte(`{"version":0}`)); err != nil {
		t.Error(err)
	}

	config := p.get(sealed.Config)
	p.put(sealed.Config, must(seal(must(p.keys.MetadataKey()), stolen, crypto.Binding{Repository: p.keys.ID(), Kind: sealed.Config, Version: FormatVersion}, []byte(`{"version":0}`), rand.Reader, p.clock.now)))
	_, err = Open(t.Context(), p.memory, p.keys, recovery, p.options())
	wantError(t, err, crypto.ErrIntegrity, "not the config that the keys name")
	p.put(sealed.Config, config)
	wantRestored(t, p.reader(), saved, again)
}
