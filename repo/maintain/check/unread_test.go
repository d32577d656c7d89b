package check_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

// What a store could not look at is no fault, whichever kind of object it is and whichever call; the check goes on with the rest, and finds what is missing there.
func TestCheckUnread(t *testing.T) {
	s := maintaintest.New(t)
	s.Files = map[string][]byte{"alpha": maintaintest.Random(2000), "beta": maintaintest.Random(700_000)}
	s.Night()
	s.Files["gamma"] = maintaintest.Random(700_000)
	s.Night()
	for _, kind := range []string{"content", "metadata", "index", "archive"} {
		for _, missing := range []bool{false, true} {
			if kind == "index" && missing {
				continue // nobody knows what it names
			}
			t.Run(fmt.Sprint(kind, missing), func(t *testing.T) {
				faulty := &storetest.Faulty{Store: s.Store}
				r := s.OpenAt(faulty, false)
				name := s.Names(kind)[0]
				if missing {
					lost := s.Names("content")[0]
					if kind == "content" {
						lost = s.Names("content")[1]
					}
					was := s.Read(lost)
					s.Put(lost, nil)
					defer func() {
						if _, err := s.Store.Put(context.Background(), lost, was); err != nil {
							t.Error(err)
						}
					}()
				}
				faulty.Before = []storetest.Hook{func(c storetest.Call) error {
					if c.Name == name && (c.Op == storetest.Get || c.Op == storetest.Stat) {
						return store.Unread(errors.New("too busy"))
					}
					return nil
				}}
				unread, faults := 0, 0
				sum, err := check.Run(context.Background(), r, check.Options{ReadData: true, Found: func(f check.Finding) {
					switch {
					case f.What == check.Unread && strings.Contains(f.Err.Error(), "too busy"):
						unread++
					case f.Fault():
						faults++
					}
				}})
				if err != nil {
					t.Fatal(err)
				}
				if unread == 0 || sum.Unread != unread || sum.Faults != faults || (faults > 0) != missing {
					t.Errorf("%d unread, %d faults; %+v", unread, faults, sum)
				}
			})
		}
	}
}

// A pack that only the listing lacks is there.
func TestCheckListingLags(t *testing.T) {
	s := maintaintest.New(t)
	s.Files = map[string][]byte{"alpha": maintaintest.Random(2000)}
	s.Night()
	hidden := s.Names("content")[0]
	r := s.OpenAt(&storetest.Faulty{Store: s.Store, Hide: func(i store.Info) bool { return i.Name == hidden }}, false)
	sum, err := check.Run(context.Background(), r, check.Options{ReadData: true})
	if err != nil || sum.Faults > 0 {
		t.Errorf("%+v, %v", sum, err)
	}
}
