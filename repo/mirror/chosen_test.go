package mirror_test

import (
	"errors"
	"testing"
	"time"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/mirror"
	"nightjar/repo/store"
)

func TestArchives(t *testing.T) {
	s := newSite(t)
	shared := s.random(2000)
	first := s.night(map[string][]byte{"a": s.random(2000), "b": shared})
	second := s.night(map[string][]byte{"b": shared, "c": s.random(2000)})
	for _, root := range []bool{false, true} {
		to := store.NewMemory(s.clock.now)
		chosen := func(which ...repo.Archive) func(*mirror.Mirror) error {
			return func(m *mirror.Mirror) error { return m.Archives(t.Context(), s.in(s.home, root), which) }
		}
		if _, found, err := s.copy(to, mirror.Options{Create: true, DryRun: true}, chosen(*first)); err != nil || found != nil || len(contents(t, to)) > 0 {
			t.Fatalf("dry run: %v, %q", err, found)
		}
		if _, found, err := s.copy(to, mirror.Options{Create: true}, chosen(*first)); err != nil || found != nil {
			t.Fatalf("%v, %q", err, found)
		}
		s.wantArchives(to, first)
		if left := names(t, s.home, to, "content/"); len(left) != 1 {
			t.Errorf("packs that only the second night needs: %q", left)
		}
		// A backup into the copy is not deceived.
		s.wantIndexed(to)
		before := len(names(t, to, nil, "index/"))
		if sum, _, err := s.copy(to, mirror.Options{}, chosen(*first)); err != nil || sum.Streamed.Objects > 0 || len(names(t, to, nil, "index/")) != before {
			t.Errorf("again: %v, %+v", err, sum)
		}
		if _, found, err := s.copy(to, mirror.Options{}, chosen(*second)); err != nil || found != nil {
			t.Fatalf("%v, %q", err, found)
		}
		s.wantArchives(to, first, second)
		s.all(to)
		s.wantArchives(to, first, second)
	}
}

// TestForeign tries who may vouch for packs that another host has sent.
func TestForeign(t *testing.T) {
	s := newSite(t)
	a := s.night(map[string][]byte{"a": s.random(2000)})
	// What the host has indexed, the root has.
	r := s.in(s.home, true)
	var all []index.Pack
	if err := r.IndexObjects(t.Context(), func(_ store.Info, o *index.Object, err error) error {
		for _, run := range o.Runs {
			all = append(all, run.Packs...)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for _, name := range names(t, s.home, nil, "index/") {
		put(t, s.home, name, nil)
	}
	to := store.NewMemory(s.clock.now)
	copy := func(home *repo.Repository) error {
		_, _, err := s.copy(to, mirror.Options{Create: true}, func(m *mirror.Mirror) error { return m.Archives(t.Context(), home, []repo.Archive{*a}) })
		return err
	}
	if _, err := r.AddIndex(t.Context(), &index.Object{Runs: []index.Run{{Packs: all}}}); err != nil {
		t.Fatal(err)
	}
	if err := copy(s.in(s.home, false)); err != nil { // a host believes the root
		t.Error(err)
	}
	s.wantArchives(to, a)

	// Now only another host says so.
	for _, name := range names(t, s.home, nil, "index/") {
		put(t, s.home, name, nil)
	}
	other, err := crypto.Generate("other", time.Now().Add(-time.Hour), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.enroll("other", other)
	r = s.in(s.home, false)
	if err := r.SetHost(other); err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddIndex(t.Context(), &index.Object{Runs: []index.Run{{Packs: all}}}); err != nil {
		t.Fatal(err)
	}
	to = store.NewMemory(s.clock.now)
	if err := copy(s.in(s.home, false)); !errors.Is(err, mirror.ErrForeign) || len(names(t, to, nil, "archive/")) > 0 {
		t.Errorf("signed for another host: %v", err)
	}
	if err := copy(s.in(s.home, true)); err != nil {
		t.Error(err)
	}
	s.wantArchives(to, a)
}

// TestIncomplete leaves an archive alone that home cannot restore itself.
func TestIncomplete(t *testing.T) {
	s := newSite(t)
	good := s.night(map[string][]byte{"a": s.random(2000)})
	bad := s.night(map[string][]byte{"b": s.random(2000)})
	before := store.NewMemory(s.clock.now)
	_, _, err := s.copy(before, mirror.Options{Create: true}, func(m *mirror.Mirror) error {
		return m.Archives(t.Context(), s.in(s.home, false), []repo.Archive{*good})
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names(t, s.home, before, "content/") {
		put(t, s.home, name, nil)
	}
	for _, c := range []struct {
		archive *repo.Archive
		want    error
	}{{bad, repo.ErrMissing}, {good, nil}} {
		to := store.NewMemory(s.clock.now)
		_, _, err := s.copy(to, mirror.Options{Create: true}, func(m *mirror.Mirror) error {
			return m.Archives(t.Context(), s.in(s.home, false), []repo.Archive{*c.archive})
		})
		if !errors.Is(err, c.want) || (c.want != nil) != (len(names(t, to, nil, "archive/")) == 0) {
			t.Errorf("copied: %v", err)
		}
	}
}
