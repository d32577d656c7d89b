package index

import (
	"slices"
	"time"
)

// A Stored is an index object in the repository.
type Stored struct {
	ID   ObjectID
	Time time.Time // store time
	Object
}

// Join returns the object that stands for all parts, which have one signer, and for what they stand for. Its runs keep the store times at
// which packs were first indexed, oldest first; within a run packs keep their order. A pack that is there twice is taken once, and one that skip
// accepts (nil: none) is left out.
func Join(parts []Stored, skip func(pack ObjectID) bool) Object {
	var joined Object
	var runs []Run
	replaced := map[ObjectID]bool{}
	for _, part := range parts {
		for _, id := range append([]ObjectID{part.ID}, part.Replaces...) {
			if !replaced[id] {
				replaced[id] = true
				joined.Replaces = append(joined.Replaces, id)
			}
		}
		for _, run := range part.Runs {
			if run.Time.IsZero() {
				run.Time = part.Time
			}
			runs = append(runs, run)
		}
	}
	slices.SortStableFunc(runs, func(a, b Run) int { return a.Time.Compare(b.Time) })
	taken := map[ObjectID]bool{}
	for _, run := range runs {
		var packs []Pack
		for _, p := range run.Packs {
			if !taken[p.ID] && (skip == nil || !skip(p.ID)) {
				taken[p.ID] = true
				packs = append(packs, p)
			}
		}
		if n := len(joined.Runs); n > 0 && joined.Runs[n-1].Time.Equal(run.Time) {
			joined.Runs[n-1].Packs = append(joined.Runs[n-1].Packs, packs...)
		} else if len(packs) > 0 {
			joined.Runs = append(joined.Runs, Run{Time: run.Time, Packs: packs})
		}
	}
	if len(joined.Runs) == 0 { // of which there is one at least
		joined.Runs = []Run{{}}
	}
	return joined
}
