package mirror_test

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/mirror"
	"nightjar/repo/record"
	"nightjar/repo/store"
	"nightjar/repo/store/directory"
	"nightjar/repo/store/storetest"
)

func TestAll(t *testing.T) {
	s := newSite(t)
	files := map[string][]byte{"a": s.random(100), "b": s.random(700_000)}
	first := s.night(files)
	directory, err := directory.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]store.Carrier{"memory": store.NewMemory(s.clock.now), "directory": directory} {
		s.clock.pass(30 * 24 * time.Hour)
		if sum := s.all(to); sum.Streamed.Objects == 0 || sum.Present.Objects > 0 {
			t.Errorf("%s: %+v", name, sum)
		}
		home, there := contents(t, s.home), contents(t, to)
		if !maps.Equal(home, there) {
			t.Errorf("%s: %d objects at home, %d in the copy", name, len(home), len(there))
		}
		s.wantArchives(to, first)
		if sum := s.all(to); sum.Streamed.Objects > 0 || sum.Present.Objects != len(home)-2 { // config and keys are not counted
			t.Errorf("%s: again: %+v", name, sum)
		}
	}
	// A night is carried by what it brought.
	files["b"] = s.random(700_000)
	second := s.night(files)
	if sum := s.all(directory); sum.Streamed.Objects < 3 || sum.Streamed.Bytes > 900_000 {
		t.Errorf("second night: %+v", sum)
	}
	s.wantArchives(directory, first, second)
	// A copy can be copied; times stay those of the first home.
	third := store.NewMemory(s.clock.now)
	if err := mirror.New(directory, third, s.keys, mirror.Options{Create: true}).All(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wantArchives(third, first, second)
}

// TestInterrupted lets the copy's store fail at every write in turn: what is there is a repository each time, and the next run goes on.
func TestInterrupted(t *testing.T) {
	s := newSite(t)
	files := map[string][]byte{"a": s.random(3000)}
	first := s.night(files)
	files["b"] = s.random(3000)
	second := s.night(files)
	to := store.NewMemory(s.clock.now)
	full := errors.New("disk is full")
	runs := 0
	for ; ; runs++ {
		faulty := &storetest.Faulty{Store: to, Before: []storetest.Hook{storetest.From(storetest.Put, 2, full)}}
		_, found, err := s.copy(faulty, mirror.Options{Create: true, Connections: 1}, func(m *mirror.Mirror) error { return m.All(t.Context()) })
		if len(found) > 0 {
			t.Fatalf("found %q", found)
		}
		if _, err := to.Stat(t.Context(), "keys/000001"); err == nil {
			s.wantArchives(to)
		}
		if err == nil {
			break
		}
		if !errors.Is(err, full) {
			t.Fatal(err)
		}
	}
	if runs < 8 {
		t.Errorf("done after %d interruptions", runs)
	}
	s.wantArchives(to, first, second)
}

// TestBesideOthers lets things happen at home in the middle of a copy, before each of its reads in turn.
func TestBesideOthers(t *testing.T) {
	for name, event := range map[string]func(s *site, old *repo.Archive, packs []string){
		"backup": func(s *site, _ *repo.Archive, _ []string) { s.night(map[string][]byte{"c": s.random(2000)}) },
		"prune": func(s *site, old *repo.Archive, packs []string) {
			s.forget(old)
			put(s.t, s.home, "archive/"+old.ID, nil)
			s.clock.pass(s.keys.Grace(s.clock.now()) + time.Hour)
			dropped := &record.Dropped{View: s.clock.now()}
			for _, name := range packs {
				dropped.Packs = append(dropped.Packs, objectID(s.t, name))
			}
			s.write(record.DroppedKind, dropped)
			for _, name := range packs {
				put(s.t, s.home, name, nil)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			for n, done := int64(1), false; !done; n++ {
				s := newSite(t)
				old := s.night(map[string][]byte{"a": s.random(2000)})
				packs := append(names(t, s.home, nil, "content/"), names(t, s.home, nil, "metadata/")...)
				kept := s.night(map[string][]byte{"b": s.random(2000)})
				done = true
				before := storetest.Nth(storetest.Get, n, errors.New("now"))
				faulty := &storetest.Faulty{Store: s.home, Before: []storetest.Hook{func(c storetest.Call) error {
					if before(c) != nil {
						done = false
						event(s, old, packs)
					}
					return nil
				}}}
				to := store.NewMemory(s.clock.now)
				m := mirror.New(faulty, to, s.keys, mirror.Options{Create: true, Connections: 1, Home: s.in(s.home, false), Now: s.clock.now, Found: func(f mirror.Finding) { t.Errorf("at read %d found %+v", n, f) }})
				if err := m.All(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.wantArchives(to)
				s.wantIndexed(to)
				if _, err := to.Stat(t.Context(), "archive/"+kept.ID); err != nil {
					t.Errorf("event at read %d: %v", n, err)
				}
				if t.Failed() {
					t.Fatalf("event at read %d", n)
				}
			}
		})
	}
}

func TestDamage(t *testing.T) {
	s := newSite(t)
	first := s.night(map[string][]byte{"a": s.random(3000)})
	to := store.NewMemory(s.clock.now)
	s.all(to)
	pack := names(t, s.home, nil, "content/")[0]
	good, err := store.ReadAll(t.Context(), to, pack, 0)
	if err != nil {
		t.Fatal(err)
	}

	// What is damaged at home is named, and goes nowhere.
	put(t, s.home, pack, flipped(t, s.home, pack))
	fresh := store.NewMemory(s.clock.now)
	all := func(m *mirror.Mirror) error { return m.All(t.Context()) }
	sum, found, err := s.copy(fresh, mirror.Options{Create: true}, all)
	if err != nil || len(found) != 1 || !strings.HasPrefix(found[0], "home "+pack+": its bytes do not have that hash") || sum.Findings != 1 {
		t.Errorf("damaged pack: %v, found %q", err, found)
	}
	if _, err := fresh.Stat(t.Context(), pack); !errors.Is(err, store.ErrNotExist) {
		t.Errorf("it was copied: %v", err)
	}
	for name, junk := range map[string][]byte{"shorter": good[:len(good)-1], "longer": append(good[:len(good):len(good)], 0)} {
		put(t, s.home, pack, junk)
		if _, found, err := s.copy(to, mirror.Options{Verify: true}, all); err != nil || len(found) != 1 || !strings.HasPrefix(found[0], "home "+pack) {
			t.Errorf("%s: %v, found %q", name, err, found)
		}
		s.wantArchives(to, first) // the copy is not made worse
	}

	// What is damaged in the copy is made good again.
	put(t, s.home, pack, good)
	for name, o := range map[string]mirror.Options{"shorter": {}, "flipped": {Verify: true}} {
		junk := good[:len(good)-1]
		if o.Verify {
			junk = flipped(t, s.home, pack)
		}
		put(t, to, pack, junk)
		sum, found, err := s.copy(to, o, all)
		if err != nil || len(found) != 1 || !strings.HasPrefix(found[0], "copy "+pack+": replaced") || sum.Streamed.Objects != 1 {
			t.Errorf("%s: %v, found %q, %+v", name, err, found, sum)
		}
		s.wantArchives(to, first)
	}
}

func TestBegin(t *testing.T) {
	s := newSite(t)
	s.night(map[string][]byte{"a": s.random(3000)})
	all := func(m *mirror.Mirror) error { return m.All(t.Context()) }
	empty := store.NewMemory(nil)
	if _, _, err := s.copy(empty, mirror.Options{}, all); !errors.Is(err, mirror.ErrNoCopy) {
		t.Errorf("an empty place: %v", err)
	}
	if _, _, err := s.copy(newSite(t).home, mirror.Options{Create: true}, all); !errors.Is(err, mirror.ErrOther) {
		t.Errorf("another repository: %v", err)
	}
	foreign := store.NewMemory(nil)
	if _, err := foreign.Put(t.Context(), "holiday.jpg", nil); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.copy(foreign, mirror.Options{Create: true}, all); !errors.Is(err, mirror.ErrOther) {
		t.Errorf("a place that is not empty: %v", err)
	}
	if sum, found, err := s.copy(empty, mirror.Options{Create: true, DryRun: true}, all); err != nil || found != nil || sum.Streamed.Objects < 4 || len(contents(t, empty)) > 0 {
		t.Errorf("a dry run: %+v, %q, %v, and then there is %v", sum, found, err, names(t, empty, nil, ""))
	}

	// Keys that the root has not signed stay where they are, and so does what is no object.
	_, forged := newSite(t).keys.Object()
	for name, data := range map[string][]byte{"keys/000002": forged, "archive/readme": nil} {
		if _, err := s.home.Put(t.Context(), name, data); err != nil {
			t.Fatal(err)
		}
	}
	_, found, err := s.copy(empty, mirror.Options{Create: true}, all)
	if err != nil || len(found) != 1 || !strings.HasPrefix(found[0], "home keys/000002: ") {
		t.Errorf("forged keys: %v, %q", err, found)
	}
	if left := names(t, s.home, empty, ""); len(left) != 2 {
		t.Errorf("not copied: %q", left)
	}
	if _, err := empty.Put(t.Context(), "keys/000003", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.in(empty, false).In(t.Context(), foreign); !errors.Is(err, crypto.ErrIntegrity) {
		t.Errorf("opened in a place without config: %v", err)
	}
}

// TestFormerRoot copies keys that a root has signed before it handed over.
func TestFormerRoot(t *testing.T) {
	s := newSite(t)
	night := s.night(map[string][]byte{"a": s.random(100)})
	s.rekey((*keyring.Draft).HandOver)
	to := store.NewMemory(s.clock.now)
	s.all(to)
	if keys := names(t, to, nil, "keys/"); len(keys) != 2 {
		t.Errorf("copied %q", keys)
	}
	s.wantArchives(to, night)
}

func TestPrune(t *testing.T) {
	s := newSite(t)
	grace := s.keys.Grace(s.clock.now())
	old := s.night(map[string][]byte{"a": s.random(2000)})
	packs := append(names(t, s.home, nil, "content/"), names(t, s.home, nil, "metadata/")...)
	kept := s.night(map[string][]byte{"b": s.random(2000)})
	to := store.NewMemory(s.clock.now)
	s.all(to)
	want := func(what string, archives int, deleted int, findings int) {
		t.Helper()
		sum, found := s.prune(to)
		if sum.Deleted.Objects != deleted || len(found) != findings || len(names(t, to, nil, "archive/")) != archives {
			t.Errorf("%s: deleted %d, found %q, %d archives left", what, sum.Deleted.Objects, found, len(names(t, to, nil, "archive/")))
		}
		for _, f := range found {
			if !strings.Contains(f, mirror.ErrUnexplained.Error()) {
				t.Errorf("%s: found %s", what, f)
			}
		}
		s.wantArchives(to)
	}
	want("nothing to do", 2, 0, 0)

	// Somebody deletes an archive and its packs, and says that prune did.
	put(t, s.home, "archive/"+old.ID, nil)
	dropped := &record.Dropped{}
	for _, name := range packs {
		put(t, s.home, name, nil)
		dropped.Packs = append(dropped.Packs, objectID(t, name))
	}
	s.write(record.DroppedKind, dropped)
	s.clock.pass(2 * grace)
	want("unexplained", 2, 0, 1)
	if left := names(t, to, nil, "dropped/"); len(left) > 0 {
		t.Errorf("what was dropped is hidden from the archive that is kept: %q", left)
	}

	// It was meant so; that counts when it is old enough.
	s.forget(old)
	want("forgotten today", 2, 0, 0)
	s.clock.pass(grace)
	want("forgotten, but not yet for long enough", 2, 0, 0)
	s.clock.pass(time.Minute)
	want("forgotten", 1, 1+len(packs), 0)
	s.wantArchives(to, kept)
	want("again", 1, 0, 0)
}

// TestPruneIndexes deletes an index object only on the word of whoever signed it, or of the root.
func TestPruneIndexes(t *testing.T) {
	s := newSite(t)
	night := s.night(map[string][]byte{"a": s.random(2000)})
	to := store.NewMemory(s.clock.now)
	other, err := crypto.Generate("other", time.Now().Add(-time.Hour), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.enroll("other", other)
	s.all(to)
	first := names(t, s.home, nil, "index/")[0]
	object, err := s.object(first)
	if err != nil {
		t.Fatal(err)
	}
	want := func(what string, gone bool) {
		t.Helper()
		if _, found := s.prune(to); len(found) > 0 {
			t.Errorf("%s: found %q", what, found)
		}
		if _, err := to.Stat(t.Context(), first); errors.Is(err, store.ErrNotExist) != gone {
			t.Errorf("%s: %v", what, err)
		}
		s.wantArchives(to, night)
	}
	put(t, s.home, first, nil)
	s.clock.pass(2 * s.keys.Grace(s.clock.now()))
	want("deleted", false)
	object.Replaces = append(object.Replaces, objectID(t, first))
	s.index(other, object)
	s.clock.pass(2 * s.keys.Grace(s.clock.now()))
	want("replaced by another host", false)

	// By its own signer, by way of an object that is gone itself.
	second := s.index(s.key, object)
	s.all(to)
	object.Replaces = append(object.Replaces[:0:0], objectID(t, second.Name))
	if _, err := s.in(s.home, true).AddIndex(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	want("replaced just now", false)
	put(t, s.home, second.Name, nil)
	s.clock.pass(2 * s.keys.Grace(s.clock.now()))
	want("replaced", true)
	if left := names(t, to, s.home, "index/"); len(left) > 0 {
		t.Errorf("left in the copy: %q", left)
	}
}

// TestClaim lets times count only where the root has said that they do, and grace periods begin when the copy gets a record.
func TestClaim(t *testing.T) {
	s := newSite(t)
	old := s.night(map[string][]byte{"a": s.random(2000)})
	to := s.newBucket()
	all := func(m *mirror.Mirror) error { return m.All(t.Context()) }
	if _, _, err := s.copy(to, mirror.Options{Create: true}, all); !errors.Is(err, mirror.ErrNoClaim) || len(names(t, to, nil, "")) > 0 {
		t.Errorf("nobody says that it is a copy: %v", err)
	}
	r := s.in(s.home, true)
	if _, err := s.in(s.home, false).ClaimCopy(to.Place()); err == nil {
		t.Error("a host says that it is a copy")
	}
	elsewhere, err := r.ClaimCopy("s3://bucket/home")
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.copy(to, mirror.Options{Create: true, Claim: elsewhere}, all); !errors.Is(err, mirror.ErrNoClaim) || to.trusted {
		t.Errorf("it is said of another place: %v", err)
	}
	claim, err := r.ClaimCopy(to.Place())
	if err != nil {
		t.Fatal(err)
	}
	s.clock.pass(time.Hour)
	if _, _, err := s.copy(to, mirror.Options{Create: true, Claim: claim}, all); err != nil {
		t.Fatal(err)
	}
	s.wantArchives(to, old)
	s.rekey(func(d *keyring.Draft) error { return d.SetGrace(20 * time.Hour) })
	s.clock.pass(30 * 24 * time.Hour)

	// At home the record is old already when the copy first sees it.
	s.forget(old)
	put(t, s.home, "archive/"+old.ID, nil)
	s.clock.pass(2 * s.keys.Grace(s.clock.now()))
	for _, want := range []int{1, 0} {
		if _, found := s.prune(to); len(found) > 0 || len(names(t, to, nil, "archive/")) != want {
			t.Errorf("found %q, %d archives left, want %d", found, len(names(t, to, nil, "archive/")), want)
		}
		s.clock.pass(s.keys.Grace(s.clock.now()) + time.Minute)
	}
}
