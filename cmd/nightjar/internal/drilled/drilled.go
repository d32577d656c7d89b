// Package drilled says what came of a drill: to a person on call, as JSON, and as the record that is kept of it.
//
// The invariant: what is called proven was restored in this run and compared; an estimate is called one.
package drilled

import (
	"cmp"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"nightjar/cmd/nightjar/internal/show"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/job/history"
	"nightjar/job/record"
	"nightjar/repo"
)

// A Phase is a part of a drill. All but Check are what a recovery takes, too.
type Phase string

// The phases, in the order in which they come. Files and streams have the first and the last.
const (
	Fetch   Phase = "fetch"   // content is fetched from the repository and written
	Prepare Phase = "prepare" // a server's files are made whole, or a new server is made
	Start   Phase = "start"   // a server is started
	Load    Phase = "load"    // statements of a dump are fetched and executed
	Replay  Phase = "replay"  // binary logs are fetched and replayed
	Check   Phase = "check"   // what came back is compared
)

var phases = []Phase{Fetch, Prepare, Start, Load, Replay, Check}

// A Drill is one archive that was tried.
type Drill struct {
	Archive     *repo.Archive
	Begin, End  time.Time
	Took        map[Phase]time.Duration
	Full        bool   // all of the archive was restored
	Sample      string // what was asked for; empty: everything
	Seed        uint64
	Bytes       uint64            // that came back: of files, or of statements
	Of          uint64            // of the whole archive
	Figures     map[string]uint64 // what else was counted: files, verified, tables, rows, …
	Server      string            // that was started, in words; empty: none
	Position    string            // the newest that is proven, as mysqldump.Position writes it; empty: none
	Differences []string          // what is not as it was saved
	Different   uint64            // how many there are
	Problems    []string          // what could not be compared, or not be had here
	Err         error             // nil: proven
	Exit        int
	Estimate    *Estimate
	Recorded    string // id of the record; empty: none
}

// An Estimate is how long a recovery of the whole archive may take, from the last full drill of the job.
type Estimate struct {
	Time time.Duration
	From time.Time // when that drill was
	Took time.Duration
}

// Outcome says how it ended.
func (d *Drill) Outcome() record.Outcome {
	switch {
	case d.Err == nil:
		return record.Done
	case d.Exit == 3:
		return record.Problems
	}
	return record.Failed
}

// Recover is how long a recovery of what was restored took, without the comparison.
func (d *Drill) Recover() (sum time.Duration) {
	for p, took := range d.Took {
		if p != Check {
			sum += took
		}
	}
	return sum
}

// Rate is how many bytes a second a recovery brought back.
func (d *Drill) Rate() uint64 {
	took := d.Recover()
	if took < time.Millisecond {
		return 0
	}
	return uint64(float64(d.Bytes) / took.Seconds())
}

const (
	fullNote = "full"
	recovery = "recover_milliseconds"
)

// figures are all numbers, by the names that --json uses.
func (d *Drill) figures() map[string]uint64 {
	out := map[string]uint64{"bytes": d.Bytes, "archive_bytes": d.Of, "bytes_per_second": d.Rate(), recovery: uint64(d.Recover().Milliseconds())}
	for p, took := range d.Took {
		out[string(p)+"_milliseconds"] = uint64(took.Milliseconds())
	}
	for name, n := range d.Figures {
		out[name] = n
	}
	if d.Different > 0 {
		out["differences"] = d.Different
	}
	return out
}

// Record returns what is kept of the drill.
func (d *Drill) Record() *record.Record {
	r := &record.Record{
		Job: cmp.Or(string(d.Archive.Job), show.Source(d.Archive)), Kind: "drill", Outcome: d.Outcome(), Exit: d.Exit, Archive: d.Archive.ID, Start: d.Begin, End: d.End, Figures: d.figures(),
		Notes: map[string]string{history.DrilledHost: d.Archive.Host, "drilled-job": string(d.Archive.Job), "drilled-kind": string(d.Archive.Kind), fullNote: strconv.FormatBool(d.Full)},
	}
	for name, text := range map[string]string{"position": d.Position, "server": d.Server, "sample": d.Sample} {
		if text != "" {
			r.Notes[name] = text
		}
	}
	if !d.Full {
		r.Notes["seed"] = strconv.FormatUint(d.Seed, 10)
	}
	if d.Err != nil {
		r.Error = d.Err.Error()
	}
	return r
}

// Guess estimates a recovery of an archive from the records of earlier drills, oldest first: the last full one of the same job, scaled by bytes.
func Guess(a *repo.Archive, of uint64, earlier []repo.Archive) *Estimate {
	var e *Estimate
	for i := range earlier {
		r, err := RecordOf(&earlier[i])
		if err != nil || r.Outcome != record.Done || r.Notes[fullNote] != "true" || r.Job != string(a.Job) || r.Notes[history.DrilledHost] != a.Host {
			continue
		}
		took := time.Duration(min(r.Figures[recovery], 1<<40)) * time.Millisecond
		if bytes := r.Figures["archive_bytes"]; bytes > 0 && took > 0 {
			e = &Estimate{Time: time.Duration(float64(took) * (float64(of) / float64(bytes))), From: earlier[i].Dated(), Took: took}
		}
	}
	return e
}

// RecordOf reads the record that an archive of kind record.Drill is.
func RecordOf(a *repo.Archive) (record.Record, error) {
	if a.Kind != record.Drill || !a.Counts() {
		return record.Record{}, fmt.Errorf("archive %s is no record of a drill that counts", show.ShortID(a))
	}
	labels := make(map[string]string, len(a.Labels))
	for name, value := range a.Labels {
		labels[string(name)] = string(value)
	}
	return record.Parse(labels)
}

// Proven returns when each archive was last proven, by their ids, from the records among some archives.
func Proven(archives []repo.Archive) map[string]time.Time {
	out := map[string]time.Time{}
	for i := range archives {
		r, err := RecordOf(&archives[i])
		if at := archives[i].Dated(); err == nil && r.Outcome == record.Done && r.Archive != "" && at.After(out[r.Archive]) {
			out[r.Archive] = at
		}
	}
	return out
}

// JSON is what --json says of a drill.
func (d *Drill) JSON() map[string]any {
	out := map[string]any{
		"archive": show.Archive(d.Archive), "outcome": d.Outcome(), "exit": d.Exit, "proven": d.Err == nil, "start": d.Begin.UTC(), "end": d.End.UTC(), "full": d.Full,
		"figures": d.figures(), "differences": orNone(d.Differences), "problems": orNone(d.Problems),
	}
	texts := map[string]string{"position": d.Position, "server": d.Server, "sample": d.Sample, "record": d.Recorded}
	if !d.Full {
		texts["seed"] = strconv.FormatUint(d.Seed, 10)
	}
	if d.Err != nil {
		texts["error"] = d.Err.Error()
	}
	for name, text := range texts {
		if text != "" {
			out[name] = quote.Text(text)
		}
	}
	if d.Estimate != nil {
		out["estimate"] = map[string]any{"recover_milliseconds": d.Estimate.Time.Milliseconds(), "from": d.Estimate.From.UTC(), "took_milliseconds": d.Estimate.Took.Milliseconds()}
	}
	return out
}

func orNone(all []string) []string {
	out := []string{}
	for _, s := range all {
		out = append(out, quote.Text(s))
	}
	return out
}

// Print says it to a person.
func (d *Drill) Print(w io.Writer) {
	result := "PROVEN"
	switch d.Outcome() {
	case record.Problems:
		result = "proven, but for problems"
	case record.Failed:
		result = "NOT PROVEN"
	}
	fmt.Fprintf(w, "archive %s of %s, %s: %s\n", show.ShortID(d.Archive), quote.Display(d.Archive.Host), human.Time(d.Archive.Time), result)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %-18s  %s\n", name, fmt.Sprintf(format, args...))
	}
	line("source", "%s", show.Source(d.Archive))
	what := "all of it"
	if !d.Full {
		what = fmt.Sprintf("a sample of %s; --seed %d repeats it", d.Sample, d.Seed)
	}
	line("restored", "%s of %s (%s)", human.Size(d.Bytes), human.Size(d.Of), what)
	if counts := d.counts(); counts != "" {
		line("compared", "%s", counts)
	}
	if d.Server != "" {
		line("server", "%s", quote.Display(d.Server))
	}
	if d.Position != "" {
		line("last proven", "%s", quote.Display(d.Position))
	}
	for _, p := range phases {
		if took, ok := d.Took[p]; ok {
			line(string(p), "%s", human.Elapsed(took))
		}
	}
	switch {
	case d.Full && d.Err == nil:
		line("time to recover", "%s, %s/s", human.Elapsed(d.Recover()), human.Size(d.Rate()))
	case d.Estimate != nil:
		line("time to recover", "about %s, estimated: the full drill of %s took %s", human.Elapsed(d.Estimate.Time), human.Time(d.Estimate.From), human.Elapsed(d.Estimate.Took))
	case d.Err == nil:
		line("time to recover", "not known: no full drill of this job is recorded (--full)")
	}
	if d.Recorded != "" {
		line("recorded", "%.8s", d.Recorded)
	}
}

// counted are the figures that Print shows, and how.
var counted = []struct{ name, text string }{
	{"verified", "files read back: %d"}, {"dirs", "folders: %d"}, {"links", "links: %d"}, {"larger", "files larger than the sample, and never in it: %d"}, {"need_root", "what only root may restore, passed over: %d"},
	{"tables", "tables: %d"}, {"tables_checked", "by CHECK TABLE: %d"}, {"tables_summed", "by their rows' checksums: %d"}, {"rows", "rows: %d"}, {"transactions", "transactions replayed: %d"},
}

func (d *Drill) counts() string {
	var words []string
	for _, c := range counted {
		if n := d.Figures[c.name]; n > 0 {
			words = append(words, fmt.Sprintf(c.text, n))
		}
	}
	return strings.Join(words, ", ")
}
