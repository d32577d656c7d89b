package prune

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/plan"
	"nightjar/snapshot/sets"
)

// pageSize is how much is asked for at once.
const pageSize = 1000

// heldBy returns what keeps snapshots from going.
func heldBy(ctx context.Context, c *cloud.Cloud, ids []string, o Options) (plan.Holds, error) {
	holds := plan.Holds{}
	for _, reader := range o.Readers {
		there, _, err := sets.Read(ctx, reader, sets.Query{})
		if err != nil {
			return nil, fmt.Errorf("look for copies under way: %w", err)
		}
		for i := range there {
			maps.Copy(holds, plan.Reading(c.Region, []snapshot.Set{withDoubles(&there[i])}))
		}
	}
	found, err := sets.Holds(ctx, c, ids)
	if err != nil {
		return nil, err
	}
	for _, h := range found {
		holds[h.Snapshot] = h.By
	}
	maps.Copy(holds, o.Protect)
	return holds, nil
}

// archived finds the snapshots that the next archive of a job is compared with.
func archived(all []snapshot.Set, holds plan.Holds) {
	for i := range all {
		for _, x := range all[i].Snapshots {
			if ids := snapshot.Archives(x.Tags); len(ids) > 0 {
				for i := range ids {
					ids[i] = fmt.Sprintf("%.16q", ids[i])
				}
				holds[x.ID] = fmt.Sprintf("the next archive after %s reads what has changed since", strings.Join(ids[:min(len(ids), snapshot.MaxArchives)], ", "))
			}
		}
	}
}

// binned returns those of deleted snapshots that are in the Recycle Bin.
func binned(ctx context.Context, c *cloud.Cloud, deleted []string) (found []Binned, err error) {
	gone := map[string]bool{}
	for _, id := range deleted {
		gone[id] = true
	}
	pages := ec2.NewListSnapshotsInRecycleBinPaginator(c.EC2, &ec2.ListSnapshotsInRecycleBinInput{MaxResults: aws.Int32(pageSize)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return found, fmt.Errorf("look into the Recycle Bin of %s: %w", c.Region, err)
		}
		for _, x := range page.Snapshots {
			if id := aws.ToString(x.SnapshotId); gone[id] {
				found = append(found, Binned{id, aws.ToTime(x.RecycleBinExitTime)})
			}
		}
	}
	return found, nil
}
