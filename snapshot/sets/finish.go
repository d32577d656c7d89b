package sets

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
)

// A Dropped tag of a volume is one for which its snapshot had no room.
type Dropped struct {
	Snapshot string
	Keys     []string
}

// Finish gives the snapshots of a set that was taken in this region what tags of their own they lack: that they are of their volume, and what
// tags the volume has, as long as EC2 takes more. A volume that is gone has none. It returns the set as it is now.
func Finish(ctx context.Context, c *cloud.Cloud, s Set) (Set, []Dropped, error) {
	if len(s.Untagged) == 0 {
		return s, nil, nil
	}
	if s.CopyFrom != "" {
		return s, nil, fmt.Errorf("finish the tags of set %s: EC2 does not say of which volume a copy is", s.ID)
	}
	of, err := tagsOfVolumes(ctx, c, s.Volumes)
	if err != nil {
		return s, nil, err
	}
	var dropped []Dropped
	var failed error
	all := slices.Concat(s.Snapshots, s.Extra)
	for i := range all {
		if !slices.Contains(s.Untagged, all[i].ID) {
			continue
		}
		tags, without := own(all[i], of[all[i].Volume])
		if len(without) > 0 {
			dropped = append(dropped, Dropped{all[i].ID, without})
		}
		if err := SetTags(ctx, c, tags, all[i].ID); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		all[i].Tags = maps.Clone(all[i].Tags)
		maps.Copy(all[i].Tags, tags)
	}
	regrouped, _ := Group(all)
	if len(regrouped) == 1 {
		s = regrouped[0]
	}
	return s, dropped, failed
}

// SetTags sets tags of snapshots, all the same.
func SetTags(ctx context.Context, c *cloud.Cloud, tags map[string]string, snapshots ...string) error {
	if _, err := c.EC2.CreateTags(ctx, &ec2.CreateTagsInput{Resources: snapshots, Tags: Tags(tags)}); err != nil {
		return fmt.Errorf("set tags of %s: %w", strings.Join(snapshots, ", "), err)
	}
	return nil
}

// own are the tags that a snapshot lacks, and the keys of its volume's that find no room.
func own(x snapshot.Snapshot, volume map[string]string) (tags map[string]string, dropped []string) {
	tags = map[string]string{snapshot.TagVolume: x.Volume}
	room := snapshot.MaxTags - len(x.Tags) - 1
	for _, key := range slices.Sorted(maps.Keys(volume)) {
		_, taken := x.Tags[key]
		switch {
		case taken, strings.HasPrefix(key, snapshot.Prefix), strings.HasPrefix(key, "aws:"): // of a restored volume, or Amazon's own
		case room == 0:
			dropped = append(dropped, key)
		default:
			tags[key] = volume[key]
			room--
		}
	}
	return tags, dropped
}

// tagsOfVolumes reads the tags of those volumes that are still there.
func tagsOfVolumes(ctx context.Context, c *cloud.Cloud, volumes []snapshot.Volume) (map[string]map[string]string, error) {
	ids := make([]string, len(volumes))
	for i, v := range volumes {
		ids[i] = v.ID
	}
	of := map[string]map[string]string{}
	pages := ec2.NewDescribeVolumesPaginator(c.EC2, &ec2.DescribeVolumesInput{Filters: []types.Filter{{Name: aws.String("volume-id"), Values: ids}}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the tags of the volumes: %w", err)
		}
		for _, v := range page.Volumes {
			tags := map[string]string{}
			for _, t := range v.Tags {
				tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
			}
			of[aws.ToString(v.VolumeId)] = tags
		}
	}
	return of, nil
}
