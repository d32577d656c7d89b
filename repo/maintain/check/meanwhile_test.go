package check_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/maintain/check"
	"nightjar/repo/maintain/maintaintest"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/record"
	"nightjar/repo/store/storetest"
)

// A busySite has two archives, one of which is forgotten, and a clock that is moved by hand.
type busySite struct {
	*maintaintest.Site
	at            time.Time
	first, second *repo.Archive
	pack          string // of the first
}

func newBusySite(t *testing.T) *busySite {
	b := &busySite{at: time.Now()}
	b.Site = maintaintest.NewAt(t, func() time.Time { return b.at })
	b.Files = map[string][]byte{"alpha": maintaintest.Random(2000), "beta": maintaintest.Random(3000)}
	b.first = b.Night()
	b.pack = b.Names("content")[0]
	b.Files = map[string][]byte{"alpha": maintaintest.Random(2000), "beta": maintaintest.Random(3000)} // no pack of the first is needed
	b.at = b.at.Add(time.Hour)
	b.second = b.Night()
	id, err := index.ParseObjectID(b.first.ID)
	if err != nil {
		t.Fatal(err)
	}
	content, err := record.Encode(&record.Forget{Archives: []record.Forgotten{{Archive: id, Host: b.first.Host, Job: b.first.Job, Time: b.first.Time, Reason: "test"}}})
	if err == nil {
		_, err = b.Open(false).PutRecord(t.Context(), record.ForgetKind, content)
	}
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// prune prunes twice, with more than the grace before each: what only the first archive needs is gone then.
func (b *busySite) prune() {
	for range 3 {
		b.at = b.at.Add(8 * 24 * time.Hour)
		if _, err := prune.Run(b.T.Context(), b.Open(false), prune.Options{}); err != nil {
			b.T.Error(err)
		}
	}
}

// checkWhile checks, does something else before the nth call of the store, and returns what was found and how often the store was called.
func (b *busySite) checkWhile(n int64, meanwhile func(storetest.Call)) (sum check.Summary, found []string, calls int64) {
	var called atomic.Int64
	at := &storetest.Faulty{Store: b.Store}
	r := b.OpenAt(at, false)
	at.Before = []storetest.Hook{func(c storetest.Call) error {
		if called.Add(1) == n {
			meanwhile(c)
		}
		return nil
	}}
	sum, err := check.Run(b.T.Context(), r, check.Options{ReadData: true, Connections: 1, Found: func(f check.Finding) {
		found = append(found, fmt.Sprintf("%s %s %s", f.What, f.Object, f.Path))
	}})
	if err != nil {
		b.T.Fatal(err)
	}
	return sum, found, called.Load()
}

// Whatever a backup stores and prune removes while a check is at work, and wherever that has got to, is no fault.
func TestCheckMeanwhile(t *testing.T) {
	_, found, calls := newBusySite(t).checkWhile(0, nil)
	if len(found) > 0 || calls < 20 {
		t.Fatalf("nothing happens: %q, after %d calls", found, calls)
	}
	for n := int64(1); n <= calls; n++ {
		b := newBusySite(t)
		sum, found, _ := b.checkWhile(n, func(c storetest.Call) {
			t.Logf("call %d is %s %s", n, c.Op, c.Name)
			b.Files["gamma"] = maintaintest.Random(4000)
			b.Night()
			b.prune()
		})
		if sum.Faults > 0 || sum.Unread > 0 {
			t.Errorf("call %d: %q", n, found)
		}
		if len(b.Names("archive")) != 2 {
			t.Errorf("call %d: prune left archives %q", n, b.Names("archive"))
		}
		if slices.Contains(b.Names("content"), b.pack) {
			t.Errorf("call %d: prune left the forgotten pack", n)
		}
		b.Whole()
	}
}

// What goes without a record is a fault, whatever else changes.
func TestCheckMeanwhileDamage(t *testing.T) {
	_, _, calls := newBusySite(t).checkWhile(0, nil)
	for what, spoil := range map[string]func(*busySite) (want string){
		"pack":    func(b *busySite) string { n := b.pack; b.Put(n, nil); return "missing " + n },
		"archive": func(b *busySite) string { b.Put("archive/"+b.second.ID, nil); return "missing archive/" + b.second.ID },
	} {
		t.Run(what, func(t *testing.T) {
			told, tries := 0, 0
			for n := int64(1); n <= calls; n += 5 {
				tries++
				b := newBusySite(t)
				b.Predecessor = b.second.ID
				want := ""
				sum, found, _ := b.checkWhile(n, func(storetest.Call) {
					b.Night()
					want = spoil(b)
				})
				if slices.ContainsFunc(found, func(f string) bool { return strings.TrimSpace(f) == want }) && sum.Faults > 0 {
					told++
				} else if n == 1 {
					t.Errorf("%q at once: found %q", want, found)
				}
			}
			if told < tries/4 {
				t.Errorf("told of in %d places of %d", told, tries)
			}
		})
	}
}
