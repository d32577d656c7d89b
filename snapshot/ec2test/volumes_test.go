package ec2test_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"nightjar/snapshot/ec2test"
)

// A second call with a client token makes no second volume; with other parameters it is refused.
func TestCreateVolume(t *testing.T) {
	x := open(t)
	c := x.in("us-east-1")
	ctx := t.Context()
	in := ec2.CreateVolumeInput{AvailabilityZone: aws.String("us-east-1a"), Size: aws.Int32(10), VolumeType: "gp3", Iops: aws.Int32(4000), Throughput: aws.Int32(250), ClientToken: aws.String("restore-1"), TagSpecifications: tags("volume", "a", "b")}
	v := must(c.CreateVolume(ctx, &in))(t)
	if v.State != types.VolumeStateCreating || *v.Iops != 4000 || *v.Throughput != 250 || tagsOf(v.Tags)["a"] != "b" || *v.Encrypted {
		t.Errorf("got %+v", v)
	}
	if again := must(c.CreateVolume(ctx, &in))(t); *again.VolumeId != *v.VolumeId {
		t.Errorf("the same token made %s and %s", *v.VolumeId, *again.VolumeId)
	}
	in.Size = aws.Int32(11)
	_, err := c.CreateVolume(ctx, &in)
	wantCode(t, err, "IdempotentParameterMismatch")
	x.available(t, "us-east-1", *v.VolumeId)

	snapshot := *must(c.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: v.VolumeId}))(t).SnapshotId
	_, err = c.CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: aws.String("us-east-1b"), SnapshotId: &snapshot})
	wantCode(t, err, "IncorrectState")
	x.completed(t, "us-east-1", snapshot)
	id := x.volume(t, "us-east-1", ec2.CreateVolumeInput{AvailabilityZone: aws.String("us-east-1b"), SnapshotId: &snapshot, VolumeInitializationRate: aws.Int32(200)})
	got := must(c.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{id}}))(t).Volumes[0]
	if *got.Size != 10 || *got.SnapshotId != snapshot || got.VolumeType != types.VolumeTypeGp2 || *got.AvailabilityZone != "us-east-1b" {
		t.Errorf("got %+v", got)
	}
	zone := aws.String("us-east-1a")
	for _, bad := range []struct {
		in   ec2.CreateVolumeInput
		code string
	}{
		{ec2.CreateVolumeInput{Size: aws.Int32(1)}, "MissingParameter"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone}, "MissingParameter"},
		{ec2.CreateVolumeInput{AvailabilityZone: aws.String("eu-west-1a"), Size: aws.Int32(1)}, "InvalidZone.NotFound"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone, Size: aws.Int32(1), VolumeType: "gp9"}, "UnknownVolumeType"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone, Size: aws.Int32(9), SnapshotId: &snapshot}, "InvalidParameterValue"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone, Size: aws.Int32(10), VolumeType: "io2"}, "MissingParameter"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone, Size: aws.Int32(10), VolumeType: "gp2", Iops: aws.Int32(3000)}, "InvalidParameterCombination"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone, Size: aws.Int32(10), VolumeType: "gp2", Throughput: aws.Int32(125)}, "InvalidParameterCombination"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone, Size: aws.Int32(10), VolumeType: "gp3", Throughput: aws.Int32(1000)}, "InvalidParameterValue"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone, Size: aws.Int32(10), VolumeType: "gp3", Iops: aws.Int32(6000)}, "InvalidParameterValue"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone, Size: aws.Int32(10), VolumeType: "st1"}, "InvalidParameterValue"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone, Size: aws.Int32(10), KmsKeyId: aws.String("alias/x")}, "InvalidParameterDependency"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone, Size: aws.Int32(10), VolumeInitializationRate: aws.Int32(200)}, "InvalidParameterValue"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone, SnapshotId: aws.String("snap-0123456789abcdef0")}, "InvalidSnapshot.NotFound"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone, SnapshotId: aws.String("snap-1")}, "InvalidSnapshotID.Malformed"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone, SnapshotId: &snapshot, TagSpecifications: tags("snapshot", "a", "b")}, "InvalidParameterValue"},
		{ec2.CreateVolumeInput{AvailabilityZone: zone, SnapshotId: &snapshot, DryRun: aws.Bool(true)}, "DryRunOperation"},
	} {
		_, err := c.CreateVolume(ctx, &bad.in)
		wantCode(t, err, bad.code)
	}
}

// A key that is not there fails later, and a zone may not have a type.
func TestCreateVolumeFails(t *testing.T) {
	x := open(t)
	s := x.own(t)
	c := x.in("us-east-1")
	s.Without = map[string][]string{"us-east-1c": {"io2"}}
	_, err := c.CreateVolume(t.Context(), &ec2.CreateVolumeInput{AvailabilityZone: aws.String("us-east-1c"), Size: aws.Int32(10), VolumeType: "io2", Iops: aws.Int32(100)})
	wantCode(t, err, "VolumeTypeNotAvailableInZone")
	v := *must(c.CreateVolume(t.Context(), &ec2.CreateVolumeInput{AvailabilityZone: aws.String("us-east-1c"), Size: aws.Int32(1), Encrypted: aws.Bool(true), KmsKeyId: aws.String("alias/nowhere")}))(t).VolumeId
	eventually(t, func() bool {
		return must(c.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{VolumeIds: []string{v}}))(t).Volumes[0].State == types.VolumeStateError
	})
}

// One attachment a volume, one volume a device, both in one zone.
func TestAttach(t *testing.T) {
	x := open(t)
	c := x.in("us-east-1")
	ctx := t.Context()
	instance, root := x.instance(t)
	v := x.volume(t, "us-east-1", ec2.CreateVolumeInput{})
	far := x.volume(t, "us-east-1", ec2.CreateVolumeInput{AvailabilityZone: aws.String("us-east-1b")})
	attach := func(volume, device string) error {
		_, err := c.AttachVolume(ctx, &ec2.AttachVolumeInput{VolumeId: &volume, InstanceId: &instance, Device: &device})
		return err
	}
	a := must(c.AttachVolume(ctx, &ec2.AttachVolumeInput{VolumeId: &v, InstanceId: &instance, Device: aws.String("/dev/sdf")}))(t)
	if a.State != types.VolumeAttachmentStateAttaching || *a.Device != "/dev/sdf" {
		t.Errorf("got %+v", a)
	}
	wantCode(t, attach(v, "/dev/sdg"), "VolumeInUse")
	wantCode(t, attach(far, "/dev/sdg"), "InvalidVolume.ZoneMismatch")
	near := x.volume(t, "us-east-1", ec2.CreateVolumeInput{})
	wantCode(t, attach(near, "/dev/sdf"), "InvalidParameterValue")
	wantCode(t, attach(near, "/dev/nvme1n1"), "InvalidParameterValue")
	wantCode(t, attach("vol-0123456789abcdef0", "/dev/sdg"), "InvalidVolume.NotFound")
	_, err := c.DeleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: &v})
	wantCode(t, err, "VolumeInUse")
	eventually(t, func() bool {
		out := must(c.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{instance}}))(t)
		for _, m := range out.Reservations[0].Instances[0].BlockDeviceMappings {
			if *m.Ebs.VolumeId == v {
				return *m.DeviceName == "/dev/sdf" && m.Ebs.Status == types.AttachmentStatusAttached
			}
		}
		return false
	})
	_, err = c.DetachVolume(ctx, &ec2.DetachVolumeInput{VolumeId: &root})
	wantCode(t, err, "OperationNotPermitted")
	_, err = c.DetachVolume(ctx, &ec2.DetachVolumeInput{VolumeId: &near})
	wantCode(t, err, "IncorrectState")
	must(c.DetachVolume(ctx, &ec2.DetachVolumeInput{VolumeId: &v, InstanceId: &instance}))(t)
	x.available(t, "us-east-1", v)
	must(c.DeleteVolume(ctx, &ec2.DeleteVolumeInput{VolumeId: &v}))(t)
	eventually(t, func() bool {
		_, err := c.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{v}})
		return err != nil
	})
	_, err = c.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{v}})
	wantCode(t, err, "InvalidVolume.NotFound")
}

// Tests are told of attachments while nothing is locked, and may refuse to let go.
func TestHooks(t *testing.T) {
	x := open(t)
	s := x.own(t)
	instance, _ := x.instance(t)
	var told []string
	s.OnAttach = func(a ec2test.Attachment) error {
		s.Calls()
		if _, ok := s.Region("us-east-1").Volume(a.Volume); !ok || a.Backing == "" {
			return errors.New("no such volume")
		}
		told = append(told, "attach "+a.Device)
		return nil
	}
	busy := true
	s.OnDetach = func(a ec2test.Attachment) error {
		told = append(told, "detach "+a.Device)
		if busy {
			return errors.New("mounted")
		}
		return nil
	}
	v := x.volume(t, "us-east-1", ec2.CreateVolumeInput{})
	x.attach(t, v, instance, "/dev/sdf")
	c := x.in("us-east-1")
	must(c.DetachVolume(t.Context(), &ec2.DetachVolumeInput{VolumeId: &v}))(t)
	for range 3 {
		if got := must(c.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{VolumeIds: []string{v}}))(t).Volumes[0]; got.Attachments[0].State != types.VolumeAttachmentStateBusy {
			t.Errorf("a mounted volume is %s", got.Attachments[0].State)
		}
	}
	busy = false
	must(c.DetachVolume(t.Context(), &ec2.DetachVolumeInput{VolumeId: &v}))(t)
	x.available(t, "us-east-1", v)
	if want := []string{"attach /dev/sdf", "detach /dev/sdf", "detach /dev/sdf"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

func TestTags(t *testing.T) {
	x := open(t)
	c := x.in("us-east-1")
	ctx := context.WithoutCancel(t.Context())
	v := x.volume(t, "us-east-1", ec2.CreateVolumeInput{})
	create := func(pairs ...string) error {
		_, err := c.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{v}, Tags: tags("", pairs...)[0].Tags})
		return err
	}
	long := func(n int) string { return string(slices.Repeat([]rune{'ü'}, n)) }
	if err := create(long(127), long(255), "a", "1"); err != nil {
		t.Fatal(err)
	}
	wantCode(t, create(long(128), ""), "InvalidParameterValue")
	wantCode(t, create("b", long(256)), "InvalidParameterValue")
	wantCode(t, create("aws:x", ""), "InvalidParameterValue")
	wantCode(t, create("b", "1", "b", "2"), "InvalidParameterValue")
	var pairs []string
	for i := range 48 {
		pairs = append(pairs, fmt.Sprint("k", i), "v")
	}
	if err := create(pairs...); err != nil {
		t.Fatal(err)
	}
	wantCode(t, create("one", "more"), "TagLimitExceeded")
	if err := create("a", "2"); err != nil {
		t.Errorf("a tag that is there, of a resource that has 50: %v", err)
	}
	_, err := c.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{v, "snap-0123456789abcdef0"}, Tags: tags("", "a", "3")[0].Tags})
	wantCode(t, err, "InvalidSnapshot.NotFound")

	paged := map[string]string{}
	p := ec2.NewDescribeTagsPaginator(c, &ec2.DescribeTagsInput{Filters: []types.Filter{{Name: aws.String("resource-id"), Values: []string{v}}}, MaxResults: aws.Int32(7)})
	for p.HasMorePages() {
		for _, tag := range must(p.NextPage(ctx))(t).Tags {
			paged[*tag.Key] = *tag.Value
		}
	}
	if len(paged) != 50 || paged["a"] != "2" {
		t.Errorf("pages of tags have %d, a=%s", len(paged), paged["a"])
	}
	must(c.DeleteTags(ctx, &ec2.DeleteTagsInput{Resources: []string{v}, Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("other")}, {Key: aws.String("k1")}}}))(t)
	got := tagsOf(must(c.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{v}}))(t).Volumes[0].Tags)
	if len(got) != 49 || got["a"] != "2" {
		t.Errorf("%d tags are left, a=%q: a tag of another value is not to be deleted", len(got), got["a"])
	}
}
