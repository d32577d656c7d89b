package mirror_test

import (
	"errors"
	"testing"

	"nightjar/repo"
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

// TestBackupIntoChosen takes nothing for stored in a copy of chosen archives: what is in its packs may lean on what is not there.
func TestBackupIntoChosen(t *testing.T) {
	s := newSite(t)
	files := map[string][]byte{"a": s.random(2000)}
	first := s.night(files)
	to := store.NewMemory(s.clock.now)
	_, _, err := s.copy(to, mirror.Options{Create: true}, func(m *mirror.Mirror) error {
		return m.Archives(t.Context(), s.in(s.home, false), []repo.Archive{*first})
	})
	if err != nil {
		t.Fatal(err)
	}
	before := len(names(t, to, nil, "content/"))
	second := s.nightIn(to, files)
	if after := len(names(t, to, nil, "content/")); after != before+1 {
		t.Errorf("%d packs, then %d", before, after)
	}
	s.wantArchives(to, first, second)
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
