package repair_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"

	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/repair"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

// vanishing answers calls about objects of some kinds as if these were not there: those from the first to before the last.
func (s *site) vanishing(first, last int, kinds ...string) store.Store {
	var calls atomic.Int64
	return &storetest.Faulty{Store: s.Store, Before: []storetest.Hook{func(c storetest.Call) error {
		for _, kind := range kinds {
			if strings.HasPrefix(c.Name, kind+"/") && (c.Op == storetest.Get || c.Op == storetest.Stat) {
				if n := calls.Add(1); n > int64(first) && n <= int64(last) {
					return fmt.Errorf("open %s: %w: %w", c.Name, store.ErrNotExist, fs.ErrNotExist)
				}
			}
		}
		return nil
	}}}
}

func nights(t *testing.T) *site {
	s := newSite(t)
	for _, name := range []string{"alpha", "beta", "gamma"} {
		s.Files[name] = maintaintest.Random(2000)
		s.Predecessor = s.Night().ID
	}
	return s
}

// What is missing when it is looked for once, and there when it is looked for again, is not lost, whichever calls say so.
func TestRepairLooksAgain(t *testing.T) {
	s := nights(t)
	for first := range 40 {
		for _, n := range []int{1, 3, 6} {
			for _, content := range []bool{false, true} {
				r := s.OpenAt(s.vanishing(first, first+n, "content", "metadata", "index", "archive"), content)
				_, err := repair.Run(context.Background(), r, repair.Options{Check: check.Options{ReadData: true}, AcceptLoss: true})
				if lost := s.Names("lost"); len(lost) > 0 {
					t.Fatalf("calls %d to %d, content %v: lost: %q, %v", first, first+n, content, lost, err)
				}
			}
		}
	}
	s.Whole()
}

// More than a small part is recorded as lost only if that is accepted, and is taken back when it is there again. Then backups build on it as before.
func TestRepairLargeLoss(t *testing.T) {
	for _, content := range []bool{false, true} {
		for _, kinds := range [][]string{{"content"}, {"metadata"}, {"content", "metadata"}} {
			s := nights(t)
			gone := func() store.Store {
				return &storetest.Faulty{Store: s.vanishing(0, 1<<30, kinds...), Hide: func(i store.Info) bool {
					kind, _, _ := strings.Cut(i.Name, "/")
					return strings.Contains(strings.Join(kinds, " "), kind)
				}}
			}
			run := func(at store.Store, o repair.Options) (check.Summary, error) {
				return repair.Run(context.Background(), s.OpenAt(at, content), o)
			}
			if _, err := run(gone(), repair.Options{}); !errors.Is(err, repair.ErrLargeLoss) || len(s.Names("lost")) > 0 {
				t.Fatalf("%q: lost %q, %v", kinds, s.Names("lost"), err)
			}
			if _, err := run(gone(), repair.Options{AcceptLoss: true}); err != nil || len(s.Names("lost")) == 0 {
				t.Fatalf("%q: lost %q, %v", kinds, s.Names("lost"), err)
			}
			before := len(s.Names("content")) + len(s.Names("metadata"))
			s.Night()
			if len(s.Names("content"))+len(s.Names("metadata")) == before {
				t.Fatalf("%q: the loss means nothing", kinds)
			}
			delete(s.Files, "gamma")
			if sum, err := run(s.Store, repair.Options{}); err != nil || sum.Faults > 0 || sum.Repaired == 0 {
				t.Errorf("%q: %+v, %v", kinds, sum, err)
			}
			lists := s.Open(false)
			if err := lists.SyncLists(context.Background()); err != nil {
				t.Fatal(err)
			}
			for _, kind := range []string{"content", "metadata"} {
				for _, name := range s.Names(kind) {
					id, _ := store.SumOf(name)
					if lists.Lists().Pack(id) != 0 {
						t.Errorf("%q: %s is avoided", kinds, name)
					}
				}
			}
			n := len(s.Names("lost"))
			if _, err := run(s.Store, repair.Options{}); err != nil || len(s.Names("lost")) != n {
				t.Errorf("%q: a second repair records more: %v", kinds, err)
			}
			if _, found := s.Check(true, check.Options{ReadData: true}); len(found) > 0 {
				t.Errorf("%q: found %q", kinds, found)
			}
			s.Night()
			s.Whole()
		}
	}
}

// Of two that were lost one comes back: the other stays lost.
func TestRegainPart(t *testing.T) {
	s := nights(t)
	one, two := s.packWith("alpha"), s.packWith("beta")
	was := s.Read(one)
	s.Put(one, nil)
	s.Put(two, nil)
	if sum, found := s.repair(false, repair.Options{}); sum.Lost != 2 {
		t.Fatalf("%q", found)
	}
	if _, err := s.Store.Put(t.Context(), one, was); err != nil {
		t.Fatal(err)
	}
	if sum, found := s.repair(false, repair.Options{}); sum.Repaired != 1 || sum.Faults > 0 {
		t.Errorf("%q", found)
	}
	r := s.Open(false)
	if err := r.SyncLists(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, lost := range map[string]bool{one: false, two: true} {
		id, _ := store.SumOf(name)
		if (r.Lists().Pack(id) != 0) != lost {
			t.Errorf("%s: lost %v, want %v", name, !lost, lost)
		}
	}
	if sum, found := s.Check(false, check.Options{}); sum.Faults > 0 || sum.Lost == 0 {
		t.Errorf("%+v, %q", sum, found)
	}
}
