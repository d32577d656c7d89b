// Package storetest tells whether a store.Store keeps its contract, and makes
// stores that fail on demand.
//
// Run is the one conformance suite for every kind of store; Faulty wraps any of
// them for the tests of what is built on stores. The package knows nothing
// of what objects hold.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/repo/store"
)

// Run runs the suite; open returns a new empty store for each of its tests.
func Run(t *testing.T, open func(t *testing.T) store.Store) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, s store.Store)
	}{
		{"CreateOnly", createOnly},
		{"ConcurrentWriters", concurrentWriters},
		{"ConcurrentSameContent", concurrentSameContent},
		{"Ranges", ranges},
		{"EmptyObject", emptyObject},
		{"SizeBound", sizeBound},
		{"Missing", missing},
		{"List", list},
		{"ListError", listError},
		{"ListTorn", listTorn},
		{"ListWhileDeleting", listWhileDeleting},
		{"Delete", deleteObject},
		{"HostileNames", hostileNames},
		{"Cancelled", cancelled},
		{"Times", times},
		{"Replaced", replaced},
		{"HomeTimes", homeTimes},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

func put(t *testing.T, s store.Store, name string, data []byte) store.Info {
	t.Helper()
	info, err := s.Put(t.Context(), name, data)
	if err != nil {
		t.Fatal(err)
	}
	if info.Name != name || info.Size != int64(len(data)) || info.Time.IsZero() {
		t.Fatalf("Put(%q) of %d bytes returned %+v", name, len(data), info)
	}
	return info
}

func wantContent(t *testing.T, s store.Store, name string, want []byte) {
	t.Helper()
	got, err := store.ReadAll(t.Context(), s, name, 0)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("object %s has %d bytes, not the %d stored", name, len(got), len(want))
	}
}

func wantError(t *testing.T, err, target error, names string) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got error %v, want one that is %q", err, target)
	}
	if !strings.Contains(err.Error(), names) {
		t.Fatalf("error %q does not name %q", err, names)
	}
}

func names(t *testing.T, s store.Store, prefix string) []string {
	t.Helper()
	var names []string
	err := s.List(t.Context(), prefix, func(info store.Info) error {
		names = append(names, info.Name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func createOnly(t *testing.T, s store.Store) {
	data := []byte("first")
	first := put(t, s, "content/ab/object", data)
	clear(data) // the store must not have kept it
	data = []byte("first")
	before, statErr := s.Stat(t.Context(), "content/ab/object")
	again := put(t, s, "content/ab/object", data)
	after, err := s.Stat(t.Context(), "content/ab/object")
	if err := errors.Join(statErr, err); err != nil || before != after {
		t.Errorf("the same content again changed %+v to %+v (%v)", before, after, err)
	}
	for _, at := range []time.Time{first.Time, again.Time} {
		if d := at.Sub(after.Time).Abs(); d > slack(at) {
			t.Errorf("stored at %v, but Put says %v", after.Time, at)
		}
	}
	for _, other := range []string{"", "firs", "First", "firsT", "first "} {
		_, err := s.Put(t.Context(), "content/ab/object", []byte(other))
		wantError(t, err, store.ErrExists, "content/ab/object")
	}
	wantContent(t, s, "content/ab/object", data)
}

// slack is how far what Put says may be from what is kept: nothing, but for a
// store that tells time in whole seconds, and by the date of its answer.
func slack(t time.Time) time.Duration {
	if t.Nanosecond() == 0 {
		return 2 * time.Second
	}
	return 0
}

func concurrentWriters(t *testing.T, s store.Store) {
	const writers = 16
	errs := make([]error, writers)
	content := func(i int) []byte { return bytes.Repeat([]byte{byte(i)}, 10_000+i) }
	inParallel(writers, func(i int) {
		_, errs[i] = s.Put(t.Context(), "keys/000001", content(i))
	})
	winner := -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			t.Fatalf("writers %d and %d both won", winner, i)
		case err == nil:
			winner = i
		default:
			wantError(t, err, store.ErrExists, "keys/000001")
		}
	}
	if winner < 0 {
		t.Fatal("nobody won")
	}
	wantContent(t, s, "keys/000001", content(winner))
	if got := names(t, s, ""); !slices.Equal(got, []string{"keys/000001"}) {
		t.Errorf("losers left something: %q", got)
	}
}

func concurrentSameContent(t *testing.T, s store.Store) {
	errs := make([]error, 16)
	inParallel(len(errs), func(i int) {
		_, errs[i] = s.Put(t.Context(), "a/same", []byte("same"))
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func inParallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

func ranges(t *testing.T, s store.Store) {
	data := make([]byte, 300_001)
	rand.NewChaCha8([32]byte{}).Read(data)
	put(t, s, "pack", data)
	size := int64(len(data))
	for _, r := range []struct{ offset, length int64 }{
		{0, 0}, {0, 1}, {0, size}, {1, size - 1}, {size - 1, 1}, {size, 0}, {65_536, 65_536}, {299_999, 2},
	} {
		buf := make([]byte, r.length)
		if err := s.GetInto(t.Context(), "pack", r.offset, buf); err != nil {
			t.Fatalf("%d bytes at %d: %v", r.length, r.offset, err)
		}
		if !bytes.Equal(buf, data[r.offset:r.offset+r.length]) {
			t.Fatalf("%d bytes at %d are wrong", r.length, r.offset)
		}
	}
	for _, r := range []struct{ offset, length int64 }{
		{0, size + 1}, {1, size}, {size, 1}, {size + 1, 0}, {size + 1, 1}, {1<<63 - 1, 1},
	} {
		err := s.GetInto(t.Context(), "pack", r.offset, make([]byte, r.length))
		wantError(t, err, io.ErrUnexpectedEOF, "pack")
	}
	if err := s.GetInto(t.Context(), "pack", -1, make([]byte, 1)); err == nil {
		t.Fatal("a negative offset was read")
	}
	_, err := store.ReadAll(t.Context(), s, "pack", size-1)
	wantError(t, err, store.ErrTooLarge, "pack")
}

func emptyObject(t *testing.T, s store.Store) {
	put(t, s, "empty", nil)
	put(t, s, "empty", []byte{})
	wantContent(t, s, "empty", nil)
	_, err := s.Put(t.Context(), "empty", []byte("x"))
	wantError(t, err, store.ErrExists, "empty")
}

func sizeBound(t *testing.T, s store.Store) {
	data := make([]byte, store.MaxObject+1)
	_, err := s.Put(t.Context(), "large", data)
	wantError(t, err, store.ErrTooLarge, "large")
	if got := names(t, s, ""); len(got) > 0 {
		t.Fatalf("refused, yet stored: %q", got)
	}
	put(t, s, "large", data[:store.MaxObject])
	var last [1]byte
	if err := s.GetInto(t.Context(), "large", store.MaxObject-1, last[:]); err != nil {
		t.Fatal(err)
	}
}

func missing(t *testing.T, s store.Store) {
	put(t, s, "a/there", []byte("x"))
	for _, name := range []string{"not-there", "a/not-there", "b/not-there", "b/c/not-there"} {
		_, err := s.Stat(t.Context(), name)
		wantError(t, err, store.ErrNotExist, name)
		wantError(t, s.GetInto(t.Context(), name, 0, nil), store.ErrNotExist, name)
		wantError(t, s.Delete(t.Context(), name), store.ErrNotExist, name)
		_, err = store.ReadAll(t.Context(), s, name, 0)
		wantError(t, err, store.ErrNotExist, name)
	}
	if got := names(t, s, "b/"); len(got) > 0 {
		t.Fatalf("looking for objects made some: %q", got)
	}
}

func deleteObject(t *testing.T, s store.Store) {
	put(t, s, "a/one", []byte("1"))
	put(t, s, "a/two", []byte("2"))
	if err := s.Delete(t.Context(), "a/one"); err != nil {
		t.Fatal(err)
	}
	wantError(t, s.Delete(t.Context(), "a/one"), store.ErrNotExist, "a/one")
	if got := names(t, s, ""); !slices.Equal(got, []string{"a/two"}) {
		t.Fatalf("after deleting a/one: %q", got)
	}
	put(t, s, "a/one", []byte("other"))
	wantContent(t, s, "a/one", []byte("other"))
}

// Hostile is a list of names that every store must refuse.
var Hostile = []string{
	"", "/", ".", "..", "/a", "a/", "a//b", "a/./b", "a/../b", "../a", "a/..", "./a", ".a", "a/.tmp-1", ".tmp-1",
	"A", "a b", "a\x00", "a\n", "a\\b", "a:b", "a%2fb", "ä", "a\xff", "a*", "~", "a/\u2024\u2024/b",
	strings.Repeat("a", store.MaxName+1), strings.Repeat("a/", store.MaxName),
}

func hostileNames(t *testing.T, s store.Store) {
	ctx := t.Context()
	for _, name := range Hostile {
		_, putErr := s.Put(ctx, name, []byte("x"))
		_, statErr := s.Stat(ctx, name)
		for _, err := range []error{putErr, statErr, s.GetInto(ctx, name, 0, nil), s.Delete(ctx, name)} {
			if !errors.Is(err, store.ErrName) {
				t.Errorf("name %q: got error %v, want %q", name, err, store.ErrName)
			}
		}
	}
	for _, prefix := range []string{"/", "../", "..", ".", "a//", "a/../", "A", "a\x00", strings.Repeat("a", store.MaxName+1)} {
		err := s.List(ctx, prefix, func(store.Info) error { return nil })
		if !errors.Is(err, store.ErrName) {
			t.Errorf("prefix %q: got error %v, want %q", prefix, err, store.ErrName)
		}
	}
	longest := strings.Repeat("a", store.MaxName)
	put(t, s, longest, nil)
	if got := names(t, s, ""); !slices.Equal(got, []string{longest}) {
		t.Errorf("hostile names left %q", got)
	}
}

func cancelled(t *testing.T, s store.Store) {
	put(t, s, "there", []byte("x"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, putErr := s.Put(ctx, "new", []byte("x"))
	_, statErr := s.Stat(ctx, "there")
	errs := []error{
		putErr, statErr,
		s.GetInto(ctx, "there", 0, make([]byte, 1)),
		s.List(ctx, "", func(store.Info) error { return nil }),
		s.Delete(ctx, "there"),
	}
	if clock, ok := s.(store.Clock); ok {
		_, err := clock.Now(ctx)
		errs = append(errs, err)
	}
	for i, err := range errs {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("operation %d after the end: %v", i, err)
		}
	}
	if got := names(t, s, ""); !slices.Equal(got, []string{"there"}) {
		t.Errorf("after cancelled operations: %q", got)
	}

	ctx, cancel = context.WithCancel(t.Context())
	defer cancel()
	put(t, s, "there-too", nil)
	err := s.List(ctx, "", func(store.Info) error {
		cancel()
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("List, cancelled after its first object: %v", err)
	}
}
