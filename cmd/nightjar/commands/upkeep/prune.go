package upkeep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show/maintenance"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/repo/maintain/prune"
	"nightjar/repo/maintain/retain"
)

// PruneCommand makes the command nightjar prune.
func PruneCommand(a *app.App) *cobra.Command {
	var o prune.Options
	c := &cobra.Command{
		Use:   "prune",
		Short: "Give up what no archive needs any more",
		Long: `Remove archives that were forgotten a grace period ago, then what no archive needs: in two steps, since backups, restores and other prunes
may run at the same time. What is not needed is condemned; a grace period later it is deleted, if still nobody needs it. So run it every few days:
each run does what is due, and says when there is more to do. It may be interrupted at any time.

In a bucket with object lock, --object-lock says for how long what is needed stays locked: the locks are extended when less than half of that is left.

Whole packs go with the host key of a host that may prune. What is needed of packs that are mostly not is written anew with --repack: that
reads and sends content, and takes a recovery key, which --key names.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runPrune(c.Context(), a, o) },
	}
	c.Flags().BoolVar(&o.DryRun, "dry-run", false, "say what would be done, and change nothing")
	c.Flags().BoolVar(&o.Repack, "repack", false, "write anew what is needed of packs that are mostly not; needs a recovery key")
	return c
}

func runPrune(ctx context.Context, a *app.App, o prune.Options) error {
	need := session.Maintain
	if o.Repack {
		need = session.ReadContent
	}
	s, err := a.Open(ctx, need)
	if err != nil {
		return err
	}
	defer s.Close()
	if o.Seen, err = s.Seen(); err != nil {
		a.Warn(err)
	}
	o.Problem = a.Warn
	var done, total atomic.Int64
	o.Progress = func(n, of int) {
		done.Store(int64(n))
		total.Store(int64(of))
	}
	stop := a.Follow(progress.Meter{
		Text:    func() string { return fmt.Sprintf("%d of %s", done.Load(), human.Count(total.Load(), "archive")) },
		Current: done.Load, Total: total.Load,
	})
	start := a.Now()
	sums, err := prune.Run(ctx, s.Repository, o)
	stop()
	took := a.Now().Sub(start)
	if err != nil {
		var incomplete *prune.IncompleteError
		if errors.As(err, &incomplete) && ctx.Err() == nil {
			if errors.Is(err, retain.ErrGap) {
				return err // which has a hint
			}
			if errors.Is(err, prune.ErrRedated) {
				return usage.Hinted{Err: err, Hint: "if the repository was moved, nightjar check --repair --key KEY has its archives count again, where they are whole; --dry-run says which. An archive that is not wanted any more goes by its name: nightjar forget"}
			}
			return usage.Hinted{Err: err, Hint: "nothing is given up beside an archive that is not complete: look with nightjar check. nightjar check --repair brings back what they lack, or records what stays lost; nightjar forget ID gives such an archive up, though it cannot be opened"}
		}
		return err
	}
	switch {
	case a.JSON:
		return a.PrintJSON(maintenance.PrunedJSON(&sums, o.DryRun, took))
	case a.Chatty(), o.DryRun:
		return a.Print(func(w io.Writer) { maintenance.Pruned(w, &sums, o.DryRun, took) })
	}
	return nil
}
