package keep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/ec2flags"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/calendar"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/plan"
	"nightjar/snapshot/prune"
)

// copyRegion is where copies go unless another region is named.
const copyRegion = "eu-west-1"

// choice says which sets are meant.
type choice struct{ job, host, class string }

func (o *choice) bind(f *pflag.FlagSet) {
	f.StringVar(&o.job, "job", "ebs", "name of the `JOB` whose sets are meant")
	f.StringVar(&o.host, "host", "", "only the sets of this `HOST`")
	f.StringVar(&o.class, "class", "", "only the sets of this `CLASS` of retention")
}

func (o *choice) fits(s *snapshot.Set) bool {
	return s.Job == o.job && (o.host == "" || s.Host == o.host) && (o.class == "" || s.Class == o.class)
}

// keep are the rules of retention.
type keep struct {
	plan.Policy
	prefix, within string
	each           map[string]*int
}

func (k *keep) bind(f *pflag.FlagSet, prefix, of string) {
	k.prefix, k.each = prefix, map[string]*int{}
	f.IntVar(&k.Last, prefix+"keep-last", 0, "keep the newest N"+of)
	for _, p := range calendar.Periods {
		k.each[p.Rule] = f.Int(prefix+"keep-"+p.Rule, 0, fmt.Sprintf("keep the newest%s of each of the last N %ss that have one", of, p.Span))
	}
	f.StringVar(&k.within, prefix+"keep-within", "", "keep all"+of+" that are younger than an age like 30D")
}

// read fills in the policy, which may be empty.
func (k *keep) read() (err error) {
	k.Each = map[string]int{}
	for rule, n := range k.each {
		k.Each[rule] = *n
	}
	if k.within != "" {
		if k.Within, err = human.ParseAge(k.within); err != nil {
			return usage.Errorf("--%skeep-within: %w", k.prefix, err)
		}
	}
	if err := k.Validate(); err != nil && !errors.Is(err, plan.ErrEmpty) {
		return usage.Error{Err: err}
	}
	return nil
}

// empty reports whether no rule was given.
func (k *keep) empty() bool { return errors.Is(k.Validate(), plan.ErrEmpty) }

type pruneFlags struct {
	choice
	keep
	extent
	copies []string
}

// extent says how far prune and copy go.
type extent struct {
	dryRun bool
	force  bool // also where no set is chosen
}

func (o *extent) bind(f *pflag.FlagSet, dryRun string) {
	f.BoolVarP(&o.dryRun, "dry-run", "n", false, dryRun)
	f.BoolVar(&o.force, "force", false, "take it for done where no set is as --job, --host and --class say")
}

// careful refuses a choice that is more likely a slip than meant. Who only looks may see it.
func (o *extent) careful(e *cloud.Cloud, chosen int) error {
	if chosen > 0 || o.dryRun || o.force {
		return nil
	}
	return usage.Hinted{Err: usage.Errorf("no set in %s is as --job, --host and --class say", e.Region), Hint: "nightjar ebs list shows the sets of a --region. --force takes it for done"}
}

// PruneCommand makes the command nightjar ebs prune.
func PruneCommand(a *app.App, e *ec2flags.Flags) *cobra.Command {
	var o pruneFlags
	c := &cobra.Command{
		Use:   "prune",
		Short: "Delete the sets of snapshots that no rule keeps",
		Long: `Delete the sets of snapshots that no rule keeps. Those of each job, host and class are judged by themselves, and copies apart.

Only snapshots with this tool's tags, and of this job, are deleted. The last whole set stays, and so does what an image is made of, what is locked, what a
copy still reads, and each volume's newest copy under each key, without which the next one would be a full one.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.read(); err != nil {
				return err
			}
			if o.empty() {
				return usage.Errorf("%w: name rules (--keep-daily 7 …)", plan.ErrEmpty)
			}
			in, err := e.Open(c.Context(), a)
			if err != nil {
				return err
			}
			return runPrune(c.Context(), a, in, o.options(a, in), o.extent)
		},
	}
	f := c.Flags()
	o.choice.bind(f)
	o.keep.bind(f, "", "")
	f.StringArrayVar(&o.copies, "copies", []string{copyRegion}, "`REGION` where copies of the sets may be made just now; may be repeated")
	o.extent.bind(f, "only say what would be deleted, and why")
	return c
}

func (o *pruneFlags) options(a *app.App, e *cloud.Cloud) prune.Options {
	p := prune.Options{Policy: o.Policy, Chosen: o.fits, Zone: time.Local, Now: a.Now}
	for _, region := range o.copies {
		if region != e.Region && region != "" {
			p.Readers = append(p.Readers, e.In(region))
		}
	}
	return p
}

// runPrune prunes one region.
func runPrune(ctx context.Context, a *app.App, e *cloud.Cloud, o prune.Options, far extent) error {
	told, err := pruned(ctx, a, e, o, far)
	if shown := printTold(a, told); err == nil {
		err = shown
	}
	return err
}

// printTold prints what --json tells, if anything.
func printTold(a *app.App, told any) error {
	if told == nil || !a.JSON {
		return nil
	}
	return a.PrintJSON(told)
}

// pruned prunes one region, and returns what --json tells of it; nil: it did not get so far.
func pruned(ctx context.Context, a *app.App, e *cloud.Cloud, o prune.Options, far extent) (any, error) {
	p, err := prune.Look(ctx, e, o)
	if err == nil {
		err = far.careful(e, len(p.Decisions)+len(p.Doubtful))
	}
	if err != nil {
		return nil, err
	}
	for _, s := range p.Strays {
		a.Warn(fmt.Errorf("snapshot %s is left alone: %w", s.Snapshot.ID, s.Err))
	}
	for _, s := range p.Doubtful {
		a.Warn(fmt.Errorf("set %s is left alone: the tags of its snapshots contradict each other", s.ID))
	}
	for _, d := range p.Decisions {
		if d.Misdated {
			a.Warn(fmt.Errorf("set %s stays, and takes no place: %s. Unless nightjar ebs unarchive wrote it, somebody may have forged its tags; look at it, and delete it by hand", quote.Display(d.ID), plan.Misdated(d.Set)))
		}
	}
	var done prune.Result
	if !far.dryRun {
		done, err = p.Delete(ctx, e)
	}
	for _, s := range done.Stuck {
		a.Problem(s.Snapshot, fmt.Errorf("set %s stays: %w", s.Set, s.Err))
	}
	for _, b := range done.Binned {
		a.Warn(fmt.Errorf("%s is in the Recycle Bin, and still billed, until %s", b.Snapshot, human.Time(b.Until)))
	}
	told, shown := showPruned(a, e, p, &done, far.dryRun)
	if err == nil {
		err = shown
	}
	if err == nil {
		err = quota(ctx, a, e)
	}
	switch {
	case err != nil && done.Sets > 0:
		return told, outcome.Problems{What: fmt.Sprintf("sets deleted: %d; then: %v", done.Sets, err)}
	case err == nil && len(done.Stuck) > 0:
		return told, outcome.Problems{What: fmt.Sprintf("sets that could not be deleted: %d", len(done.Stuck))}
	}
	return told, err
}

// quota warns when the account has few snapshots left to make.
func quota(ctx context.Context, a *app.App, e *cloud.Cloud) error {
	u, err := prune.Measure(ctx, e)
	if err != nil {
		return err
	}
	if u.Assumed != nil && (a.Chatty() || u.High()) {
		a.Note("taking %d for the quota of snapshots, as accounts have that never asked for more: %v", u.Quota, u.Assumed)
	}
	if u.High() {
		a.Warn(fmt.Errorf("the account has %d of the %d snapshots that it may have in %s", u.Used, u.Quota, e.Region))
	}
	return nil
}

// prunedJSON is what --json tells of a set.
type prunedJSON struct {
	ID        string    `json:"id"`
	Job       string    `json:"job"`
	Host      string    `json:"host"`
	Class     string    `json:"class"`
	Time      time.Time `json:"time"`
	State     string    `json:"state"`
	Snapshots []string  `json:"snapshots"`
	Keep      bool      `json:"keep"`
	Held      bool      `json:"held"`
	Reasons   []string  `json:"reasons"`
}

func showPruned(a *app.App, e *cloud.Cloud, p *prune.Plan, done *prune.Result, dryRun bool) (any, error) {
	if a.JSON {
		all := []prunedJSON{}
		for _, d := range p.Decisions {
			x := prunedJSON{d.ID, quote.Text(d.Job), quote.Text(d.Host), quote.Text(d.Class), d.Time.UTC(), string(d.Condition), []string{}, d.Keep, d.Held, d.Reasons}
			for _, s := range d.Snapshots {
				x.Snapshots = append(x.Snapshots, s.ID)
			}
			all = append(all, x)
		}
		return struct {
			Region  string       `json:"region"`
			DryRun  bool         `json:"dry_run"`
			Sets    []prunedJSON `json:"sets"`
			Deleted []string     `json:"deleted"`
		}{e.Region, dryRun, all, append([]string{}, done.Snapshots...)}, nil
	}
	if !dryRun && !a.Chatty() {
		return nil, nil
	}
	return nil, a.Print(func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "\tSET\tTIME\tHOST\tCLASS\tWHY")
		goes := 0
		for _, d := range p.Decisions {
			what := "keep"
			if !d.Keep {
				what = "delete"
				goes++
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", what, d.ID, human.Time(d.Time), quote.Display(d.Host), quote.Display(d.Class), quote.Display(strings.Join(d.Reasons, "; ")))
		}
		_ = t.Flush() // w keeps its error
		if dryRun {
			fmt.Fprintf(w, "%s: %s would be deleted, %d kept\n", e.Region, human.Count(goes, "set"), len(p.Decisions)-goes)
			return
		}
		fmt.Fprintf(w, "%s: %s deleted, %d kept\n", e.Region, human.Count(done.Sets, "set"), len(p.Decisions)-done.Sets)
	})
}
