package keep

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/ec2flags"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/timer"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/calendar"
	"nightjar/internal/child"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/job/record"
	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/plan"
	"nightjar/snapshot/prune"
	"nightjar/snapshot/sets"
)

// maxTaken is how much ebs take may print.
const maxTaken = 1 << 20

type scheduleFlags struct {
	*ec2flags.Flags
	choice
	copying
	costing
	keep              keep
	at                []string
	crons             []calendar.Cron
	due, run, systemd bool
}

// ScheduleCommand makes the command nightjar ebs schedule.
func ScheduleCommand(a *app.App, e *ec2flags.Flags) *cobra.Command {
	o := scheduleFlags{Flags: e}
	c := &cobra.Command{
		Use:   "schedule --job JOB --at CRON [-- FLAGS OF EBS TAKE]",
		Short: "Take, copy and prune sets by a schedule: print it for cron or systemd, say what is due, or do it",
		Long: `Take, copy and prune sets of snapshots by a schedule. Without --due and --run this prints a line for crontab, or with --systemd a timer, that says
the same with --run every ten minutes: nightjar itself then looks whether a set is due, by what EC2 has. So a start that was missed is made up for, and one that
came twice does nothing. Each run also begins the copies that it can, and deletes what no rule keeps.

What --at says is by this machine's clock (TZ), five fields as in crontab(5). When clocks go forward, 02:30 is due at 03:00; when they go back, once. After -- stand the
flags of nightjar ebs take. Where they name no --instance, --volume or --volume-tag, the sets of this machine are meant, which take labels with its name.`,
		RunE: func(c *cobra.Command, args []string) error { return schedule(a, c, &o, args) },
	}
	f := c.Flags()
	o.choice.bind(f)
	f.Lookup("host").Usage = "only the sets of this `HOST` (default: this machine, unless others are named after --)"
	o.copying.bind(f, "", "copies-")
	o.keep.bind(f, "", "")
	o.costing.bind(f)
	f.StringArrayVar(&o.at, "at", nil, "when a set is due: a `CRON` expression such as \"30 2 * * *\"; may be repeated")
	f.BoolVar(&o.due, "due", false, "only say whether a set is due, and when the next one is")
	f.BoolVar(&o.run, "run", false, "take what is due, begin copies, and delete what no rule keeps")
	f.BoolVar(&o.systemd, "systemd", false, "print a service and a timer of systemd")
	return c
}

// beforeDashes are flags of ebs take that say, too, where and for what a schedule looks: with another one it would take a set each time.
var beforeDashes = []string{"--job", "--class", "--region", "--profile", "--endpoint"}

// otherVolumes are flags of ebs take by which it takes others' volumes than this instance's.
var otherVolumes = []string{"--instance", "--volume", "--volume-tag"}

// ownHost has a schedule for this instance go by the host that ebs take labels its sets with.
func (o *scheduleFlags) ownHost(host string, args []string) error {
	for _, arg := range args {
		if name, _, _ := strings.Cut(arg, "="); slices.Contains(otherVolumes, name) {
			return nil
		}
	}
	if o.host != "" && o.host != host && !o.due {
		return usage.Errorf("--host %s: sets of this instance are of host %s; name another with --instance after the --", o.host, host)
	}
	o.host = cmp.Or(o.host, host)
	return nil
}

// check reads what can be wrong with the command line.
func (o *scheduleFlags) check(args []string) error {
	switch {
	case len(o.at) == 0:
		return usage.Errorf("say when: --at \"30 2 * * *\"")
	case o.job == "":
		return usage.Errorf("--job: it needs a name")
	case o.due && o.run, o.due && o.systemd, o.run && o.systemd:
		return usage.Errorf("--due, --run and --systemd exclude each other")
	}
	for _, text := range o.at {
		c, err := calendar.ParseCron(text)
		if err != nil {
			return usage.Errorf("--at: %w", err)
		}
		o.crons = append(o.crons, c)
	}
	for _, arg := range args {
		if arg == "" {
			return usage.Errorf("after the -- an argument is empty, which no flag of nightjar ebs take is")
		}
		if name, _, _ := strings.Cut(arg, "="); slices.Contains(beforeDashes, name) {
			return usage.Errorf("%s: it stands before the --", arg)
		}
	}
	if err := errors.Join(o.copying.check(), o.costing.check()); err != nil {
		return err
	}
	return o.keep.read()
}

func schedule(a *app.App, c *cobra.Command, o *scheduleFlags, args []string) error {
	if err := o.check(args); err != nil {
		return err
	}
	if err := o.ownHost(a.HostName, args); err != nil {
		return err
	}
	ctx := c.Context()
	if !o.due && !o.run {
		return timerOf(a, c.Flags(), o, args)
	}
	e, err := o.Open(ctx, a)
	if err != nil {
		return err
	}
	if e.Region == o.to {
		return usage.Errorf("--to-region %s: that is where the sets are", o.to)
	}
	if o.run {
		lock, err := alone(a, e.Region, &o.choice)
		if err != nil {
			return err
		}
		if lock == nil {
			return underWay(a)
		}
		defer lock.Close()
	}
	t, err := o.look(ctx, a, e)
	if err != nil {
		return err
	}
	if o.due {
		return showDue(a, &t)
	}
	told := ranJSON{Due: t.Due, Reason: t.Reason}
	err = run(ctx, a, e, o, args, &told)
	tellStored(ctx, a, e, o, &told)
	if shown := printTold(a, &told); err == nil {
		err = shown
	}
	return err
}

// ranJSON is what --json tells of a run, as far as it came.
type ranJSON struct {
	Due    bool            `json:"due"` // false, too, where another run is under way
	Reason string          `json:"reason"`
	Taken  json.RawMessage `json:"taken,omitempty"`  // as nightjar ebs take tells it
	Copied any             `json:"copied,omitempty"` // as nightjar ebs copy does
	Pruned any             `json:"pruned,omitempty"` // as nightjar ebs prune does
	Stored []record.Stored `json:"stored,omitempty"` // as nightjar ebs cost does, without amounts
}

// tellStored tells programs what the sets take. That it cannot be found out is no fault of the run.
func tellStored(ctx context.Context, a *app.App, e *cloud.Cloud, o *scheduleFlags, told *ranJSON) {
	if !a.JSON || ctx.Err() != nil {
		return
	}
	var copies []string
	if o.to != "" {
		copies = []string{o.to}
	}
	var err error
	if told.Stored, err = stored(ctx, a, e, &o.choice, copies, &o.costing); err != nil {
		a.Warn(fmt.Errorf("what the snapshots cost is not known: %w", err))
	}
}

// underWay says that another run does what this one would.
func underWay(a *app.App) error {
	const why = "another run of this schedule is under way"
	if a.JSON {
		return a.PrintJSON(ranJSON{Reason: why})
	}
	a.Note(why)
	return nil
}

// run takes a set if one is due, copies and prunes. What was not taken keeps nothing from being copied, nor a set with problems the others from being pruned.
func run(ctx context.Context, a *app.App, e *cloud.Cloud, o *scheduleFlags, args []string, told *ranJSON) (err error) {
	taken := false
	if told.Due {
		told.Taken, err = takeDue(ctx, a, e, o, args)
		taken = err == nil || errors.As(err, new(outcome.Problems))
	}
	far := extent{force: true} // a schedule begins with no sets
	var later error
	if o.to != "" && ctx.Err() == nil {
		told.Copied, later = copied(ctx, a, e, &o.copying, &o.choice, false, far)
	}
	if later == nil && !o.keep.empty() && taken && ctx.Err() == nil { // else nothing has changed
		p := prune.Options{Policy: o.keep.Policy, Chosen: o.fits, Zone: time.Local, Now: a.Now}
		if o.to != "" {
			p.Readers = []*cloud.Cloud{e.In(o.to)}
		}
		told.Pruned, later = pruned(ctx, a, e, p, far)
	}
	switch {
	case err == nil:
		return later
	case later == nil:
		return err
	}
	return fmt.Errorf("%w; %w", err, later)
}

// look finds out whether a set is due.
func (o *scheduleFlags) look(ctx context.Context, a *app.App, e *cloud.Cloud) (plan.Take, error) {
	all, _, err := sets.Read(ctx, e, sets.Query{Job: o.job})
	if err != nil {
		return plan.Take{}, err
	}
	var of []snapshot.Set
	for i := range all {
		if s := &all[i]; s.CopyFrom == "" && s.Class == o.class && (o.host == "" || s.Host == o.host) {
			of = append(of, s.Set)
		}
	}
	return plan.Due(a.Now(), time.Local, o.crons, of), nil
}

func showDue(a *app.App, t *plan.Take) error {
	if a.JSON {
		return a.PrintJSON(struct {
			Due    bool      `json:"due"`
			Since  time.Time `json:"since"`
			Next   time.Time `json:"next"`
			Reason string    `json:"reason"`
		}{t.Due, t.At.UTC(), t.Next.UTC(), t.Reason})
	}
	return a.Print(func(w io.Writer) {
		what := "not due"
		if t.Due {
			what = "due"
		}
		fmt.Fprintf(w, "%s: %s\nnext: %s\n", what, quote.Display(t.Reason), human.Time(t.Next))
	})
}

// takeDue has nightjar ebs take a set, and returns what --json tells of it.
func takeDue(ctx context.Context, a *app.App, e *cloud.Cloud, o *scheduleFlags, args []string) (json.RawMessage, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	command := []string{program, "ebs", "take", "--region", e.Region, "--job", o.job}
	for _, f := range [][2]string{{"--class", o.class}, {"--state-dir", a.StateDir}, {"--tempdir", a.TempDir}, {"--endpoint", o.Endpoint}, {"--profile", o.Profile}} {
		if f[1] != "" {
			command = append(command, f[0], f[1])
		}
	}
	for flag, is := range map[string]bool{"--json": a.JSON, "--quiet": a.Quiet, "--verbose": a.Chatty()} {
		if is {
			command = append(command, flag)
		}
	}
	p, err := child.Start(ctx, child.Command{Name: "nightjar ebs take", Args: append(command, args...), Env: a.Children, Stderr: a.Err})
	if err != nil {
		return nil, err
	}
	defer p.Stop()
	said, err := io.ReadAll(io.LimitReader(p, maxTaken)) // more is cut off
	var exit interface{ ExitCode() int }
	if errors.As(err, &exit) && exit.ExitCode() == outcome.WithProblems {
		err = outcome.Problems{What: "nightjar ebs take met with problems"}
	}
	if !a.JSON {
		if shown := a.Print(func(w io.Writer) { fmt.Fprintf(w, "%s", said) }); err == nil {
			err = shown
		}
	}
	if !a.JSON || !json.Valid(said) {
		return nil, err
	}
	return said, err
}

// alone keeps other runs for the same sets on this machine out until the file is closed. It is nil if there is one.
func alone(a *app.App, region string, which *choice) (*os.File, error) {
	state, err := a.StateFolder()
	if err == nil {
		err = os.MkdirAll(state, 0o700)
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []string{region, which.job, which.host, which.class}))
	f, err := os.OpenFile(filepath.Join(state, fmt.Sprintf("ebs-%x.lock", sum[:8])), os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("keep other runs out: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	f.Close()
	if err == unix.EWOULDBLOCK {
		return nil, nil
	}
	return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
}

// timerOf prints the schedule for cron or systemd.
func timerOf(a *app.App, given *pflag.FlagSet, o *scheduleFlags, args []string) error {
	program, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	command := []string{program, "ebs", "schedule", "--run"}
	given.Visit(func(f *pflag.Flag) {
		values := []string{f.Value.String()}
		if many, ok := f.Value.(pflag.SliceValue); ok {
			values = many.GetSlice()
		}
		for _, v := range values {
			if f.Name != "systemd" {
				command = append(command, "--"+f.Name+"="+v)
			}
		}
	})
	if len(args) > 0 {
		command = append(append(command, "--"), args...)
	}
	if slices.ContainsFunc(command, timer.Unfit) {
		return usage.Errorf("cron and systemd take no line breaks in what they run")
	}
	name := timer.UnitName("nightjar-ebs", o.job, o.class)
	t := timer.Timer{Unit: name, Description: "EBS snapshots by nightjar (" + name + ")", Host: a.HostName, Command: command}
	return a.Print(func(w io.Writer) {
		if o.systemd {
			timer.Print(w, t.Systemd())
		} else {
			fmt.Fprint(w, t.Crontab())
		}
	})
}
