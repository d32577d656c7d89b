package sets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
)

// A Hold is why EC2 would not delete a snapshot, or goes on to bill it.
type Hold struct {
	Snapshot string
	By       string // "image ami-…", "lock (governance) until 2027-01-01 00:00 UTC", "Recycle Bin until 2027-01-01"
}

const (
	batch    = 200  // values that one filter may have
	pageSize = 1000 // what is asked for at once
)

// Holds returns what holds snapshots. What cannot be asked, for want of permission, is in the error; the rest is returned all the same.
func Holds(ctx context.Context, c *cloud.Cloud, snapshots []string) ([]Hold, error) {
	if len(snapshots) == 0 {
		return nil, nil
	}
	var holds []Hold
	var failed error
	for part := range slices.Chunk(snapshots, batch) {
		found, err := heldByImages(ctx, c, part)
		if err != nil {
			failed = err
			break
		}
		holds = append(holds, found...)
	}
	locked, err := heldByLocks(ctx, c, snapshots)
	holds, failed = append(holds, locked...), errors.Join(failed, err)
	place := make(map[string]int, len(snapshots))
	for i, id := range snapshots {
		place[id] = i
	}
	slices.SortStableFunc(holds, func(a, b Hold) int { return place[a.Snapshot] - place[b.Snapshot] })
	return holds, failed
}

func heldByImages(ctx context.Context, c *cloud.Cloud, snapshots []string) (holds []Hold, err error) {
	pages := ec2.NewDescribeImagesPaginator(c.EC2, &ec2.DescribeImagesInput{
		Owners: []string{"self"}, Filters: []types.Filter{{Name: aws.String("block-device-mapping.snapshot-id"), Values: snapshots}},
		MaxResults: aws.Int32(pageSize), IncludeDeprecated: aws.Bool(true), IncludeDisabled: aws.Bool(true),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read which images of %s are made of snapshots: %w", c.Region, err)
		}
		for _, i := range page.Images {
			for _, m := range i.BlockDeviceMappings {
				if m.Ebs != nil && slices.Contains(snapshots, aws.ToString(m.Ebs.SnapshotId)) {
					holds = append(holds, Hold{aws.ToString(m.Ebs.SnapshotId), "image " + aws.ToString(i.ImageId)})
				}
			}
		}
	}
	return holds, nil
}

// heldByLocks reads all locks of the region, which are few.
func heldByLocks(ctx context.Context, c *cloud.Cloud, snapshots []string) (holds []Hold, err error) {
	meant := make(map[string]bool, len(snapshots))
	for _, id := range snapshots {
		meant[id] = true
	}
	for next := (*string)(nil); ; {
		page, err := c.EC2.DescribeLockedSnapshots(ctx, &ec2.DescribeLockedSnapshotsInput{NextToken: next, MaxResults: aws.Int32(pageSize)})
		if err != nil {
			return nil, fmt.Errorf("read which snapshots of %s are locked: %w", c.Region, err)
		}
		for _, s := range page.Snapshots {
			if id := aws.ToString(s.SnapshotId); meant[id] && s.LockState != types.LockStateExpired {
				by := "lock (" + string(s.LockState) + ")"
				if s.LockExpiresOn != nil {
					by += " until " + s.LockExpiresOn.UTC().Format("2006-01-02 15:04 UTC")
				}
				holds = append(holds, Hold{id, by})
			}
		}
		if next = page.NextToken; aws.ToString(next) == "" {
			return holds, nil
		}
	}
}

// InBin returns those of this tool's snapshots that are in the Recycle Bin, where they are billed still. EC2 does not show their tags there: a
// snapshot is taken for one of this tool's by its description.
func InBin(ctx context.Context, c *cloud.Cloud) ([]Hold, error) {
	var holds []Hold
	pages := ec2.NewListSnapshotsInRecycleBinPaginator(c.EC2, &ec2.ListSnapshotsInRecycleBinInput{})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read what is in the Recycle Bin: %w", err)
		}
		for _, s := range page.Snapshots {
			if strings.HasPrefix(aws.ToString(s.Description), snapshot.Prefix) {
				holds = append(holds, Hold{aws.ToString(s.SnapshotId), "Recycle Bin until " + aws.ToTime(s.RecycleBinExitTime).UTC().Format("2006-01-02")})
			}
		}
	}
	return holds, nil
}
