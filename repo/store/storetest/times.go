package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"nightjar/repo/store"
)

// times checks that the store's clock and its objects' times are one clock.
func times(t *testing.T, s store.Store) {
	clock, ok := s.(store.Clock)
	if !ok {
		return
	}
	now := func() time.Time {
		t.Helper()
		now, err := clock.Now(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return now
	}
	before := now()
	stored := put(t, s, "a", []byte("x")).Time
	after := now()
	if stored.Before(before) || stored.After(after) {
		t.Fatalf("stored at %v, but between %v and %v", stored, before, after)
	}
	if got := names(t, s, ""); !slices.Equal(got, []string{"a"}) {
		t.Fatalf("asking for the time left %q", got)
	}
}

// replaced checks that an object can be put back, be it missing or of other bytes.
func replaced(t *testing.T, s store.Store) {
	r, ok := s.(store.Replacer)
	if !ok {
		return
	}
	put(t, s, "bad", []byte("other bytes"))
	home := time.Date(2015, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, name := range []string{"bad", "missing", "bad"} { // the last is as it should be
		info, err := r.Replace(t.Context(), name, []byte("good"), home)
		if err != nil || info.Name != name || info.Size != 4 {
			t.Fatalf("%s: %+v, %v", name, info, err)
		}
		wantContent(t, s, name, []byte("good"))
		if now, err := s.Stat(t.Context(), name); err != nil || now.Time.Sub(info.Time).Abs() > 2*time.Second {
			t.Errorf("%s is of %v, not %v: %v", name, now.Time, info.Time, err)
		}
	}
	if got := names(t, s, ""); !slices.Equal(got, []string{"bad", "missing"}) {
		t.Errorf("left %q", got)
	}
	for _, name := range Hostile[:5] {
		if _, err := r.Replace(t.Context(), name, nil, home); !errors.Is(err, store.ErrName) {
			t.Errorf("name %q: got error %v, want %q", name, err, store.ErrName)
		}
	}
}

// homeTimes checks that objects keep the time that they had elsewhere, and others their own.
func homeTimes(t *testing.T, s store.Store) {
	carrier, ok := s.(store.Carrier)
	if !ok {
		return
	}
	first := put(t, s, "here", []byte("x"))
	_, dated := s.(store.Dated)
	whole := !dated && first.Time.Nanosecond() == 0 // a store whose files know seconds alone
	home := time.Date(2015, 1, 2, 3, 4, 5, 678_000_000, time.UTC)
	for _, at := range []time.Time{home, home.Add(time.Hour)} { // the second changes nothing
		if _, err := carrier.PutAt(t.Context(), "there", []byte("y"), at); err != nil {
			t.Fatal(err)
		}
	}
	wantContent(t, s, "there", []byte("y"))
	_, err := carrier.PutAt(t.Context(), "there", []byte("z"), home)
	wantError(t, err, store.ErrExists, "there")
	if _, err := carrier.PutAt(t.Context(), "now", []byte("n"), time.Time{}); err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = s.List(t.Context(), "", func(info store.Info) error {
		seen++
		at, err := store.HomeTime(t.Context(), s, info)
		switch {
		case err != nil:
			return err
		case info.Name == "there" && !at.Equal(home) && !(whole && at.Equal(home.Truncate(time.Second))), info.Name != "there" && at.Sub(first.Time).Abs() > time.Minute:
			t.Errorf("home time of %s is %v", info.Name, at)
		}
		return nil
	})
	if err != nil || seen != 3 {
		t.Errorf("%d objects, %v", seen, err)
	}
	for _, name := range Hostile[:5] {
		if _, err := carrier.PutAt(t.Context(), name, nil, home); !errors.Is(err, store.ErrName) {
			t.Errorf("name %q: got error %v, want %q", name, err, store.ErrName)
		}
	}
}
