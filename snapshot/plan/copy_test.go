package plan_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/snapshot"
	"nightjar/snapshot/plan"
)

func TestCopies(t *testing.T) {
	pending := func(s *snapshot.Set) { s.Snapshots[1].State = snapshot.Pending }
	failed := func(s *snapshot.Set) { s.Snapshots[1].State = snapshot.Failed }
	here := nights(6)
	here[1] = with(here[1], pending)
	here[5] = with(here[5], half)
	there := []snapshot.Set{copied(here[2], 0, "k"), with(copied(here[3], 0, "k"), failed), with(copied(here[4], 0, "k"), pending)}
	p := plan.Policy{}
	var got []string
	for _, c := range p.Copies(noon, time.UTC, here, there, everySet) {
		ids := func(all []snapshot.Snapshot) (ids []string) {
			for _, x := range all {
				ids = append(ids, x.ID)
			}
			return ids
		}
		got = append(got, fmt.Sprintf("%s %v %v %v: %s", c.ID, ids(c.Missing), ids(c.Pending), ids(c.Failed), c.Reason))
	}
	want := []string{
		"n0 [snap-n0-0 snap-n0-1] [] []: it is not there",
		"n1 [] [] []: it is not completed yet",
		"n2 [] [] []: it is there",
		"n3 [snap-n3-1] [] [copy-snap-n3-1]: it is not there",
		"n4 [] [copy-snap-n4-1] []: it is being copied",
		"n5 [] [] []: it is incomplete here",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s", strings.Join(got, "\n"))
	}
	if holds := plan.Reading(home, there); len(holds) != 1 || !strings.Contains(holds["snap-n4-1"], "copy-snap-n4-1 in eu-west-1") {
		t.Errorf("copies read %v", holds)
	}
	p.Last = 2
	for _, c := range p.Copies(noon, time.UTC, here, there, everySet) {
		if wants := c.ID == "n0"; len(c.Missing) > 0 != wants {
			t.Errorf("of the last 2, %s: %v: %s", c.ID, c.Missing, c.Reason)
		}
	}
}

// TestCopiesProperties copies and prunes there until nothing is left to do: nothing is copied twice, and nothing that was copied is deleted.
func TestCopiesProperties(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 3))
		here, _ := random(r)
		for i := range here {
			for j := range here[i].Snapshots {
				here[i].Snapshots[j].CopyFrom, here[i].Snapshots[j].CopyOf, here[i].Snapshots[j].Region = "", "", home
			}
		}
		var there []snapshot.Set
		for _, s := range here {
			if r.IntN(3) == 0 {
				there = append(there, copied(s, noon.Sub(s.Time), "k"))
			}
		}
		p, made := randomPolicy(r), map[string]bool{}
		for round := 0; ; round++ {
			if round > 200 {
				t.Fatalf("seed %d: it does not end", seed)
			}
			busy := false
			for _, c := range p.Copies(noon, time.UTC, here, there, everySet) {
				at := slices.IndexFunc(there, func(s snapshot.Set) bool { return s.ID == c.ID })
				for _, x := range c.Missing {
					busy = true
					if r.IntN(3) == 0 {
						continue // it failed
					}
					if made[x.ID] {
						t.Fatalf("seed %d: %s is copied twice", seed, x.ID)
					}
					made[x.ID] = true
					if at < 0 {
						there = append(there, snapshot.Set{Label: c.Label, Region: away})
						at = len(there) - 1
					}
					y := x
					y.ID, y.Region, y.CopyOf, y.CopyFrom, y.State, y.Started = "copy-"+x.ID, away, x.ID, home, snapshot.Completed, noon
					there[at].Snapshots = append(there[at].Snapshots, y)
				}
			}
			gone := map[string]bool{}
			for _, d := range p.Retain(noon, time.UTC, there, everySet, nil) {
				if d.Keep || p.Validate() != nil { // which prune would refuse
					continue
				}
				for _, x := range d.Snapshots {
					if made[x.CopyOf] {
						t.Fatalf("seed %d: %s was copied, and goes: %v", seed, x.CopyOf, d.Reasons)
					}
				}
				gone[d.ID] = true
			}
			there = slices.DeleteFunc(there, func(s snapshot.Set) bool { return gone[s.ID] })
			if !busy {
				break
			}
		}
	}
}
