package take

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/commands/ebs/keep"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/ec2flags"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/show/snapshots"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/child"
	"nightjar/internal/quote"
	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/host"
	"nightjar/snapshot/sets"
	"nightjar/snapshot/take"
)

// maxCommand is how much a command before or after a set may print, which nobody reads.
const maxCommand = 1 << 20

type takeFlags struct {
	choice    take.Choice
	tags      []string
	o         take.Options
	least     string
	pre, post string
	wait      bool
	still     stillFlags
}

// TakeCommand makes the command nightjar ebs take.
func TakeCommand(a *app.App, e *ec2flags.Flags) *cobra.Command {
	var t takeFlags
	c := &cobra.Command{
		Use:   "take",
		Short: "Take a set of snapshots: all volumes of an instance by one call, at one moment",
		Long: `Take a set of snapshots: all volumes of an instance by one call, at one moment. Volumes of several instances, and those that are
attached to none, are taken one after the other, and the set says so: its consistency is "apart".

What a set holds its tags say, and never more than is certain: "crash" is as after a loss of power, which InnoDB recovers from.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runTake(c.Context(), a, e, &t) },
	}
	f := c.Flags()
	f.StringVar(&t.choice.Instance, "instance", "", "`ID` of the instance whose volumes are taken (default: this one)")
	f.StringArrayVar(&t.choice.Volumes, "volume", nil, "`ID` of a volume to take; may be repeated")
	f.StringArrayVar(&t.tags, "volume-tag", nil, "take the volumes with the tag `KEY=VALUE`, in which * stands for anything; may be repeated: those with all of them")
	f.StringArrayVar(&t.choice.Exclude, "exclude-volume", nil, "`ID` of a volume to leave out; may be repeated")
	f.BoolVar(&t.choice.Boot, "boot", false, "take the instance's root volume too")
	f.StringVar(&t.o.Job, "job", "ebs", "name of the job, by which sets are kept and pruned")
	f.StringVar(&t.o.Class, "class", "", "class of retention, such as nightly")
	f.StringVar(&t.least, "require", "", "fail if the set is less consistent than `crash`, filesystem or application (default: what is asked for)")
	f.StringVar(&t.pre, "pre", "", "shell `COMMAND` to run before, such as one that has another database stand still; if it fails, nothing is taken")
	f.StringVar(&t.post, "post", "", "shell `COMMAND` to run after, whatever happens")
	f.DurationVar(&t.o.Most, "max-freeze", take.DefaultMost, "how long database and file systems may stand still at most")
	f.BoolVar(&t.wait, "wait", false, "wait until the snapshots are completed")
	t.still.flags(c)
	return c
}

// plan checks all that can be wrong with the command line.
func (t *takeFlags) plan() error {
	tags, err := parseTags(t.tags)
	if err != nil {
		return err
	}
	t.choice.Tags = tags
	t.o.Require = snapshot.Consistency(t.least)
	switch {
	case t.least != "" && (!t.o.Require.Known() || t.o.Require == snapshot.Apart):
		return usage.Errorf("--require %s: there are crash, filesystem and application", t.least)
	case t.o.Most < time.Second || t.o.Most > time.Minute:
		return usage.Errorf("--max-freeze %s: from a second to a minute", t.o.Most)
	}
	return nil
}

func parseTags(pairs []string) (map[string]string, error) {
	of := map[string]string{}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if _, twice := of[key]; !ok || key == "" || twice {
			return nil, usage.Errorf("tag %q: it has to be KEY=VALUE, each key once", pair)
		}
		of[key] = value
	}
	return of, nil
}

func runTake(ctx context.Context, a *app.App, e *ec2flags.Flags, t *takeFlags) error {
	if err := t.plan(); err != nil {
		return err
	}
	c, err := e.Open(ctx, a)
	if err != nil {
		return err
	}
	self, err := t.self(ctx, c)
	if err != nil {
		return err
	}
	p, err := take.Choose(ctx, c, t.choice)
	if err != nil {
		return err
	}
	r, err := takePlanned(ctx, a, c, t, p, self)
	if r == nil {
		return err
	}
	for _, problem := range r.Problems {
		a.Problem(cmp.Or(r.Set.ID, "set"), problem)
	}
	tellDropped(a, r.Dropped)
	finishEarlier(ctx, a, c, t.o.Job, r.Set.ID)
	if err == nil && t.wait {
		var s sets.Set
		if s, err = keep.WaitFor(ctx, a, c, r.Set.ID); err == nil {
			r.Set = s
		}
	}
	if len(r.Set.Snapshots) == 0 {
		return err
	}
	if shown := reportTaken(a, c, r); shown != nil {
		return shown
	}
	switch n := a.Problems.Load(); {
	case err != nil:
		return usage.Hinted{Err: outcome.Problems{What: err.Error()}, Hint: fmt.Sprintf("set %s is there, as far as it goes: nightjar ebs list shows it", r.Set.ID)}
	case n > 0:
		return outcome.Problems{What: fmt.Sprintf("set %s was taken, with problems: %d", r.Set.ID, n)}
	}
	return nil
}

// finishEarlier gives the snapshots of earlier sets of a job the tags that a run did not come to give them.
func finishEarlier(ctx context.Context, a *app.App, c *cloud.Cloud, job, now string) {
	found, _, err := sets.Read(ctx, c, sets.Query{Job: job})
	if err != nil {
		a.Problem("earlier sets", err)
		return
	}
	for _, s := range found {
		if len(s.Untagged) == 0 || s.ID == now || s.CopyFrom != "" {
			continue
		}
		_, dropped, err := sets.Finish(ctx, c, s)
		if err != nil {
			a.Problem(s.ID, err)
			continue
		}
		a.Note("set %s was half tagged, and is finished", s.ID)
		tellDropped(a, dropped)
	}
}

func tellDropped(a *app.App, dropped []sets.Dropped) {
	for _, d := range dropped {
		a.Warn(fmt.Errorf("%s has no room for tags of its volume: %q", d.Snapshot, d.Keys))
	}
}

// takePlanned takes what is planned. The result is nil if it did not get so far.
func takePlanned(ctx context.Context, a *app.App, c *cloud.Cloud, t *takeFlags, p *take.Plan, self string) (*take.Result, error) {
	t.o.Host, t.o.Now = p.Host, a.Now
	t.o.Pre, t.o.Post = shell(a, "--pre", t.pre), shell(a, "--post", t.post)
	var here seen
	switch {
	case self != "" && self == p.Instance:
		t.o.Host = cmp.Or(a.HostName, p.Host)
		if here = look(host.Machine{}, p.Volumes); here.err != nil && !t.still.any() {
			a.Warn(fmt.Errorf("the tags do not say where all volumes are mounted: %w", here.err))
		}
	case t.still.any():
		return nil, usage.Errorf("--mysql, --lock and --freeze go with volumes of this instance alone, %s", self)
	}
	done, err := still(ctx, a, t, p, here)
	if err != nil {
		return nil, err
	}
	defer done()
	return take.Take(ctx, c, p, t.o)
}

// shell returns what runs a command; nil: there is none.
func shell(a *app.App, name, command string) func(ctx context.Context) error {
	if command == "" {
		return nil
	}
	return func(ctx context.Context) error {
		_, err := child.Output(ctx, child.Command{Name: name, Args: []string{"/bin/sh", "-c", command}, Env: a.Children}, maxCommand)
		return err
	}
}

func reportTaken(a *app.App, c *cloud.Cloud, r *take.Result) error {
	if a.JSON {
		return a.PrintJSON(snapshots.TakenJSON(c, r))
	}
	return a.Print(func(w io.Writer) {
		switch {
		case a.Chatty():
			snapshots.Taken(w, c, r)
		case !a.Quiet: // a script needs the id
			fmt.Fprintf(w, "set %s: consistency %s\n", quote.Display(r.Set.ID), r.Set.Consistency)
		}
	})
}
