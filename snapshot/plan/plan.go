// Package plan decides which sets of snapshots are to be taken, copied and deleted, each with its reason.
//
// It is all arithmetic: from the time, what exists and a policy follows what to do. Nothing is remembered between runs, so that a start that
// was missed, doubled or killed makes no gap and no double: the next one sees what exists, and goes on.
//
// The invariant: of each job, host and class the last whole set never goes, nor does the last whole one of the most volumes, nor a set that anything holds,
// in part or as a whole. A set whose time contradicts EC2's takes nobody's place.
//
// The package makes no calls: packages prune and mirror carry out what it says.
package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightjar/internal/calendar"
	"nightjar/snapshot"
)

// How long a set that lacks snapshots may still be about to get them, since the last of them began: where it is taken, and where it is copied to.
const (
	Taking  = time.Hour
	Copying = 24 * time.Hour
)

// skew is how much later than now a set may say that it was taken.
const skew = 10 * time.Minute

// dated is how far a set's own time may be from when EC2 began its snapshots.
const dated = time.Hour

// A Policy says which sets stay. Zero fields keep nothing.
type Policy struct {
	Last   int            // this many of the newest
	Each   map[string]int // by the rule of one of calendar.Periods: the newest of each of this many
	Within time.Duration  // younger than that
}

// ErrEmpty says that a policy would keep nothing.
var ErrEmpty = calendar.ErrEmpty

// Validate reports a policy that says nothing, or what makes no sense.
func (p *Policy) Validate() error { return calendar.CheckPolicy(p.Last, p.Each, p.Within, false) }

// A Condition is what can be said of a set as a whole.
type Condition string

const (
	// Whole sets have a completed snapshot of each of their volumes.
	Whole Condition = "whole"
	// Unfinished sets will be whole when what is pending is completed.
	Unfinished Condition = "pending"
	// Broken sets lack snapshots, or have some that failed.
	Broken Condition = "incomplete"
)

// Of returns a set's condition.
func Of(s *snapshot.Set) Condition {
	state := map[string]Condition{}
	for _, x := range s.Snapshots {
		switch {
		case x.State == snapshot.Completed:
			state[x.Volume] = Whole
		case x.State == snapshot.Pending && state[x.Volume] == "":
			state[x.Volume] = Unfinished
		}
	}
	all := Whole
	for _, v := range s.Volumes {
		switch state[v.ID] {
		case "":
			return Broken
		case Unfinished:
			all = Unfinished
		}
	}
	if len(s.Volumes) == 0 {
		return Broken
	}
	return all
}

// Holds says of snapshots, by their ids, what keeps them from going: "locked until 2027-01-01", "image ami-1 is made of it".
type Holds map[string]string

// A Decision is what becomes of a set.
type Decision struct {
	*snapshot.Set
	Condition Condition
	Keep      bool
	Held      bool     // no rule keeps it: it stays since something holds it
	Misdated  bool     // its time contradicts EC2's: it stays, and takes no place
	Reasons   []string // why; more than one rule may keep it
}

// Retain judges those sets of a region that are chosen, as they stand now: those of each job, host and class by themselves, and copies apart. Days begin at midnight in
// the zone. Of copies, those stay that the next copies build upon: each volume's newest under each key, whatever sets are chosen.
// The decisions are in order of job, host, class and time, the newest first.
func (p *Policy) Retain(now time.Time, zone *time.Location, sets []snapshot.Set, chosen func(*snapshot.Set) bool, holds Holds) []Decision {
	var all []Decision
	for i := range sets {
		if chosen(&sets[i]) {
			all = append(all, Decision{Set: &sets[i], Condition: Of(&sets[i])})
		}
	}
	slices.SortFunc(all, func(x, y Decision) int {
		return cmp.Or(compareGroup(x, y), y.Time.Compare(x.Time), strings.Compare(x.ID, y.ID))
	})
	for from := 0; from < len(all); {
		to := from + 1
		for to < len(all) && compareGroup(all[from], all[to]) == 0 {
			to++
		}
		p.group(now, zone, all[from:to])
		from = to
	}
	bases := basesOf(sets)
	for i := range all {
		d := &all[i]
		for _, x := range d.Snapshots {
			if base, ok := bases[x.ID]; ok && !d.Keep {
				d.hold(base)
			} else if why, ok := holds[x.ID]; ok && (!d.Keep || d.Held) {
				d.hold(x.ID + ": " + why)
			}
		}
	}
	return all
}

func compareGroup(x, y Decision) int {
	return cmp.Or(strings.Compare(x.Job, y.Job), strings.Compare(x.Host, y.Host), strings.Compare(x.Class, y.Class), strings.Compare(from(x.Set), from(y.Set)))
}

// from returns the region that a set was copied from; empty: it was taken where it is.
func from(s *snapshot.Set) string {
	if len(s.Snapshots) == 0 {
		return ""
	}
	return s.Snapshots[0].CopyFrom
}

// group judges the sets of one job, host and class, the newest first.
func (p *Policy) group(now time.Time, zone *time.Location, of []Decision) {
	var whole []*Decision
	for i := range of {
		d := &of[i]
		switch {
		case d.Time.After(now.Add(skew)):
			d.keep("it says that it was taken later than now, so it takes no place")
		case Misdated(d.Set) != "":
			d.Misdated = true
			d.keep(Misdated(d.Set) + ", so it takes no place")
		case d.Condition == Unfinished:
			d.keep("it is not completed yet")
		case d.Condition == Whole:
			whole = append(whole, d)
			if p.Within > 0 && now.Sub(d.Time) <= p.Within {
				d.keep("within " + p.Within.String())
			}
		}
	}
	for i, d := range whole[:min(p.Last, len(whole))] {
		d.keep(fmt.Sprintf("last %d", i+1))
	}
	calendar.Newest(p.Each, zone, whole, nil, func(d *Decision) time.Time { return d.Time }, (*Decision).keep)
	if len(whole) > 0 && !whole[0].Keep {
		whole[0].keep("the last whole one")
	}
	if most := ofMost(whole); most != nil && !most.Keep {
		most.keep(fmt.Sprintf("the last whole one of %d volumes", volumes(most.Set)))
	}
	for i := range of {
		if d := &of[i]; !d.Keep && d.Condition == Broken {
			judgeBroken(d, whole, now)
		} else if !d.Keep {
			d.Reasons = []string{"no rule keeps it"}
		}
	}
}

// Misdated says how a set's time contradicts EC2's, which nobody can choose; empty: it does not. Of a copy EC2 knows only when that began.
func Misdated(s *snapshot.Set) string {
	for _, x := range s.Snapshots {
		early := s.Time.Sub(x.Started)
		if !x.Started.IsZero() && (early > dated || x.CopyFrom == "" && early < -dated) {
			return fmt.Sprintf("it says that it was taken at %s, and EC2 began %s at %s", s.Time.UTC().Format(time.RFC3339), x.ID, x.Started.UTC().Format(time.RFC3339))
		}
	}
	return ""
}

// ofMost returns the newest of those sets that have the most volumes; nil: there are none. So what has less than a set before it, or says so, is not all that is left.
func ofMost(whole []*Decision) (most *Decision) {
	for _, d := range whole {
		if most == nil || volumes(d.Set) > volumes(most.Set) {
			most = d
		}
	}
	return most
}

// judgeBroken says what becomes of a set that lacks snapshots: it was not all taken or copied, or not all deleted.
func judgeBroken(d *Decision, whole []*Decision, now time.Time) {
	lacks := fmt.Sprintf("incomplete: of %d volumes it has %d", len(d.Volumes), volumes(d.Set))
	if len(whole) == 0 || whole[0].Time.Before(d.Time) {
		d.keep(lacks + ", and there is no whole one that is newer")
		return
	}
	grace := Taking
	var began time.Time
	for _, x := range d.Snapshots {
		if x.Started.After(began) {
			began = x.Started
		}
		if x.CopyFrom != "" {
			grace = Copying
		}
	}
	if now.Sub(began) < grace {
		d.keep(lacks + ", which may be about to change")
		return
	}
	d.Reasons = []string{lacks}
}

// volumes counts the volumes of which a set has a completed snapshot.
func volumes(s *snapshot.Set) int {
	has := map[string]bool{}
	for _, x := range s.Snapshots {
		if x.State == snapshot.Completed {
			has[x.Volume] = true
		}
	}
	return len(has)
}

// basesOf returns, with why they have to stay, the copies that a region's next copies build upon, by their ids: without them the next are full ones.
func basesOf(sets []snapshot.Set) map[string]string {
	type chain struct{ volume, key string }
	type base struct {
		id string
		at time.Time
	}
	newest := map[chain]base{}
	for i := range sets {
		for _, x := range sets[i].Snapshots {
			if x.CopyFrom == "" || x.State != snapshot.Completed || x.Archived {
				continue
			}
			of := chain{x.Volume, x.KMSKey}
			// EC2 goes by the copy that was completed last, of which it tells only when it began.
			if b, ok := newest[of]; !ok || x.Started.After(b.at) || x.Started.Equal(b.at) && x.ID > b.id {
				newest[of] = base{x.ID, x.Started}
			}
		}
	}
	why := map[string]string{}
	for of, b := range newest {
		under := "unencrypted"
		if of.key != "" {
			under = "under " + of.key
		}
		why[b.id] = fmt.Sprintf("%s is the newest copy of %s %s, upon which the next builds", b.id, of.volume, under)
	}
	return why
}

func (d *Decision) keep(why string) {
	if !d.Keep {
		d.Reasons = nil
	}
	d.Keep, d.Reasons = true, append(d.Reasons, why)
}

// hold keeps what no rule keeps.
func (d *Decision) hold(why string) {
	d.Held = true
	d.keep(why)
}
