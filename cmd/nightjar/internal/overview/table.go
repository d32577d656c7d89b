package overview

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/mattn/go-runewidth"

	"nightjar/internal/human"
	"nightjar/internal/quote"
)

// longest is how wide a name may be.
const longest = 24

// columns are those of the table, from left to right, with their ranks.
var columns = []struct {
	head string
	rank int
	cell func(l *Line, now time.Time) string
}{
	{"HOST", 0, func(l *Line, _ time.Time) string { return name(l.Host) }},
	{"JOB", 0, func(l *Line, _ time.Time) string { return name(l.Job) }},
	{"KIND", 7, func(l *Line, _ time.Time) string {
		if l.Kind == "" {
			return ""
		}
		return name(l.Kind)
	}},
	{"STATE", 0, func(l *Line, _ time.Time) string { return l.State }},
	{"SUCCESS", 0, func(l *Line, now time.Time) string { return ago(l.Success, now) }},
	{"NEXT", 1, func(l *Line, now time.Time) string { return until(l.Due, now) }},
	{"SIZE", 3, func(l *Line, _ time.Time) string { return l.size(func(a *Archive) uint64 { return a.Bytes }) }},
	{"ADDED", 4, func(l *Line, _ time.Time) string { return l.size(func(a *Archive) uint64 { return a.New }) }},
	{"PROVEN", 2, func(l *Line, now time.Time) string {
		if l.Proven == nil {
			return ""
		}
		return ago(l.Proven.Ended, now)
	}},
	{"POSITION", 5, func(l *Line, _ time.Time) string {
		if l.Position == nil && l.NoPosition != "" {
			return "none: " + cut(Shown(l.NoPosition), 40)
		}
		return l.Position.text()
	}},
}

// Show prints a table that is as wide as a terminal at most (0: as wide as it is), and below it what is to be said of a job.
func Show(w io.Writer, lines []Line, now time.Time, width int) {
	var table []human.Column
	for _, c := range columns {
		column := human.Column{Head: c.head, Rank: c.rank}
		for i := range lines {
			column.Cells = append(column.Cells, c.cell(&lines[i], now))
		}
		if len(lines) > 0 || c.rank == 0 {
			table = append(table, column)
		}
	}
	for _, line := range human.Table(table, width) {
		fmt.Fprintln(w, line)
	}
	for i := range lines {
		for _, remark := range lines[i].remarks(now) {
			fmt.Fprintf(w, "%s %s: %s\n", name(lines[i].Host), name(lines[i].Job), remark)
		}
	}
}

// remarks are what does not fit into a table, and what is wrong.
func (l *Line) remarks(now time.Time) (all []string) {
	add := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if l.State == Overdue {
		add("overdue since %s", human.Time(l.Overdue))
	}
	if l.Last != nil && l.State != Ended && l.Last.Error != "" {
		add("%s, exit code %d: %s", l.Last.Outcome, l.Last.Exit, cut(Shown(l.Last.Error), 400))
	}
	if !l.Running.IsZero() {
		add("a service, which runs since %s", human.Time(l.Running))
	}
	if l.Archive != nil && l.Archive.Unread > 0 {
		add("files that could not be read: %d", l.Archive.Unread)
	}
	if d := l.Drill; d != nil && d.Error != "" {
		add("the last drill, %s ago by %s, %s: %s", ago(d.Ended, now), name(d.Host), d.Outcome, cut(Shown(d.Error), 400))
	}
	if l.Proven != nil && l.Proven.Position != nil {
		add("proven up to %s by %s", l.Proven.Position.text(), name(l.Proven.Host))
	}
	if l.State == Never && l.Due.IsZero() {
		add("it has no schedule, and never ran")
	}
	if l.Waiting {
		add("records of its runs wait for the repository")
	}
	if l.PassedOver > 0 {
		add("records that cannot be read, or do not count: %d", l.PassedOver)
	}
	if long := 30 * 24 * time.Hour; l.State == Overdue && now.Sub(l.Overdue) > long {
		add("if there is no such job any more: --ignore %s:%s", name(l.Host), name(l.Job))
	}
	if l.Ignored {
		add("it is ignored")
	}
	return all
}

func (l *Line) size(of func(*Archive) uint64) string {
	if l.Archive == nil {
		return ""
	}
	return human.Size(of(l.Archive))
}

func (p *Position) text() string {
	switch {
	case p == nil:
		return ""
	case p.File == "":
		return cut(Shown(p.GTIDs), 40)
	}
	text := fmt.Sprintf("%s:%d", cut(Shown(p.File), 40), p.Offset)
	if p.Behind != nil && *p.Behind > 0 {
		text += fmt.Sprintf(" (%s behind)", human.Size(*p.Behind))
	}
	return text
}

// Shown makes a text harmless that is as quote.Text wrote it.
func Shown(text string) string {
	s, err := quote.Bytes(text)
	if err != nil {
		s = text
	}
	return quote.Display(s)
}

// name is a name in a table. It has no spaces, and is not empty, so that the columns are clear.
func name(text string) string {
	s := Shown(text)
	if s == "" || strings.Contains(s, " ") {
		s = `"` + strings.ReplaceAll(s, `"`, `\"`) + `"`
	}
	return cut(s, longest)
}

// cut shortens a text to columns of a terminal.
func cut(s string, width int) string { return runewidth.Truncate(s, width, "…") }

// ago is how long ago something was, in its largest unit.
func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return rough(now.Sub(t))
}

func until(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	return "in " + rough(t.Sub(now))
}

func rough(d time.Duration) string {
	for _, unit := range []time.Duration{24 * time.Hour, time.Hour, time.Minute} {
		if d >= 2*unit || d >= unit && unit == time.Minute {
			return human.Age(d.Truncate(unit))
		}
	}
	return human.Age(d)
}
