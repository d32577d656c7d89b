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

// Join returns the object that stands for all parts (one at least), which have one signer, and for what they stand for. Runs keep what is said of them,
// the store time above all, even when no pack is left; they are ordered by that time, and within a run packs keep their order. A pack that
// is there twice is taken once, where it was first, and one that skip accepts (nil: none) is left out. Of a run that is there twice, since two
// processes have joined it, one goes.
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
	taken := map[ObjectID]time.Time{}
	for _, run := range runs {
		var packs []Pack
		again := len(run.Packs) > 0
		for _, p := range run.Packs {
			at, ok := taken[p.ID]
			again = again && ok && at.Equal(run.Time)
			if !ok {
				taken[p.ID] = run.Time
			}
			if !ok && (skip == nil || !skip(p.ID)) {
				packs = append(packs, p)
			}
		}
		if !again {
			run.Packs = packs
			joined.Runs = append(joined.Runs, run)
		}
	}
	return joined
}
