package storetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"nightjar/repo/store"
)

func list(t *testing.T, s store.Store) {
	if got := names(t, s, ""); len(got) > 0 {
		t.Fatalf("a new store lists %q", got)
	}
	all := []string{"config", "content/ab/ab1", "content/ab/ab2", "content/ac/ac1", "content-x", "keys/000001", "keys/000002"}
	for i, name := range all {
		put(t, s, name, make([]byte, i))
	}
	slices.Sort(all)
	for _, prefix := range []string{
		"", "c", "config", "config2", "content", "content/", "content/a", "content/ab", "content/ab/", "content/ab/ab1",
		"keys/", "keys/000002", "keys/3", "none/", "none/none/", strings.Repeat("k", store.MaxName),
	} {
		var want []string
		for _, name := range all {
			if strings.HasPrefix(name, prefix) {
				want = append(want, name)
			}
		}
		if got := names(t, s, prefix); !slices.Equal(got, want) {
			t.Errorf("List(%q): %q, want %q", prefix, got, want)
		}
	}
	err := s.List(t.Context(), "", func(info store.Info) error {
		stat, err := s.Stat(t.Context(), info.Name)
		if err == nil && stat != info {
			err = fmt.Errorf("List says %+v, Stat says %+v", info, stat)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func listError(t *testing.T, s store.Store) {
	put(t, s, "a/1", nil)
	put(t, s, "b/2", nil)
	stop := errors.New("stop")
	calls := 0
	err := s.List(t.Context(), "", func(store.Info) error {
		calls++
		return stop
	})
	if err != stop || calls != 1 {
		t.Fatalf("List went on for %d calls and returned %v", calls, err)
	}
}

// listTorn checks that a listing which breaks off anywhere is an error, also where a store stands on another.
func listTorn(t *testing.T, s store.Store) {
	const objects = 7
	for i := range objects {
		put(t, s, fmt.Sprintf("content/%d/%d", i%2, i), nil)
	}
	torn := errors.New("torn")
	for n := 1; n <= objects; n++ {
		NeverShort(t, &Faulty{Store: s, Tear: Torn("", n, torn)}, objects, nil)
	}
	NeverShort(t, &Faulty{Store: s, After: []Hook{Nth(List, 1, torn)}}, objects, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	err := s.List(ctx, "content/", func(store.Info) error {
		if seen++; seen == objects/2 {
			cancel()
		}
		return nil
	})
	if err == nil && seen < objects {
		t.Errorf("a listing that was given up ends with %d of %d objects, and no error", seen, objects)
	}
}

// NeverShort lists a store of that many objects, below content/, and fails unless a listing that lacks one is an error, and none that says that
// there is nothing. breaks, if not nil, is called with how many were seen, and may do to the store what it likes.
func NeverShort(t *testing.T, s store.Store, objects int, breaks func(seen int)) {
	t.Helper()
	seen := map[string]bool{}
	err := s.List(t.Context(), "content/", func(i store.Info) error {
		if seen[i.Name] {
			t.Errorf("%s is listed twice", i.Name)
		}
		seen[i.Name] = true
		if breaks != nil {
			breaks(len(seen))
		}
		return nil
	})
	if err == nil && len(seen) < objects || errors.Is(err, store.ErrNotExist) {
		t.Errorf("a listing that broke off ends with %d of %d objects: %v", len(seen), objects, err)
	}
}

func listWhileDeleting(t *testing.T, s store.Store) {
	for i := range 50 {
		put(t, s, fmt.Sprintf("a/%d", i), nil)
	}
	err := s.List(t.Context(), "a/", func(info store.Info) error {
		return s.Delete(t.Context(), info.Name)
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := names(t, s, ""); len(got) > 0 {
		t.Fatalf("%q were not listed", got)
	}
}
