package vouch_test

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
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/maintain/retain"
	"nightjar/repo/maintain/vouch"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

const ripe = 7*24*time.Hour + 11*time.Minute // after the grace period

// A stolen site has two nights of a host, and one of the thief's after them.
type stolen struct {
	*maintaintest.Site
	at       time.Time // by the store's clock, and all others
	archives []*repo.Archive
	before   time.Time // the theft
	warns    bool      // as is to be expected
}

func newStolen(t *testing.T) *stolen {
	t.Helper()
	s := &stolen{at: time.Now().Add(time.Minute)}
	s.Site = maintaintest.NewAt(t, func() time.Time { return s.at })
	for _, name := range []string{"alpha", "beta", "gamma"} {
		s.pass(time.Hour)
		s.Files = map[string][]byte{name: maintaintest.Random(1000)}
		if name != "gamma" {
			s.before = s.at
		}
		s.archives = append(s.archives, s.Night())
	}
	return s
}

func (s *stolen) pass(d time.Duration) { s.at = s.at.Add(d) }

func (s *stolen) stat(name string) store.Info {
	s.T.Helper()
	info, err := s.Store.Stat(context.Background(), name)
	if err != nil {
		s.T.Fatal(err)
	}
	return info
}

func (s *stolen) wantObjects(kind string, n int) {
	s.T.Helper()
	if names := s.Names(kind); len(names) != n {
		s.T.Errorf("%d objects of kind %s, want %d", len(names), kind, n)
	}
}

// as opens the repository with a recovery key, and with those keys.
func (s *stolen) as(at store.Store, keys *keyring.Keyring) *repo.Repository {
	s.T.Helper()
	r, err := repo.OpenContent(context.Background(), at, keys, keyring.Held(s.Key), repo.Options{Now: s.Now, Warn: func(err error) {
		if !s.warns {
			s.T.Errorf("warning: %v", err)
		}
	}})
	if err != nil {
		s.T.Fatal(err)
	}
	s.T.Cleanup(func() { r.Close() })
	return r
}

func (s *stolen) marked() *keyring.Keyring {
	s.T.Helper()
	keys, err := s.Keys.Suppose("host")
	if err != nil {
		s.T.Fatal(err)
	}
	return keys
}

func (s *stolen) vouch(r *repo.Repository) (done vouch.Summary, left []string) {
	s.T.Helper()
	done, err := vouch.Archives(context.Background(), r, vouch.Options{Who: "host", Before: s.before, Left: func(id string, err error) {
		s.T.Logf("left %s: %v", id, err)
		left = append(left, id)
	}})
	if err != nil || done.Left != len(left) {
		s.T.Fatal(done, left, err)
	}
	return done, left
}

// wants wants these archives to count with the mark, to be whole, and all others to be known as disowned.
func (s *stolen) wants(want ...*repo.Archive) {
	s.T.Helper()
	r := s.as(s.Store, s.marked())
	all, err := r.Archives(context.Background(), func(name string, err error) {
		if !errors.Is(err, repo.ErrDisowned) {
			s.T.Error(name, err)
		}
	})
	var ids, wanted []string
	for i := range all {
		if !all[i].Counts() {
			s.T.Errorf("archive %s does not count", all[i].ID)
		}
		ids = append(ids, all[i].ID)
	}
	for _, a := range want {
		wanted = append(wanted, a.ID)
	}
	if err != nil || !slices.Equal(ids, wanted) {
		s.T.Errorf("archives %q, want %q, %v", ids, wanted, err)
	}
	disowned := 0
	sum, err := check.Run(context.Background(), r, check.Options{ReadData: true, Found: func(f check.Finding) {
		if f.Fault() {
			s.T.Errorf("found %+v", f)
		}
		if f.What == check.Disowned && strings.HasPrefix(f.Object, "archive/") {
			disowned++
		}
	}})
	if err != nil || sum.Archives != len(want) || len(want)+disowned != len(s.Names("archive")) {
		s.T.Errorf("%+v, %d archives disowned, %v", sum, disowned, err)
	}
}

// index stores an index object as the thief does: with the host's key.
func (s *stolen) index(replaces []index.ObjectID, packs ...index.Pack) {
	s.T.Helper()
	o := index.Object{Time: s.at, Replaces: replaces, Runs: []index.Run{{Owner: "host", Begin: s.at, Packs: packs}}}
	if _, err := s.Open(false).PutRecord(context.Background(), "index", o.Append(nil)); err != nil {
		s.T.Fatal(err)
	}
}

// indexes returns all index objects, and the packs that they name.
func (s *stolen) indexes() (ids []index.ObjectID, packs []index.Pack) {
	s.T.Helper()
	if err := s.Open(false).IndexObjects(context.Background(), func(x sealed.IndexRecord) error {
		ids = append(ids, x.ID)
		for _, run := range x.Object.Runs {
			packs = append(packs, run.Packs...)
		}
		return x.Err
	}); err != nil {
		s.T.Fatal(err)
	}
	return ids, packs
}

func TestVouch(t *testing.T) {
	s := newStolen(t)
	s.wants()
	ids, _ := s.indexes()
	s.index(ids) // the thief's stands for all, and names nothing
	done, _ := s.vouch(s.as(s.Store, s.Keys))
	if want := (vouch.Summary{Archives: 2, Objects: 6}); done != want { // an index object and two packs each
		t.Errorf("%+v, want %+v", done, want)
	}
	s.wants(s.archives[:2]...)
	// Prune keeps what the two need, and takes the thief's content.
	s.wantObjects("content", 3)
	for range 4 {
		s.pass(ripe)
		done, err := prune.Run(t.Context(), s.as(s.Store, s.marked()), prune.Options{Problem: func(err error) { t.Errorf("problem: %v", err) }})
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
	s.vouch(s.as(s.Store, s.Keys))
	now := s.at
	s.at = s.before.Add(-time.Minute)
	s.Files = map[string][]byte{"delta": maintaintest.Random(1000)}
	var v record.Verified
	for _, a := range []*repo.Archive{s.archives[2], s.Night()} {
		id, err := index.ParseObjectID(a.ID)
		if err != nil {
			t.Fatal(err)
		}
		v.Archives = append(v.Archives, id)
	}
	v.Objects, _ = s.indexes()
	content, err := record.Encode(v)
	if err == nil {
		_, err = s.Open(false).PutRecord(t.Context(), record.VerifiedKind, content)
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
		s.Put("index/"+id.String(), nil)
	}
	if done, _ := s.vouch(s.as(s.Store, s.Keys)); done.Archives != 2 || done.Objects != 5 {
		t.Errorf("%+v", done)
	}
	s.wants(s.archives[:2]...)
}

func TestVouchForWhatIsComplete(t *testing.T) {
	s := newStolen(t)
	_, packs := s.indexes()
	for _, p := range packs {
		if name := sealed.PackName(p.Directory.Kind, p.ID); strings.HasPrefix(name, "content/") && s.stat(name).Time.Before(s.before) {
			s.Put(name, nil)
		}
	}
	done, left := s.vouch(s.as(s.Store, s.Keys))
	if done.Archives != 1 || !slices.Equal(left, []string{s.archives[0].ID}) {
		t.Errorf("%+v, left %q", done, left)
	}
	all, err := s.as(s.Store, s.marked()).Archives(t.Context(), func(string, error) {})
	if err != nil || len(all) != 1 || all[0].ID != s.archives[1].ID {
		t.Errorf("%+v, %v", all, err)
	}
}

// What a host with the role prune had condemned, forgotten and vouched for before the theft goes on to count.
func TestVouchForRecords(t *testing.T) {
	s := newStolen(t)
	if err := retain.Forget(t.Context(), s.Open(false), []retain.Decision{{Archive: s.archives[0]}}); err != nil {
		t.Fatal(err)
	}
	late, err := index.ParseObjectID(s.archives[1].ID)
	if err != nil {
		t.Fatal(err)
	}
	content, err := record.Encode(record.Verified{Archives: []index.ObjectID{late}})
	if err == nil {
		_, err = s.Open(false).PutRecord(t.Context(), record.VerifiedKind, content)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.before = s.at
	if done, _ := s.vouch(s.as(s.Store, s.Keys)); done.Archives != 3 || done.Objects != 10 {
		t.Errorf("%+v", done)
	}
	r := s.as(s.Store, s.marked())
	forgotten, err := retain.Forgotten(t.Context(), r, func(name string, err error) { t.Error(name, err) })
	if err != nil || len(forgotten) != 1 {
		t.Errorf("forgotten %v, %v", forgotten, err)
	}
	if verified, err := r.Verified(t.Context()); err != nil || !verified.Late[late] {
		t.Errorf("verified %v, %v", verified, err)
	}
	s.wants(s.archives...)
}

// After the mark, archives may still be vouched for, until prune has condemned what they need: from then on it may be about to go.
func TestVouchAfterMark(t *testing.T) {
	s := newStolen(t)
	if done, left := s.vouch(s.as(s.Store, s.marked())); done.Archives != 2 || len(left) > 0 {
		t.Errorf("%+v, left %q", done, left)
	}
	for _, name := range s.Names("verified") { // as if that had not been
		s.Put(name, nil)
	}
	s.pass(ripe)
	if _, err := prune.Run(t.Context(), s.as(s.Store, s.marked()), prune.Options{}); err != nil {
		t.Fatal(err)
	}
	s.wantObjects("condemned", 1)
	if done, left := s.vouch(s.as(s.Store, s.marked())); done.Archives != 0 || len(left) != 2 {
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
	v := versioned{s.Store, map[string]time.Time{}}
	s.pass(time.Hour)
	s.warns = true // of index objects that are late
	for _, name := range append(s.Names("archive"), s.Names("index")...) {
		v.first[name] = s.stat(name).Time
		s.Put(name, s.Read(name))
	}
	if done, _ := s.vouch(s.as(s.Store, s.Keys)); done.Archives != 0 {
		t.Errorf("without versions: %+v", done)
	}
	if done, _ := s.vouch(s.as(v, s.Keys)); done.Archives != 2 || done.Objects != 6 {
		t.Errorf("with versions: %+v", done)
	}
	s.wants(s.archives[:2]...)
}

// A list that a marked key has signed takes nothing from readers and stops nobody. But what it names may be gone: so nobody builds on it.
func TestDisownedLists(t *testing.T) {
	s := newStolen(t)
	thief := s.Key
	other, err := crypto.Generate("other", s.at.Add(-time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.Change(thief, func(d *keyring.Draft) error { return d.AddHost("other", other, keyring.Backup) })
	s.Files = map[string][]byte{"epsilon": maintaintest.Random(1000)}
	s.Key = other
	s.Host = "other"
	mine := s.Night()
	packs := s.Names("content")
	s.Night()
	if got := s.Names("content"); !slices.Equal(got, packs) {
		t.Errorf("sent again: %q", got)
	}
	s.Key = thief
	var dropped record.Dropped
	for _, name := range packs {
		id, _ := store.SumOf(name)
		dropped.Packs = append(dropped.Packs, id)
	}
	dropped.View = s.at
	content, err := record.Encode(dropped)
	if err == nil {
		_, err = s.Open(false).PutRecord(t.Context(), record.DroppedKind, content)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Change(thief, func(d *keyring.Draft) error { return d.MarkCompromised("host") })
	s.Key = other
	second := s.Night()
	if got := s.Names("content"); len(got) != len(packs)+1 {
		t.Errorf("sent again: %d packs after %d", len(got), len(packs))
	}
	if sum, found := s.Check(false, check.Options{ReadData: true}); sum.Faults > 0 || sum.Archives != 3 {
		t.Errorf("%+v, %q", sum, found)
	}
	if mine.Root != second.Root {
		t.Error("the nights differ")
	}
}

// enroll adds a host with both roles, which nobody marks. What s does next is as the first host again.
func (s *stolen) enroll(name string) *crypto.Key {
	s.T.Helper()
	key, err := crypto.Generate(name, s.at.Add(-time.Minute), nil)
	if err != nil {
		s.T.Fatal(err)
	}
	s.Change(s.Key, func(d *keyring.Draft) error { return d.AddHost(name, key, keyring.Backup, keyring.Prune) })
	return key
}

// put stores a record as the host whose key that is.
func (s *stolen) put(as *crypto.Key, kind string, v any) {
	s.T.Helper()
	r := s.Open(false)
	content, err := record.Encode(v)
	if err == nil {
		err = r.SetHost(as)
	}
	if err == nil {
		_, err = r.PutRecord(context.Background(), kind, content)
	}
	if err != nil {
		s.T.Fatal(err)
	}
}

// all returns the ids of all that the thief's host has signed, and of the packs.
func (s *stolen) all() (ids []index.ObjectID) {
	s.T.Helper()
	for _, kind := range []string{"archive", "index", "content", "metadata", "forget", "lost", "condemned", "dropped"} {
		for _, name := range s.Names(kind) {
			id, _ := store.SumOf(name)
			ids = append(ids, id)
		}
	}
	return ids
}

// A mark is set by the root, and taken back by the root alone: not by a host with the role prune, be it before the mark or after it, be all vouched for or what is from before.
func TestHostTakesBackNoMark(t *testing.T) {
	for _, early := range []bool{true, false} {
		for _, keep := range []int{0, 2} {
			s := newStolen(t)
			other := s.enroll("other")
			if keep > 0 {
				s.vouch(s.as(s.Store, s.Keys))
			}
			if !early {
				s.Keys = s.marked()
				thief := s.Key
				s.Key = other
				s.put(other, record.VerifiedKind, &record.Verified{Archives: s.all(), Objects: s.all(), View: s.at})
				s.Key = thief
			} else {
				s.put(other, record.VerifiedKind, &record.Verified{Archives: s.all(), Objects: s.all(), View: s.at})
			}
			s.wants(s.archives[:keep]...)
		}
	}
}

// Nor does what a marked host had dropped or given up go because another host vouches for that.
func TestHostVouchesForNoLists(t *testing.T) {
	s := newStolen(t)
	other := s.enroll("other")
	s.vouch(s.as(s.Store, s.Keys))
	var packs []index.ObjectID
	for _, kind := range []string{"content", "metadata"} {
		for _, name := range s.Names(kind) {
			id, _ := store.SumOf(name)
			packs = append(packs, id)
		}
	}
	s.put(s.Key, record.DroppedKind, &record.Dropped{Packs: packs, View: s.at})
	s.put(s.Key, record.LostKind, &record.Lost{Packs: packs})
	s.put(s.Key, record.ForgetKind, &record.Forget{Archives: []record.Forgotten{{Archive: s.all()[0]}}})
	s.put(other, record.VerifiedKind, &record.Verified{Objects: s.all(), View: s.at})
	s.wants(s.archives[:2]...)
	forgotten, err := retain.Forgotten(t.Context(), s.as(s.Store, s.marked()), func(name string, err error) { t.Error(name, err) })
	if err != nil || len(forgotten) != 0 {
		t.Errorf("forgotten %v, %v", forgotten, err)
	}
}

// When the root repeats what a host had verified before it was marked, it takes back no mark of another.
func TestRepeatingTakesBackNoOtherMark(t *testing.T) {
	s := newStolen(t)
	other := s.enroll("other")
	s.put(other, record.VerifiedKind, &record.Verified{Archives: s.all(), Objects: s.all(), View: s.at})
	s.Keys = s.marked()
	done, err := vouch.Archives(t.Context(), s.as(s.Store, s.Keys), vouch.Options{Who: "other", Before: s.at})
	if err != nil || done.Archives != 0 {
		t.Errorf("%+v, %v", done, err)
	}
	if s.Keys, err = s.Keys.Suppose("other"); err != nil {
		t.Fatal(err)
	}
	if all, err := s.as(s.Store, s.Keys).Archives(t.Context(), func(string, error) {}); err != nil || len(all) != 0 {
		t.Errorf("%d archives count, %v", len(all), err)
	}
}

// An archive that the root vouched for counts on when the repository is moved without its times: it is named as one that may be late, too.
func TestVouchedAndMoved(t *testing.T) {
	s := newStolen(t)
	s.vouch(s.as(s.Store, s.Keys))
	s.pass(time.Hour)
	for _, a := range s.archives {
		s.Put("archive/"+a.ID, s.Read("archive/"+a.ID))
	}
	s.wants(s.archives[:2]...)
}
