package report

import (
	"fmt"
	"strings"
	"time"

	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/job/history"
	"nightjar/job/record"
)

// A jobView is one job's part of the page.
type jobView struct {
	ID, Name, Kind, State, Word string
	Facts                       []row
	Weeks                       []string // heads of the calendar's columns
	Calendar                    []weekday
	Charts                      []chart
	Nights                      []nightView // the newest first
	More                        int         // nights that are not listed
}

// A weekday is a row of the calendar.
type weekday struct {
	Name string
	Days []dayCell
}

// A dayCell is one day of a job.
type dayCell struct {
	Class, Mark, Text string // Text is read aloud, and shown when pointed at
}

type nightView struct{ When, Word, Class, Files, Bytes, New, Took, Error string }

// outcome says how an outcome looks: by a sign and a word as well as by a colour.
type outcome struct{ class, mark, word string }

var outcomes = map[record.Outcome]outcome{
	record.Done:     {"done", "✓", "done"},
	record.Problems: {"problems", "!", "problems"},
	record.Failed:   {"failed", "✕", "failed"},
}

// outcomeOf returns how a night ended. What it made may have been given up since.
func outcomeOf(n *history.Night) record.Outcome {
	if n.Archive != nil && !n.Archive.Counts {
		return record.Failed
	}
	return n.Outcome
}

// worse orders outcomes for a day that has several.
var worse = map[record.Outcome]int{record.Done: 1, record.Problems: 2, record.Failed: 3}

const maxNights = 31

func newJob(j *history.Job, in *Input, first time.Time) jobView {
	v := jobView{ID: quote.Display(j.Host + "-" + j.Name), Name: nameOf(j), Kind: shown(j.Kind)}
	var nights []*history.Night
	for i := range j.Nights {
		if !dayOf(j.Nights[i].At.In(in.Zone)).Before(first) {
			nights = append(nights, &j.Nights[i])
		}
	}
	v.State, v.Word = stateOf(j, in.Now)
	v.facts(j, in)
	v.calendar(j, nights, first, in)
	v.Charts = chartsOf(nights, first, in)
	for i := len(nights) - 1; i >= 0 && len(v.Nights) < maxNights; i-- {
		v.Nights = append(v.Nights, newNight(nights[i], in.Zone))
	}
	v.More = len(nights) - len(v.Nights)
	return v
}

// stateOf returns a job's state now as a class and as a word.
func stateOf(j *history.Job, now time.Time) (class, word string) {
	switch {
	case j.Late(now):
		return "failed", "overdue"
	case j.Ended:
		return "none", "ended"
	case j.Failed():
		return "failed", "failed"
	}
	o := outcomes[outcomeOf(j.Last())]
	return o.class, o.word
}

func (v *jobView) facts(j *history.Job, in *Input) {
	add := func(name, value string) {
		if value != "" {
			v.Facts = append(v.Facts, row{name, []string{value}})
		}
	}
	success := "never"
	if !j.Success.IsZero() {
		success = fmt.Sprintf("%s (%s ago)", minute(j.Success.In(in.Zone)), age(in.Now.Sub(j.Success)))
	}
	add("Last success", success)
	if !j.Overdue.IsZero() {
		add("Overdue after", minute(j.Overdue.In(in.Zone)))
	}
	if !j.Due.IsZero() {
		add("Due next", minute(j.Due.In(in.Zone)))
	}
	add("Schedule", strings.TrimSpace(shown(j.Schedule)+" "+shown(j.Zone)))
	if made := j.Made(); made != nil {
		add("Holds", human.Size(figure(made, "bytes"))+" in "+human.Count(figure(made, "files"), "file"))
		add("Saves", shown(made.Archive.Source))
	}
	if d := j.Proven; d != nil {
		add("Last proven restore", fmt.Sprintf("%s (%s ago)", minute(d.At.In(in.Zone)), age(in.Now.Sub(d.At))))
	}
}

// calendar lays the days since a job's first night out as weeks from Monday, the newest on the right.
func (v *jobView) calendar(j *history.Job, nights []*history.Night, first time.Time, in *Input) {
	byDay := map[string][]*history.Night{}
	begun := dayOf(j.Nights[0].At.In(in.Zone))
	for _, n := range nights {
		day := n.At.In(in.Zone).Format(time.DateOnly)
		byDay[day] = append(byDay[day], n)
	}
	from := first // a new job has fewer weeks
	if month := dayOf(in.Now).AddDate(0, 0, -27); begun.After(from) && month.After(from) {
		from = month
		if begun.Before(from) {
			from = begun
		}
	}
	monday := from.AddDate(0, 0, -(int(from.Weekday())+6)%7)
	for d := range 7 {
		v.Calendar = append(v.Calendar, weekday{Name: monday.AddDate(0, 0, d).Format("Mon")})
	}
	today := dayOf(in.Now)
	for week := monday; !week.After(today); week = week.AddDate(0, 0, 7) {
		head := ""
		if end := week.AddDate(0, 0, 6); end.Day() <= 7 { // a month begins in it
			head = end.Format("Jan")
		}
		v.Weeks = append(v.Weeks, head)
		for d := range 7 {
			day := week.AddDate(0, 0, d)
			cell := dayCell{}
			if !day.Before(first) && !day.Before(begun) && !day.After(today) {
				cell = newDay(day, first.Year() != today.Year(), byDay[day.Format(time.DateOnly)])
			}
			v.Calendar[d].Days = append(v.Calendar[d].Days, cell)
		}
	}
}

// newDay has the year in its texts if the page has several.
func newDay(day time.Time, years bool, nights []*history.Night) dayCell {
	name := day.Format("2 January")
	if years {
		name = day.Format("2 January 2006")
	}
	if len(nights) == 0 {
		return dayCell{"none", "·", name + ": no run"}
	}
	var worst record.Outcome
	var added uint64
	for _, n := range nights {
		if o := outcomeOf(n); worse[o] > worse[worst] {
			worst = o
		}
		added += figure(n, "bytes_stored")
	}
	o := outcomes[worst]
	text := fmt.Sprintf("%s: %s", name, o.word)
	if len(nights) > 1 {
		text += fmt.Sprintf(", %d runs", len(nights))
	}
	if added > 0 {
		text += ", " + human.Size(added) + " new"
	}
	return dayCell{o.class, o.mark, text}
}

func newNight(n *history.Night, zone *time.Location) nightView {
	o := outcomes[outcomeOf(n)]
	v := nightView{When: minute(n.At.In(zone)), Word: o.word, Class: o.class, Error: shown(n.Error), Took: took(n)}
	if n.Archive != nil || figure(n, "bytes") > 0 {
		v.Files, v.Bytes, v.New = fmt.Sprint(figure(n, "files")), human.Size(figure(n, "bytes")), human.Size(figure(n, "bytes_stored"))
	}
	return v
}

// took says how long a night took; empty: nobody knows.
func took(n *history.Night) string {
	if n.Duration() == 0 {
		return ""
	}
	return human.Elapsed(n.Duration().Round(100 * time.Millisecond))
}

// figure returns what was measured of a night: by its archive, or else by its record.
func figure(n *history.Night, name string) uint64 {
	if n.Archive != nil {
		if x, ok := n.Archive.Statistics[name]; ok {
			return x
		}
	}
	return n.Figures[name]
}
