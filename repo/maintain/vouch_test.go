package maintain_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain"
	"nightjar/repo/record"
	"nightjar/repo/store"
)

// A stolen site has two nights of a host, and one of the thief's after them.
type stolen struct {
	*clocked
	archives []*repo.Archive
	before   time.Time // the theft
	warns    bool      // as is to be expected
}

func newStolen(t *testing.T) *stolen {
	t.Helper()
	s := &stolen{clocked: newClocked(t)}
	for _, name := range []string{"alpha", "beta", "gamma"} {
		s.pass(time.Hour)
		s.files = map[string][]byte{name: random(1000)}
		if name != "gamma" {
			s.before = s.at
		}
		s.archives = append(s.archives, s.night())
	}
	return s
}

// as opens the repository with a recovery key, and with those keys.
func (s *stolen) as(at store.Store, keys *keyring.Keyring) *repo.Repository {
	s.t.Helper()
	r, err := repo.OpenContent(context.Background(), at, keys, keyring.Held(s.key), repo.Options{Now: s.now, Warn: func(err error) {
		if !s.warns {
			s.t.Errorf("warning: %v", err)
		}
	}})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { r.Close() })
	return r
}

func (s *stolen) marked() *keyring.Keyring {
	s.t.Helper()
	keys, err := s.keys.Suppose("host")
	if err != nil {
		s.t.Fatal(err)
	}
	return keys
}

func (s *stolen) vouch(r *repo.Repository) (done maintain.Vouched, left []string) {
	s.t.Helper()
	done, err := maintain.Vouch(context.Background(), r, maintain.VouchOptions{Who: "host", Before: s.before, Left: func(id string, err error) {
		s.t.Logf("left %s: %v", id, err)
		left = append(left, id)
	}})
	if err != nil || done.Left != len(left) {
		s.t.Fatal(done, left, err)
	}
	return done, left
}

// wants wants these archives to count with the mark, to be whole, and all others to be known as disowned.
func (s *stolen) wants(want ...*repo.Archive) {
	s.t.Helper()
	r := s.as(s.store, s.marked())
	all, err := r.Archives(context.Background(), func(name string, err error) {
		if !errors.Is(err, repo.ErrDisowned) {
			s.t.Error(name, err)
		}
	})
	var ids, wanted []string
	for i := range all {
		if !all[i].Counts() {
			s.t.Errorf("archive %s does not count", all[i].ID)
		}
		ids = append(ids, all[i].ID)
	}
	for _, a := range want {
		wanted = append(wanted, a.ID)
	}
	if err != nil || !slices.Equal(ids, wanted) {
		s.t.Errorf("archives %q, want %q, %v", ids, wanted, err)
	}
	disowned := 0
	sum, err := maintain.Check(context.Background(), r, maintain.CheckOptions{ReadData: true, Found: func(f maintain.Finding) {
		if f.Fault() {
			s.t.Errorf("found %+v", f)
		}
		if f.What == maintain.Disowned && strings.HasPrefix(f.Object, "archive/") {
			disowned++
		}
	}})
	if err != nil || sum.Archives != len(want) || len(want)+disowned != len(s.names("archive")) {
		s.t.Errorf("%+v, %d archives disowned, %v", sum, disowned, err)
	}
}

// index stores an index object as the thief does: with the host's key.
func (s *stolen) index(replaces []index.ObjectID, packs ...index.Pack) {
	s.t.Helper()
	o := index.Object{Time: s.at, Replaces: replaces, Runs: []index.Run{{Begin: s.at, Packs: packs}}}
	if _, err := s.open(false).PutRecord(context.Background(), "index", o.Append(nil)); err != nil {
		s.t.Fatal(err)
	}
}

// indexes returns all index objects, and the packs that they name.
func (s *stolen) indexes() (ids []index.ObjectID, packs []index.Pack) {
	s.t.Helper()
	if err := s.open(false).IndexObjects(context.Background(), func(x repo.IndexRecord) error {
		ids = append(ids, x.ID)
		for _, run := range x.Object.Runs {
			packs = append(packs, run.Packs...)
		}
		return x.Err
	}); err != nil {
		s.t.Fatal(err)
	}
	return ids, packs
}

func TestVouch(t *testing.T) {
	s := newStolen(t)
	s.wants()
	ids, _ := s.indexes()
	s.index(ids) // the thief's stands for all, and names nothing
	done, _ := s.vouch(s.as(s.store, s.keys))
	if want := (maintain.Vouched{Archives: 2, Objects: 6}); done != want { // an index object and two packs each
		t.Errorf("%+v, want %+v", done, want)
	}
	s.wants(s.archives[:2]...)
	// Prune keeps what the two need, and takes the thief's content.
	s.wantObjects("content", 3)
	for range 4 {
		s.pass(ripe)
		done, err := maintain.Prune(t.Context(), s.as(s.store, s.marked()), maintain.PruneOptions{Problem: func(err error) { t.Errorf("problem: %v", err) }})
		if err != nil || done.Archives != 2 {
			t.Fatalf("%+v, %v", done, err)
		}
	}
	s.wantObjects("content", 2)
	s.wants(s.archives[:2]...)
}

// What the thief writes after that counts for nothing, whatever time the store is made to give it; least of all that he vouches for himself.
func TestVouchForNothingLater(t *testing.T) {
	s := newStolen(t)
	s.vouch(s.as(s.store, s.keys))
	now := s.at
	s.at = s.before.Add(-time.Minute)
	s.files = map[string][]byte{"delta": random(1000)}
	var v record.Verified
	for _, a := range []*repo.Archive{s.archives[2], s.night()} {
		id, err := index.ParseObjectID(a.ID)
		if err != nil {
			t.Fatal(err)
		}
		v.Archives = append(v.Archives, id)
	}
	v.Objects, _ = s.indexes()
	content, err := record.Encode(v)
	if err == nil {
		_, err = s.open(false).PutRecord(t.Context(), record.VerifiedKind, content)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.at = now
	s.wants(s.archives[:2]...)
}

// Indexes are merged, and what they were merged of goes: the only one that names old packs may be from after the theft.
func TestVouchForMergedIndex(t *testing.T) {
	s := newStolen(t)
	ids, packs := s.indexes()
	s.index(ids, packs...)
	for _, id := range ids {
		s.put("index/"+id.String(), nil)
	}
	if done, _ := s.vouch(s.as(s.store, s.keys)); done.Archives != 2 || done.Objects != 5 {
		t.Errorf("%+v", done)
	}
	s.wants(s.archives[:2]...)
}

func TestVouchForWhatIsComplete(t *testing.T) {
	s := newStolen(t)
	_, packs := s.indexes()
	for _, p := range packs {
		if name := repo.PackName(p.Directory.Kind, p.ID); strings.HasPrefix(name, "content/") && s.stat(name).Time.Before(s.before) {
			s.put(name, nil)
		}
	}
	done, left := s.vouch(s.as(s.store, s.keys))
	if done.Archives != 1 || !slices.Equal(left, []string{s.archives[0].ID}) {
		t.Errorf("%+v, left %q", done, left)
	}
	all, err := s.as(s.store, s.marked()).Archives(t.Context(), func(string, error) {})
	if err != nil || len(all) != 1 || all[0].ID != s.archives[1].ID {
		t.Errorf("%+v, %v", all, err)
	}
}

// What a host with the role prune had condemned, forgotten and vouched for before the theft goes on to count.
func TestVouchForRecords(t *testing.T) {
	s := newStolen(t)
	s.forget(s.archives[0])
	late, err := index.ParseObjectID(s.archives[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	content, err := record.Encode(record.Verified{Archives: []index.ObjectID{late}})
	if err == nil {
		_, err = s.open(false).PutRecord(t.Context(), record.VerifiedKind, content)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.before = s.at
	if done, _ := s.vouch(s.as(s.store, s.keys)); done.Archives != 3 || done.Objects != 10 {
		t.Errorf("%+v", done)
	}
	r := s.as(s.store, s.marked())
	forgotten, err := maintain.Forgotten(t.Context(), r)
	if err != nil || len(forgotten) != 1 {
		t.Errorf("forgotten %v, %v", forgotten, err)
	}
	if verified, err := r.Verified(t.Context()); err != nil || !verified[late] {
		t.Errorf("verified %v, %v", verified, err)
	}
	s.wants(s.archives...)
}

// After the mark, archives may still be vouched for, until prune has condemned what they need: from then on it may be about to go.
func TestVouchAfterMark(t *testing.T) {
	s := newStolen(t)
	early := s.copied()
	if done, _ := s.vouch(s.as(early.store, s.marked())); done.Archives != 2 {
		t.Errorf("%+v", done)
	}
	s.pass(ripe)
	if _, err := maintain.Prune(t.Context(), s.as(s.store, s.marked()), maintain.PruneOptions{}); err != nil {
		t.Fatal(err)
	}
	s.wantObjects("condemned", 1)
	if done, left := s.vouch(s.as(s.store, s.marked())); done.Archives != 0 || len(left) != 2 {
		t.Errorf("%+v, left %q", done, left)
	}
	s.wants()
}

// versioned is a Memory that remembers when objects were stored first.
type versioned struct {
	*store.Memory
	first map[string]time.Time
}

func (v versioned) Recover(ctx context.Context, name string, _ func([]byte) bool) (store.Info, error) {
	at, ok := v.first[name]
	if !ok {
		return store.Info{}, store.ErrNotExist
	}
	info, err := v.Stat(ctx, name)
	info.Time = at
	return info, err
}

func (v versioned) Recovered() []store.Info { return nil }

func (v versioned) Hidden(context.Context, string, func(store.Info, time.Time) error) error {
	return nil
}

// Whoever stores an archive again under its name makes it look late, but not where versions are kept.
func TestVouchByOldestVersion(t *testing.T) {
	s := newStolen(t)
	v := versioned{s.store, map[string]time.Time{}}
	s.pass(time.Hour)
	s.warns = true // of index objects that are late
	for _, name := range append(s.names("archive"), s.names("index")...) {
		v.first[name] = s.stat(name).Time
		s.put(name, s.read(name))
	}
	if done, _ := s.vouch(s.as(s.store, s.keys)); done.Archives != 0 {
		t.Errorf("without versions: %+v", done)
	}
	if done, _ := s.vouch(s.as(v, s.keys)); done.Archives != 2 || done.Objects != 6 {
		t.Errorf("with versions: %+v", done)
	}
	s.wants(s.archives[:2]...)
}

// A list that a marked key has signed takes nothing from readers and stops nobody. But what it names may be gone: so nobody builds on it.
func TestDisownedLists(t *testing.T) {
	s := newStolen(t)
	thief := s.key
	other, err := crypto.Generate("other", s.at.Add(-time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.change(thief, func(d *keyring.Draft) error { return d.AddHost("other", other, keyring.Backup) })
	s.files = map[string][]byte{"epsilon": random(1000)}
	s.site.key = other
	s.host = "other"
	mine := s.night()
	packs := s.names("content")
	s.night()
	if got := s.names("content"); !slices.Equal(got, packs) {
		t.Errorf("sent again: %q", got)
	}
	s.site.key = thief
	var dropped record.Dropped
	for _, name := range packs {
		id, _ := store.SumOf(name)
		dropped.Packs = append(dropped.Packs, id)
	}
	dropped.View = s.at
	content, err := record.Encode(dropped)
	if err == nil {
		_, err = s.open(false).PutRecord(t.Context(), record.DroppedKind, content)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.change(thief, func(d *keyring.Draft) error { return d.MarkCompromised("host") })
	s.site.key = other
	second := s.night()
	if got := s.names("content"); len(got) != len(packs)+1 {
		t.Errorf("sent again: %d packs after %d", len(got), len(packs))
	}
	if sum, found := s.check(false, maintain.CheckOptions{ReadData: true}); sum.Faults > 0 || sum.Archives != 3 {
		t.Errorf("%+v, %q", sum, found)
	}
	if mine.Root != second.Root {
		t.Error("the nights differ")
	}
}
