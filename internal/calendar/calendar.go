// Package calendar has the rules by which backups are kept, and the expressions of cron by which they are made.
//
// The invariant: hours, days and expressions are those of people's clocks in a zone, and both days on which clocks change have each of
// their hours. The package knows no clock: times come from its callers.
package calendar

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Period is a span of the calendar: a rule keeps the newest of each of so many that have one.
type Period struct {
	Rule string                 // its name: daily
	Span string                 // what people call one: day
	of   func(time.Time) string // which one a time lies in
}

// Periods are all that rules go by. What stands here has a flag of each command that keeps by rules, is validated, and keeps.
var Periods = []Period{
	{"hourly", "hour", func(t time.Time) string { return t.Format("2006-01-02 15:00 -0700") }}, // there are two of one name when clocks go back
	{"daily", "day", func(t time.Time) string { return t.Format(time.DateOnly) }},
	{"weekly", "week", func(t time.Time) string { year, week := t.ISOWeek(); return fmt.Sprintf("%d-W%02d", year, week) }}, // from Monday
	{"monthly", "month", func(t time.Time) string { return t.Format("2006-01") }},
	{"yearly", "year", func(t time.Time) string { return t.Format("2006") }},
}

// IsRule reports whether a period's rule has that name.
func IsRule(name string) bool {
	return slices.ContainsFunc(Periods, func(p Period) bool { return p.Rule == name })
}

// ErrEmpty says that a policy would keep nothing.
var ErrEmpty = errors.New("the policy keeps nothing")

// CheckPolicy reports a policy that says nothing, or what makes no sense: it keeps the last few, those of each rule of Periods, and what is younger than within. A policy
// that keeps by something else, too, says more.
func CheckPolicy(last int, each map[string]int, within time.Duration, more bool) error {
	kept, less := more || last > 0 || within > 0, last < 0 || within < 0
	for rule, n := range each {
		if !IsRule(rule) {
			return fmt.Errorf("the policy has a rule %q, which there is not", rule)
		}
		kept, less = kept || n > 0, less || n < 0
	}
	switch {
	case less:
		return errors.New("the policy keeps less than nothing")
	case !kept:
		return ErrEmpty
	}
	return nil
}

// Newest calls keep with the newest of each of the last periods, each[rule] of them by each rule, and with why: "daily 2026-11-25".
// Where one of good lies in a period, none of rest is kept for it. Both are in order of their times, the newest first; periods begin in the zone.
func Newest[T any](each map[string]int, zone *time.Location, good, rest []T, at func(T) time.Time, keep func(x T, why string)) {
	for _, rule := range Periods {
		type place struct {
			period string
			best   T
		}
		var places []place
		taken := map[string]bool{}
		for _, candidates := range [][]T{good, rest} {
			for _, x := range candidates {
				if period := rule.of(at(x).In(zone)); !taken[period] {
					taken[period] = true
					places = append(places, place{period, x})
				}
			}
		}
		slices.SortStableFunc(places, func(x, y place) int { return at(y.best).Compare(at(x.best)) })
		for _, p := range places[:max(0, min(each[rule.Rule], len(places)))] {
			keep(p.best, rule.Rule+" "+p.period)
		}
	}
}
