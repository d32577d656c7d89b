package keep

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/ec2flags"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/show/snapshots"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/sets"
)

type listFlags struct {
	query  sets.Query
	copies []string
	held   bool
}

// ListCommand makes the command nightjar ebs list.
func ListCommand(a *app.App, e *ec2flags.Flags) *cobra.Command {
	var l listFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List the sets of snapshots of a region",
		Args:  usage.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return list(c.Context(), a, e, &l) },
	}
	f := c.Flags()
	f.StringVar(&l.query.Job, "job", "", "sets of this job alone")
	f.StringVar(&l.query.ID, "set", "", "the set with this `ID` alone")
	f.StringArrayVar(&l.copies, "copies", nil, "look for copies in this `REGION` too; may be repeated")
	f.BoolVar(&l.held, "held", false, "say what holds snapshots: images, locks, the Recycle Bin")
	return c
}

func list(ctx context.Context, a *app.App, e *ec2flags.Flags, l *listFlags) error {
	c, err := e.Find(ctx, a)
	if err != nil {
		return err
	}
	found, strays, err := sets.Read(ctx, c, l.query)
	if err != nil {
		return err
	}
	for _, s := range strays {
		a.Problem(s.Snapshot.ID, fmt.Errorf("its tags cannot be read: %w", s.Err))
	}
	listed := snapshots.Sets{Region: c.Region, Source: c.Source, Sets: found, Now: a.Now()}
	if listed.Copies, err = copiesIn(ctx, c, l); err != nil {
		return err
	}
	if l.held {
		listed.Holds, listed.Bin = holds(ctx, a, c, found)
	}
	if a.JSON {
		err = a.PrintJSON(listed.JSON())
	} else {
		err = a.Print(func(w io.Writer) { listed.Table(w, app.Columns(a.Out)) })
	}
	if n := a.Problems.Load(); err == nil && n > 0 {
		return outcome.Problems{What: fmt.Sprintf("the list is not complete: problems: %d", n)}
	}
	return err
}

// copiesIn reads which sets other regions have, by their ids.
func copiesIn(ctx context.Context, c *cloud.Cloud, l *listFlags) (map[string][]sets.Set, error) {
	of := map[string][]sets.Set{}
	for _, region := range l.copies {
		if region == c.Region {
			return nil, usage.Errorf("--copies %s: that is the region itself", region)
		}
		found, _, err := sets.Read(ctx, c.In(region), l.query)
		if err != nil {
			return nil, err
		}
		for _, s := range found {
			of[s.ID] = append(of[s.ID], s)
		}
	}
	return of, nil
}

// holds asks what holds snapshots. What the credentials may not ask makes the list incomplete.
func holds(ctx context.Context, a *app.App, c *cloud.Cloud, found []sets.Set) (map[string][]string, []sets.Hold) {
	var ids []string
	for _, s := range found {
		for _, x := range s.Snapshots {
			ids = append(ids, x.ID)
		}
	}
	holds, err := sets.Holds(ctx, c, ids)
	if err != nil {
		a.Problem("what holds snapshots", err)
	}
	bin, err := sets.InBin(ctx, c)
	if err != nil {
		a.Problem("the Recycle Bin", err)
	}
	by := map[string][]string{}
	for _, h := range holds {
		by[h.Snapshot] = append(by[h.Snapshot], h.By)
	}
	return by, bin
}

// WaitCommand makes the command nightjar ebs wait.
func WaitCommand(a *app.App, e *ec2flags.Flags) *cobra.Command {
	var limit time.Duration
	c := &cobra.Command{
		Use:   "wait SET",
		Short: "Wait until all snapshots of a set are completed",
		Args:  usage.OneArgument("SET"),
		RunE: func(c *cobra.Command, args []string) error {
			ctx := c.Context()
			if limit > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeoutCause(ctx, limit, fmt.Errorf("it is not completed after %s", limit))
				defer cancel()
			}
			region, err := e.Find(ctx, a)
			if err != nil {
				return err
			}
			s, err := WaitFor(ctx, a, region, args[0])
			listed := snapshots.Sets{Region: region.Region, Source: region.Source, Now: a.Now()}
			if s.ID != "" {
				listed.Sets = []sets.Set{s}
			}
			if a.JSON {
				return cmp.Or(err, a.PrintJSON(listed.JSON()))
			}
			if err != nil || !a.Chatty() {
				return err
			}
			return a.Print(func(w io.Writer) { listed.Table(w, app.Columns(a.Out)) })
		},
	}
	c.Flags().DurationVar(&limit, "timeout", 0, "how long to wait at most, such as 6h (default: as long as it takes)")
	return c
}

// WaitFor waits, and says how far it is whenever that has changed.
func WaitFor(ctx context.Context, a *app.App, c *cloud.Cloud, id string) (sets.Set, error) {
	last := -1
	s, err := sets.Wait(ctx, c, id, 0, func(s sets.Set) {
		if n := s.Progress(); n != last && s.Pending() && a.Chatty() {
			last = n
			a.Note("set %s: %d%%", s.ID, n)
		}
	})
	if err == nil && !s.Whole() {
		err = fmt.Errorf("wait for set %s: it is not whole: %s", s.ID, snapshots.Faults(&s))
	}
	return s, err
}
