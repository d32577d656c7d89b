// Package job plans by the job file: which job is due, and which command line does it.
//
// The invariant: planning is a pure function of the file, of what was run before and of the time. What runs the jobs is in cmd; the package starts and opens nothing.
package job

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"nightjar/job/jobfile"
	"nightjar/job/record"
)

// A State is what a machine remembers of a job's runs. The zero value: there was none.
type State struct {
	For     time.Time      `json:"for,omitzero"` // the latest time of the schedule that a run was for, or made unnecessary; zero: none
	Start   time.Time      `json:"start,omitzero"`
	End     time.Time      `json:"end,omitzero"`     // zero: it did not come to an end
	Success time.Time      `json:"success,omitzero"` // when the last one ended that succeeded, with problems or without
	Outcome record.Outcome `json:"outcome,omitempty"`
	Tries   int            `json:"tries,omitempty"` // how many runs for that time were begun
}

// A Decision says what is to become of a job now.
type Decision struct {
	Job    string
	Due    bool      // it is to run now
	Tend   bool      // it is not due, but what its last run has begun may have to be gone on with, such as copies
	For    time.Time // the time of the schedule that it is due for, or the one that it was last due for; zero: none
	At     time.Time // that, after its random delay
	Next   time.Time // when it is due next; zero: never
	Reason string    // in words, such as "due since 03:00, and was missed"
}

const (
	// look is how long after its time a run is no missed one: something looks every ten minutes, and may be late itself.
	look = 20 * time.Minute
	// skew is by how much a clock may be set back without runs being repeated. What a state says of a later time than that was written by a clock that was wrong.
	skew = time.Hour
	// maxTries is how often a run is begun anew that did not come to an end, as one that is killed each time.
	maxTries = 3
)

// Plan decides for each job whether it is to run now: those that are due come first, in the order in which they became due. States are by the jobs' names. The schedule is meant
// in the zone. host, a name of this machine, spreads random delays.
//
// Of a job that was not looked at for long, only the last time is made up for. A job without a state is due at once, unless it is too late for that: nobody knows whether it
// was run.
func Plan(now time.Time, zone *time.Location, host string, jobs []jobfile.Job, states map[string]State) []Decision {
	all := make([]Decision, len(jobs))
	for i, j := range jobs {
		all[i] = decide(j, now.In(zone), host, states[j.Name])
	}
	slices.SortStableFunc(all, func(x, y Decision) int {
		switch {
		case x.Due != y.Due && x.Due:
			return -1
		case x.Due != y.Due:
			return 1
		case x.Due:
			return cmp.Or(x.At.Compare(y.At), cmp.Compare(x.Job, y.Job))
		}
		return cmp.Compare(x.Job, y.Job)
	})
	return all
}

// decide is Plan for one job. now is in the zone of the schedule.
func decide(j jobfile.Job, now time.Time, host string, s State) Decision {
	d := Decision{Job: j.Name}
	switch {
	case !j.Scheduled():
		d.Reason = "it has no schedule"
		if j.Follows() {
			d.Reason = "it is a service, which runs all the time"
		}
		return d
	case s.For.After(now.Add(skew)):
		s = State{} // written by a clock that was wrong
	}
	delay := Delay(j, host)
	d.For, d.Next = j.Schedule.Cron.Last(now.Add(-delay)), nextAfter(j, now, host)
	if d.For.IsZero() {
		d.Reason = "it was never due"
		return d
	}
	d.At = d.For.Add(delay)
	late := now.Sub(d.At)
	unfinished := d.For.Equal(s.For) && s.End.IsZero()
	switch {
	case d.For.Before(s.For), d.For.Equal(s.For) && !s.End.IsZero():
		d.Reason = "it was run for " + clock(s.For, now)
		good := s.Outcome == record.Done || s.Outcome == record.Problems
		d.Tend = good && copiesLater(j) && j.Schedule.Cron.Last(now).Equal(s.For) // else its command would take what is not due yet
	case unfinished && s.Tries >= maxTries:
		d.Reason = fmt.Sprintf("it was begun %d times for %s, and never came to an end", s.Tries, clock(d.For, now))
	case j.CatchUp > 0 && late > max(time.Duration(j.CatchUp), look):
		d.Reason = fmt.Sprintf("it was missed at %s, and it is too late to make up for it", clock(d.At, now))
	default:
		d.Due, d.Reason = true, "due since "+clock(d.At, now)
		switch {
		case unfinished:
			d.Reason += ", and did not come to an end"
		case late > look:
			d.Reason += ", and was missed"
		}
	}
	return d
}

// clock writes a time as short as it is clear now.
func clock(t, now time.Time) string {
	t = t.In(now.Location())
	if t.Format(time.DateOnly) == now.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// copiesLater reports whether a run begins what only later runs of its command can end: snapshots are copied when they are complete.
func copiesLater(j jobfile.Job) bool {
	e, ok := j.Of.(*jobfile.EBS)
	return ok && e.ToRegion != ""
}

// Delay returns how long after each time of its schedule the job is due on a host: always the same, shorter than its random delay.
func Delay(j jobfile.Job, host string) time.Duration {
	if j.RandomDelay <= 0 {
		return 0
	}
	h := fnv.New64a()
	fmt.Fprintf(h, "%q %q", host, j.Name)
	sum := h.Sum64()
	sum ^= sum >> 33 // the finalizer of MurmurHash3: the high bits of FNV hardly differ for short names
	sum *= 0xff51afd7ed558ccd
	sum ^= sum >> 33
	return time.Duration(sum % uint64(j.RandomDelay)).Truncate(time.Second)
}

// nextAfter returns when the job is due after a time, in its zone.
func nextAfter(j jobfile.Job, after time.Time, host string) time.Time {
	delay := Delay(j, host)
	next := j.Schedule.Cron.Next(after.Add(-delay))
	if next.IsZero() {
		return next
	}
	return next.Add(delay)
}

// Overdue returns when a job that succeeded at a time, having taken so long, is overdue unless it succeeds again: the next run may be late by its catch-up, take twice as long,
// and a quarter of the schedule's interval longer, but at least three and at most six hours. It is zero for a job without a schedule.
func Overdue(j jobfile.Job, succeeded time.Time, took time.Duration, zone *time.Location, host string) time.Time {
	if !j.Scheduled() {
		return time.Time{}
	}
	next := nextAfter(j, succeeded.In(zone), host)
	after := nextAfter(j, next, host)
	if next.IsZero() || after.IsZero() {
		return time.Time{}
	}
	spare := min(max(after.Sub(next)/4, 3*time.Hour), 6*time.Hour)
	return next.Add(spare + 2*max(took, 0) + time.Duration(j.CatchUp))
}
