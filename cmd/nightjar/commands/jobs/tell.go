package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/runlog"
	"nightjar/internal/calendar"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/job"
	"nightjar/job/record"
)

// began tells that a job begins.
func (r *jobRuns) began(x *jobRun) {
	about := []any{runlog.Summary, "job " + quote.Display(x.Name) + " begins", "job", x.Name, "kind", x.Job.Kind}
	if !x.Due.IsZero() { // as it is of one that was asked for, and has no schedule
		about = append(about, "due", x.Due)
	}
	r.log.Info("job started", about...)
	if r.Verbose {
		r.Note("job %s begins", quote.Display(x.Name))
	}
}

// ended tells how a job ended.
func (r *jobRuns) ended(x *jobRun) {
	r.mu.Lock()
	r.ran = append(r.ran, x)
	r.mu.Unlock()
	r.count(x.Name, x.Exit)
	figures := make([]any, 0, 2*len(x.Figures))
	for name, n := range x.Figures {
		figures = append(figures, slog.Uint64(name, n))
	}
	level := map[record.Outcome]slog.Level{record.Problems: slog.LevelWarn, record.Failed: slog.LevelError}[x.Outcome]
	summary := r.summary(x, "after")
	r.log.Log(context.Background(), level, "job ended", runlog.Summary, quote.Display(summary), "job", x.Name, "kind", x.Job.Kind, "outcome", string(x.Outcome), "exit", x.Exit, "error", x.Error, "archive", x.Archive,
		"seconds", x.End.Sub(x.Start).Seconds(), slog.Group("figures", figures...))
	if x.hint != "" {
		r.log.Info(x.hint, runlog.Summary, "job "+quote.Display(x.Name)+": "+quote.Display(x.hint), "job", x.Name)
	}
	if x.Outcome == record.Done {
		if r.Chatty() && !r.JSON {
			_ = r.Result(quote.Display(summary)) // that the terminal is gone changes nothing
		}
		return
	}
	if r.log.Alone { // where it is
		return
	}
	kind := "error"
	if x.Outcome == record.Problems {
		kind = "warning"
	}
	r.Say(kind, summary)
	if x.hint != "" {
		r.Say("hint", x.hint)
	}
	if x.Exit != outcome.Interrupted {
		r.Say("hint", fmt.Sprintf("nightjar run %s runs it again", shellWord(x.Name)))
	}
}

// shellWord writes a word as a shell reads it.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == "" && !strings.HasPrefix(s, "-") {
		return s
	}
	return "-- '" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// summary says how a run went. It has names and errors as they are.
func (r *jobRuns) summary(x *jobRun, event string) string {
	text := "job " + x.Name
	if event == "before" {
		return text + " on " + r.HostName + " begins"
	}
	took := human.Elapsed(x.End.Sub(x.Start))
	if x.Outcome != record.Done {
		text += fmt.Sprintf(" %s after %s (%s)", map[record.Outcome]string{record.Problems: "met with problems", record.Failed: "failed"}[x.Outcome], took, outcome.Words(x.Exit))
		if x.Error != "" {
			text += ": " + x.Error
		}
		return text
	}
	text += " done in " + took
	if x.Archive != "" {
		text += ": archive " + x.Archive[:8]
		if n, ok := x.Figures["bytes"]; ok {
			text += fmt.Sprintf(", %s, %s added", human.Size(n), human.Size(x.Figures["bytes_stored"]))
		}
		if why := x.Notes["no-position"]; why != "" {
			text += ", no position: " + why
		}
	}
	return text
}

// end prints what --json does, and returns the error that has the exit code.
func (r *jobRuns) end(ctx context.Context, decisions []job.Decision) error {
	if r.JSON {
		if err := r.printRuns(); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case r.worst != outcome.Done:
		told := outcome.Told{Exit: r.worst}
		if len(r.ran) > 1 && len(r.failed) > 0 && !r.log.Alone {
			told.What = fmt.Sprintf("jobs that failed, or met with problems: %d of %d: %s", len(r.failed), len(r.ran), strings.Join(r.failed, ", "))
		}
		return told
	case r.flags.due && r.Chatty() && !r.JSON && !slices.ContainsFunc(decisions, func(d job.Decision) bool { return d.Due }):
		next := job.Decision{}
		for _, d := range decisions {
			if !d.Next.IsZero() && (next.Next.IsZero() || d.Next.Before(next.Next)) {
				next = d
			}
		}
		if next.Next.IsZero() {
			r.Note("nothing is due, and nothing has a schedule")
		} else {
			r.Note("nothing is due; next is job %s, at %s", quote.Display(next.Job), human.Time(next.Next))
		}
	}
	return nil
}

// printRuns prints all runs as JSON; texts are as package quote writes them.
func (r *jobRuns) printRuns() error {
	type runJSON struct {
		Job     string            `json:"job"`
		Kind    string            `json:"kind"`
		Outcome record.Outcome    `json:"outcome"`
		Exit    int               `json:"exit"`
		Error   string            `json:"error,omitempty"`
		Hint    string            `json:"hint,omitempty"`
		Archive string            `json:"archive,omitempty"`
		Start   time.Time         `json:"start"`
		End     time.Time         `json:"end"`
		Due     time.Time         `json:"due,omitzero"`
		Figures map[string]uint64 `json:"figures,omitempty"`
		Notes   map[string]string `json:"notes,omitempty"`
		Result  json.RawMessage   `json:"result,omitempty"` // what the job printed itself
	}
	all := []runJSON{}
	for _, x := range r.ran {
		all = append(all, runJSON{quote.Text(x.Name), x.Job.Kind, x.Outcome, x.Exit, quote.Text(x.Error), quote.Text(x.hint), x.Archive, x.Start.UTC(), x.End.UTC(), x.Due, x.Figures, x.Notes, x.result})
	}
	return r.PrintJSON(map[string]any{"jobs": all})
}

// printPlan says what is due, and when.
func (r *jobRuns) printPlan(decisions []job.Decision) error {
	if r.JSON {
		type planJSON struct {
			Job    string    `json:"job"`
			Due    bool      `json:"due"`
			At     time.Time `json:"at,omitzero"`
			Next   time.Time `json:"next,omitzero"`
			Reason string    `json:"reason"`
		}
		all := []planJSON{}
		for _, d := range decisions {
			all = append(all, planJSON{quote.Text(d.Job), d.Due, d.At.UTC(), d.Next.UTC(), d.Reason})
		}
		return r.PrintJSON(map[string]any{"jobs": all})
	}
	return r.Print(func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "JOB\tDUE\tNEXT\tWHY")
		for _, d := range decisions {
			due, next := "", ""
			if d.Due {
				due = "now"
			}
			if !d.Next.IsZero() {
				next = human.Time(d.Next)
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", quote.Display(d.Job), due, next, d.Reason)
		}
		_ = t.Flush() // w keeps its error
	})
}

// zone returns the name of this machine's zone, for those who read the schedule elsewhere.
func (r *jobRuns) zone() string {
	name, _ := calendar.ZoneName(r.Getenv("TZ"), time.Local)
	short, _ := r.Now().Zone()
	return cmp.Or(name, short, "UTC")
}
