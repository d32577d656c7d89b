package mirror_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"nightjar/repo/index"
	"nightjar/repo/mirror"
	"nightjar/repo/record"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

// What was listed at home and is not found when it is read is looked for again; if it is gone, the copy stops before it has an archive, unless a record says that it went.
func TestVanished(t *testing.T) {
	for _, kind := range []string{"content", "metadata", "index", "archive"} {
		for what, c := range map[string]struct {
			wrong   int  // so many answers that it is not there, though it is
			gone    bool // it is deleted when it is read
			explain func(s *site, name string)
			keyless bool
			want    error
		}{
			"one wrong answer":  {wrong: 1},
			"two wrong answers": {wrong: 2, keyless: true},
			"never right":       {wrong: 9, want: mirror.ErrVanished},
			"gone":              {gone: true, want: mirror.ErrVanished},
			"gone, no key":      {gone: true, want: mirror.ErrVanished, keyless: true},
			"lost": {gone: true, explain: func(s *site, name string) {
				s.write(record.LostKind, &record.Lost{Objects: []index.ObjectID{objectID(s.t, name)}})
			}},
		} {
			t.Run(kind+" "+what, func(t *testing.T) {
				s := newSite(t)
				archive := s.night(map[string][]byte{"a": s.random(3000)})
				name := names(t, s.home, nil, kind+"/")[0]
				if c.explain != nil {
					c.explain(s, name)
				}
				wrong := c.wrong
				faulty := &storetest.Faulty{Store: s.home, Before: []storetest.Hook{func(call storetest.Call) error {
					if call.Op != storetest.Get || call.Name != name {
						return nil
					}
					if c.gone {
						if _, err := s.home.Stat(t.Context(), name); err == nil {
							put(t, s.home, name, nil)
						}
					}
					if wrong > 0 {
						wrong--
						return fmt.Errorf("read object %s: %w", name, store.ErrNotExist)
					}
					return nil
				}}}
				o := mirror.Options{Create: true, Now: s.clock.now, Found: func(f mirror.Finding) { t.Errorf("found %+v", f) }}
				if !c.keyless {
					o.Home = s.in(s.home, false)
				}
				to := store.NewMemory(s.clock.now)
				m := mirror.New(faulty, to, s.keys, o)
				if err := m.All(t.Context()); !errors.Is(err, c.want) {
					t.Fatalf("got error %v, want %v", err, c.want)
				}
				if sum := m.Summary(); (sum.Vanished > 0) != (c.gone || c.wrong > 2) {
					t.Errorf("%+v", sum)
				}
				switch _, err := to.Stat(t.Context(), "archive/"+archive.ID); {
				case c.want != nil && err == nil:
					t.Error("the archive was copied")
				case c.want == nil && !c.gone:
					s.wantArchives(to, archive)
				}
			})
		}
	}
}

// Where an index object cannot be read, nobody knows that no index names a pack that is gone.
func TestVanishedUnindexed(t *testing.T) {
	for _, kind := range []string{"content", "metadata"} {
		for _, damaged := range []bool{false, true} {
			s := newSite(t)
			s.night(map[string][]byte{"a": s.random(3000)})
			pack, object := names(t, s.home, nil, kind+"/")[0], names(t, s.home, nil, "index/")[0]
			copying := false
			missing := func(name string) storetest.Hook {
				return func(c storetest.Call) error {
					if c.Op == storetest.Get && c.Name == name && (copying || name == pack) {
						copying = true
						return fmt.Errorf("read object %s: %w", c.Name, store.ErrNotExist)
					}
					return nil
				}
			}
			faulty := &storetest.Faulty{Store: s.home, Before: []storetest.Hook{missing(pack)}}
			home := &storetest.Faulty{Store: s.home, Before: []storetest.Hook{missing(object)}}
			if damaged {
				put(t, s.home, object, flipped(t, s.home, object))
			}
			to := store.NewMemory(s.clock.now)
			m := mirror.New(faulty, to, s.keys, mirror.Options{Create: true, Connections: 1, Now: s.clock.now, Home: s.in(home, false)})
			if err := m.All(t.Context()); !errors.Is(err, mirror.ErrVanished) {
				t.Errorf("%s, damaged %v: %v", kind, damaged, err)
			}
			if left := names(t, to, nil, "archive/"); len(left) > 0 {
				t.Errorf("%s, damaged %v: copied %q", kind, damaged, left)
			}
		}
	}
}

// A listing that lacks what one before it had is not believed without asking.
func TestListedBefore(t *testing.T) {
	s := newSite(t)
	night := s.night(map[string][]byte{"a": s.random(3000)})
	for _, kind := range []string{"index", "archive"} {
		name, listings := names(t, s.home, nil, kind+"/")[0], 0
		faulty := &storetest.Faulty{Store: s.home, Before: []storetest.Hook{func(c storetest.Call) error {
			if c.Op == storetest.List && c.Name == kind+"/" {
				listings++
			}
			return nil
		}}, Hide: func(i store.Info) bool { return i.Name == name && listings > 1 }}
		to := store.NewMemory(s.clock.now)
		m := mirror.New(faulty, to, s.keys, mirror.Options{Create: true, Now: s.clock.now})
		if err := m.All(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.wantArchives(to, night)
	}
}

// A copy whose place goes away does not take that for home's.
func TestTargetGone(t *testing.T) {
	s := newSite(t)
	s.night(map[string][]byte{"a": s.random(3000)})
	gone := fmt.Errorf("store object: %w", store.ErrNotExist)
	to := &storetest.Faulty{Store: store.NewMemory(s.clock.now), Before: []storetest.Hook{storetest.From(storetest.Put, 3, gone)}}
	m := mirror.New(s.home, to, s.keys, mirror.Options{Create: true, Now: time.Now})
	if err := m.All(t.Context()); !errors.Is(err, gone) {
		t.Errorf("got error %v", err)
	}
	if sum := m.Summary(); sum.Vanished > 0 {
		t.Errorf("%+v", sum)
	}
}
