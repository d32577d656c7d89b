package mirror_test

import (
	"errors"
	"maps"
	"testing"

	"nightjar/repo/mirror"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

// A listing of the home that breaks off anywhere stops a copy, and takes nothing from it.
func TestTornListing(t *testing.T) {
	torn := errors.New("torn")
	for n, done := 1, false; !done; n++ {
		s := newSite(t)
		old := s.night(map[string][]byte{"a": s.random(2000)})
		s.night(map[string][]byte{"b": s.random(2000)})
		to := store.NewMemory(s.clock.now)
		s.all(to)
		s.forget(old)
		s.night(map[string][]byte{"c": s.random(2000)})
		before := contents(t, to)
		seen := 0
		faulty := &storetest.Faulty{Store: s.home, Tear: func(string, int) error {
			if seen++; seen == n {
				return torn
			}
			return nil
		}}
		m := mirror.New(faulty, to, s.keys, mirror.Options{Connections: 1, Now: s.clock.now, Found: func(f mirror.Finding) { t.Errorf("found %+v", f) }})
		err := m.All(t.Context())
		if done = seen < n; !done && !errors.Is(err, torn) || done && err != nil {
			t.Fatalf("torn at object %d: %v", n, err)
		}
		after := contents(t, to)
		maps.DeleteFunc(before, func(name, content string) bool { return after[name] == content })
		if len(before) > 0 {
			t.Fatalf("torn at object %d: %d objects are gone or others", n, len(before))
		}
		s.all(to)
		s.wantIndexed(to)
	}
}
