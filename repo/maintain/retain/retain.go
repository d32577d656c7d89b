// Package retain decides which archives stay, and writes down which retention gives up.
//
// Archives are judged job by job, by the store's times: whoever can write archives cannot make them older or younger than they are. A late
// archive (one that the store dated otherwise than it says), or one dated before its predecessor, takes nobody's place. In each
// hour, day, week, … the newest complete archive stays, an incomplete one only where there is no other; and whatever the policy says, the
// newest complete archive of a job stays.
//
// Nothing is taken away here: an archive that was given up stays until prune removes it, a grace period later.
package retain

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"nightjar/repo"
)

// A Policy says what stays. Zero fields keep nothing.
type Policy struct {
	Last    int // this many of the newest
	Hourly  int // the newest of each of this many hours that have one, and so on
	Daily   int
	Weekly  int // weeks begin on Monday
	Monthly int
	Yearly  int
	Within  time.Duration // younger than that
	Tags    []string      // with any of these
}

// ErrEmpty says that a policy would keep nothing.
var ErrEmpty = errors.New("the policy keeps nothing")

// Validate reports a policy that says nothing, or what makes no sense.
func (p *Policy) Validate() error {
	for _, n := range []int{p.Last, p.Hourly, p.Daily, p.Weekly, p.Monthly, p.Yearly, int(min(p.Within, 1))} {
		if n < 0 {
			return errors.New("the policy keeps less than nothing")
		}
	}
	if p.Last+p.Hourly+p.Daily+p.Weekly+p.Monthly+p.Yearly == 0 && p.Within == 0 && len(p.Tags) == 0 {
		return ErrEmpty
	}
	return nil
}

// A Decision is what becomes of an archive.
type Decision struct {
	*repo.Archive
	Keep    bool
	Reasons []string // why; more than one rule may keep it
}

type job struct {
	host string
	name repo.Text
}

// Decide judges archives, which are in order of time, as they stand now. Days begin at midnight in the zone. The decisions are in the order of the archives.
func (p *Policy) Decide(archives []repo.Archive, now time.Time, zone *time.Location) []Decision {
	all := make([]Decision, len(archives))
	jobs := map[job][]*Decision{}
	times := map[string]time.Time{}
	for i := range archives {
		a := &archives[i]
		all[i].Archive = a
		key := job{a.Host, a.Job}
		jobs[key] = append(jobs[key], &all[i])
		times[a.ID] = a.Stored
	}
	for _, of := range jobs {
		slices.SortStableFunc(of, func(x, y *Decision) int { return y.Stored.Compare(x.Stored) }) // newest first
		p.decide(of, now, zone, func(a *repo.Archive) bool {
			before, known := times[a.Predecessor]
			return a.Displaces() && !(known && a.Stored.Before(before))
		})
	}
	for i := range all {
		if d := &all[i]; !d.Keep && len(d.Reasons) == 0 {
			d.Reasons = []string{"no rule keeps it"}
		}
	}
	return all
}

// decide judges the archives of one job, newest first.
func (p *Policy) decide(of []*Decision, now time.Time, zone *time.Location, counts func(*repo.Archive) bool) {
	var good, partial []*Decision // that may take a place
	// The store's times are not what they were: what looks late need not be.
	redated := slices.ContainsFunc(of, func(d *Decision) bool { return d.Redated })
	for _, d := range of {
		switch {
		case redated && !d.Counts():
			d.keep("late, as one of its job that counted once")
		case !counts(d.Archive):
			d.Reasons = []string{"late, dated before its predecessor, or a repetition, so it takes no place"}
		case d.Complete:
			good = append(good, d)
		default:
			partial = append(partial, d)
		}
		for _, tag := range p.Tags {
			if slices.Contains(d.Tags, repo.Text(tag)) {
				d.keep(fmt.Sprintf("tag %s", tag))
			}
		}
		if p.Within > 0 && now.Sub(d.Stored) <= p.Within {
			d.keep(fmt.Sprintf("within %s", age(p.Within)))
		}
	}
	for _, rule := range []struct {
		n      int
		name   string
		period func(time.Time) string
	}{
		{p.Hourly, "hourly", func(t time.Time) string { return t.Format("2006-01-02 15:00") }},
		{p.Daily, "daily", func(t time.Time) string { return t.Format(time.DateOnly) }},
		{p.Weekly, "weekly", func(t time.Time) string { year, week := t.ISOWeek(); return fmt.Sprintf("%d-W%02d", year, week) }},
		{p.Monthly, "monthly", func(t time.Time) string { return t.Format("2006-01") }},
		{p.Yearly, "yearly", func(t time.Time) string { return t.Format("2006") }},
	} {
		best := map[string]*Decision{}
		for _, candidates := range [][]*Decision{good, partial} {
			for _, d := range candidates {
				if period := rule.period(d.Stored.In(zone)); best[period] == nil {
					best[period] = d
				}
			}
		}
		var periods []string
		for period := range best {
			periods = append(periods, period)
		}
		slices.SortFunc(periods, func(x, y string) int { return best[y].Stored.Compare(best[x].Stored) })
		for _, period := range periods[:min(rule.n, len(periods))] {
			best[period].keep(rule.name + " " + period)
		}
	}
	// Incomplete ones do not push complete ones out: they are kept beside as many of these.
	for i, d := range good[:min(p.Last, len(good))] {
		d.keep(fmt.Sprintf("last %d", i+1))
	}
	for _, d := range partial {
		if newer := count(good, d); newer < p.Last && count(partial, d) < p.Last {
			d.keep(fmt.Sprintf("among the last %d", p.Last))
		}
	}
	if len(good) > 0 {
		if !good[0].Keep {
			good[0].keep("the last complete one of its job")
		}
	} else if len(partial) > 0 && !partial[0].Keep {
		partial[0].keep("the last one of its job")
	}
}

// count returns how many of some are newer than d.
func count(some []*Decision, d *Decision) (n int) {
	for _, other := range some {
		if other != d && other.Stored.After(d.Stored) {
			n++
		}
	}
	return n
}

func (d *Decision) keep(why string) {
	if !d.Keep {
		d.Reasons = nil
	}
	d.Keep, d.Reasons = true, append(d.Reasons, why)
}

// age writes whole days as days.
func age(d time.Duration) string {
	if days := d / (24 * time.Hour); days > 0 && d%(24*time.Hour) == 0 {
		return fmt.Sprintf("%dD", days)
	}
	return d.String()
}
