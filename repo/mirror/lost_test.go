package mirror_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/mirror"
	"nightjar/repo/record"
	"nightjar/repo/store"
)

// What a repair gave up at home, or says was touched, is no leave to delete it from the copy, which may have the last good one.
func TestPruneLost(t *testing.T) {
	s := newSite(t)
	grace := s.keys.Grace(s.clock.now())
	touched := s.night(map[string][]byte{"a": s.random(2000)})
	lost := s.night(map[string][]byte{"b": s.random(2000)})
	back := s.night(map[string][]byte{"c": s.random(2000)})
	all := []*repo.Archive{touched, lost, back}
	to := store.NewMemory(s.clock.now)
	s.all(to)
	chunk := record.LostChunk{ID: touched.Root.ID}
	s.write(record.LostKind, &record.Lost{Chunks: []record.LostChunk{chunk}, Archives: []index.ObjectID{objectID(t, touched.ID)}, Objects: []index.ObjectID{objectID(t, lost.ID)}})
	s.write(record.LostKind, &record.Lost{Objects: []index.ObjectID{objectID(t, back.ID)}, Archives: []index.ObjectID{objectID(t, back.ID)}})
	for _, name := range names(t, s.home, nil, "lost/") {
		s.write(record.LostKind, &record.Lost{Replaces: []index.ObjectID{objectID(t, name)}})
	}
	for _, a := range all {
		put(t, s.home, "archive/"+a.ID, nil)
	}
	s.clock.pass(2 * grace)
	want := map[string]error{"archive/" + touched.ID: mirror.ErrUnexplained, "archive/" + lost.ID: mirror.ErrLost, "archive/" + back.ID: mirror.ErrLost}
	sum, found := s.prune(to)
	if sum.Deleted.Objects > 0 || len(found) != len(want) {
		t.Errorf("deleted %d, found %q", sum.Deleted.Objects, found)
	}
	for name, err := range want {
		if !slices.Contains(found, fmt.Sprintf("copy %s: %v", name, err)) {
			t.Errorf("found %q, want %s: %v", found, name, err)
		}
	}
	s.wantArchives(to, all...)

	// Whoever does not want it says so.
	s.forget(lost)
	s.clock.pass(grace + time.Minute)
	if sum, found := s.prune(to); sum.Deleted.Objects != 1 || len(found) != 2 {
		t.Errorf("forgotten: deleted %d, found %q", sum.Deleted.Objects, found)
	}
}
