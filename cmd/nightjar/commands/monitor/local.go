package monitor

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/jobstate"
	"nightjar/cmd/nightjar/internal/overview"
	"nightjar/job"
	"nightjar/job/history"
)

// A readJobs is what this machine knows of its own jobs.
type machineJobs struct {
	here    string // its name in the repository; empty: it has none that it knows
	jobs    []overview.Local
	pending int // records that wait
}

// readJobs reads the job file's jobs and how they ran. There are none where another repository is asked.
func readJobs(ctx context.Context, a *app.App) machineJobs {
	m := machineJobs{here: a.Here(ctx)}
	folder, err := a.StateFolder()
	if err != nil {
		return m
	}
	states := jobstate.In(folder)
	waiting, err := states.Waiting()
	if err != nil {
		a.Warn(err)
	}
	for _, n := range waiting {
		m.pending += n
	}
	if a.File == nil || a.File.Repository.URL != "" && a.File.Repository.URL != a.Repo {
		return m
	}
	m.here = cmp.Or(m.here, a.HostName)
	var since time.Time // before the file was written nothing could be run
	if info, err := os.Stat(a.File.Path); err == nil {
		since = info.ModTime()
	}
	jobs, known, plain := a.File.Jobs(), map[string]jobstate.State{}, map[string]job.State{}
	for _, j := range jobs {
		s, err := states.Read(j.Name)
		if err != nil {
			a.Warn(fmt.Errorf("%w; it counts as none", err))
		}
		known[j.Name], plain[j.Name] = s, s.State
	}
	next := map[string]time.Time{}
	for _, d := range job.Plan(a.Now(), time.Local, a.HostName, jobs, plain) {
		next[d.Job] = d.Next
	}
	for _, j := range jobs {
		s := known[j.Name]
		l := overview.Local{Job: j.Name, Kind: j.Kind, Ran: s.Outcome != "" && !s.End.IsZero(), Waiting: waiting[j.Name] > 0, Due: next[j.Name], Overdue: s.Overdue, Success: s.Success}
		if s.Notes[history.Running] != "" {
			l.Running = s.Start
		}
		switch {
		case l.Ran:
			l.Last = overview.Run{Ended: s.End, Outcome: s.Outcome, Exit: s.Exit, Error: s.Error, Duration: max(s.End.Sub(s.Start), 0).Seconds(), Recorded: s.As == s.Outcome, Figures: s.Figures, Stored: overview.Stored(s.Notes)}
		case j.Follows():
			continue // it is a service, and its archives tell of it
		case l.Overdue.IsZero() && !since.IsZero():
			l.Overdue = job.Overdue(j, since, 0, time.Local, a.HostName)
		}
		m.jobs = append(m.jobs, l)
	}
	return m
}

// tell has an overview tell what the machine knows, too.
func (m *machineJobs) tell(o *overview.Options) { o.Here, o.Local = m.here, m.jobs }
