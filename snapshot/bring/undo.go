package bring

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
)

// Made returns what an attempt has made of a set for a target and left, as parts that have of the snapshot its id alone.
func Made(ctx context.Context, c *cloud.Cloud, set string, o Options) ([]Part, error) {
	o = o.complete()
	there, err := attempts(ctx, c, set, o)
	if err != nil {
		return nil, err
	}
	var parts []Part
	for _, v := range there {
		if v.State == types.VolumeStateDeleting || v.State == types.VolumeStateDeleted {
			continue
		}
		p := Part{Volume: snapshot.Volume{ID: tagOf(v.Tags, snapshot.TagVolume)}, Snapshot: snapshot.Snapshot{ID: tagOf(v.Tags, TagSnapshot)}, New: aws.ToString(v.VolumeId)}
		if a, err := attachment(v, o.Instance); err == nil && a != nil {
			p.Name = aws.ToString(a.Device)
		}
		parts = append(parts, p)
	}
	return parts, nil
}

// Undo detaches and deletes the volumes of parts that Made has returned. What is mounted has to be unmounted before. Volumes that are
// attached to another instance are left, and are an error.
func Undo(ctx context.Context, c *cloud.Cloud, parts []Part, o Options) error {
	o = o.complete()
	var failed []error
	for i := range parts {
		if err := undo(ctx, c, &parts[i], &o); err != nil {
			failed = append(failed, fmt.Errorf("undo %s: %w", parts[i].New, err))
		}
	}
	return errors.Join(failed...)
}

func undo(ctx context.Context, c *cloud.Cloud, p *Part, o *Options) error {
	at, err := describe(ctx, c, []Part{*p})
	if err != nil {
		return err
	}
	v := at[p.New]
	for _, a := range v.Attachments {
		if id := aws.ToString(a.InstanceId); id != o.Instance && a.State != types.VolumeAttachmentStateDetached && a.State != types.VolumeAttachmentStateDetaching {
			return fmt.Errorf("%w: to %s", ErrElsewhere, id)
		}
	}
	if len(v.Attachments) > 0 {
		if _, err := c.EC2.DetachVolume(ctx, &ec2.DetachVolumeInput{VolumeId: aws.String(p.New), InstanceId: aws.String(o.Instance)}); err != nil && cloud.Code(err) != "IncorrectState" {
			return err
		}
		o.Told(fmt.Sprintf("detaching %s from %s", p.New, o.Instance))
	}
	err = o.await(ctx, "wait until it is detached", func() (bool, string, error) {
		at, err := describe(ctx, c, []Part{*p})
		if err != nil {
			return false, "", err
		}
		v, ok := at[p.New]
		return !ok || v.State == types.VolumeStateAvailable || v.State == types.VolumeStateError, "it is " + string(v.State), nil
	})
	if err != nil {
		return err
	}
	if _, err := c.EC2.DeleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: aws.String(p.New)}); err != nil && cloud.Code(err) != "InvalidVolume.NotFound" {
		return err
	}
	o.Told("deleted " + p.New)
	p.New, p.Name = "", ""
	return nil
}
