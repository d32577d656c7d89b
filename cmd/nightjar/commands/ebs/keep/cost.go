package keep

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/ec2flags"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/job/record"
	"nightjar/snapshot/bill"
	"nightjar/snapshot/blocks"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/sets"
)

// costing says how it is found out what snapshots cost.
type costing struct {
	count  bool
	given  []string
	prices bill.Prices
}

func (o *costing) bind(f *pflag.FlagSet) {
	f.BoolVar(&o.count, "count-blocks", false, "have EBS say which blocks snapshots share, which it bills by the list; else each counts as a whole")
	f.StringArrayVar(&o.given, "price", nil, "what a GiB of snapshots costs a month, `REGION=USD` or REGION:archive=USD, instead of Amazon's list price; may be repeated")
}

func (o *costing) check() (err error) {
	if o.prices, err = bill.ParsePrices(o.given); err != nil {
		return usage.Errorf("--price: %w", err)
	}
	return nil
}

type costFlags struct {
	choice
	costing
	copies []string
}

// CostCommand makes the command nightjar ebs cost.
func CostCommand(a *app.App, e *ec2flags.Flags) *cobra.Command {
	var o costFlags
	c := &cobra.Command{
		Use:   "cost",
		Short: "Say what sets of snapshots take, and cost a month",
		Long: `Say what sets of snapshots take, and what keeping that costs a month, by region and tier. EBS keeps a block once, however many snapshots of a volume share it.
Which they share is counted with --count-blocks: EBS bills each list of blocks (about 0.0006 USD for a thousand), so what was counted once is kept in the cache. Without it, each
snapshot counts as a whole: that is an upper bound, and far from the bill where many snapshots of a volume are kept.

The set that was taken last counts when it is completed.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return cost(c.Context(), a, e, &o) },
	}
	f := c.Flags()
	o.choice.bind(f)
	job := f.Lookup("job")
	job.Usage, job.DefValue, o.job = "only the sets of this `JOB`", "", ""
	o.costing.bind(f)
	f.StringArrayVar(&o.copies, "copies", nil, "count copies in this `REGION` too; may be repeated")
	return c
}

func cost(ctx context.Context, a *app.App, e *ec2flags.Flags, o *costFlags) error {
	if err := o.check(); err != nil {
		return err
	}
	c, err := e.Open(ctx, a)
	if err != nil {
		return err
	}
	all, err := stored(ctx, a, c, &o.choice, o.copies, &o.costing)
	if all == nil {
		return err
	}
	if a.JSON {
		if shown := a.PrintJSON(map[string]any{"stored": storedJSON(all), "counted": err == nil && o.count}); shown != nil {
			return shown
		}
	} else if shown := a.Print(func(w io.Writer) { showStored(w, all) }); shown != nil {
		return shown
	}
	if err != nil {
		return usage.Hinted{Err: outcome.Problems{What: err.Error()}, Hint: "what could not be counted has an upper bound; the policy for it is in doc/ebs.md"}
	}
	return nil
}

// stored returns what the chosen sets take in the region and in others. It is nil if they could not be read; beside an error, some of it was not counted.
func stored(ctx context.Context, a *app.App, c *cloud.Cloud, which *choice, copies []string, o *costing) ([]record.Stored, error) {
	all := []record.Stored{}
	var failed error
	for i, region := range append([]string{c.Region}, copies...) {
		if i > 0 {
			if region == c.Region {
				return nil, usage.Errorf("--copies %s: that is the region itself", region)
			}
			c = c.In(region)
		}
		read, _, err := sets.Read(ctx, c, sets.Query{Job: which.job})
		if err != nil {
			return nil, err
		}
		var chosen []sets.Set
		for _, s := range read {
			each := *which
			each.job = cmp.Or(which.job, s.Job)
			if each.fits(&s.Set) {
				chosen = append(chosen, s)
			}
		}
		sums, err := sums(ctx, a, c, chosen, which, o.count)
		failed = errors.Join(failed, err)
		for _, s := range sums {
			x := record.Stored{Region: s.Region, Tier: s.Tier, Snapshots: uint64(s.Snapshots), AtMost: s.AtMost}
			if s.Counted {
				x.Bytes = &s.Stored
			}
			if usd, ok := o.prices.Of(s.Region, s.Tier); ok {
				x.Price = &usd
			}
			all = append(all, x)
		}
	}
	return all, failed
}

// sums counts the sets of one region, with what an earlier run has counted.
func sums(ctx context.Context, a *app.App, c *cloud.Cloud, chosen []sets.Set, which *choice, count bool) ([]bill.Sum, error) {
	if !count {
		return bill.Of(ctx, c.Region, chosen, nil)
	}
	cache, err := a.CacheFolder()
	if err == nil {
		err = os.MkdirAll(cache, 0o700)
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []string{c.Region, which.job, which.host, which.class}))
	path := filepath.Join(cache, fmt.Sprintf("ebs-blocks-%x.json", sum[:8]))
	known, err := bill.ReadKnown(path)
	if err != nil {
		a.Warn(fmt.Errorf("%w; it is asked again", err))
	}
	sums, err := bill.Of(ctx, c.Region, chosen, &bill.Counter{Blocks: blocks.New(c.Blocks, 0), Known: known})
	if kept := known.Write(path); kept != nil { // also what was asked before an error
		a.Warn(kept)
	}
	return sums, err
}

// billedJSON is what --json tells of a tier.
type billedJSON struct {
	record.Stored
	Cost       *float64 `json:"usd,omitempty"` // a month
	AtMostCost *float64 `json:"at_most_usd,omitempty"`
}

func storedJSON(all []record.Stored) []billedJSON {
	known := func(usd float64, ok bool) *float64 {
		if !ok {
			return nil
		}
		return &usd
	}
	told := []billedJSON{}
	for _, s := range all {
		told = append(told, billedJSON{s, known(s.Cost()), known(s.AtMostCost())})
	}
	return told
}

func showStored(w io.Writer, all []record.Stored) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "REGION\tTIER\tSNAPSHOTS\tSTORED\tUSD A MONTH\tAT MOST\tUSD A MONTH")
	usd := func(amount float64, ok bool) string {
		if !ok {
			return "-"
		}
		return fmt.Sprintf("%.2f", amount)
	}
	priced := true
	for i := range all {
		s := &all[i]
		stored := "-"
		if s.Bytes != nil {
			stored = human.Size(*s.Bytes)
		}
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", s.Region, s.Tier, s.Snapshots, stored, usd(s.Cost()), human.Size(s.AtMost), usd(s.AtMostCost()))
		priced = priced && s.Price != nil
	}
	_ = t.Flush() // w keeps its error
	if !priced {
		fmt.Fprintln(w, "of some regions no price is known: name it with --price REGION=USD")
	}
}
