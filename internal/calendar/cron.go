package calendar

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/robfig/cron/v3"
)

// maxCron is how many bytes an expression may have.
const maxCron = 256

// A Cron says at which minutes something is to happen, by people's clocks in the zone of the times that it is asked about.
//
// When clocks go forward, what is due at a time that does not exist is due when they have: 02:30 at 03:00. When they go back, what is due at a
// time that there is twice is due at the first. Both are as Debian's cron has it, and so is the exception: an expression whose minutes
// or hours begin with a star, as "*/15 * * * *", is due at each of its minutes that there is, and at no other.
type Cron struct {
	text   string
	fields *cron.SpecSchedule
	steady bool // it is due by time that passes rather than by the clock
}

// ParseCron reads an expression of five fields (minute, hour, day of the month, month, day of the week from 0, Sunday, to 6) as in crontab(5), or one of @hourly,
// @daily, @midnight, @weekly, @monthly, @yearly and @annually.
func ParseCron(text string) (Cron, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxCron {
		return Cron{}, fmt.Errorf("read a cron expression: it has %d bytes, which is more than %d", len(text), maxCron)
	}
	if strings.Contains(text, "=") { // robfig's own prefix for a zone
		return Cron{}, fmt.Errorf("read the cron expression %q: the zone is given apart from it", text)
	}
	parsed, err := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor).Parse(text)
	if err != nil {
		return Cron{}, fmt.Errorf("read the cron expression %q: %w", text, err)
	}
	fields, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Cron{}, fmt.Errorf("read the cron expression %q: @every knows no clock; write minutes and hours, as */15 * * * *", text)
	}
	fields.Location = time.Local // robfig's word for that of the times it is asked about
	words := strings.Fields(text)
	c := Cron{strings.Join(words, " "), fields, words[0] == "@hourly" || strings.HasPrefix(words[0], "*") || len(words) > 1 && strings.HasPrefix(words[1], "*")}
	if c.Next(time.Date(2096, 3, 1, 0, 0, 0, 0, time.UTC)).IsZero() && c.Next(time.Unix(0, 0).UTC()).IsZero() {
		return Cron{}, fmt.Errorf("read the cron expression %q: %w", text, errors.New("there is no such day"))
	}
	return c, nil
}

func (c Cron) String() string { return c.text }

// Next returns the first time after t at which c is due, in t's zone. It is zero if there is none within five years.
func (c Cron) Next(t time.Time) time.Time {
	zone, end := t.Location(), t.AddDate(5, 0, 0)
	for in := t; in.Before(end); {
		due, change := c.next(t, in)
		if !due.IsZero() {
			return due.In(zone)
		}
		if change.IsZero() {
			break
		}
		t, in = change.Add(-1), change.In(zone) // the change itself may be due
	}
	return time.Time{}
}

// next is Next for as long as the clock is as at the moment in, and for the change that ends it: failing that it returns when that is.
func (c Cron) next(t, in time.Time) (due, change time.Time) {
	zone := in.Location()
	_, offset := in.Zone()
	fixed := time.FixedZone("", offset)
	begin, change := in.ZoneBounds()
	due = c.fields.Next(t.In(fixed))
	if !begin.IsZero() && !c.steady {
		_, before := begin.Add(-1).In(zone).Zone()
		if again := begin.Add(time.Duration(before-offset) * time.Second); due.Before(again) && !due.IsZero() { // when the clock shows what it has not shown before
			due = c.fields.Next(again.Add(-1).In(fixed))
		}
	}
	switch {
	case change.IsZero(), due.Before(change) && !due.IsZero():
		return due, change
	case due.IsZero() || c.steady:
		return time.Time{}, change
	}
	if _, after := change.In(zone).Zone(); due.Before(change.Add(time.Duration(after-offset) * time.Second)) {
		return change, change
	}
	return time.Time{}, change
}

// Last returns the last time at or before t at which c was due, in t's zone. It is zero if there is none within five years.
func (c Cron) Last(t time.Time) time.Time {
	var last time.Time
	for back := time.Hour; last.IsZero(); back *= 2 {
		low := t.Add(-back)
		if low.Before(t.AddDate(-5, 0, 0)) {
			return time.Time{}
		}
		if next := c.Next(low); !next.IsZero() && !next.After(t) {
			last = next
		}
	}
	for high := t; high.Sub(last) > time.Second; {
		middle := last.Add(high.Sub(last) / 2)
		if next := c.Next(middle); next.IsZero() || next.After(t) {
			high = middle
		} else {
			last = next
		}
	}
	if next := c.Next(last); !next.IsZero() && !next.After(t) {
		last = next
	}
	return last
}
