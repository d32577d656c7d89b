// Package reported gathers from a repository what a report tells.
package reported

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"nightjar/cmd/nightjar/internal/recorded"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/job/history"
	"nightjar/job/report"
	"nightjar/repo"
)

// Options say what a report is of.
type Options struct {
	Place   string // of the repository, as people call it
	Now     time.Time
	Zone    *time.Location
	Days    int
	Changes int // jobs of which it is told what changed most; 0: none
	Prices  *Prices
	Version string
}

// Gather reads what a report of these archives tells: those that are given up, too, for their nights were there.
func Gather(ctx context.Context, r *repo.Repository, archives []repo.Archive, o Options) (*report.Input, error) {
	all := recorded.Of(archives)
	in := &report.Input{Repository: o.Place, Now: o.Now, Zone: o.Zone, Days: o.Days, Version: o.Version, Jobs: history.Read(all, o.Now)}
	var kept []repo.Archive
	for i := range archives {
		if archives[i].Forgotten.IsZero() && archives[i].Counts() {
			kept = append(kept, archives[i])
			in.Kept = append(in.Kept, all[i])
		}
	}
	sums, err := show.Gather(ctx, r, o.Place, kept)
	if err != nil {
		return nil, err
	}
	for _, kind := range slices.Sorted(maps.Keys(sums.Objects)) {
		in.Objects = append(in.Objects, report.Objects{Kind: kind, Count: sums.Objects[kind].Count, Bytes: sums.Objects[kind].Bytes})
	}
	if o.Prices != nil {
		in.Monthly = o.Prices.of(in.Objects)
	}
	if o.Changes > 0 {
		if in.Changes, err = changes(ctx, r, kept, o.Changes); err != nil {
			return nil, fmt.Errorf("find out what changed most: %w", err)
		}
	}
	return in, nil
}
