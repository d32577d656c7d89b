package sets

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"nightjar/snapshot/cloud"
)

// IsCompleted reports whether a snapshot is. One that EC2 does not show yet is not.
func IsCompleted(ctx context.Context, c *cloud.Cloud, id string) (bool, error) {
	out, err := c.EC2.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{id}})
	if cloud.Code(err) == "InvalidSnapshot.NotFound" {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find out whether %s is completed: %w", id, err)
	}
	return len(out.Snapshots) == 1 && out.Snapshots[0].State == types.SnapshotStateCompleted, nil
}

// AwaitCompleted waits until a snapshot is, for at most a day.
func AwaitCompleted(ctx context.Context, c *cloud.Cloud, id string) error {
	w := ec2.NewSnapshotCompletedWaiter(c.EC2, func(o *ec2.SnapshotCompletedWaiterOptions) { o.MinDelay, o.MaxDelay = time.Second, 15*time.Second })
	if err := w.Wait(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{id}}, 24*time.Hour); err != nil {
		return fmt.Errorf("wait for %s: %w", id, err)
	}
	return nil
}
