package monitor

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/overview"
	"nightjar/cmd/nightjar/internal/recorded"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/job/history"
	"nightjar/repo/keyring"
)

// StatusCommand makes the command nightjar status.
func StatusCommand(a *app.App) *cobra.Command {
	var o overview.Options
	c := &cobra.Command{
		Use:   "status",
		Short: "Say how each job of each host stands",
		Long: `Say of each job of each host when it last succeeded, how its last run ended, when it is due next, what its newest archive has, and when a drill last
proved that its archives can be restored. The repository says it, so any host with a host key can ask.

A job is overdue when it should have succeeded again by now; only jobs that run by the schedule of a job file can be. Exit code 3 if a job is overdue, or failed
when it ran last. Jobs that were taken out of their job file, jobs of hosts that are no longer enrolled, and those that --ignore names are shown, and never the reason for it.
Files that could not be read are none, either.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return status(c.Context(), a, o) },
	}
	f := c.Flags()
	f.StringVar(&o.Host, "host", "", "only jobs of this host")
	f.StringVar(&o.Job, "job", "", "only jobs of this name")
	f.StringArrayVar(&o.Ignore, "ignore", nil, "a job that is no reason for an alarm, as one that is no more: `JOB`, or HOST:JOB; may be repeated")
	return c
}

func status(ctx context.Context, a *app.App, o overview.Options) error {
	a.WarnOfZone()
	o.Now = a.Now()
	jobs, failed := repositoryJobs(ctx, a, &o)
	m := readJobs(ctx, a)
	m.tell(&o)
	if failed != nil && len(m.jobs) == 0 {
		return failed
	}
	lines := overview.Lines(jobs, o)
	unknown := failed == nil && len(lines) == 0 && (o.Host != "" || o.Job != "") // a name that is misspelt must not pass for a job that is well
	var err error
	if a.JSON {
		err = a.PrintJSON(append([]overview.Line{}, lines...))
	} else if !unknown {
		err = a.Print(func(w io.Writer) { overview.Show(w, lines, o.Now, app.Columns(a.Out)) })
	}
	switch {
	case err != nil:
		return err
	case failed != nil:
		a.Note("the repository could not be read: this is what this machine knows of its own jobs")
		return failed
	case unknown:
		return usage.Hinted{Err: usage.Errorf("no job is known%s", asked(o)), Hint: "nightjar status shows all jobs of all hosts"}
	}
	return alarm(lines)
}

// repositoryJobs reads what the repository says of all jobs.
func repositoryJobs(ctx context.Context, a *app.App, o *overview.Options) ([]history.Job, error) {
	s, err := a.Open(ctx, session.ReadMetadata)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	archives, err := recorded.History(ctx, s)
	if err != nil {
		return nil, err
	}
	o.Enrolled = enrolled(s.Keyring, o.Now)
	return history.Read(archives, o.Now), nil
}

// enrolled reports whether hosts still are.
func enrolled(keys *keyring.Keyring, now time.Time) func(host string) bool {
	live := map[string]bool{}
	for _, h := range keys.Hosts() {
		live[h.Name] = slices.ContainsFunc(h.Certificates, func(c keyring.Certificate) bool { return c.Until.IsZero() || c.Holds(now) })
	}
	return func(host string) bool { return live[host] }
}

// asked says which jobs are asked for, as on the command line.
func asked(o overview.Options) (text string) {
	if o.Host != "" {
		text = fmt.Sprintf(" of --host %q", o.Host)
	}
	if o.Job != "" {
		text += fmt.Sprintf(" of --job %q", o.Job)
	}
	return text
}

// alarm is the error for jobs that are overdue or failed; nil if there are none.
func alarm(lines []overview.Line) error {
	var which []string
	for i := range lines {
		if l := &lines[i]; l.Alarm {
			which = append(which, fmt.Sprintf("%s:%s (%s)", l.Host, l.Job, l.State))
		}
	}
	const most = 10
	if n := len(which); n > most {
		which = append(which[:most], fmt.Sprintf("and %d more", n-most))
	}
	if len(which) == 0 {
		return nil
	}
	return outcome.Problems{What: fmt.Sprintf("jobs that are overdue, or failed: %s", strings.Join(which, ", "))}
}
