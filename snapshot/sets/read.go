package sets

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
)

// ErrNone says that there is no such set.
var ErrNone = errors.New("no such set")

// A Query chooses sets. The zero value: all of this tool's.
type Query struct {
	Job string // of this job alone
	ID  string // this set alone
}

// Read returns the sets of a region that the account itself owns, the oldest first, and the snapshots that are of a set that cannot be read.
func Read(ctx context.Context, c *cloud.Cloud, q Query) ([]Set, []Stray, error) {
	filters := []types.Filter{{Name: aws.String("tag-key"), Values: []string{snapshot.TagSet}}}
	if q.Job != "" {
		filters = append(filters, types.Filter{Name: aws.String("tag:" + snapshot.TagJob), Values: []string{snapshot.Escape(q.Job)}})
	}
	if q.ID != "" {
		filters[0] = types.Filter{Name: aws.String("tag:" + snapshot.TagSet), Values: []string{snapshot.Escape(q.ID)}}
	}
	var all []snapshot.Snapshot
	pages := ec2.NewDescribeSnapshotsPaginator(c.EC2, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: filters, MaxResults: aws.Int32(1000)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, nil, fmt.Errorf("read the snapshots of %s: %w", c.Region, err)
		}
		for _, x := range page.Snapshots {
			all = append(all, Described(c.Region, x))
		}
	}
	sets, strays := Group(all)
	return sets, strays, nil
}

// Find returns the set with an id that was taken in a region or copied there; if both, the one that was taken. The error is ErrNone if there
// is none: EC2 may show a new one only after a while.
func Find(ctx context.Context, c *cloud.Cloud, id string) (Set, error) {
	sets, strays, err := Read(ctx, c, Query{ID: id})
	switch {
	case err != nil:
		return Set{}, err
	case len(sets) > 0:
		return sets[0], nil
	case len(strays) > 0:
		return Set{}, fmt.Errorf("find set %.64q in %s: %s: %w", id, c.Region, strays[0].Snapshot.ID, strays[0].Err)
	}
	return Set{}, fmt.Errorf("find set %.64q in %s: %w", id, c.Region, ErrNone)
}

// Described is a snapshot as EC2 describes it.
func Described(region string, x types.Snapshot) snapshot.Snapshot {
	progress, _ := strconv.Atoi(strings.TrimSuffix(aws.ToString(x.Progress), "%")) // 0 if it is none
	s := snapshot.Snapshot{
		ID: aws.ToString(x.SnapshotId), Region: region, Volume: aws.ToString(x.VolumeId), State: snapshot.State(x.State), Message: aws.ToString(x.StateMessage),
		Progress: min(max(progress, 0), 100), Started: aws.ToTime(x.StartTime), GiB: int(aws.ToInt32(x.VolumeSize)), Bytes: aws.ToInt64(x.FullSnapshotSizeInBytes),
		Encrypted: aws.ToBool(x.Encrypted), KMSKey: aws.ToString(x.KmsKeyId), Archived: x.StorageTier == types.StorageTierArchive,
		Description: aws.ToString(x.Description), Tags: make(map[string]string, len(x.Tags)),
	}
	for _, t := range x.Tags {
		s.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	s.CopyOf, s.CopyFrom = s.Tags[snapshot.TagCopyOf], s.Tags[snapshot.TagCopyFrom]
	if v := s.Tags[snapshot.TagVolume]; v != "" && s.CopyOf != "" {
		s.Volume = v
	}
	return s
}

// Tags are tags as EC2's calls have them.
func Tags(tags map[string]string) []types.Tag {
	of := make([]types.Tag, 0, len(tags))
	for key, value := range tags {
		of = append(of, types.Tag{Key: aws.String(key), Value: aws.String(value)})
	}
	return of
}
