// Package sets reads the sets of snapshots that a region has, finishes their tags, and waits until they are completed.
//
// The invariant: only the account's own snapshots count, and only what tags say that snapshot.Decode accepts. A set of which anything is
// missing, failed or doubtful is never Whole.
//
// The package changes nothing but tags of single snapshots, and deletes nothing.
package sets

import (
	"cmp"
	"maps"
	"slices"

	"nightjar/snapshot"
)

// A Set is a set as a region has it, with what is wrong with it. Snapshots has one for each volume at most.
type Set struct {
	snapshot.Set
	CopyFrom string              // the region that its snapshots were copied from; empty: they were taken here
	Missing  []string            // volumes without a snapshot
	Failed   []string            // snapshots in an error state
	Untagged []string            // snapshots that lack tags of their own, which Finish gives them
	Differ   []string            // snapshots whose tags say something else of the set than its first one's; the weakest consistency counts
	Extra    []snapshot.Snapshot // of volumes that the set does not have, or of which it has another snapshot
}

// A Stray is a snapshot with the tag of a set that cannot be read.
type Stray struct {
	Snapshot snapshot.Snapshot
	Err      error
}

// Whole reports whether there is a completed snapshot of each volume, and nothing doubtful.
func (s *Set) Whole() bool {
	return len(s.Volumes) > 0 && len(s.Missing) == 0 && len(s.Failed) == 0 && len(s.Differ) == 0 && len(s.Extra) == 0 && len(s.Snapshots) == len(s.Volumes) && !s.Pending()
}

// Pending reports whether a snapshot is not done yet, nor failed.
func (s *Set) Pending() bool {
	return slices.ContainsFunc(s.Snapshots, func(x snapshot.Snapshot) bool { return x.State == snapshot.Pending })
}

// Progress is in percent, over all volumes by their sizes.
func (s *Set) Progress() int {
	var done, all int
	for _, x := range s.Snapshots {
		size := max(x.GiB, 1)
		all += size
		if x.State == snapshot.Completed {
			done += size * 100
		} else {
			done += size * x.Progress
		}
	}
	if all == 0 {
		return 0
	}
	return done / all
}

// Bytes is what EC2 says that all blocks together hold, as far as it does.
func (s *Set) Bytes() (n int64) {
	for _, x := range s.Snapshots {
		n += x.Bytes
	}
	return n
}

// Group puts snapshots of one region together by what their tags say: the oldest set first. Those without tags of a set are left out.
func Group(all []snapshot.Snapshot) ([]Set, []Stray) {
	type key struct{ id, from string }
	type member struct {
		snapshot.Snapshot
		label snapshot.Label
	}
	members := map[key][]member{}
	var strays []Stray
	for _, x := range all {
		label, err := snapshot.Decode(x.Tags)
		switch {
		case err == snapshot.ErrNoLabel:
		case err != nil:
			strays = append(strays, Stray{x, err})
		default:
			k := key{label.ID, x.CopyFrom}
			members[k] = append(members[k], member{x, label})
		}
	}
	var sets []Set
	for k, of := range members {
		slices.SortFunc(of, func(a, b member) int { return cmp.Compare(a.ID, b.ID) })
		s := Set{Set: snapshot.Set{Label: of[0].label, Region: of[0].Region}, CopyFrom: k.from}
		var snapshots []snapshot.Snapshot
		for _, m := range of {
			if !sameLabel(m.Tags, of[0].Tags) {
				s.Differ = append(s.Differ, m.ID)
			}
			if s.Consistency.AtLeast(m.label.Consistency) {
				s.Consistency = m.label.Consistency
			}
			snapshots = append(snapshots, m.Snapshot)
		}
		s.place(snapshots)
		sets = append(sets, s)
	}
	slices.SortFunc(sets, func(a, b Set) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.ID, b.ID), cmp.Compare(a.CopyFrom, b.CopyFrom))
	})
	return sets, strays
}

// place gives each volume of the set its snapshot.
func (s *Set) place(snapshots []snapshot.Snapshot) {
	of := map[string][]snapshot.Snapshot{}
	for _, x := range snapshots {
		if x.Tags[snapshot.TagVolume] == "" {
			s.Untagged = append(s.Untagged, x.ID)
		}
		if x.State == snapshot.Failed {
			s.Failed = append(s.Failed, x.ID)
		}
		of[x.Volume] = append(of[x.Volume], x)
	}
	for _, v := range s.Volumes {
		found := of[v.ID]
		delete(of, v.ID)
		if len(found) == 0 {
			s.Missing = append(s.Missing, v.ID)
			continue
		}
		slices.SortStableFunc(found, func(a, b snapshot.Snapshot) int {
			return cmp.Or(cmp.Compare(rank(a.State), rank(b.State)), a.Started.Compare(b.Started))
		})
		s.Snapshots = append(s.Snapshots, found[0])
		s.Extra = append(s.Extra, found[1:]...)
	}
	for _, v := range slices.Sorted(maps.Keys(of)) {
		s.Extra = append(s.Extra, of[v]...)
	}
}

// rank orders states by their use.
func rank(s snapshot.State) int {
	return slices.Index([]snapshot.State{snapshot.Failed, snapshot.Recovering, snapshot.Recoverable, snapshot.Pending, snapshot.Completed}, s) * -1
}

// sameLabel compares the tags that all snapshots of a set share, but for those that say how consistent it is: these change.
func sameLabel(a, b map[string]string) bool {
	return maps.Equal(shared(a), shared(b))
}

func shared(tags map[string]string) map[string]string {
	of := maps.Clone(tags)
	maps.DeleteFunc(of, func(key, _ string) bool {
		return !snapshot.OfSet(key) || key == snapshot.TagConsistency || key == snapshot.TagWhy
	})
	return of
}
