// Package retain decides which archives stay, and writes down which retention gives up.
//
// Archives are judged job by job, by the store's times: whoever can write archives cannot make them older or younger than they are. A late
// archive (one that the store dated otherwise than it says), or one dated before its predecessor, takes nobody's place. In each
// hour, day, week, … the newest complete archive stays, an incomplete one only where there is no other; and whatever the policy says, the
// newest complete archive of a job stays, or the newest of all where no archive of a job takes a place.
//
// An archive that counts because a record says so, and not by the store's time, is judged by its own, which nobody has seen to be true: it
// may have to give way to others, and takes the place only of those that are like it.
//
// Whatever is kept keeps what it needs, of whichever job, if that is of the same host; see needs.go.
//
// Nothing is taken away here: an archive that was given up stays until prune removes it, a grace period later.
package retain

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightjar/internal/calendar"
	"nightjar/repo"
)

// A Policy says what stays. Zero fields keep nothing.
type Policy struct {
	Last   int            // this many of the newest
	Each   map[string]int // by the rule of a period: the newest of each of this many
	Within time.Duration  // younger than that
	Tags   []string       // with any of these
}

// ErrEmpty says that a policy would keep nothing.
var ErrEmpty = calendar.ErrEmpty

// Validate reports a policy that says nothing, or what makes no sense.
func (p *Policy) Validate() error {
	return calendar.CheckPolicy(p.Last, p.Each, p.Within, len(p.Tags) > 0)
}

// A Decision is what becomes of an archive.
type Decision struct {
	*repo.Archive
	Keep    bool
	Spared  bool     // no rule keeps it: it stays as the last of its job
	Reasons []string // why; more than one rule may keep it
}

type job struct {
	host string
	name repo.Text
}

// Decide judges those of the archives that are chosen, as they stand now; the others that were not given up stay. archives are in order of time, and so are the
// decisions. Days begin at midnight in the zone.
func (p *Policy) Decide(archives []repo.Archive, chosen func(*repo.Archive) bool, now time.Time, zone *time.Location) []Decision {
	var all []Decision
	times := map[string]time.Time{}
	for i := range archives {
		a := &archives[i]
		times[a.ID] = a.Dated()
		if a.Forgotten.IsZero() && chosen(a) {
			all = append(all, Decision{Archive: a})
		}
	}
	jobs := map[job][]*Decision{}
	for i := range all {
		key := job{all[i].Host, all[i].Job}
		jobs[key] = append(jobs[key], &all[i])
	}
	for _, of := range jobs {
		slices.SortFunc(of, newestFirst)
		p.decide(of, now, zone, func(a *repo.Archive) bool {
			before, known := times[a.Predecessor]
			return a.Displaces() && !(known && a.Dated().Before(before))
		})
	}
	keepNeeded(all, archives)
	for i := range all {
		if d := &all[i]; !d.Keep && len(d.Reasons) == 0 {
			d.Reasons = []string{"no rule keeps it"}
		}
	}
	return all
}

// Emptied returns the jobs of which something goes although no rule keeps any of their archives, as people write them.
func Emptied(decisions []Decision) (all []string) {
	ruled, goes := map[job]bool{}, map[job]bool{}
	for _, d := range decisions {
		of := job{d.Host, d.Job}
		ruled[of] = ruled[of] || d.Keep && !d.Spared
		goes[of] = goes[of] || !d.Keep
	}
	for of := range goes {
		if goes[of] && !ruled[of] {
			all = append(all, fmt.Sprintf("%q of host %s", of.name, of.host))
		}
	}
	slices.Sort(all)
	return all
}

// newestFirst orders archives by the times that they are judged by. Many stores count whole seconds: within one, what archives say of themselves decides.
func newestFirst(x, y *Decision) int {
	return cmp.Or(y.Dated().Compare(x.Dated()), y.Time.Compare(x.Time), y.End.Compare(x.End), strings.Compare(y.ID, x.ID))
}

// decide judges the archives of one job, newest first.
func (p *Policy) decide(of []*Decision, now time.Time, zone *time.Location, counts func(*repo.Archive) bool) {
	var all, dated []*Decision // that may take a place; dated: by the store
	// The store's times are not what they were: what looks late need not be.
	redated := slices.ContainsFunc(of, func(d *Decision) bool { return d.Is(repo.Redated) })
	for _, d := range of {
		switch {
		case redated && !d.Counts():
			d.keep("late, as one of its job that counted once")
		case !counts(d.Archive):
			d.Reasons = []string{cmp.Or(strings.Join(d.Faults(), ", "), "dated before its predecessor") + ", so it takes no place"}
		default:
			all = append(all, d)
			if !d.Is(repo.Vouched) {
				dated = append(dated, d)
			}
		}
		for _, tag := range p.Tags {
			if slices.Contains(d.Tags, repo.Text(tag)) {
				d.keep(fmt.Sprintf("tag %s", tag))
			}
		}
		if p.Within > 0 && now.Sub(d.Dated()) <= p.Within {
			d.keep(fmt.Sprintf("within %s", age(p.Within)))
		}
	}
	p.choose(dated, zone, (*Decision).keep)
	p.choose(all, zone, func(d *Decision, why string) {
		if d.Is(repo.Vouched) {
			d.keep(why)
		}
	})
	if len(all) == 0 {
		newest := max(0, slices.IndexFunc(of, func(d *Decision) bool { return d.Complete }))
		if d := of[newest]; !d.Keep {
			d.keep("the newest of its job, none of which takes a place")
		}
	}
}

// choose gives out the places for which archives compete, newest first.
func (p *Policy) choose(of []*Decision, zone *time.Location, keep func(d *Decision, why string)) {
	var good, partial []*Decision
	for _, d := range of {
		if d.Complete {
			good = append(good, d)
		} else {
			partial = append(partial, d)
		}
	}
	calendar.Newest(p.Each, zone, good, partial, func(d *Decision) time.Time { return d.Dated() }, keep)
	// Incomplete ones do not push complete ones out: they are kept beside as many of these.
	for i, d := range good[:min(p.Last, len(good))] {
		keep(d, fmt.Sprintf("last %d", i+1))
	}
	for _, d := range partial {
		if newer := count(good, d); newer < p.Last && count(partial, d) < p.Last {
			keep(d, fmt.Sprintf("among the last %d", p.Last))
		}
	}
	if len(good) > 0 {
		if !good[0].Keep {
			keep(good[0], "the last complete one of its job")
			good[0].Spared = true
		}
	} else if len(partial) > 0 && !partial[0].Keep {
		keep(partial[0], "the last one of its job")
		partial[0].Spared = true
	}
}

// count returns how many of some are newer than d.
func count(some []*Decision, d *Decision) (n int) {
	for _, other := range some {
		if newestFirst(other, d) < 0 {
			n++
		}
	}
	return n
}

func (d *Decision) keep(why string) {
	if !d.Keep {
		d.Reasons = nil
	}
	d.Keep, d.Spared, d.Reasons = true, false, append(d.Reasons, why)
}

// age writes whole days as days.
func age(d time.Duration) string {
	if days := d / (24 * time.Hour); days > 0 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dD", days)
	}
	return d.String()
}
