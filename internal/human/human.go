// Package human reads and writes sizes, shares, ages and times as people write them: on command lines, in job files, in tables. It fits tables and messages to the
// width of a terminal.
//
// The invariant: what a writer prints, but for a rounded Size, its parser reads back as the same. Parsers take ASCII digits alone, refuse what overflows and
// what is less than nothing, and name in the error what was written and how to write it. The package does not look at the clock.
package human

import (
	"fmt"
	"math"
	"math/bits"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const prefixes = "KMGTPE"

// Size writes a number of bytes in powers of 1024, rounded to a tenth: "1023 B", "2.5 GiB".
func Size(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), -1
	for f >= 1024 && unit < len(prefixes)-1 {
		f /= 1024
		unit++
	}
	return fmt.Sprintf("%.1f %ciB", f, prefixes[unit])
}

// ExactSize writes a number of bytes for people and for calculators: "2684354560 (2.5 GiB)", "512 B".
func ExactSize(n uint64) string {
	if n < 1024 {
		return Size(n)
	}
	return fmt.Sprintf("%d (%s)", n, Size(n))
}

// Count writes how many there are of a thing whose plural ends in s: "1 archive", "2 archives", "0 archives".
func Count[N int | int64 | uint64](n N, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

var size = regexp.MustCompile(`^(\d{1,19})(?:\.(\d{1,18}))? ?(?:([KMGTPEkmgtpe])[Ii]?)?[Bb]?$`)

// ParseSize reads a number of bytes, at least one and less than 4 EiB: 500, 500k, 1.5G, 10MiB. Units are powers of 1024, in either case.
func ParseSize(s string) (int64, error) {
	bad := fmt.Errorf("size %q: write it like 500k, 10M or 1.5G", s)
	m := size.FindStringSubmatch(strings.TrimSpace(s))
	if m == nil {
		return 0, bad
	}
	shift := 0
	if m[3] != "" {
		shift = 10 * (strings.Index(prefixes, strings.ToUpper(m[3])) + 1)
	}
	whole, err := strconv.ParseUint(m[1], 10, 64)
	if err != nil || bits.Len64(whole)+shift > 62 {
		return 0, bad
	}
	n := whole << shift
	if m[2] != "" { // at most 18 digits: the quotient is less than 1<<shift
		part, _ := strconv.ParseUint(m[2], 10, 64)
		scale := uint64(math.Pow10(len(m[2])))
		hi, lo := bits.Mul64(part, 1<<shift)
		part, _ = bits.Div64(hi, lo, scale)
		n += part
	}
	if n == 0 {
		return 0, bad
	}
	return int64(n), nil
}

var share = regexp.MustCompile(`^\d{0,9}(\.\d{0,18})?%?$`)

// ParseShare reads a part of a whole, more than nothing and at most all: 5% or 0.05.
func ParseShare(s string) (float64, error) {
	text := strings.TrimSpace(s)
	number, percent := strings.CutSuffix(text, "%")
	f, err := strconv.ParseFloat(number, 64)
	if percent {
		f /= 100
	}
	if err != nil || !share.MatchString(text) || !(f > 0 && f <= 1) {
		return 0, fmt.Errorf("share %q: write it like 5%%", s)
	}
	return f, nil
}

// Time writes a time in the local zone, to the second.
func Time(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// layouts are of times in the zone of whoever writes them.
var layouts = []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02"}

// ParseTime reads a time in the zone of now (a date alone is its midnight), a time with a zone as in RFC 3339, or an age before now.
func ParseTime(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range layouts {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if age, ok := parseAge(s); ok {
		return now.Add(-age), nil
	}
	return time.Time{}, fmt.Errorf("time %q: write it like 2006-01-02, \"2006-01-02 15:04\", 2006-01-02T15:04:05Z, or as an age like 3D or 1h30m", s)
}

// Elapsed writes how long something took, to a hundredth of a second.
func Elapsed(d time.Duration) string { return d.Round(10 * time.Millisecond).String() }

const day = 24 * time.Hour

const days = 3 // where units has them

// units are duplicity's, from the longest. "M" is a month and "m" a minute; where there is only one, the other case is that one, too.
var units = []struct {
	letter string
	also   string
	of     time.Duration
}{
	{"Y", "y", 365 * day}, {"M", "", 30 * day}, {"W", "w", 7 * day}, {"D", "d", day}, {"h", "H", time.Hour}, {"m", "", time.Minute}, {"s", "S", time.Second},
}

// Age writes an age to the second, in days and shorter units: "30D", "1h30m". One of less than a second, or less than nothing, is "0s".
func Age(d time.Duration) string {
	var b strings.Builder
	for _, u := range units[days:] {
		if n := d / u.of; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.letter)
			d -= n * u.of
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

// ParseAge reads an age of one or more parts, like 3D, 2W or 1h30m: s, m(inutes), h, D(ays), W(eeks), M(onths of 30 days), Y(ears of 365). It may be zero.
func ParseAge(s string) (time.Duration, error) {
	age, ok := parseAge(s)
	if !ok {
		return 0, fmt.Errorf("age %q: write it like 60D, 12h or 1Y6M", s)
	}
	return age, nil
}

func parseAge(s string) (time.Duration, bool) {
	var age time.Duration
	for rest := s; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 || digits == len(rest) {
			return 0, false
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 64)
		unit := unitOf(rest[digits : digits+1])
		if err != nil || unit == 0 || n > int64((math.MaxInt64-age)/unit) {
			return 0, false
		}
		age += time.Duration(n) * unit
		rest = rest[digits+1:]
	}
	return age, s != ""
}

// unitOf returns the unit with a letter; 0: there is none.
func unitOf(letter string) time.Duration {
	for _, u := range units {
		if letter == u.letter || letter == u.also {
			return u.of
		}
	}
	return 0
}
