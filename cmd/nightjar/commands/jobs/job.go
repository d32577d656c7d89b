package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/hook"
	"nightjar/cmd/nightjar/internal/jobstate"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/runner"
	"nightjar/internal/quote"
	"nightjar/job"
	"nightjar/job/jobfile"
	"nightjar/job/record"
)

// lastCalls is how long hooks may take after an interrupt, also of a hook itself.
const lastCalls = 20 * time.Second

// lastly returns a context for hooks that tell how a job ended: it ends lastCalls after ctx.
func lastly(ctx context.Context) (context.Context, context.CancelFunc) {
	late, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		time.AfterFunc(lastCalls, func() { cancel(fmt.Errorf("it did not end within %v of an interrupt", lastCalls)) })
	})
	return late, func() { stop(); cancel(nil) }
}

// A jobRun is one run of a job.
type jobRun struct {
	jobfile.Job
	record.Record
	For    time.Time // the time of the schedule that it is for, or that it makes unnecessary; zero: none
	hint   string
	result []byte // of the job itself
	host   string // by which the repository knows this machine; empty: unknown
}

// one runs a job, if no other process does. d is nil if it was asked for by name.
func (r *jobRuns) one(ctx context.Context, j jobfile.Job, d *job.Decision, now time.Time) {
	lock, err := r.states.Lock(j.Name)
	if err != nil {
		r.unbegun(ctx, j, err)
		return
	}
	if lock == nil {
		if d == nil {
			r.untold(j, errUnderWay)
		} else if r.Verbose {
			r.Note("job %s: %v", quote.Display(j.Name), errUnderWay)
		}
		return
	}
	defer lock.Close()
	s := r.state(j.Name)
	s.File, s.Gone = r.file.Path, time.Time{}
	if d != nil {
		again := job.Plan(now, time.Local, r.HostName, []jobfile.Job{j}, map[string]job.State{j.Name: s.State})[0]
		if !again.Due {
			return
		}
		d = &again
	}
	x := &jobRun{Job: j, Record: record.Record{Job: j.Name, Kind: j.Kind, Start: r.Now(), Schedule: cronOf(j), Zone: r.zone()}}
	if d != nil {
		x.Due, x.For = d.At, d.For
	} else if j.Scheduled() {
		x.For = job.Plan(x.Start, time.Local, r.HostName, []jobfile.Job{j}, nil)[0].For
	}
	if d != nil {
		if !s.For.Equal(d.For) {
			s.Tries = 0
		}
		s.For, s.Start, s.End, s.Outcome = d.For, x.Start, time.Time{}, ""
		s.Tries++
		if err := r.states.Write(j.Name, s); err != nil {
			r.unbegun(ctx, j, err) // it would be run again and again
			return
		}
	}
	r.began(x)
	r.do(ctx, x, &s)
	r.finish(ctx, x, &s)
}

var errUnderWay = errors.New("another run of it is under way")

// untold is of a job that was not even begun.
func (r *jobRuns) untold(j jobfile.Job, err error) {
	r.tell("error", fmt.Sprintf("job %s was not run: %v", j.Name, err))
	exit := outcome.Code(context.Background(), err)
	r.count(j.Name, exit)
	if exit == outcome.Usage {
		r.tell("hint", "nightjar config check tells all that is wrong with it")
		return
	}
	if hint := outcome.Hint(err, "nightjar run"); hint != "" {
		r.tell("hint", hint)
	}
}

// unbegun is of a job that was to run and cannot: that, too, is a failure to those who read no more than what hooks say.
func (r *jobRuns) unbegun(ctx context.Context, j jobfile.Job, err error) {
	r.untold(j, err)
	now := r.Now()
	x := &jobRun{Job: j, Record: record.Record{Job: j.Name, Kind: j.Kind, Start: now, End: now, Outcome: record.Failed, Exit: outcome.Code(ctx, err), Error: "it was not begun: " + err.Error()}}
	r.lastHooks(ctx, x)
}

func cronOf(j jobfile.Job) string {
	if !j.Scheduled() {
		return ""
	}
	return j.Schedule.Cron.String()
}

// do runs a job between its hooks, and says in its record how that ended.
func (r *jobRuns) do(ctx context.Context, x *jobRun, s *jobstate.State) {
	for _, hooks := range []jobfile.Hooks{x.Hooks, r.file.Hooks} {
		if failed := r.hooks(ctx, x, "before", hooks.Before); len(failed) > 0 {
			x.Outcome, x.Exit, x.Error = record.Failed, outcome.Failed, "it was not begun, since what was to run before it failed: "+failed[0].Error()
			if ctx.Err() != nil {
				x.Exit = outcome.Interrupted
			}
			x.End = r.Now()
			return
		}
	}
	child := runner.Child{Name: "job " + x.Name, Args: r.childArgs(job.Command(x.Job)), Env: r.childEnviron(), Line: r.passOn(x)}
	if x.Follows() {
		child.Each = func(result []byte) { r.alive(ctx, x, s, result) }
	}
	ran, err := runner.Run(ctx, child)
	x.End = r.Now()
	x.Exit, x.Error, x.hint, x.result = ran.Exit, ran.Error, ran.Hint, ran.Result
	x.told()
	switch {
	case ran.Exit == outcome.Done:
		x.Outcome = record.Done
	case err != nil && ctx.Err() != nil && x.Follows(): // until it is stopped, which is no failure
		x.Outcome, x.Exit, x.Error, x.hint = record.Done, outcome.Done, "", ""
	case ran.Exit == outcome.WithProblems, ran.Exit == outcome.Integrity && x.Archive != "":
		x.Outcome = record.Problems
	default:
		x.Outcome = record.Failed
		if err != nil && ctx.Err() != nil {
			x.Error, x.hint = "it was interrupted", "" // what the job said of that helps nobody
		}
	}
	if x.Outcome != record.Failed {
		r.keep(ctx, x)
	}
}

// told takes what the result tells. A service's last archive says of itself when it was made, which is not when the service was heard of.
func (x *jobRun) told() {
	f := runner.Read(x.result)
	x.Archive, x.host, x.Figures, x.Notes = f.Archive, f.Host, f.Numbers, f.Notes
	if x.Follows() {
		x.Archive = ""
	}
}

// keep gives up what no rule of the job keeps.
func (r *jobRuns) keep(ctx context.Context, x *jobRun) {
	if x.Keep == nil || x.host == "" {
		return
	}
	rules := job.Flags(x.Keep)
	if len(rules) == 0 {
		return
	}
	args := append([]string{"forget", "--job=" + x.Name, "--host=" + x.host}, rules...)
	ran, _ := runner.Run(ctx, runner.Child{Name: "retention of job " + x.Name, Args: r.childArgs(args), Env: r.childEnviron(), Line: r.passOn(x)})
	for name, n := range runner.Read(ran.Result).Numbers {
		if strings.HasPrefix(name, "archives_") {
			x.Figures[name] = n
		}
	}
	if ran.Exit == outcome.Done {
		return
	}
	x.Outcome = record.Problems
	x.Error, x.hint = strings.TrimPrefix(x.Error+"; ", "; ")+fmt.Sprintf("its old archives were not given up (%s): %s", outcome.Words(ran.Exit), ran.Error), cmp.Or(x.hint, ran.Hint)
	if x.Exit = outcome.WithProblems; ran.Exit == outcome.Integrity {
		x.Exit = outcome.Integrity
	}
}

// childArgs returns the command line of a nightjar that does something of a job.
func (r *jobRuns) childArgs(args []string) []string {
	flags := []string{"--json"}
	if !r.Verbose {
		flags = append(flags, "--quiet")
	}
	return slices.Concat(r.command, flags, args)
}

// childEnviron returns the environment of a nightjar: with the secrets that no other program has.
func (r *jobRuns) childEnviron() []string {
	env := slices.Clone(r.environ)
	for _, name := range app.SecretVariables {
		value := r.Getenv(name)
		switch name {
		case "PASSPHRASE":
			value = r.Passphrase
		case "SIGN_PASSPHRASE":
			value = r.SignPassphrase
		}
		if value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// hooks runs hooks of one list with what is known of a run.
func (r *jobRuns) hooks(ctx context.Context, x *jobRun, event string, list []any) []error {
	hooks, err := jobfile.HooksOf(list)
	if err != nil {
		return []error{err}
	}
	if len(hooks) == 0 {
		return nil
	}
	data := map[string]string{
		"NIGHTJAR_EVENT": event, "NIGHTJAR_JOB": x.Name, "NIGHTJAR_KIND": x.Job.Kind, "NIGHTJAR_HOST": cmp.Or(x.host, r.HostName), "NIGHTJAR_START": x.Start.UTC().Format(time.RFC3339),
	}
	if event != "before" {
		data["NIGHTJAR_OUTCOME"], data["NIGHTJAR_EXIT"], data["NIGHTJAR_ERROR"], data["NIGHTJAR_ARCHIVE"] = string(x.Outcome), strconv.Itoa(x.Exit), quote.Display(x.Error), x.Archive
		data["NIGHTJAR_SECONDS"] = strconv.FormatInt(int64(x.End.Sub(x.Start).Seconds()), 10)
	}
	return hook.Run(ctx, hooks, hook.Options{Environ: r.environ, Data: data, Text: quote.Display(r.summary(x, event))}, event == "before")
}

// finish remembers, tells and records how a job ended, and runs the hooks for that.
func (r *jobRuns) finish(ctx context.Context, x *jobRun, s *jobstate.State) {
	interrupted := ctx.Err() != nil && x.Exit == outcome.Interrupted
	r.remember(x, s, interrupted)
	r.ended(x)
	r.lastHooks(ctx, x)
	r.record(ctx, x, s)
}

// lastHooks runs the hooks that tell how a job ended.
func (r *jobRuns) lastHooks(ctx context.Context, x *jobRun) {
	after, done := lastly(ctx)
	defer done()
	for _, hooks := range []jobfile.Hooks{x.Hooks, r.file.Hooks} {
		event, list := "after", hooks.After
		if x.Outcome != record.Done {
			event, list = "failure", hooks.Failure
		}
		for _, err := range r.hooks(after, x, event, list) {
			r.warn(fmt.Errorf("job %s: %w", x.Name, err))
		}
	}
}

// remember takes into the state how a run ended.
func (r *jobRuns) remember(x *jobRun, s *jobstate.State, interrupted bool) {
	s.Outcome, s.Exit, s.Error, s.Hint, s.Archive, s.Figures, s.Notes, s.Result = x.Outcome, x.Exit, x.Record.Error, x.hint, x.Archive, x.Figures, x.Notes, string(x.result)
	s.Start, s.Kind = x.Start, x.Job.Kind
	if !x.Due.IsZero() && !interrupted { // else it is made up for
		s.End = x.End
	}
	if x.Outcome != record.Failed {
		s.Success, s.End = x.End, x.End
		if x.For.After(s.For) {
			s.For, s.Tries = x.For, 0
		}
		s.Overdue = job.Overdue(x.Job, x.End, x.End.Sub(x.Start), time.Local, r.HostName)
	} else if s.Overdue.IsZero() && !x.For.IsZero() { // it never succeeded
		s.Overdue = job.Overdue(x.Job, x.Start, 0, time.Local, r.HostName)
	}
	x.Record.Overdue = s.Overdue
	if err := r.states.Write(x.Name, *s); err != nil {
		r.warn(err)
	}
}
