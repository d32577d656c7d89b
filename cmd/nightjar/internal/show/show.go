// Package show writes and reads what people and scripts see: sizes, times, modes, tables, JSON.
//
// The invariant: nothing that comes from outside gets into text unescaped. The package decides nothing and prints nowhere by itself.
package show

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"nightjar/internal/quote"
	"nightjar/repo"
)

// Size writes a number of bytes for people.
func Size(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), 0
	for ; f >= 1024 && unit < 6; unit++ {
		f /= 1024
	}
	return fmt.Sprintf("%.1f %ciB", f, " KMGTPE"[unit])
}

// ExactSize writes a number of bytes for people and for calculators.
func ExactSize(n uint64) string { return fmt.Sprintf("%d (%s)", n, Size(n)) }

// ParseSize reads 500, 500k, 1.5G, 10MiB; units are powers of 1024.
func ParseSize(s string) (int64, error) {
	const units = "KMGTPE"
	text := strings.ToUpper(strings.TrimSpace(s))
	text = strings.TrimSuffix(strings.TrimSuffix(text, "B"), "I")
	factor := 1.0
	if text != "" {
		if i := strings.IndexByte(units, text[len(text)-1]); i >= 0 {
			factor = float64(int64(1) << (10 * (i + 1)))
			text = text[:len(text)-1]
		}
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil || !(n*factor >= 1 && n*factor < 1<<62) {
		return 0, fmt.Errorf("size %q: write it like 500k, 10M or 1.5G", s)
	}
	return int64(n * factor), nil
}

// ParseShare reads 5% or 0.05, more than nothing and at most all.
func ParseShare(s string) (float64, error) {
	text, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	share, err := strconv.ParseFloat(text, 64)
	if percent {
		share /= 100
	}
	if err != nil || !(share > 0 && share <= 1) {
		return 0, fmt.Errorf("share %q: write it like 5%%", s)
	}
	return share, nil
}

// ParseTime reads a time of the local zone, with a zone, or an age before now.
func ParseTime(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.RFC3339, s); err == nil {
		return t, nil
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if t, err := time.ParseInLocation(layout, s, now.Location()); err == nil {
			return t, nil
		}
	}
	if t, err := time.ParseInLocation("2006-01-02", s, now.Location()); err == nil {
		return t, nil
	}
	if age, ok := parseAge(s); ok {
		return now.Add(-age), nil
	}
	return time.Time{}, fmt.Errorf("time %q: write it like 2006-01-02, \"2006-01-02 15:04\", 2006-01-02T15:04:05Z, or as an age like 3D or 1h30m", s)
}

// ParseAge reads an age like 3D or 1h30m.
func ParseAge(s string) (time.Duration, error) {
	age, ok := parseAge(s)
	if !ok {
		return 0, fmt.Errorf("age %q: write it like 60D, 12h or 1Y6M", s)
	}
	return age, nil
}

// parseAge reads duplicity's intervals: s m h D W M (30 days) Y (365 days), one after another.
func parseAge(s string) (time.Duration, bool) {
	const day = 24 * time.Hour
	units := map[byte]time.Duration{
		's': time.Second, 'm': time.Minute, 'h': time.Hour, 'D': day, 'W': 7 * day, 'M': 30 * day, 'Y': 365 * day,
	}
	var age time.Duration
	for rest := s; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == len(rest) {
			return 0, false
		}
		n, err := strconv.ParseInt(rest[:digits], 10, 32)
		unit, ok := units[rest[digits]]
		if err != nil || !ok || n > int64((1<<62)/unit) {
			return 0, false
		}
		if age += time.Duration(n) * unit; age < 0 {
			return 0, false
		}
		rest = rest[digits+1:]
	}
	return age, s != ""
}

// LocalTime writes a time for people.
func LocalTime(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05") }

// Elapsed writes a duration for people.
func Elapsed(d time.Duration) string { return d.Round(10 * time.Millisecond).String() }

// Source says in short what an archive is of.
func Source(a *repo.Archive) string {
	if a.Stream != "" {
		return "< " + quote.Display(string(a.Stream))
	}
	paths := make([]string, len(a.Paths))
	for i, p := range a.Paths {
		paths[i] = quote.Display(string(p))
	}
	return strings.Join(paths, " ")
}

// ShortID returns what people call an archive.
func ShortID(a *repo.Archive) string { return a.ID[:min(8, len(a.ID))] }

// Block prints names and values in two columns. Values must be harmless.
func Block(w io.Writer, rows [][2]string) {
	width := 0
	for _, r := range rows {
		width = max(width, len(r[0]))
	}
	for _, r := range rows {
		fmt.Fprintf(w, "  %-*s  %s\n", width, r[0], cmp.Or(r[1], "-"))
	}
}

// A JSONArray prints an array element by element, however long it is.
type JSONArray struct {
	W     io.Writer
	begun bool
}

// Add prints an element.
func (j *JSONArray) Add(v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode result: %w", err)
	}
	separator := "[\n "
	if j.begun {
		separator = ",\n "
	}
	j.begun = true
	_, err = fmt.Fprintf(j.W, "%s%s", separator, b)
	return err
}

// End ends the array; without it, what was printed is no JSON.
func (j *JSONArray) End() error {
	text := "[]\n"
	if j.begun {
		text = "\n]\n"
	}
	_, err := io.WriteString(j.W, text)
	return err
}
