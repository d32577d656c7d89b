package history

import (
	"time"

	"nightjar/internal/calendar"
)

const (
	skew     = time.Hour            // how far in the future a store's time may be
	patience = 366 * 24 * time.Hour // how long a record may have waited for its repository
	sane     = 100 * patience       // how far a clock may be wrong: from 1970, as after a battery was empty
)

// A clock says what a host's clock has to do with the store's.
type clock struct {
	ended time.Time     // when the run ended, by the host's clock
	ahead time.Duration // how much the store's is ahead
	at    time.Time     // when the run ended, by the store's clock
}

// clockOf goes by the archive that says when a run ended: it was stored when the host's clock said that it ended itself. So how long a record has waited is told by one clock,
// and a clock that is wrong does no harm. What cannot be, as after a clock was set, is taken for no wait.
func clockOf(a *Archive, ended time.Time) clock {
	wait := a.End.Sub(ended)
	if wait < 0 || wait > patience {
		wait = 0
	}
	c := clock{a.End.Add(-wait), a.Stored.Sub(a.End), a.Stored.Add(-wait)}
	if c.ahead.Abs() > sane {
		c.ended, c.ahead = c.at, 0
	}
	return c
}

// A plan is what a job's schedule says.
type plan struct {
	cron calendar.Cron
	zone *time.Location
}

// planOf reads the schedule of a record. Nobody but its host knows what Local is.
func planOf(n *Night) (plan, bool) {
	c, err := calendar.ParseCron(n.Schedule)
	if err != nil || n.Zone == "" || n.Zone == "Local" {
		return plan{}, false
	}
	zone, err := time.LoadLocation(n.Zone)
	return plan{c, zone}, err == nil
}

func (p plan) next(t time.Time) time.Time { return p.cron.Next(t.In(p.zone)) }

// plan says when a job is due and overdue, by the newest record that has a schedule; success is the last that succeeded, nil if none did. A schedule that this machine cannot read
// leaves what the host has said itself.
func (j *Job) plan(success, scheduled *Night, now time.Time) {
	ahead := scheduled.clock.ahead
	p, ok := planOf(scheduled)
	if !ok {
		j.Overdue = said(success, scheduled)
		return
	}
	if due := p.next(now.Add(-ahead)); !due.IsZero() {
		j.Due = due.Add(ahead)
	}
	from, ahead := j.first().Add(-1), ahead
	if success != nil {
		from, ahead = success.clock.ended, success.clock.ahead
	}
	if due := p.next(from); !due.IsZero() {
		j.Overdue = due.Add(ahead + j.grace(p, due))
	}
}

// said is when a job is overdue as its host has said it: later by as much as a success without a record of a schedule is later.
func said(success, scheduled *Night) time.Time {
	if scheduled.Overdue.IsZero() {
		return time.Time{}
	}
	after, from := min(max(scheduled.Overdue.Sub(scheduled.clock.ended), -patience), patience), scheduled.clock.at
	if success != nil && success.clock.at.After(from) {
		from = success.clock.at
	}
	return from.Add(after)
}

// first returns when the job was first to run, by its host's clock.
func (j *Job) first() time.Time {
	for i := range j.Nights {
		n := &j.Nights[i]
		switch {
		case n.Schedule == "":
			continue
		case !n.Due.IsZero() && n.Due.Before(n.clock.ended):
			return n.Due
		case !n.Start.IsZero() && n.Start.Before(n.clock.ended):
			return n.Start
		}
		return n.clock.ended
	}
	return time.Time{}
}

// grace returns how long after its time a job is overdue: what its host gave it when it last succeeded, else a quarter of the time until it is due again, but at least three and at
// most six hours, as hosts do.
func (j *Job) grace(p plan, due time.Time) time.Duration {
	const few = 100 // nights that are looked at
	for i := len(j.Nights) - 1; i >= max(0, len(j.Nights)-few); i-- {
		n := &j.Nights[i]
		if n.Schedule != j.Schedule || n.Zone != j.Zone || n.Overdue.IsZero() || !n.Succeeded() {
			continue
		}
		if grace := n.Overdue.Sub(p.next(n.clock.ended)); grace >= 0 && grace <= patience {
			return grace
		}
	}
	between := max(p.next(due).Sub(due), 0)
	return min(max(between/4, 3*time.Hour), 6*time.Hour)
}
