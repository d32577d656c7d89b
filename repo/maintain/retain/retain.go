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
		times[a.ID] = a.Dated()
	}
	for _, of := range jobs {
		slices.SortStableFunc(of, func(x, y *Decision) int { return y.Dated().Compare(x.Dated()) }) // newest first
		p.decide(of, now, zone, func(a *repo.Archive) bool {
			before, known := times[a.Predecessor]
			return a.Displaces() && !(known && a.Dated().Before(before))
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
	var all, dated []*Decision // that may take a place; dated: by the store
	// The store's times are not what they were: what looks late need not be.
	redated := slices.ContainsFunc(of, func(d *Decision) bool { return d.Is(repo.Redated) })
	for _, d := range of {
		switch {
		case redated && !d.Counts():
			d.keep("late, as one of its job that counted once")
		case !counts(d.Archive):
			d.Reasons = []string{"late, dated before its predecessor, or a repetition, so it takes no place"}
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
				if period := rule.period(d.Dated().In(zone)); best[period] == nil {
					best[period] = d
				}
			}
		}
		var periods []string
		for period := range best {
			periods = append(periods, period)
		}
		slices.SortFunc(periods, func(x, y string) int { return best[y].Dated().Compare(best[x].Dated()) })
		for _, period := range periods[:min(rule.n, len(periods))] {
			keep(best[period], rule.name+" "+period)
		}
	}
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
		}
	} else if len(partial) > 0 && !partial[0].Keep {
		keep(partial[0], "the last one of its job")
	}
}

// count returns how many of some are newer than d.
func count(some []*Decision, d *Decision) (n int) {
	for _, other := range some {
		if other != d && other.Dated().After(d.Dated()) {
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
