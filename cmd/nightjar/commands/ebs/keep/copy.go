package keep

import (
	"context"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/ec2flags"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/mirror"
	"nightjar/snapshot/prune"
)

// copying says how sets are copied.
type copying struct {
	to, key  string
	duration time.Duration
	limit    int
	keep     keep
}

func (o *copying) bind(f *pflag.FlagSet, region, prefix string) {
	f.StringVar(&o.to, "to-region", region, "the `REGION` to copy to")
	f.StringVar(&o.key, "kms-key", "", "`KEY` of that region's KMS to encrypt copies with: id, alias or ARN (default: EBS's own, for what is encrypted)")
	f.DurationVar(&o.duration, "completion-duration", 0, "have EC2 complete each copy within so long, which it bills: 15m to 48h, in quarters of an hour")
	f.IntVar(&o.limit, "concurrent", mirror.DefaultLimit, "copies that are made at a time")
	o.keep.bind(f, prefix, " copies")
}

func (o *copying) check() error {
	if o.duration != 0 && (o.duration < 15*time.Minute || o.duration > 48*time.Hour || o.duration%(15*time.Minute) != 0) {
		return usage.Errorf("--completion-duration %s: 15m to 48h, in quarters of an hour", o.duration)
	}
	if o.limit < 1 {
		return usage.Errorf("--concurrent %d: at least one", o.limit)
	}
	return o.keep.read()
}

type copyFlags struct {
	choice
	copying
	extent
	noWait bool
}

// CopyCommand makes the command nightjar ebs copy.
func CopyCommand(a *app.App, e *ec2flags.Flags) *cobra.Command {
	var o copyFlags
	c := &cobra.Command{
		Use:   "copy",
		Short: "Copy sets of snapshots to another region",
		Long: `Copy sets of snapshots to another region: each as a whole, once it is completed, the newest first. What is there already is not copied again, and what
was begun is gone on with.

With rules (--keep-daily 7 …) only what they would keep there is copied, and the copies that they do not keep are deleted.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.check(); err != nil {
				return err
			}
			from, err := e.Open(c.Context(), a)
			if err != nil {
				return err
			}
			if from.Region == o.to {
				return usage.Errorf("--to-region %s: that is where the sets are", o.to)
			}
			return copy(c.Context(), a, from, &o.copying, &o.choice, !o.noWait, o.extent)
		},
	}
	f := c.Flags()
	o.choice.bind(f)
	o.copying.bind(f, copyRegion, "")
	f.BoolVar(&o.noWait, "no-wait", false, "begin what can be begun, and leave the rest to the next run")
	o.extent.bind(f, "only say what would be copied and deleted there, and why")
	return c
}

// copy copies what is missing in another region, and prunes there.
func copy(ctx context.Context, a *app.App, from *cloud.Cloud, o *copying, which *choice, wait bool, far extent) error {
	told, err := copied(ctx, a, from, o, which, wait, far)
	if shown := printTold(a, told); err == nil {
		err = shown
	}
	return err
}

// copied does that, and returns what --json tells of it.
func copied(ctx context.Context, a *app.App, from *cloud.Cloud, o *copying, which *choice, wait bool, far extent) (any, error) {
	to := from.In(o.to)
	m := mirror.Options{
		Policy: o.keep.Policy, Chosen: which.fits, Key: o.key, Minutes: int(o.duration / time.Minute), Limit: o.limit, Wait: wait, Look: far.dryRun,
		Zone: time.Local, Now: a.Now, Told: func(e mirror.Event) {
			if e.Err == nil && a.Chatty() && !a.JSON {
				a.Note("%s of set %s: copy %s %s", e.Source, e.Set, e.Copy, e.What)
			}
		},
	}
	r, err := mirror.Run(ctx, from, to, m)
	if err == nil {
		if err := far.careful(from, len(r.Copies)); err != nil {
			return nil, err
		}
	}
	for _, f := range r.Failed {
		a.Problem(f.Source, fmt.Errorf("set %s: %w", f.Set, f.Err))
	}
	if len(r.Dropped) > 0 {
		a.Warn(fmt.Errorf("copies have no room for tags: %q", r.Dropped))
	}
	told, shown := showCopied(a, to, &r, far.dryRun)
	if err == nil {
		err = shown
	}
	if err == nil && !o.keep.empty() {
		told.Pruned, err = pruned(ctx, a, to, prune.Options{Policy: o.keep.Policy, Chosen: which.fits, Zone: time.Local, Now: a.Now}, extent{dryRun: far.dryRun, force: true}) // none may be there yet
	}
	switch {
	case err != nil && r.Started+r.Completed > 0:
		return told, outcome.Problems{What: fmt.Sprintf("copies begun: %d, completed: %d; then: %v", r.Started, r.Completed, err)}
	case err == nil && len(r.Failed) > 0:
		return told, outcome.Problems{What: fmt.Sprintf("snapshots that could not be copied: %d", len(r.Failed))}
	}
	return told, err
}

// copiedJSON is what --json tells of copies.
type copiedJSON struct {
	Region    string          `json:"region"`
	DryRun    bool            `json:"dry_run"`
	Sets      []copiedSetJSON `json:"sets"`
	Started   int             `json:"started"`
	Completed int             `json:"completed"`
	Pending   int             `json:"pending"`
	Left      int             `json:"left"`
	Later     int             `json:"later"`
	Failed    int             `json:"failed"`
	Pruned    any             `json:"pruned,omitempty"` // as nightjar ebs prune tells it
}

type copiedSetJSON struct {
	ID      string   `json:"id"`
	Missing []string `json:"missing"`
	Reason  string   `json:"reason"`
}

func showCopied(a *app.App, to *cloud.Cloud, r *mirror.Result, dryRun bool) (*copiedJSON, error) {
	if a.JSON {
		all := []copiedSetJSON{}
		for _, c := range r.Copies {
			x := copiedSetJSON{c.ID, []string{}, c.Reason}
			for _, s := range c.Missing {
				x.Missing = append(x.Missing, s.ID)
			}
			all = append(all, x)
		}
		return &copiedJSON{to.Region, dryRun, all, r.Started, r.Completed, r.Pending, r.Left, r.Later, len(r.Failed), nil}, nil
	}
	if !dryRun && !a.Chatty() {
		return &copiedJSON{}, nil
	}
	return &copiedJSON{}, a.Print(func(w io.Writer) {
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "\tSET\tTIME\tSNAPSHOTS\tWHY")
		for _, c := range slices.Backward(r.Copies) {
			what := ""
			if len(c.Missing) > 0 {
				what = "copy"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%s\n", what, c.ID, human.Time(c.Time), len(c.Missing), quote.Display(c.Reason))
		}
		_ = t.Flush() // w keeps its error
		fmt.Fprintf(w, "%s: copies begun: %d, completed: %d, under way: %d, left: %d\n", to.Region, r.Started, r.Completed, r.Pending, r.Left)
	})
}
