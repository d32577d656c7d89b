package report

import (
	"cmp"
	"fmt"
	"html/template"
	"slices"
	"time"

	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/job/history"
	"nightjar/job/record"
)

// A view is what the template shows: texts that are fit to be seen, and numbers that are drawn.
type view struct {
	Style                                template.CSS
	Repository, Made, From, To, Verdict  string
	Good                                 bool
	Attention                            []attention
	Jobs                                 []jobView
	Sizes, Objects                       []row
	Failures                             stack
	Changes                              []changesView
	Drills, Snapshots, Copies, Positions stack
	SnapshotCosts                        stack
	Cost, Basis, SnapshotCost, Version   string

	snapshots snapshotSum
}

// An attention is what a person should do something about.
type attention struct{ What, Why string }

// A row is one line of a table.
type row struct {
	Name  string
	Cells []string
}

// A stack is a table whose rows are broken into lines on a narrow screen, each cell after its head.
type stack struct {
	Heads []string // also that of the names
	Rows  []row
}

// Labels are the heads of cells.
func (s *stack) Labels() []string { return s.Heads[1:] }

func (s *stack) add(name string, cells ...string) { s.Rows = append(s.Rows, row{name, cells}) }

type changesView struct {
	Name, Since, Total, Incomplete string
	Paths                          []row
}

const (
	maxFailures = 50
	maxText     = 300 // characters of one text
)

// shown returns a text as it is fit for a page, cut to a length.
func shown(s string) string {
	s = quote.Display(s)
	if r := []rune(s); len(r) > maxText {
		s = string(r[:maxText]) + "…"
	}
	return s
}

func newView(in *Input) *view {
	first := dayOf(in.Now).AddDate(0, 0, 1-in.Days)
	v := &view{
		Style: template.CSS(styleText), Repository: shown(in.Repository), Made: minute(in.Now), From: first.Format("2 January 2006"), To: in.Now.Format("2 January 2006"),
		Version:       shown(in.Version),
		Failures:      stack{Heads: []string{"When", "Job", "Outcome", "Message"}},
		Drills:        stack{Heads: []string{"Job", "Last proven", "Age", "By host", "Took", "Position"}},
		Positions:     stack{Heads: []string{"Job", "Saved", "Position"}},
		Snapshots:     stack{Heads: []string{"Job", "Last run", "Set", "Consistency", "Position"}},
		SnapshotCosts: stack{Heads: []string{"Job", "Region", "Tier", "Snapshots", "Take", "A month"}},
		Copies:        stack{Heads: []string{"Job", "Last copied", "Age", "To"}},
	}
	for i := range in.Jobs {
		j := &in.Jobs[i]
		v.Jobs = append(v.Jobs, newJob(j, in, first))
		v.attend(j, in)
		v.tell(j, in, first)
	}
	for _, w := range in.Warnings {
		v.Attention = append(v.Attention, attention{"Repository", shown(w)})
	}
	v.judge(in.Jobs)
	slices.SortStableFunc(v.Failures.Rows, func(x, y row) int { return cmp.Compare(y.Name, x.Name) })
	v.Failures.Rows = v.Failures.Rows[:min(len(v.Failures.Rows), maxFailures)]
	v.measure(in)
	v.SnapshotCost = v.snapshots.words()
	for _, c := range in.Changes {
		v.Changes = append(v.Changes, newChanges(&c, in.Zone))
	}
	return v
}

func (v *view) judge(jobs []history.Job) {
	v.Good = len(v.Attention) == 0
	unknown := 0 // jobs of which nobody knows when they were to run
	for i := range jobs {
		if jobs[i].Overdue.IsZero() && !jobs[i].Ended {
			unknown++
		}
	}
	switch {
	case len(jobs) == 0:
		v.Verdict = "No job is known"
		v.Good = false
	case v.Good && unknown > 0:
		v.Verdict = fmt.Sprintf("The last runs went well; when to expect the next is not known of %s", human.Count(unknown, "job"))
	case v.Good && len(jobs) == 1:
		v.Verdict = "The job is well"
	case v.Good:
		v.Verdict = fmt.Sprintf("All %d jobs are well", len(jobs))
	case len(v.Attention) == 1:
		v.Verdict = "One thing needs attention"
	default:
		v.Verdict = fmt.Sprintf("%d things need attention", len(v.Attention))
	}
}

// attend tells of a job that is overdue, or whose last run did not go well.
func (v *view) attend(j *history.Job, in *Input) {
	name := nameOf(j)
	if j.Late(in.Now) {
		why := "it has never succeeded"
		if !j.Success.IsZero() {
			why = fmt.Sprintf("it last succeeded on %s, %s ago", minute(j.Success.In(in.Zone)), age(in.Now.Sub(j.Success)))
		}
		v.Attention = append(v.Attention, attention{name + " is overdue", fmt.Sprintf("It was expected by %s; %s.", minute(j.Overdue.In(in.Zone)), why)})
	}
	last := j.Last()
	when := minute(last.At.In(in.Zone)) + ": "
	switch {
	case j.Failed():
		v.Attention = append(v.Attention, attention{name + " failed", when + why(last)})
	case last.Outcome == record.Problems && !j.Ended:
		v.Attention = append(v.Attention, attention{name + " met with problems", when + why(last)})
	}
	if d := j.Drilled; d != nil && !d.Succeeded() {
		v.Attention = append(v.Attention, attention{name + " was not restored", minute(d.At.In(in.Zone)) + ": " + cmp.Or(shown(d.Error), "the drill failed")})
	}
}

// tell adds a job's nights to the tables of all jobs.
func (v *view) tell(j *history.Job, in *Input, first time.Time) {
	name := nameOf(j)
	for i := range j.Nights {
		n := &j.Nights[i]
		if outcomeOf(n) == record.Done || dayOf(n.At.In(in.Zone)).Before(first) {
			continue
		}
		v.Failures.add(minute(n.At.In(in.Zone)), name, outcomes[outcomeOf(n)].word, why(n))
	}
	if d := j.Proven; d != nil {
		v.Drills.add(name, minute(d.At.In(in.Zone)), age(in.Now.Sub(d.At))+" ago", shown(d.Host), took(d), shown(j.Position()))
	} else if j.Made() != nil {
		v.Drills.add(name, "never", "", "", "", "")
	}
	if made := j.Made(); made != nil {
		position, why := shown(made.Archive.Labels["position"]), shown(made.Archive.Labels["no-position"])
		if position == "" && why != "" {
			position = "none: " + why
		}
		if position != "" {
			v.Positions.add(name, minute(made.At.In(in.Zone)), position)
		}
	}
	last := lastGood(j)
	if last == nil {
		return
	}
	switch j.Kind {
	case "ebs":
		v.Snapshots.add(name, minute(last.At.In(in.Zone)), shown(last.Notes["set"]), shown(last.Notes["consistency"]), shown(last.Notes["position"]))
		v.bill(name, last, &v.snapshots)
	case "copy":
		v.Copies.add(name, minute(last.At.In(in.Zone)), age(in.Now.Sub(last.At))+" ago", shown(last.Notes["to"]))
	}
}

// why says why a night is no success.
func why(n *history.Night) string {
	switch {
	case n.Error != "":
		return shown(n.Error)
	case n.Outcome != record.Failed && n.Archive != nil && !n.Archive.Counts:
		return "the archive that it made does not count: nightjar check says more"
	case n.Outcome != record.Failed && n.Archive == nil && n.Record.Archive != "":
		return "the archive that it made is not there"
	}
	return fmt.Sprintf("exit code %d", n.Exit)
}

// lastGood returns the last night that did not fail; nil: none.
func lastGood(j *history.Job) *history.Night {
	for i := len(j.Nights) - 1; i >= 0; i-- {
		if outcomeOf(&j.Nights[i]) != record.Failed {
			return &j.Nights[i]
		}
	}
	return nil
}

// measure sums up what is kept, and what that saves.
func (v *view) measure(in *Input) {
	var stored uint64
	for _, o := range in.Objects {
		v.Objects = append(v.Objects, row{shown(o.Kind), []string{fmt.Sprint(o.Count), human.Size(o.Bytes)}})
		stored += o.Bytes
	}
	type job struct{ host, name string }
	newest := map[job]uint64{}
	var all uint64
	archives := 0
	for i := range in.Kept {
		a := &in.Kept[i]
		if record.IsKind(a.Kind) {
			continue
		}
		archives++
		all += a.Statistics["bytes"]
		newest[job{a.Host, a.Job}] = a.Statistics["bytes"]
	}
	var now uint64
	for _, n := range newest {
		now += n
	}
	if len(in.Objects) == 0 {
		return
	}
	v.Sizes = []row{
		{"What the newest archives hold", []string{human.Size(now)}},
		{fmt.Sprintf("What all %d archives hold together", archives), []string{human.Size(all)}},
		{"What the repository takes", []string{human.Size(stored)}},
	}
	if stored > 0 && all > stored {
		v.Sizes = append(v.Sizes, row{"Saved by deltas, deduplication and compression", []string{fmt.Sprintf("%.1f %%", 100-100*float64(stored)/float64(all))}})
	}
	if in.Monthly != nil {
		v.Cost, v.Basis = fmt.Sprintf("%.2f USD a month", in.Monthly.Amount), shown(in.Monthly.Basis)
	}
}

func newChanges(c *Changes, zone *time.Location) changesView {
	v := changesView{
		Name: shown(c.Host) + " " + shown(c.Job), Since: minute(c.Since.In(zone)), Incomplete: shown(c.Incomplete),
		Total: fmt.Sprintf("%s, %s", human.Count(c.Files, "file"), human.Size(c.Bytes)),
	}
	for _, p := range c.Paths {
		v.Paths = append(v.Paths, row{shown(p.Path), []string{fmt.Sprint(p.Files), human.Size(p.Bytes)}})
	}
	return v
}

func nameOf(j *history.Job) string { return shown(j.Host) + " " + shown(j.Name) }

func minute(t time.Time) string { return t.Format("2006-01-02 15:04") }

// age returns an age by its longest unit.
func age(d time.Duration) string {
	unit, of := "minute", time.Minute
	switch {
	case d >= 48*time.Hour:
		unit, of = "day", 24*time.Hour
	case d >= 2*time.Hour:
		unit, of = "hour", time.Hour
	}
	return human.Count(max(0, int(d/of)), unit)
}

// dayOf returns the date of a time as midnight in UTC: there are zones in which some days have no midnight, and days there have 23 or 25 hours.
func dayOf(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC)
}
