// Package overview says how each job of each host stands: for people in a table, for programs as JSON.
//
// The invariant: whether a job alarms is decided in one place, Line.Alarm, and everything else only shows it. Whatever hosts call things is shown escaped and cut. The package
// knows no repository and no clock.
package overview

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightjar/internal/quote"
	"nightjar/job/history"
	"nightjar/job/record"
	"nightjar/mysqldump"
)

// What a job's State may be, the worst first: of two that fit it is the former.
const (
	Overdue  = "overdue"
	Failed   = "failed"
	Never    = "never" // it is in this machine's job file, and never ran
	Problems = "problems"
	OK       = "ok"
	Ended    = "ended" // it was taken out of its job file, or its host is no longer enrolled
)

// A Line is one job of one host. Texts that hosts choose are as quote.Text writes them.
type Line struct {
	Host       string    `json:"host"`
	Job        string    `json:"job"`
	Kind       string    `json:"kind,omitempty"`
	State      string    `json:"state"`
	Alarm      bool      `json:"alarm"`             // it is overdue or failed last, and nobody said that this is of no account
	Ignored    bool      `json:"ignored,omitempty"` // somebody said so
	Success    time.Time `json:"last_success,omitzero"`
	Due        time.Time `json:"due,omitzero"`
	Overdue    time.Time `json:"overdue,omitzero"`
	Last       *Run      `json:"last_run,omitempty"`
	Archive    *Archive  `json:"last_archive,omitempty"`
	Position   *Position `json:"position,omitempty"`
	NoPosition string    `json:"no_position,omitempty"` // why the newest archive of a server has none
	Drill      *Drill    `json:"last_drill,omitempty"`
	Proven     *Drill    `json:"last_proven,omitempty"`
	Waiting    bool      `json:"record_waits,omitempty"` // this machine could not say so to the repository yet
	PassedOver int       `json:"records_passed_over,omitempty"`
	Running    time.Time `json:"running_since,omitzero"` // when a service began that had not ended when it was heard of last

	Of *history.Job `json:"-"` // nil: only this machine knows the job
}

// A Run is how a job's last run ended.
type Run struct {
	Ended    time.Time      `json:"ended"`
	Outcome  record.Outcome `json:"outcome"`
	Exit     int            `json:"exit"`
	Error    string         `json:"error,omitempty"`
	Duration float64        `json:"duration_seconds"`
	Recorded bool           `json:"recorded"` // false: it is told by an archive alone

	Figures map[string]uint64 `json:"-"` // what was measured
	Stored  []record.Stored   `json:"-"` // what its EBS snapshots take
}

// An Archive is the newest that a job made.
type Archive struct {
	ID     string    `json:"id"`
	Stored time.Time `json:"stored"`
	Files  uint64    `json:"files"`
	Bytes  uint64    `json:"bytes"`
	New    uint64    `json:"bytes_stored"`
	Unread uint64    `json:"unread"` // files that could not be read
}

// A Position is up to where a job's newest archive has a server's changes.
type Position struct {
	File   string `json:"file,omitempty"`
	Offset uint64 `json:"offset,omitempty"`
	GTIDs  string `json:"gtids,omitempty"`

	Time   time.Time `json:"time,omitzero"`          // when it was read, by the server's clock
	Behind *uint64   `json:"behind_bytes,omitempty"` // of binary logs that the server had written when the run ended, and the archive does not have; nil: not known
}

// Behind is the label of an archive of binary logs that a Position's Behind is read from.
const Behind = "behind"

// A Drill is a restore that was tried.
type Drill struct {
	Ended    time.Time      `json:"ended"`
	Outcome  record.Outcome `json:"outcome"`
	Error    string         `json:"error,omitempty"`
	Host     string         `json:"host"` // that tried it
	Archive  string         `json:"archive,omitempty"`
	Position *Position      `json:"position,omitempty"`
}

// A Local job is one of this machine's job file, with what its state folder says.
type Local struct {
	Job, Kind string
	Ran       bool
	Waiting   bool      // records of its runs wait for the repository
	Due       time.Time // zero: it has no schedule
	Overdue   time.Time // when it is overdue if it never ran; zero: never
	Last      Run       // if Ran
	Success   time.Time
	Running   time.Time // as that of a Line
}

// Options say what is told.
type Options struct {
	Now       time.Time
	Host, Job string                 // of these alone; empty: of all
	Ignore    []string               // jobs that never alarm: JOB, or HOST:JOB
	Enrolled  func(host string) bool // nil: all are
	Here      string                 // this machine's name in the repository; empty: it has none
	Local     []Local
}

// Lines has a Line for each job that is asked for, by host and name.
func Lines(jobs []history.Job, o Options) []Line {
	var all []Line
	for i := range jobs {
		all = append(all, o.line(&jobs[i]))
	}
	for _, l := range o.Local {
		i := slices.IndexFunc(jobs, func(j history.Job) bool { return j.Host == o.Here && j.Name == l.Job })
		switch {
		case i < 0:
			all = append(all, o.local(l))
		case all[i].State != Ended && l.Ran && (l.Waiting || l.Last.Ended.After(all[i].Last.Ended)):
			all[i].Waiting = l.Waiting
			all[i].waited(l, o.Now)
		case all[i].State != Ended && all[i].Due.IsZero():
			all[i].Due = l.Due // of a zone that its record cannot name
		}
	}
	all = slices.DeleteFunc(all, func(l Line) bool {
		return o.Host != "" && l.Host != quote.Text(o.Host) || o.Job != "" && l.Job != quote.Text(o.Job)
	})
	for i := range all {
		l := &all[i]
		l.Ignored = slices.ContainsFunc(o.Ignore, func(s string) bool { return quote.Text(s) == l.Job || quote.Text(s) == l.Host+":"+l.Job })
		l.Alarm = !l.Ignored && (l.State == Overdue || l.State == Failed)
	}
	slices.SortStableFunc(all, func(a, b Line) int { return cmp.Or(strings.Compare(a.Host, b.Host), strings.Compare(a.Job, b.Job)) })
	return all
}

// line is what the repository says of a job.
func (o *Options) line(j *history.Job) Line {
	last := j.Last()
	l := Line{
		Host: quote.Text(j.Host), Job: quote.Text(j.Name), Kind: quote.Text(j.Kind), Success: j.Success, Due: j.Due, Overdue: j.Overdue, PassedOver: j.PassedOver, Of: j,
		Last:     &Run{last.At, last.Outcome, last.Exit, quote.Text(last.Error), last.Duration().Seconds(), last.Recorded, last.Figures, Stored(last.Notes)},
		Position: position(j.Made()), NoPosition: noPosition(j.Made()), Drill: drill(j.Drilled), Proven: drill(j.Proven),
	}
	if !j.Ended {
		l.Running = j.Running()
	}
	if made := j.Made(); made != nil {
		s := made.Archive.Statistics
		l.Archive = &Archive{quote.Text(made.Archive.ID), made.Archive.Stored, s["files"], s["bytes"], s["bytes_stored"], s["unread"]}
	}
	switch {
	case j.Ended, o.Enrolled != nil && !o.Enrolled(j.Host):
		l.State, l.Due, l.Overdue = Ended, time.Time{}, time.Time{}
	case j.Late(o.Now):
		l.State = Overdue
	case j.Failed():
		l.State = Failed
		l.Last.Outcome = record.Failed
		if l.Last.Error == "" {
			l.Last.Error = "its archive is gone, or does not count"
		}
	case last.Outcome == record.Problems:
		l.State = Problems
	default:
		l.State = OK
	}
	return l
}

// local is a job of which only this machine knows.
func (o *Options) local(l Local) Line {
	line := Line{Host: quote.Text(o.Here), Job: quote.Text(l.Job), Kind: quote.Text(l.Kind), State: Never, Due: l.Due, Overdue: l.Overdue}
	if l.Ran {
		line.State, line.Waiting = OK, l.Waiting
		line.waited(l, o.Now)
	}
	if !line.Overdue.IsZero() && o.Now.After(line.Overdue) {
		line.State = Overdue
	}
	return line
}

// waited takes from the state folder how the last run ended, which the repository does not know yet.
func (l *Line) waited(of Local, now time.Time) {
	last := of.Last
	last.Error = quote.Text(last.Error)
	l.Last, l.Due, l.Overdue, l.Running = &last, of.Due, of.Overdue, of.Running
	if of.Success.After(l.Success) {
		l.Success = of.Success
	}
	switch {
	case !l.Overdue.IsZero() && now.After(l.Overdue):
		l.State = Overdue
	case last.Outcome == record.Failed:
		l.State = Failed
	case last.Outcome == record.Problems:
		l.State = Problems
	default:
		l.State = OK
	}
}

// position is what a night's archive, or else its record, says.
func position(n *history.Night) *Position {
	if n == nil {
		return nil
	}
	p := parsed(cmp.Or(n.Archive.Labels["position"], n.Notes["position"]))
	if bytes, err := strconv.ParseUint(n.Archive.Labels[Behind], 10, 64); p != nil && err == nil {
		p.Behind = &bytes
	}
	return p
}

func noPosition(n *history.Night) string {
	if n == nil {
		return ""
	}
	return quote.Text(n.Archive.Labels["no-position"])
}

func parsed(text string) *Position {
	p, err := mysqldump.Parse(text)
	if err != nil || p.File == "" && p.GTIDs.IsZero() {
		return nil
	}
	return &Position{File: quote.Text(p.File), Offset: p.Offset, GTIDs: p.GTIDs.String(), Time: p.Time}
}

// Stored is what the notes of a run say of its EBS snapshots; of what cannot be read, nothing.
func Stored(notes map[string]string) []record.Stored {
	all, _ := record.ParseStored(notes[record.Snapshots])
	return all
}

func drill(n *history.Night) *Drill {
	if n == nil {
		return nil
	}
	d := &Drill{Ended: n.At, Outcome: n.Outcome, Error: quote.Text(n.Error), Host: quote.Text(n.Host), Archive: quote.Text(n.Record.Archive), Position: parsed(n.Notes["position"])}
	if d.Position == nil && n.Outcome == record.Done && n.Archive != nil {
		d.Position = parsed(n.Archive.Labels["position"])
	}
	return d
}
