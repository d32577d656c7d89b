package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/jobstate"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/runlog"
	"nightjar/cmd/nightjar/internal/runner"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/job"
	"nightjar/job/jobfile"
)

type runFlags struct {
	all, due, dryRun, noRecord bool
}

// RunCommand makes the command nightjar run.
func RunCommand(a *app.App) *cobra.Command {
	var o runFlags
	c := &cobra.Command{
		Use:   "run JOB... | run --all | run --due",
		Short: "Run jobs of the job file: those that are named, all, or what is due",
		Long: `Run jobs of the job file, one after another: those that are named, all of them, or with --due those that are due by their schedules and were not run yet. A line of
crontab, or a timer of systemd, says run --due every ten minutes: nightjar schedule writes it.

Each job is run by a nightjar of its own. One that fails keeps no other from being run; the exit code is the worst. How each run ended is recorded in the repository, as an
archive of kind run, which nightjar list --kind run shows. doc/schedule.md says all about it.`,
		RunE: func(c *cobra.Command, names []string) error { return runJobs(a, c, &o, names) },
	}
	f := c.Flags()
	f.BoolVar(&o.all, "all", false, "run all jobs but those that are services")
	f.BoolVar(&o.due, "due", false, "run what is due, in the order in which it became due")
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, "only say what would be run, and when each job is due next")
	f.BoolVar(&o.noRecord, "no-record", false, "write no record of the runs to the repository")
	return c
}

// jobRuns are one call of nightjar run.
type jobRuns struct {
	*app.App
	file    *jobfile.File
	flags   *runFlags
	states  jobstate.Folder
	command []string // nightjar itself, with the flags of every child
	environ []string // of hooks: without secrets
	log     *runlog.Log

	mu     sync.Mutex
	ran    []*jobRun // that came to an end
	failed []string  // the names of those that failed, or met with problems
	worst  int       // exit code
}

func runJobs(a *app.App, c *cobra.Command, o *runFlags, names []string) error {
	ways := 0
	for _, is := range []bool{o.all, o.due, len(names) > 0} {
		if is {
			ways++
		}
	}
	if ways != 1 {
		return usage.Errorf("say which jobs: their names, --all, or --due")
	}
	a.WarnOfZone()
	r, err := newJobRuns(a, c, o)
	if err != nil {
		return err
	}
	jobs, err := chosenJobs(r.file.Jobs(), o, names)
	if err != nil {
		return err
	}
	if r.log, err = runlog.Open(r.file.Log, a.Err, a.Getenv("JOURNAL_STREAM")); err != nil {
		return err
	}
	defer r.log.Close()
	jobs = r.rightJobs(jobs)
	now := a.Now()
	decisions := job.Plan(now, time.Local, a.HostName, jobs, r.plainStates(jobs))
	if o.dryRun {
		return r.printPlan(decisions)
	}
	ctx := c.Context()
	if o.due {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		r.runDue(ctx, jobs, decisions, now, tick.C)
	} else {
		for _, j := range jobs {
			if ctx.Err() == nil {
				r.one(ctx, j, nil, now)
			}
		}
	}
	r.lastRecords(ctx)
	r.publish(ctx)
	return r.end(ctx, decisions)
}

// newJobRuns prepares what all jobs have in common.
func newJobRuns(a *app.App, c *cobra.Command, o *runFlags) (*jobRuns, error) {
	file, err := a.JobFile()
	if err != nil {
		return nil, err
	}
	state, err := a.StateFolder()
	if err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	r := &jobRuns{App: a, file: file, flags: o, states: jobstate.In(state), command: []string{program, "--config=" + file.Path}}
	if r.environ, err = a.Environ(); err != nil {
		return nil, err
	}
	c.Root().PersistentFlags().VisitAll(func(f *pflag.Flag) { // Visit knows only of those that were parsed for the root itself
		if !f.Changed || slices.Contains([]string{"config", "json", "quiet", "verbose"}, f.Name) || c.Flags().Lookup(f.Name) != f {
			return
		}
		values := []string{f.Value.String()}
		if many, ok := f.Value.(pflag.SliceValue); ok {
			values = many.GetSlice()
		}
		for _, v := range values {
			r.command = append(r.command, "--"+f.Name+"="+v)
		}
	})
	return r, nil
}

// chosenJobs returns the jobs that are meant, those that are named in that order.
func chosenJobs(all []jobfile.Job, o *runFlags, names []string) ([]jobfile.Job, error) {
	if o.due {
		return all, nil
	}
	if o.all {
		all = slices.DeleteFunc(all, jobfile.Job.Follows)
		slices.SortStableFunc(all, func(x, y jobfile.Job) int { return cmp.Compare(x.Rank(), y.Rank()) })
		return all, nil
	}
	var some []jobfile.Job
	for _, name := range names {
		i := slices.IndexFunc(all, func(j jobfile.Job) bool { return j.Name == name })
		if i < 0 {
			return nil, usage.Hinted{Err: usage.Errorf("there is no job %q in the job file", name), Hint: "there are " + namesOf(all)}
		}
		some = append(some, all[i])
	}
	return some, nil
}

// rightJobs leaves out the jobs with which something is wrong in the file: another one's slip keeps none from being run.
func (r *jobRuns) rightJobs(jobs []jobfile.Job) []jobfile.Job {
	var faults *jobfile.Faults
	if _, err := r.ReadFile(); !errors.As(err, &faults) {
		return jobs
	}
	return slices.DeleteFunc(jobs, func(j jobfile.Job) bool {
		i := slices.IndexFunc(faults.All, func(f jobfile.Fault) bool { return f.Job == j.Name })
		if i >= 0 {
			r.untold(j, usage.Error{Err: fmt.Errorf("job file %s: %s", faults.Path, faults.All[i])})
		}
		return i >= 0
	})
}

func namesOf(jobs []jobfile.Job) string {
	const most = 20
	var names []string
	for _, j := range jobs[:min(most, len(jobs))] {
		names = append(names, quote.Display(j.Name))
	}
	if len(jobs) > most {
		names = append(names, "…")
	}
	return cmp.Or(strings.Join(names, ", "), "none at all")
}

// plainStates reads what is remembered of jobs. What cannot be read is told of, and counts as nothing.
func (r *jobRuns) plainStates(jobs []jobfile.Job) map[string]job.State {
	all := map[string]job.State{}
	for _, j := range jobs {
		all[j.Name] = r.state(j.Name).State
	}
	return all
}

func (r *jobRuns) state(name string) jobstate.State {
	s, err := r.states.Read(name)
	if err != nil {
		r.warn(fmt.Errorf("%w; it counts as none", err))
	}
	return s
}

// lookEvery is how often a run looks for what else has become due, while a job takes long.
const lookEvery = 10 * time.Minute

// runDue runs what is due, one job after another. While one takes long, what becomes due meanwhile is run beside it: a timer of systemd starts no second process for that, as cron
// does.
func (r *jobRuns) runDue(ctx context.Context, jobs []jobfile.Job, decisions []job.Decision, now time.Time, tick <-chan time.Time) {
	ended := make(chan struct{})
	begin := func(now time.Time, plan []job.Decision) {
		go func() {
			r.lane(ctx, now, jobs, plan)
			ended <- struct{}{}
		}()
	}
	begin(now, decisions)
	for lanes := 1; lanes > 0; {
		select {
		case <-ended:
			lanes--
		case <-tick:
			later := r.Now()
			plan := job.Plan(later, time.Local, r.HostName, jobs, r.plainStates(jobs))
			if ctx.Err() == nil && slices.ContainsFunc(plan, func(d job.Decision) bool { return d.Due || d.Tend }) {
				lanes++
				begin(later, plan)
			}
		}
	}
}

// lane runs what is due of a plan. Between the plan and a job's turn another process may have run it: so it is looked at again, as of the same time.
func (r *jobRuns) lane(ctx context.Context, now time.Time, jobs []jobfile.Job, plan []job.Decision) {
	for _, d := range plan {
		if ctx.Err() != nil {
			return
		}
		i := slices.IndexFunc(jobs, func(j jobfile.Job) bool { return j.Name == d.Job })
		switch {
		case d.Due:
			r.one(ctx, jobs[i], &d, now)
		case d.Tend:
			r.tend(ctx, jobs[i])
		}
	}
}

// tend goes on with what the last run of a job has begun. That is no run of its own: it is told of only if it fails.
func (r *jobRuns) tend(ctx context.Context, j jobfile.Job) {
	lock, err := r.states.Lock(j.Name)
	if err != nil || lock == nil {
		return
	}
	defer lock.Close()
	x := &jobRun{Job: j}
	ran, _ := runner.Run(ctx, runner.Child{Name: "job " + j.Name, Args: r.childArgs(job.Command(j)), Env: r.childEnviron(), Line: r.passOn(x)})
	if ran.Exit == outcome.Done || ctx.Err() != nil {
		return
	}
	r.count(j.Name, ran.Exit)
	r.tell("warning", fmt.Sprintf("job %s could not go on with what its last run began (%s): %s", j.Name, outcome.Words(ran.Exit), ran.Error))
	if ran.Hint != "" {
		r.tell("hint", ran.Hint)
	}
}

// badness orders exit codes, from good to bad.
var badness = []int{outcome.Done, outcome.WithProblems, outcome.Archived, outcome.Failed, outcome.Usage, outcome.NoRepository, outcome.Key, outcome.Integrity, outcome.Interrupted}

// count takes in how a job ended.
func (r *jobRuns) count(name string, exit int) {
	if exit == outcome.Done {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = append(r.failed, name)
	if !slices.Contains(badness, exit) {
		exit = outcome.Failed
	}
	if slices.Index(badness, exit) > slices.Index(badness, r.worst) {
		r.worst = exit
	}
}
