// Package until reads and writes the moment up to which logs are replayed, as people say it: a time, a place in a log, or a transaction.
//
// The invariant: what can mean two moments is refused. Whether there is such a transaction, package replay finds out.
package until

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"nightjar/mysqldump"
)

// A Target says which transaction is the last to be applied. The zero Target is the last that there is.
type Target struct {
	Time   time.Time // the first transaction that was committed then or later is not applied
	File   string    // with Offset: transactions that end there or before are applied
	Offset uint64
	GTID   string // as servers print it: the transaction is the last to be applied
	Before bool   // of a GTID: it is the first not to be
}

// IsZero reports whether all is to be applied.
func (t Target) IsZero() bool { return t == Target{} }

// String returns the target as Parse reads it, but for times in zones.
func (t Target) String() string {
	switch {
	case !t.Time.IsZero():
		return t.Time.Format("2006-01-02 15:04:05.999999 -0700")
	case t.File != "":
		return fmt.Sprintf("%s:%d", t.File, t.Offset)
	}
	return t.GTID
}

// Parse reads a time as "2006-01-02 15:04:05", with a part of a second if wanted, in the zone, or as RFC 3339 with a
// zone of its own; the place in a log as FILE:OFFSET; or a GTID.
func Parse(text string, zone *time.Location) (Target, error) {
	text = strings.TrimSpace(text)
	for _, layout := range []string{time.DateTime, "2006-01-02T15:04:05", "2006-01-02 15:04", time.DateOnly, "2006-01-02 15:04:05 -0700", "2006-01-02 15:04:05 MST"} {
		if strings.HasSuffix(layout, "MST") && !strings.HasSuffix(text, " UTC") {
			continue // other names of zones mean nothing by themselves
		}
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return Target{Time: at}, twice(at, text, zone, layout)
		}
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return Target{Time: at}, nil
	}
	if i := strings.LastIndexByte(text, ':'); i > 0 && strings.Contains(text[:i], ".") && !strings.Contains(text[:i], ":") {
		offset, err := strconv.ParseUint(text[i+1:], 10, 64)
		if err != nil {
			return Target{}, fmt.Errorf("parse %q: the offset is no number", text)
		}
		return Target{File: text[:i], Offset: offset}, nil
	}
	set, err := mysqldump.ParseGTIDSet(text)
	if err != nil || set.IsZero() || set.String() != strings.ToLower(text) || strings.ContainsAny(set.String(), ", ") || set.Flavor() == mysqldump.MySQL && strings.Contains(text[36:], "-") {
		return Target{}, fmt.Errorf("parse %q: neither a time (2006-01-02 15:04:05), nor a place in a binary log (FILE:OFFSET), nor the GTID of one transaction", text)
	}
	return Target{GTID: set.String()}, nil
}

// twice returns an error if a time of day comes twice in the zone, or not at all, as when clocks are changed.
func twice(at time.Time, text string, zone *time.Location, layout string) error {
	if strings.Contains(layout, "-0700") || strings.Contains(layout, "MST") {
		return nil
	}
	wall := func(t time.Time) string { return t.In(zone).Format("2006-01-02 15:04:05.999999999") }
	for _, shift := range []time.Duration{-time.Hour, -30 * time.Minute, 30 * time.Minute, time.Hour} {
		if _, here := at.Zone(); here != offsetOf(at.Add(shift), zone) && wall(at) == wall(at.Add(shift)) {
			return fmt.Errorf("parse %q: clocks were set back, so that this time came twice: write it with its zone, as %q", text, at.Format("2006-01-02 15:04:05 -0700"))
		}
	}
	if parsed, err := time.Parse(layout, text); err == nil && parsed.Format("15:04:05") != at.Format("15:04:05") {
		return fmt.Errorf("parse %q: clocks were set forward, so that this time never came", text)
	}
	return nil
}

func offsetOf(t time.Time, zone *time.Location) int {
	_, offset := t.In(zone).Zone()
	return offset
}
