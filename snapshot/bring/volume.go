package bring

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/sets"
)

// Volumes makes a volume of each part that has none yet, and waits until all are available. What was made is in the parts, whatever the error.
func Volumes(ctx context.Context, c *cloud.Cloud, set string, parts []Part, o Options) error {
	o = o.complete()
	there, err := attempts(ctx, c, set, o)
	if err != nil {
		return err
	}
	for i := range parts {
		p := &parts[i]
		if err := p.take(there, &o); err != nil {
			return err
		}
		if p.New != "" {
			o.Told(fmt.Sprintf("%s of %s is there already: %s", p.Snapshot.ID, p.ID, p.New))
			continue
		}
		if err := p.make(ctx, c, set, &o); err != nil {
			return err
		}
		o.Told(fmt.Sprintf("made %s of %s of %s", p.New, p.Snapshot.ID, p.ID))
	}
	return available(ctx, c, parts, &o)
}

// attempts returns the volumes that an attempt has made so far.
func attempts(ctx context.Context, c *cloud.Cloud, set string, o Options) (found []types.Volume, err error) {
	filter := func(key, value string) types.Filter {
		return types.Filter{Name: aws.String("tag:" + key), Values: []string{value}}
	}
	pages := ec2.NewDescribeVolumesPaginator(c.EC2, &ec2.DescribeVolumesInput{MaxResults: aws.Int32(500), Filters: []types.Filter{
		filter(snapshot.TagSet, set), filter(TagTarget, o.target()), filter(TagAttempt, snapshot.Escape(o.Attempt)),
	}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("look for volumes that were made of set %s before: %w", set, err)
		}
		found = append(found, page.Volumes...)
	}
	return found, nil
}

func tagOf(tags []types.Tag, key string) string {
	for _, t := range tags {
		if aws.ToString(t.Key) == key {
			return aws.ToString(t.Value)
		}
	}
	return ""
}

// take looks for the part among volumes that are there.
func (p *Part) take(there []types.Volume, o *Options) error {
	for _, v := range there {
		if tagOf(v.Tags, snapshot.TagVolume) != p.ID || tagOf(v.Tags, TagSnapshot) != p.Snapshot.ID || v.State == types.VolumeStateDeleting || v.State == types.VolumeStateDeleted {
			continue
		}
		if p.New = aws.ToString(v.VolumeId); differs(&v, o) {
			return fmt.Errorf("go on with %s: %w: it is of another type, speed, key or zone than is asked for now", p.New, ErrUsedUp)
		}
		return nil
	}
	return nil
}

func differs(v *types.Volume, o *Options) bool {
	other := func(want int32, is *int32) bool { return want != 0 && want != aws.ToInt32(is) }
	return string(v.VolumeType) != o.Type || other(o.IOPS, v.Iops) || other(o.Throughput, v.Throughput) || o.GiB > aws.ToInt32(v.Size) ||
		o.Encrypted && !aws.ToBool(v.Encrypted) || o.Zone != "" && o.Zone != aws.ToString(v.AvailabilityZone)
}

func (p *Part) make(ctx context.Context, c *cloud.Cloud, set string, o *Options) error {
	tags := map[string]string{
		snapshot.TagSet: set, snapshot.TagVolume: p.ID, TagSnapshot: p.Snapshot.ID, TagTarget: o.target(), TagAttempt: snapshot.Escape(o.Attempt),
		"Name": snapshot.Escape("restored " + p.ID),
	}
	in := &ec2.CreateVolumeInput{
		SnapshotId: aws.String(p.Snapshot.ID), AvailabilityZone: aws.String(o.Zone), VolumeType: types.VolumeType(o.Type), ClientToken: aws.String(token(set, p, o)),
		Iops: optional(o.IOPS), Throughput: optional(o.Throughput), VolumeInitializationRate: optional(o.InitRate),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeVolume, Tags: sorted(sets.Tags(tags))}},
	}
	if int(o.GiB) > p.Snapshot.GiB {
		in.Size = aws.Int32(o.GiB)
	}
	if o.Encrypted || o.KMSKey != "" {
		in.Encrypted = aws.Bool(true)
	}
	if o.KMSKey != "" {
		in.KmsKeyId = aws.String(o.KMSKey)
	}
	out, err := c.EC2.CreateVolume(ctx, in)
	switch code := cloud.Code(err); {
	case code == "IncorrectState" && p.Snapshot.Archived:
		return fmt.Errorf("make a volume of %s: %w: %w", p.Snapshot.ID, ErrArchived, err)
	case code == "IdempotentParameterMismatch":
		return fmt.Errorf("make a volume of %s: %w: it was made with other options: %w", p.Snapshot.ID, ErrUsedUp, err)
	case err != nil:
		return fmt.Errorf("make a volume of %s in %s: %w", p.Snapshot.ID, o.Zone, err)
	case out.State == types.VolumeStateDeleting || out.State == types.VolumeStateDeleted:
		return fmt.Errorf("make a volume of %s: %w: %s was deleted", p.Snapshot.ID, ErrUsedUp, aws.ToString(out.VolumeId))
	}
	p.New, p.Made = aws.ToString(out.VolumeId), true
	return nil
}

// sorted has tags in one order: a client token stands for the very same parameters.
func sorted(tags []types.Tag) []types.Tag {
	slices.SortFunc(tags, func(a, b types.Tag) int {
		if *a.Key < *b.Key {
			return -1
		}
		return 1
	})
	return tags
}

func optional(n int32) *int32 {
	if n == 0 {
		return nil
	}
	return &n
}

// available waits until the volumes of all parts are, or in use.
func available(ctx context.Context, c *cloud.Cloud, parts []Part, o *Options) error {
	return o.await(ctx, "wait until the volumes are available", func() (bool, string, error) {
		at, err := describe(ctx, c, parts)
		if err != nil {
			return false, "", err
		}
		for i := range parts {
			p := &parts[i]
			v, seen := at[p.New]
			switch {
			case !seen:
				return false, p.New + " is not seen yet", nil
			case v.State == types.VolumeStateError, v.State == types.VolumeStateDeleting, v.State == types.VolumeStateDeleted:
				return false, "", fmt.Errorf("make %s of %s: %w (%s)", p.New, p.Snapshot.ID, ErrNotMade, v.State)
			case v.State == types.VolumeStateCreating:
				return false, p.New + " is being created", nil
			}
		}
		return true, "", nil
	})
}

// describe returns the parts' volumes by their ids. One that EC2 does not show yet is missing.
func describe(ctx context.Context, c *cloud.Cloud, parts []Part) (map[string]types.Volume, error) {
	var ids []string
	for _, p := range parts {
		if p.New != "" {
			ids = append(ids, p.New)
		}
	}
	at := map[string]types.Volume{}
	if len(ids) == 0 {
		return at, nil
	}
	pages := ec2.NewDescribeVolumesPaginator(c.EC2, &ec2.DescribeVolumesInput{Filters: []types.Filter{{Name: aws.String("volume-id"), Values: ids}}}) // unlike ids, it takes what is not seen yet
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("look at the volumes that were made: %w", err)
		}
		for _, v := range page.Volumes {
			at[aws.ToString(v.VolumeId)] = v
		}
	}
	return at, nil
}

// ErrLate says that something did not come to be in time.
var ErrLate = errors.New("it did not come to be in time")

// await asks until it is done, fails, or the limit is over; state is what it waits for.
func (o *Options) await(ctx context.Context, what string, ask func() (done bool, state string, err error)) error {
	deadline := o.Now().Add(o.Limit)
	for {
		done, state, err := ask()
		switch {
		case err != nil, done:
			return err
		case o.Now().After(deadline):
			return fmt.Errorf("%s: %w: %s after %v", what, ErrLate, state, o.Limit)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, context.Cause(ctx))
		case <-time.After(o.Every):
		}
	}
}
