package prune

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/plan"
	"nightjar/snapshot/sets"
)

// filterValues is how many values a filter takes.
const filterValues = 200

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
	if err := locked(ctx, c, holds); err != nil {
		return nil, err
	}
	if err := imaged(ctx, c, ids, holds); err != nil {
		return nil, err
	}
	maps.Copy(holds, o.Protect)
	return holds, nil
}

// archived finds the snapshots that the next archive of a job is compared with.
func archived(all []snapshot.Set, holds plan.Holds) {
	for i := range all {
		for _, x := range all[i].Snapshots {
			if id := x.Tags[snapshot.TagArchived]; id != "" {
				holds[x.ID] = fmt.Sprintf("the next archive after %.16q reads what has changed since", id)
			}
		}
	}
}

// locked finds snapshots whose locks have not run out.
func locked(ctx context.Context, c *cloud.Cloud, holds plan.Holds) error {
	in := &ec2.DescribeLockedSnapshotsInput{MaxResults: aws.Int32(pageSize)}
	for {
		out, err := c.EC2.DescribeLockedSnapshots(ctx, in)
		if err != nil {
			return fmt.Errorf("look for locked snapshots in %s: %w", c.Region, err)
		}
		for _, x := range out.Snapshots {
			switch {
			case x.LockState == types.LockStateExpired:
			case x.LockExpiresOn == nil:
				holds[aws.ToString(x.SnapshotId)] = fmt.Sprintf("it is locked (%s)", x.LockState)
			default:
				holds[aws.ToString(x.SnapshotId)] = fmt.Sprintf("it is locked (%s) until %s", x.LockState, x.LockExpiresOn.UTC().Format("2006-01-02 15:04 UTC"))
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return nil
		}
		in.NextToken = out.NextToken
	}
}

// imaged finds those of the snapshots that images of the account are made of.
func imaged(ctx context.Context, c *cloud.Cloud, ids []string, holds plan.Holds) error {
	for some := range slices.Chunk(ids, filterValues) {
		pages := ec2.NewDescribeImagesPaginator(c.EC2, &ec2.DescribeImagesInput{
			Owners: []string{"self"}, Filters: []types.Filter{{Name: aws.String("block-device-mapping.snapshot-id"), Values: some}}, MaxResults: aws.Int32(pageSize),
			IncludeDeprecated: aws.Bool(true), IncludeDisabled: aws.Bool(true),
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return fmt.Errorf("look for images made of snapshots in %s: %w", c.Region, err)
			}
			for _, image := range page.Images {
				for _, m := range image.BlockDeviceMappings {
					if m.Ebs != nil {
						holds[aws.ToString(m.Ebs.SnapshotId)] = fmt.Sprintf("image %s is made of it", aws.ToString(image.ImageId))
					}
				}
			}
		}
	}
	return nil
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
