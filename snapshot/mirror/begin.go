package mirror

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/sets"
)

const (
	// firstWait is how long is waited before the second look for a copy, or the second attempt; each next wait is twice as long.
	firstWait = 2 * time.Second
	// looks is how often a copy is looked for whose answer was lost: EC2 may show it only after a while.
	looks = 5
	// tries is how often a copy is begun in one run that EC2 gives up.
	tries = 2
	// unseen is how often a copy that was begun may not be shown before it is taken for gone.
	unseen = 20
	// filterValues is how many values a filter takes.
	filterValues = 200
)

// begin makes EC2 copy a snapshot, and notes the copy's id in j.
func (x *run) begin(ctx context.Context, j *job) error {
	in, err := x.input(j)
	if err != nil {
		return err
	}
	wait := firstWait
	for attempt := 1; ; attempt++ {
		out, err := x.to.EC2.CopySnapshot(ctx, in, cloud.Once)
		if err == nil {
			j.copy = aws.ToString(out.SnapshotId)
			x.tell(Event{Started, j.set.ID, j.source.ID, j.copy, nil})
			return nil
		}
		err = fmt.Errorf("copy snapshot %s of set %s to %s: %w", j.source.ID, j.set.ID, x.to.Region, err)
		switch code := cloud.Code(err); {
		case code == "ResourceLimitExceeded":
			return errFull
		case ctx.Err() != nil:
			return err
		case code == "RequestLimitExceeded" || strings.HasPrefix(code, "Throttl"):
		case unsure(code):
			found, lookErr := x.find(ctx, j)
			if lookErr != nil {
				return fmt.Errorf("%w; and it is not known whether that was done: %w", err, lookErr)
			}
			if found != "" {
				j.copy = found
				x.tell(Event{Adopted, j.set.ID, j.source.ID, j.copy, nil})
				return nil
			}
		default:
			return err
		}
		if attempt == cloud.Attempts {
			return err
		}
		if err := x.sleep(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, time.Minute)
	}
}

// unsure tells codes of errors after which the copy may have been begun all the same.
func unsure(code string) bool {
	return slices.Contains([]string{"", "InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "RequestTimeout", "RequestTimeoutException"}, code)
}

// find looks for the copy of a snapshot by its tags. It is empty if there is none.
func (x *run) find(ctx context.Context, j *job) (string, error) {
	wait := firstWait
	for look := 1; ; look++ {
		out, err := x.to.EC2.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: []types.Filter{
			{Name: aws.String("tag:" + snapshot.TagSet), Values: []string{snapshot.Escape(j.set.ID)}},
			{Name: aws.String("tag:" + snapshot.TagCopyOf), Values: []string{j.source.ID}},
			{Name: aws.String("tag:" + snapshot.TagCopyFrom), Values: []string{x.from.Region}},
		}})
		if err != nil {
			return "", fmt.Errorf("look for a copy of %s in %s: %w", j.source.ID, x.to.Region, err)
		}
		for _, s := range out.Snapshots {
			if s.State != types.SnapshotStateError {
				return aws.ToString(s.SnapshotId), nil
			}
		}
		if look == looks {
			return "", nil
		}
		if err := x.sleep(ctx, wait); err != nil {
			return "", err
		}
		wait *= 2
	}
}

// input is what CopySnapshot is asked for.
func (x *run) input(j *job) (*ec2.CopySnapshotInput, error) {
	tags, err := x.tags(j)
	if err != nil {
		return nil, err
	}
	in := &ec2.CopySnapshotInput{
		SourceRegion: aws.String(x.from.Region), SourceSnapshotId: aws.String(j.source.ID),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSnapshot, Tags: sets.Tags(tags)}},
	}
	if j.source.Description != "" {
		in.Description = aws.String(j.source.Description)
	}
	if x.Key != "" {
		in.Encrypted, in.KmsKeyId = aws.Bool(true), aws.String(x.Key)
	}
	if x.Minutes != 0 {
		in.CompletionDurationMinutes = aws.Int32(int32(x.Minutes))
	}
	return in, nil
}

// tags are those of the set, where the copy is from, and as many of the snapshot's others as there is room for.
func (x *run) tags(j *job) (map[string]string, error) {
	tags, err := snapshot.Encode(j.set.Label)
	if err != nil {
		return nil, err
	}
	tags[snapshot.TagVolume], tags[snapshot.TagCopyOf], tags[snapshot.TagCopyFrom] = j.source.Volume, j.source.ID, x.from.Region
	for _, key := range slices.Sorted(maps.Keys(j.source.Tags)) {
		_, has := tags[key]
		switch {
		case has || strings.HasPrefix(key, "aws:") || strings.HasPrefix(key, snapshot.Prefix):
		case len(tags) < snapshot.MaxTags:
			tags[key] = j.source.Tags[key]
		case !x.dropped[key]:
			x.dropped[key] = true
			x.r.Dropped = append(x.r.Dropped, key)
		}
	}
	return tags, nil
}

// look asks what has become of the copies that are under way.
func (x *run) look(ctx context.Context) error {
	state := map[string]snapshot.Snapshot{}
	for some := range slices.Chunk(x.pending, filterValues) {
		var ids []string
		for _, j := range some {
			ids = append(ids, j.copy)
		}
		// Not by SnapshotIds: one that EC2 does not show yet would fail the call for all.
		pages := ec2.NewDescribeSnapshotsPaginator(x.to.EC2, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: []types.Filter{{Name: aws.String("snapshot-id"), Values: ids}}})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return fmt.Errorf("look at copies in %s: %w", x.to.Region, err)
			}
			for _, s := range page.Snapshots {
				state[aws.ToString(s.SnapshotId)] = sets.Described(x.to.Region, s)
			}
		}
	}
	var pending []*job
	for i, j := range x.pending {
		s, seen := state[j.copy]
		switch {
		case s.State == snapshot.Completed:
			x.r.Completed++
			x.tell(Event{Done, j.set.ID, j.source.ID, j.copy, nil})
		case s.State == snapshot.Failed:
			if err := x.again(ctx, j, s.Message); err != nil {
				x.pending = append(pending, x.pending[i:]...)
				return err
			}
		case !seen && j.unseen >= unseen:
			x.fail(j, fmt.Errorf("copy %s in %s: it is gone", j.copy, x.to.Region))
		default:
			if !seen {
				j.unseen++
			}
			pending = append(pending, j)
		}
	}
	x.pending = pending
	return nil
}

// again removes a copy that failed, and has it begun once more, unless that was tried.
func (x *run) again(ctx context.Context, j *job, message string) error {
	why := fmt.Errorf("copy %s of snapshot %s to %s: %w: %.200q", j.copy, j.source.ID, x.to.Region, ErrCopy, message)
	if err := x.remove(ctx, j.copy); err != nil {
		return err
	}
	if j.tries++; j.tries >= tries || j.source.State != snapshot.Completed { // the next pass begins anew what an earlier one had begun
		x.fail(j, why)
		return nil
	}
	j.copy, j.unseen = "", 0
	x.todo = append([]*job{j}, x.todo...)
	return nil
}

// remove deletes what is left of a copy that failed.
func (x *run) remove(ctx context.Context, id string) error {
	_, err := x.to.EC2.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: aws.String(id)})
	if err != nil && cloud.Code(err) != "InvalidSnapshot.NotFound" {
		return fmt.Errorf("delete snapshot %s, a copy that failed: %w", id, err)
	}
	return nil
}
