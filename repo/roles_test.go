package repo_test

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/repotest"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// forge stores a record as anybody could, whatever the repository thinks of it.
func forge(p *repotest.Place, signer *crypto.Key, kind, text string) store.Info {
	p.T.Helper()
	b := crypto.Binding{Repository: p.Keys.ID(), Kind: kind}
	object := repotest.Must(repotest.Seal(repotest.Must(p.Keys.MetadataKey()), signer, b, []byte(text), rand.Reader, p.Clock.Now))
	return repotest.Must(p.Memory.Put(p.T.Context(), repotest.Named(kind, object), object))
}

// Who signed an object must have had the role for its kind when it was stored.
func TestRolesOfSigners(t *testing.T) {
	p := repotest.NewPlace(t)
	root, _, _ := p.Secrets()
	pruner := repotest.ThiefKey()
	p.Hosts = []repotest.Host{p.NewHost("db2", repotest.SecondKey(), keyring.Backup), p.NewHost("pruner", pruner, keyring.Prune)}
	p.Hosts[0]["roles"] = append(p.Hosts[0]["roles"].([]any), repotest.Host{"role": keyring.Prune, "from": repotest.Noon.Add(time.Hour), "until": repotest.Noon.Add(2 * time.Hour)})
	p.Rekey(p.Hosts...)
	r := p.Unlocked()
	const soon, during, after = 0, 90 * time.Minute, 3 * time.Hour
	for kind, allowed := range map[string]map[*crypto.Key][3]bool{
		"archive":   {repotest.HostKey(): {true, true, true}, repotest.SecondKey(): {true, true, true}, pruner: {}, root: {}},
		"index":     {repotest.SecondKey(): {true, true, true}, pruner: {}, root: {true, true, true}},
		"forget":    {repotest.HostKey(): {true, true, true}, repotest.SecondKey(): {false, true, false}, pruner: {true, true, true}, root: {true, true, true}},
		"verified":  {repotest.SecondKey(): {false, true, false}, pruner: {true, true, true}, root: {true, true, true}},
		"lost":      {repotest.SecondKey(): {false, true, false}, pruner: {true, true, true}, root: {true, true, true}},
		"condemned": {repotest.SecondKey(): {false, true, false}, pruner: {true, true, true}, root: {true, true, true}},
		"dropped":   {repotest.SecondKey(): {false, true, false}, pruner: {true, true, true}, root: {true, true, true}},
	} {
		for signer, want := range allowed {
			for i, at := range []time.Duration{soon, during, after} {
				info := forge(p, signer, kind, `{"version":0}`)
				info.Time = repotest.Noon.Add(at)
				_, _, err := r.Record(t.Context(), info)
				if want[i] {
					if err != nil {
						t.Errorf("%s by %s, after %s: %v", kind, signer.Name(), at, err)
					}
					continue
				}
				repotest.WantError(t, err, crypto.ErrIntegrity, info.Name)
			}
		}
	}
}

// A host can archive in its own name only: neither its own program nor a forged one gets another's accepted.
func TestArchiveOfAnotherHost(t *testing.T) {
	p := repotest.NewPlace(t)
	p.Enroll("db2", repotest.SecondKey(), keyring.Backup)
	r := p.Open(repotest.SecondKey())
	saved := repotest.MustWrite(t, r, repotest.Some(1, 3))
	if saved.Archive.Host != "db2" {
		t.Errorf("archive of %q", saved.Archive.Host)
	}
	forged := forge(p, repotest.SecondKey(), "archive", `{"version":0,"host":"db1"}`)
	damaged := 0
	all, err := r.Archives(t.Context(), func(name string, err error) {
		damaged++
		repotest.WantError(t, err, crypto.ErrIntegrity, `of host "db1", and host "db2" has signed it`)
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
	p := repotest.NewPlace(t)
	p.Enroll("db2", repotest.SecondKey(), keyring.Backup)
	p.Enroll("pruner", repotest.ThiefKey(), keyring.Prune)
	root, _, _ := p.Secrets()
	for _, test := range []struct {
		host     *crypto.Key
		recovery bool
		kind     string
		want     *crypto.Key
	}{
		{repotest.HostKey(), false, "forget", repotest.HostKey()},
		{repotest.HostKey(), true, "forget", repotest.HostKey()},
		{repotest.SecondKey(), false, "index", repotest.SecondKey()},
		{repotest.SecondKey(), false, "forget", nil},
		{repotest.SecondKey(), true, "forget", root},
		{repotest.ThiefKey(), false, "forget", repotest.ThiefKey()},
		{repotest.ThiefKey(), false, "archive", nil},
		{repotest.ThiefKey(), true, "archive", nil},
		{repotest.ThiefKey(), true, "index", root},
		{nil, true, "dropped", root},
		{nil, false, "dropped", nil},
		{nil, true, "archive", nil},
	} {
		open := repo.Open
		if test.recovery {
			open = repo.OpenContent
		}
		r := repotest.Must(open(t.Context(), p.Faulty, p.Keys, keyring.Held(repotest.RecoveryKey()), p.Options()))
		if test.host != nil {
			if err := r.SetHost(test.host); err != nil {
				t.Fatal(err)
			}
		}
		before := repotest.Everything(t, p.Memory)
		info, err := r.PutRecord(t.Context(), test.kind, []byte(`{"version":0}`))
		if test.want == nil {
			repotest.WantError(t, err, nil, "sign "+test.kind)
			repotest.WantSame(t, p.Memory, before)
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
	p := repotest.NewPlace(t)
	stolen, _, _ := p.Secrets()
	saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 3))
	before := forge(p, stolen, "forget", `{"version":0}`)
	p.Clock.Move(time.Hour)
	recovery := keyring.Held(repotest.RecoveryKey())
	e := keyring.Editor{
		Store: p.Memory, Now: p.Clock.Now, Random: rand.Reader,
		Load: func(context.Context) (*keyring.Keyring, error) { return p.Keys, nil },
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, recovery)
		},
	}
	edits := []func(*keyring.Draft) error{(*keyring.Draft).HandOver, (*keyring.Draft).RotateMetadata, (*keyring.Draft).RotateContent}
	for _, edit := range edits {
		var err error
		if p.Keys, _, err = e.Change(t.Context(), edit); err != nil {
			t.Fatal(err)
		}
	}
	p.Clock.Move(time.Hour)
	again := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 3), repotest.Some(2, 3))
	if again.Sent.ChunksKnown.Load() != 3 {
		t.Errorf("%d chunks known", again.Sent.ChunksKnown.Load())
	}
	r := p.Unlocked()
	repotest.WantRestored(t, repotest.Must(r.NewReader(t.Context())), saved, again)
	if _, _, err := r.Record(t.Context(), before); err != nil {
		t.Error(err)
	}
	_, _, err := r.Record(t.Context(), forge(p, stolen, "forget", `{"version":0,"x":1}`))
	repotest.WantError(t, err, crypto.ErrIntegrity, "does not count for the time")
	if _, err := r.PutRecord(t.Context(), "forget", []byte(`{"version":0}`)); err != nil {
		t.Error(err)
	}

	config := p.Get(sealed.Config)
	p.Put(sealed.Config, repotest.Must(repotest.Seal(repotest.Must(p.Keys.MetadataKey()), stolen, crypto.Binding{Repository: p.Keys.ID(), Kind: sealed.Config, Version: repo.FormatVersion}, []byte(`{"version":0}`), rand.Reader, p.Clock.Now)))
	_, err = repo.Open(t.Context(), p.Memory, p.Keys, recovery, p.Options())
	repotest.WantError(t, err, crypto.ErrIntegrity, "not the config that the keys name")
	p.Put(sealed.Config, config)
	repotest.WantRestored(t, p.Reader(), saved, again)
}
