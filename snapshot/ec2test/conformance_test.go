package ec2test_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"nightjar/snapshot/ec2test"
)

// endpoint names another server to hold to these tests, such as http://127.0.0.1:5000. What needs more than EC2's own API is skipped there.
const endpoint = "NIGHTJAR_EC2_ENDPOINT"

// A site is a server with what tests ask of it.
type site struct {
	s   *ec2test.Server // nil: another's
	cfg aws.Config
}

func open(t *testing.T) *site {
	t.Helper()
	x := &site{}
	url := os.Getenv(endpoint)
	if url == "" {
		x.s = ec2test.New(t)
		url = x.s.URL
	}
	cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("us-east-1"), config.WithBaseEndpoint(url), config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }),
		config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider(ec2test.AccessKey, ec2test.SecretKey, "")), config.WithSharedConfigFiles(nil), config.WithSharedCredentialsFiles(nil))
	if err != nil {
		t.Fatal(err)
	}
	cfg.HTTPClient = whole{}
	x.cfg = cfg
	return x
}

// whole sends bodies that net/http knows to be in memory. It sends the SDK's own after the headers, and the SDK closes them when the answer begins, which may be
// before net/http has seen their end: then it gives the connection up while the answer is being read.
type whole struct{}

func (whole) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		data, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.Clone(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(data))
	}
	return http.DefaultTransport.RoundTrip(r)
}

func (x *site) in(region string) *ec2.Client {
	return ec2.NewFromConfig(x.cfg, func(o *ec2.Options) { o.Region = region })
}

// own skips a test that needs this project's server.
func (x *site) own(t *testing.T) *ec2test.Server {
	t.Helper()
	if x.s == nil {
		t.Skip("asks more of a server than EC2's API: " + endpoint + " is set")
	}
	return x.s
}

// instance makes one in the first zone of us-east-1, with a root volume.
func (x *site) instance(t *testing.T) (id, root string) {
	t.Helper()
	if x.s != nil {
		r := x.s.Region("us-east-1")
		id = r.AddInstance(ec2test.Instance{Zone: "us-east-1a", RootDevice: "/dev/xvda"})
		root = r.AddVolume(ec2test.Volume{Zone: "us-east-1a"})
		r.Attach(root, id, "/dev/xvda")
		return id, root
	}
	c := x.in("us-east-1")
	images, err := c.DescribeImages(t.Context(), &ec2.DescribeImagesInput{})
	if err != nil || len(images.Images) == 0 {
		t.Fatalf("no images: %v", err)
	}
	run, err := c.RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: images.Images[0].ImageId, MinCount: aws.Int32(1), MaxCount: aws.Int32(1), Placement: &types.Placement{AvailabilityZone: aws.String("us-east-1a")}})
	if err != nil {
		t.Fatal(err)
	}
	id = *run.Instances[0].InstanceId
	eventually(t, func() bool {
		out, err := c.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
		if err != nil || len(out.Reservations[0].Instances[0].BlockDeviceMappings) == 0 {
			return false
		}
		root = *out.Reservations[0].Instances[0].BlockDeviceMappings[0].Ebs.VolumeId
		return out.Reservations[0].Instances[0].State.Name == types.InstanceStateNameRunning
	})
	return id, root
}

// eventually waits for what comes by itself.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it has not come to be in a minute")
		}
	}
}

// wantCode fails unless an error has the code. Others may be given that mean the same.
func wantCode(t *testing.T, err error, codes ...string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || !slices.Contains(codes, api.ErrorCode()) {
		t.Errorf("got %v, want %s", err, strings.Join(codes, " or "))
	}
}

func must[T any](out T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func (x *site) volume(t *testing.T, region string, in ec2.CreateVolumeInput) string {
	t.Helper()
	if in.Size == nil && in.SnapshotId == nil {
		in.Size = aws.Int32(1)
	}
	if in.AvailabilityZone == nil {
		in.AvailabilityZone = aws.String(region + "a")
	}
	c := x.in(region)
	v := must(c.CreateVolume(t.Context(), &in))(t)
	x.available(t, region, *v.VolumeId)
	return *v.VolumeId
}

func (x *site) available(t *testing.T, region, id string) {
	t.Helper()
	eventually(t, func() bool {
		out := must(x.in(region).DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{VolumeIds: []string{id}}))(t)
		return out.Volumes[0].State == types.VolumeStateAvailable
	})
}

func (x *site) attach(t *testing.T, volume, instance, device string) {
	t.Helper()
	c := x.in("us-east-1")
	must(c.AttachVolume(t.Context(), &ec2.AttachVolumeInput{VolumeId: &volume, InstanceId: &instance, Device: &device}))(t)
	eventually(t, func() bool {
		out := must(c.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{VolumeIds: []string{volume}}))(t)
		return len(out.Volumes[0].Attachments) == 1 && out.Volumes[0].Attachments[0].State == types.VolumeAttachmentStateAttached
	})
}

func (x *site) completed(t *testing.T, region string, ids ...string) {
	t.Helper()
	eventually(t, func() bool {
		out := must(x.in(region).DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: ids}))(t)
		return !slices.ContainsFunc(out.Snapshots, func(s types.Snapshot) bool { return s.State != types.SnapshotStateCompleted })
	})
}

func tags(kind types.ResourceType, pairs ...string) []types.TagSpecification {
	s := types.TagSpecification{ResourceType: kind}
	for i := 0; i < len(pairs); i += 2 {
		s.Tags = append(s.Tags, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
	}
	return []types.TagSpecification{s}
}

func tagsOf(list []types.Tag) map[string]string {
	m := map[string]string{}
	for _, t := range list {
		m[*t.Key] = *t.Value
	}
	return m
}

// A set of all volumes of an instance but those that are excluded: one call, one tag specification, one moment.
func TestCreateSnapshots(t *testing.T) {
	x := open(t)
	c := x.in("us-east-1")
	ctx := t.Context()
	instance, root := x.instance(t)
	data := x.volume(t, "us-east-1", ec2.CreateVolumeInput{TagSpecifications: tags("volume", "team", "db", "only", "here")})
	logs := x.volume(t, "us-east-1", ec2.CreateVolumeInput{})
	x.attach(t, data, instance, "/dev/sdf")
	x.attach(t, logs, instance, "/dev/sdg")
	of := func(boot bool, without ...string) *types.InstanceSpecification {
		return &types.InstanceSpecification{InstanceId: &instance, ExcludeBootVolume: &boot, ExcludeDataVolumeIds: without}
	}

	out := must(c.CreateSnapshots(ctx, &ec2.CreateSnapshotsInput{
		InstanceSpecification: of(true), Description: aws.String("nightly"), CopyTagsFromSource: types.CopyTagsFromSourceVolume,
		TagSpecifications: tags("snapshot", "set", "s1", "team", "ours"),
	}))(t)
	volumes := map[string]string{}
	for _, s := range out.Snapshots {
		volumes[*s.VolumeId] = *s.SnapshotId
		if s.State != types.SnapshotStatePending || *s.Description != "nightly" || s.StartTime == nil || *s.VolumeSize != 1 || tagsOf(s.Tags)["set"] != "s1" {
			t.Errorf("got %+v", s)
		}
	}
	if len(volumes) != 2 || volumes[data] == "" || volumes[logs] == "" {
		t.Fatalf("got snapshots %v, want those of %s and %s", volumes, data, logs)
	}
	x.completed(t, "us-east-1", volumes[data], volumes[logs])
	got := must(c.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{volumes[data]}}))(t).Snapshots[0]
	if *got.Progress != "100%" || got.StorageTier != types.StorageTierStandard || *got.OwnerId == "" || tagsOf(got.Tags)["only"] != "here" || tagsOf(got.Tags)["team"] != "ours" {
		t.Errorf("got %+v with tags %v", got, tagsOf(got.Tags))
	}

	out = must(c.CreateSnapshots(ctx, &ec2.CreateSnapshotsInput{InstanceSpecification: of(false, logs)}))(t)
	if len(out.Snapshots) != 2 || !slices.ContainsFunc(out.Snapshots, func(s types.SnapshotInfo) bool { return *s.VolumeId == root }) {
		t.Errorf("with the boot volume and without one: got %+v", out.Snapshots)
	}
	for _, s := range out.Snapshots {
		x.completed(t, "us-east-1", *s.SnapshotId)
	}

	other := x.volume(t, "us-east-1", ec2.CreateVolumeInput{})
	for _, bad := range []struct {
		name string
		in   *ec2.CreateSnapshotsInput
		code []string
	}{
		{"a volume that is not attached", &ec2.CreateSnapshotsInput{InstanceSpecification: of(true, other)}, []string{"InvalidParameterValue"}},
		{"the root as a data volume", &ec2.CreateSnapshotsInput{InstanceSpecification: of(false, root)}, []string{"InvalidParameterValue"}},
		{"41 exclusions", &ec2.CreateSnapshotsInput{InstanceSpecification: of(true, slices.Repeat([]string{data}, 41)...)}, []string{"InvalidParameterValue"}},
		{"nothing left", &ec2.CreateSnapshotsInput{InstanceSpecification: of(true, data, logs)}, []string{"InvalidParameterValue"}},
		{"no such instance", &ec2.CreateSnapshotsInput{InstanceSpecification: &types.InstanceSpecification{InstanceId: aws.String("i-0123456789abcdef0")}}, []string{"InvalidInstanceID.NotFound"}},
		{"no instance ID", &ec2.CreateSnapshotsInput{InstanceSpecification: &types.InstanceSpecification{InstanceId: aws.String("i-x")}}, []string{"InvalidInstanceID.Malformed"}},
		{"tags of volumes", &ec2.CreateSnapshotsInput{InstanceSpecification: of(true), TagSpecifications: tags("volume", "a", "b")}, []string{"InvalidParameterValue"}},
		{"two tag specifications", &ec2.CreateSnapshotsInput{InstanceSpecification: of(true), TagSpecifications: append(tags("snapshot", "a", "b"), tags("snapshot", "c", "d")...)}, []string{"InvalidParameterValue"}},
		{"dry", &ec2.CreateSnapshotsInput{InstanceSpecification: of(true), DryRun: aws.Bool(true)}, []string{"DryRunOperation"}},
	} {
		_, err := c.CreateSnapshots(ctx, bad.in)
		t.Log(bad.name)
		wantCode(t, err, bad.code...)
	}
}

// Copies get the tags that the call names, an arbitrary volume, and another region's key, which is looked at later.
func TestCopySnapshot(t *testing.T) {
	x := open(t)
	s := x.own(t)
	ctx := context.WithoutCancel(t.Context())
	home, away := x.in("us-east-1"), x.in("eu-west-1")
	key := s.Region("eu-west-1").AddKey(ec2test.Key{Alias: "alias/backups"})
	disabled := s.Region("eu-west-1").AddKey(ec2test.Key{Disabled: true})
	v := x.volume(t, "us-east-1", ec2.CreateVolumeInput{Encrypted: aws.Bool(true)})
	snapshot := *must(home.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: &v, TagSpecifications: tags("snapshot", "a", "b")}))(t).SnapshotId
	from := func(in ec2.CopySnapshotInput) *ec2.CopySnapshotInput {
		in.SourceRegion, in.SourceSnapshotId = aws.String("us-east-1"), &snapshot
		return &in
	}
	_, err := away.CopySnapshot(ctx, from(ec2.CopySnapshotInput{}))
	wantCode(t, err, "IncorrectState")
	x.completed(t, "us-east-1", snapshot)

	out := must(away.CopySnapshot(ctx, from(ec2.CopySnapshotInput{KmsKeyId: aws.String("alias/backups"), Encrypted: aws.Bool(true), TagSpecifications: tags("snapshot", "set", "s1"), CompletionDurationMinutes: aws.Int32(30)})))(t)
	x.completed(t, "eu-west-1", *out.SnapshotId)
	got := must(away.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*out.SnapshotId}}))(t).Snapshots[0]
	if *got.VolumeId != "vol-ffffffff" || *got.KmsKeyId != key || len(got.Tags) != 1 || !*got.Encrypted || got.TransferType != types.TransferTypeTimeBased {
		t.Errorf("got %+v", got)
	}
	_, err = home.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*out.SnapshotId}})
	wantCode(t, err, "InvalidSnapshot.NotFound")

	for _, bad := range []string{disabled, "alias/nowhere", s.Region("us-east-1").Keys()[0]} {
		out := must(away.CopySnapshot(ctx, from(ec2.CopySnapshotInput{KmsKeyId: &bad, Encrypted: aws.Bool(true)})))(t)
		var last types.Snapshot
		eventually(t, func() bool {
			last = must(away.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*out.SnapshotId}}))(t).Snapshots[0]
			return last.State != types.SnapshotStatePending
		})
		if last.State != types.SnapshotStateError || !strings.Contains(aws.ToString(last.StateMessage), "key ID is not accessible") {
			t.Errorf("with key %s: state %s, %s", bad, last.State, aws.ToString(last.StateMessage))
		}
	}
	for _, bad := range []struct {
		in   ec2.CopySnapshotInput
		code string
	}{
		{ec2.CopySnapshotInput{CompletionDurationMinutes: aws.Int32(20)}, "InvalidParameterValue"},
		{ec2.CopySnapshotInput{Encrypted: aws.Bool(false)}, "InvalidParameterValue"},
		{ec2.CopySnapshotInput{DryRun: aws.Bool(true)}, "DryRunOperation"},
	} {
		_, err := away.CopySnapshot(ctx, from(bad.in))
		wantCode(t, err, bad.code)
	}
}
