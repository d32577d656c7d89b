package plan

import (
	"fmt"
	"time"

	"nightjar/internal/calendar"
	"nightjar/snapshot"
)

// tries is how many sets that came out incomplete are made for one time at which one is due.
const tries = 3

// A Take is whether a set is due.
type Take struct {
	Due    bool
	At     time.Time // when the last one was due; zero: never, within five years
	Next   time.Time // when the next one is; zero: never, within five years
	Reason string
}

// Due tells whether a set is due that is to be taken at the times of any of the expressions, by the clocks in the zone. sets are those that
// were taken for it: of that job, host and class.
//
// One is due if none was taken since the last time at which one was due: however often and late that is asked, each such time has one set at most, and
// of several that were missed the last one is made up for. If none was ever taken, one is due at once.
func Due(now time.Time, zone *time.Location, at []calendar.Cron, sets []snapshot.Set) Take {
	var t Take
	for _, c := range at {
		if last := c.Last(now.In(zone)); last.After(t.At) {
			t.At = last
		}
		if next := c.Next(now.In(zone)); t.Next.IsZero() || !next.IsZero() && next.Before(t.Next) {
			t.Next = next
		}
	}
	if t.At.IsZero() {
		t.Reason = "none was due yet"
		return t
	}
	broken := 0
	for i := range sets {
		s := &sets[i]
		if s.Time.Before(t.At) || s.Time.After(now.Add(skew)) {
			continue
		}
		if Of(s) != Broken && Misdated(s) == "" {
			t.Reason = fmt.Sprintf("set %s was taken for %s", s.ID, t.At.Format(time.RFC3339))
			return t
		}
		broken++
	}
	if broken >= tries {
		t.Reason = fmt.Sprintf("it was tried %d times for %s, and each set is incomplete, or misdated", broken, t.At.Format(time.RFC3339))
		return t
	}
	t.Due, t.Reason = true, fmt.Sprintf("none was taken since %s, when one was due", t.At.Format(time.RFC3339))
	return t
}
