package plan

import (
	"slices"
	"strings"
	"time"

	"nightjar/snapshot"
)

// A Copy is what is to be done about a set's copy in another region.
type Copy struct {
	*snapshot.Set                     // at home
	Missing       []snapshot.Snapshot // of its snapshots, those that are to be copied; empty: none
	Pending       []snapshot.Snapshot // copies that are being made
	Failed        []snapshot.Snapshot // copies that failed, and are only in the way
	Reason        string
}

// Copies tells of each chosen set in the region here what there is to copy to the region there, the newest first. p is the policy there: what
// it would not keep is not copied, since it would be deleted at once, and copied again. A policy that keeps nothing has all copied.
func (p *Policy) Copies(now time.Time, zone *time.Location, here, there []snapshot.Set, chosen func(*snapshot.Set) bool) []Copy {
	away := map[string]*snapshot.Set{}
	for i := range there {
		away[there[i].ID] = &there[i]
	}
	stays := p.wouldStay(now, zone, here, there, chosen)
	var all []Copy
	for i := range here {
		s := &here[i]
		if !chosen(s) {
			continue
		}
		c := Copy{Set: s}
		c.compare(away[s.ID])
		switch why, ok := stays[s.ID]; {
		case len(c.Missing) == 0 && len(c.Pending) > 0:
			c.Reason = "it is being copied"
		case len(c.Missing) == 0 && Of(s) != Broken:
			c.Reason = "it is there"
		case Of(s) == Unfinished:
			c.Missing, c.Reason = nil, "it is not completed yet"
		case Of(s) == Broken:
			c.Missing, c.Reason = nil, "it is incomplete here"
		case Misdated(s) != "" && p.Validate() != ErrEmpty:
			c.Missing, c.Reason = nil, Misdated(s)
		case !ok:
			c.Missing, c.Reason = nil, "no rule of the copies keeps it"
		default:
			c.Reason = why
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(x, y Copy) int {
		if c := y.Time.Compare(x.Time); c != 0 {
			return c
		}
		return strings.Compare(x.ID, y.ID)
	})
	return all
}

// compare finds what the copy of a set lacks.
func (c *Copy) compare(there *snapshot.Set) {
	has := map[string]*snapshot.Snapshot{} // by volume, the best
	if there != nil {
		for i := range there.Snapshots {
			x := &there.Snapshots[i]
			switch best := has[x.Volume]; {
			case x.State == snapshot.Failed:
				c.Failed = append(c.Failed, *x)
			case best == nil, best.State != snapshot.Completed && x.State == snapshot.Completed:
				has[x.Volume] = x
			}
		}
	}
	seen := map[string]bool{}
	for _, x := range c.Snapshots {
		if x.State != snapshot.Completed && x.State != snapshot.Pending || seen[x.Volume] {
			continue
		}
		seen[x.Volume] = true
		switch copied := has[x.Volume]; {
		case copied == nil:
			c.Missing = append(c.Missing, x)
		case copied.State == snapshot.Pending:
			c.Pending = append(c.Pending, *copied)
		}
	}
}

// wouldStay returns the sets that would stay there if all were there, and why.
func (p *Policy) wouldStay(now time.Time, zone *time.Location, here, there []snapshot.Set, chosen func(*snapshot.Set) bool) map[string]string {
	all := map[string]snapshot.Set{}
	for _, sets := range [][]snapshot.Set{there, here} {
		for _, s := range sets {
			if Of(&s) == Whole && chosen(&s) {
				all[s.ID] = s
			}
		}
	}
	merged := make([]snapshot.Set, 0, len(all))
	for _, s := range all {
		merged = append(merged, s)
	}
	everything := p.Validate() == ErrEmpty
	stays := map[string]string{}
	for _, d := range p.Retain(now, zone, merged, chosen, nil) {
		switch {
		case everything:
			stays[d.ID] = "it is not there"
		case d.Keep && !d.Held:
			stays[d.ID] = "it is not there: " + strings.Join(d.Reasons, ", ")
		}
	}
	return stays
}

// Reading returns what the pending copies among a region's sets hold in the region home: what they are made of.
func Reading(home string, there []snapshot.Set) Holds {
	holds := Holds{}
	for i := range there {
		for _, x := range there[i].Snapshots {
			if x.State == snapshot.Pending && x.CopyFrom == home {
				holds[x.CopyOf] = "copy " + x.ID + " in " + x.Region + " still reads it"
			}
		}
	}
	return holds
}
