// Package thawing brings back what lies in an archive storage class before a command reads it, if its flags say so.
package thawing

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/repo/maintain/thaw"
	"nightjar/repo/store"
)

// Flags say whether, and how, what lies in an archive storage class is brought back before it is read.
type Flags struct {
	Tier string
	days int
	wait bool
}

// Bind gives a command the flags.
func (t *Flags) Bind(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&t.Tier, "thaw-tier", "", "first ask for all packs that lie in an archive storage class: bulk (hours, cheapest), standard or expedited")
	f.IntVar(&t.days, "thaw-days", 7, "how many days they stay readable")
	f.BoolVar(&t.wait, "thaw-wait", false, "wait until they can be read; otherwise run the same command again later")
}

// Check returns an error if the flags do not fit together.
func (t *Flags) Check() error {
	tiers := []string{"bulk", "standard", "expedited"}
	switch {
	case t.Tier == "" && t.wait:
		return usage.Errorf("--thaw-wait goes with --thaw-tier")
	case t.days < 1 || t.days > 30_000:
		return usage.Errorf("--thaw-days %d: at least 1", t.days)
	case t.Tier == "":
		return nil
	}
	if !slices.Contains(tiers, t.Tier) {
		return usage.Errorf("--thaw-tier %q: it is %s", t.Tier, strings.Join(tiers, ", "))
	}
	return nil
}

// Ask brings back what need names, if --thaw-tier was said. Unless it waits, it fails with store.ErrArchived as long as anything is on its way.
func Ask(ctx context.Context, a *app.App, s *session.Session, t *Flags, need func(add func(name string, size int64)) error) error {
	thawer, ok := s.Store.(store.Thawer)
	if t.Tier == "" || !ok {
		return nil
	}
	packs := map[string]int64{}
	if err := need(func(name string, size int64) { packs[name] = size }); err != nil {
		return err
	}
	tier := strings.ToUpper(t.Tier[:1]) + t.Tier[1:]
	done, err := thaw.Ask(ctx, thawer, packs, store.ThawOptions{Tier: tier, Days: t.days}, a.Connections)
	if err != nil {
		return err
	}
	if len(done.Pending) == 0 {
		return nil
	}
	a.Note("%d of %d packs, %s, lie in an archive storage class: %d were asked for now, the others before", len(done.Pending), len(packs), human.Size(uint64(done.Bytes)), done.Asked)
	if !t.wait {
		return usage.Hinted{
			Err:  fmt.Errorf("packs that cannot be read yet: %d: %w", len(done.Pending), store.ErrArchived),
			Hint: "they are on their way: run the same command again in some hours, or with --thaw-wait. Nothing is asked for twice",
		}
	}
	come, total := new(atomic.Int64), int64(len(done.Pending))
	stop := a.Follow(progress.Meter{
		Text:    func() string { return fmt.Sprintf("waiting for %d of %d packs", total-come.Load(), total) },
		Current: come.Load, Total: func() int64 { return total },
	})
	defer stop()
	return thaw.Await(ctx, thawer, done.Pending, func(left int) { come.Store(total - int64(left)) })
}
