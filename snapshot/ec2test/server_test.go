package ec2test_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"nightjar/snapshot/ec2test"
)

// The caller sees its own snapshots, those shared with it and public ones, page by page, and no others.
func TestDescribeSnapshots(t *testing.T) {
	x := open(t)
	s := x.own(t)
	r := s.Region("us-east-1")
	for i := range 23 {
		r.AddSnapshot(ec2test.Snapshot{Meta: ec2test.Meta{Tags: map[string]string{"n": fmt.Sprint(i), "job": "j/1"}}, Volume: "vol-0123456789abcdef0", Description: "ours"})
	}
	r.AddSnapshot(ec2test.Snapshot{Owner: ec2test.Other, SharedWith: []string{ec2test.Account}})
	r.AddSnapshot(ec2test.Snapshot{Owner: ec2test.Other, Public: true})
	hidden := r.AddSnapshot(ec2test.Snapshot{Owner: ec2test.Other})
	c := x.in("us-east-1")
	ctx := t.Context()
	count := func(in ec2.DescribeSnapshotsInput) (n, pages int) {
		p := ec2.NewDescribeSnapshotsPaginator(c, &in)
		for p.HasMorePages() {
			out := must(p.NextPage(ctx))(t)
			n, pages = n+len(out.Snapshots), pages+1
		}
		return n, pages
	}
	filter := func(name string, values ...string) []types.Filter {
		return []types.Filter{{Name: &name, Values: values}}
	}
	for _, c := range []struct {
		name     string
		in       ec2.DescribeSnapshotsInput
		n, pages int
	}{
		{"all", ec2.DescribeSnapshotsInput{}, 25, 1},
		{"own", ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, MaxResults: aws.Int32(10)}, 23, 3},
		{"another's", ec2.DescribeSnapshotsInput{OwnerIds: []string{ec2test.Other}}, 2, 1},
		{"by a tag", ec2.DescribeSnapshotsInput{Filters: filter("tag:n", "3", "4")}, 2, 1},
		{"by a pattern", ec2.DescribeSnapshotsInput{Filters: filter("tag:n", "1*")}, 11, 1},
		{"by a pattern over a slash", ec2.DescribeSnapshotsInput{Filters: filter("tag:job", "j*1")}, 23, 1},
		{"by another case", ec2.DescribeSnapshotsInput{Filters: filter("description", "Ours")}, 0, 1},
		{"by a key", ec2.DescribeSnapshotsInput{Filters: filter("tag-key", "n"), MaxResults: aws.Int32(23)}, 23, 1},
		{"by a volume", ec2.DescribeSnapshotsInput{Filters: filter("volume-id", "vol-0123456789abcdef0"), MaxResults: aws.Int32(5)}, 23, 5},
	} {
		if n, pages := count(c.in); n != c.n || pages != c.pages {
			t.Errorf("%s: %d in %d pages, want %d in %d", c.name, n, pages, c.n, c.pages)
		}
	}
	for _, bad := range []struct {
		in   ec2.DescribeSnapshotsInput
		code string
	}{
		{ec2.DescribeSnapshotsInput{Filters: filter("tag-value", "x")}, "InvalidParameterValue"},
		{ec2.DescribeSnapshotsInput{MaxResults: aws.Int32(4)}, "InvalidParameterValue"},
		{ec2.DescribeSnapshotsInput{MaxResults: aws.Int32(5), SnapshotIds: []string{hidden}}, "InvalidParameterCombination"},
		{ec2.DescribeSnapshotsInput{NextToken: aws.String("x")}, "InvalidParameterValue"},
		{ec2.DescribeSnapshotsInput{SnapshotIds: []string{hidden}}, "InvalidSnapshot.NotFound"},
		{ec2.DescribeSnapshotsInput{SnapshotIds: []string{"snap-zz"}}, "InvalidSnapshotID.Malformed"},
		{ec2.DescribeSnapshotsInput{SnapshotIds: []string{"x"}}, "InvalidParameterValue"},
		{ec2.DescribeSnapshotsInput{DryRun: aws.Bool(true)}, "DryRunOperation"},
	} {
		_, err := c.DescribeSnapshots(ctx, &bad.in)
		wantCode(t, err, bad.code)
	}
	s.EmptyPages = true
	if n, pages := count(ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, MaxResults: aws.Int32(10)}); n != 23 || pages != 5 {
		t.Errorf("with empty pages: %d in %d pages", n, pages)
	}
	s.EmptyPages = false
	out := must(c.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, MaxResults: aws.Int32(10)}))(t)
	_, err := c.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{MaxResults: aws.Int32(10), NextToken: out.NextToken})
	wantCode(t, err, "InvalidParameterValue")
}

// What holds a snapshot: an image, a lock, the Recycle Bin, the archive.
func TestHeldSnapshots(t *testing.T) {
	x := open(t)
	s := x.own(t)
	r, c, ctx := s.Region("us-east-1"), x.in("us-east-1"), context.WithoutCancel(t.Context())
	imaged, locked, free := r.AddSnapshot(ec2test.Snapshot{}), r.AddSnapshot(ec2test.Snapshot{}), r.AddSnapshot(ec2test.Snapshot{})
	image := r.AddImage(ec2test.Image{Snapshots: map[string]string{"/dev/xvda": imaged}})
	remove := func(id string) error {
		_, err := c.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: &id})
		return err
	}
	err := remove(imaged)
	wantCode(t, err, "InvalidSnapshot.InUse")
	if !strings.Contains(fmt.Sprint(err), image) {
		t.Errorf("%v does not name %s", err, image)
	}
	images := must(c.DescribeImages(ctx, &ec2.DescribeImagesInput{Filters: []types.Filter{{Name: aws.String("block-device-mapping.snapshot-id"), Values: []string{imaged}}}}))(t)
	if len(images.Images) != 1 || *images.Images[0].BlockDeviceMappings[0].Ebs.SnapshotId != imaged {
		t.Errorf("images: %+v", images.Images)
	}

	must(c.LockSnapshot(ctx, &ec2.LockSnapshotInput{SnapshotId: &locked, LockMode: types.LockModeCompliance, LockDuration: aws.Int32(2), CoolOffPeriod: aws.Int32(1)}))(t)
	wantCode(t, remove(locked), "SnapshotLocked")
	state := func() types.LockState {
		out := must(c.DescribeLockedSnapshots(ctx, &ec2.DescribeLockedSnapshotsInput{SnapshotIds: []string{locked}}))(t)
		return out.Snapshots[0].LockState
	}
	if got := state(); got != types.LockStateComplianceCooloff {
		t.Errorf("a lock that cools off is %s", got)
	}
	s.Advance(90 * time.Minute)
	_, err = c.UnlockSnapshot(ctx, &ec2.UnlockSnapshotInput{SnapshotId: &locked})
	wantCode(t, err, "SnapshotLocked")
	s.Advance(47 * time.Hour)
	if got := state(); got != types.LockStateExpired {
		t.Errorf("a lock that has run out is %s", got)
	}
	s.RecycleBin = 24 * time.Hour
	if err := remove(locked); err != nil {
		t.Error(err)
	}
	wantCode(t, remove(locked), "InvalidSnapshot.NotFound")
	if bin := must(c.ListSnapshotsInRecycleBin(ctx, &ec2.ListSnapshotsInRecycleBinInput{}))(t); len(bin.Snapshots) != 1 || *bin.Snapshots[0].SnapshotId != locked || bin.Snapshots[0].RecycleBinExitTime == nil {
		t.Errorf("in the Recycle Bin: %+v", bin.Snapshots)
	}
	must(c.RestoreSnapshotFromRecycleBin(ctx, &ec2.RestoreSnapshotFromRecycleBinInput{SnapshotId: &locked}))(t)
	if err := remove(locked); err != nil {
		t.Error(err)
	}
	s.Advance(25 * time.Hour)
	if bin := must(c.ListSnapshotsInRecycleBin(ctx, &ec2.ListSnapshotsInRecycleBinInput{}))(t); len(bin.Snapshots) != 0 {
		t.Errorf("in the Recycle Bin after its time: %+v", bin.Snapshots)
	}

	must(c.ModifySnapshotTier(ctx, &ec2.ModifySnapshotTierInput{SnapshotId: &free, StorageTier: types.TargetStorageTierArchive}))(t)
	eventually(t, func() bool {
		out := must(c.DescribeSnapshotTierStatus(ctx, &ec2.DescribeSnapshotTierStatusInput{Filters: []types.Filter{{Name: aws.String("snapshot-id"), Values: []string{free}}}}))(t)
		return out.SnapshotTierStatuses[0].StorageTier == types.StorageTierArchive
	})
	_, err = c.CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: aws.String("us-east-1a"), SnapshotId: &free})
	wantCode(t, err, "IncorrectState")
}

// A snapshot of a volume has to wait for the one before it.
func TestRates(t *testing.T) {
	x := open(t)
	s := x.own(t)
	s.Pending = time.Hour
	c, ctx := x.in("us-east-1"), t.Context()
	v := s.Region("us-east-1").AddVolume(ec2test.Volume{})
	take := func() error {
		_, err := c.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: &v})
		return err
	}
	for range 5 {
		if err := take(); err != nil {
			t.Fatal(err)
		}
		wantCode(t, take(), "SnapshotCreationPerVolumeRateExceeded")
		s.Advance(16 * time.Second)
	}
	wantCode(t, take(), "ConcurrentSnapshotLimitExceeded")
	s.Advance(time.Hour)
	s.CopyLimit = 2
	away := x.in("eu-west-1")
	source := s.Region("us-east-1").AddSnapshot(ec2test.Snapshot{})
	copy := func() error {
		_, err := away.CopySnapshot(ctx, &ec2.CopySnapshotInput{SourceRegion: aws.String("us-east-1"), SourceSnapshotId: &source})
		return err
	}
	for range 2 {
		if err := copy(); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, copy(), "ResourceLimitExceeded")
}

func TestFaults(t *testing.T) {
	x := open(t)
	s := x.own(t)
	c, ctx := x.in("us-east-1"), t.Context()
	v := s.Region("us-east-1").AddVolume(ec2test.Volume{})
	s.Fault(ec2test.Fault{Operation: "CreateSnapshot", Nth: 2, Lost: true})
	s.Fault(ec2test.Fault{Operation: "DescribeSnapshots", Code: "RequestLimitExceeded"})
	_, err := c.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{})
	wantCode(t, err, "RequestLimitExceeded")
	first := must(c.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: &v}))(t)
	x.completed(t, "us-east-1", *first.SnapshotId)
	if _, err := c.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: &v}); err == nil {
		t.Error("an answer that was to be lost came")
	}
	if n := len(s.Region("us-east-1").Snapshots()); n != 2 {
		t.Errorf("there are %d snapshots: a lost answer is to come after its call is done", n)
	}
	calls := s.Calls()
	if last := calls[len(calls)-1]; last.Action() != "ec2:CreateSnapshot" || !last.Lost || last.Region != "us-east-1" || last.Parameters.Get("VolumeId") != v {
		t.Errorf("the last call was %+v", last)
	}
	s.Deny("ec2:CreateTags")
	defer func() {
		for _, c := range s.Calls() {
			if c.Operation == "CreateVolume" && c.DryRun && !slices.Equal(c.Needs, []string{"ec2:CreateVolume", "ec2:CreateTags"}) {
				t.Errorf("a volume with tags needs %q", c.Needs)
			}
		}
	}()
	_, err = c.CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: aws.String("us-east-1a"), Size: aws.Int32(1), TagSpecifications: tags("volume", "a", "b"), DryRun: aws.Bool(true)})
	wantCode(t, err, "UnauthorizedOperation")
	s.Hidden = 2
	fresh := *must(c.CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: aws.String("us-east-1a"), Size: aws.Int32(1)}))(t).VolumeId
	for range 2 {
		_, err := c.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{fresh}})
		wantCode(t, err, "InvalidVolume.NotFound")
	}
	must(c.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{fresh}}))(t)
}

// Signatures are verified, and regions told apart by them.
func TestSignatures(t *testing.T) {
	x := open(t)
	s := x.own(t)
	ctx := t.Context()
	with := func(key, secret, token, region string) error {
		c := ec2.NewFromConfig(x.cfg, func(o *ec2.Options) {
			o.Credentials, o.Region = credentials.NewStaticCredentialsProvider(key, secret, token), region
		})
		_, err := c.DescribeRegions(ctx, &ec2.DescribeRegionsInput{})
		return err
	}
	if err := with(ec2test.AccessKey, ec2test.SecretKey, "", "eu-west-1"); err != nil {
		t.Error(err)
	}
	wantCode(t, with(ec2test.AccessKey, "wrong", "", "us-east-1"), "SignatureDoesNotMatch")
	wantCode(t, with("AKIAUNKNOWN", ec2test.SecretKey, "", "us-east-1"), "AuthFailure")
	wantCode(t, with(ec2test.AccessKey, ec2test.SecretKey, "stale", "us-east-1"), "RequestExpired")
	wantCode(t, with(ec2test.AccessKey, ec2test.SecretKey, "", "mars-north-1"), "AuthFailure")
	s.Skew(20 * time.Minute)
	wantCode(t, with(ec2test.AccessKey, ec2test.SecretKey, "", "us-east-1"), "RequestExpired")
	s.Skew(0)
	out := must(http.Get(s.URL + "/?Action=DescribeRegions&Version=2016-11-15"))(t)
	out.Body.Close()
	if out.StatusCode != http.StatusForbidden {
		t.Errorf("an unsigned call got %s", out.Status)
	}
	if who := must(sts.NewFromConfig(x.cfg).GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{}))(t); *who.Account != ec2test.Account {
		t.Errorf("the caller is of account %s", *who.Account)
	}
}

// Nothing is told without a token; a role's credentials work until they expire.
func TestMetadata(t *testing.T) {
	s := ec2test.New(t)
	s.Setenv(t)
	instance := s.Region("eu-west-1").AddInstance(ec2test.Instance{Zone: "eu-west-1b", Profile: "backup"})
	s.On(instance)
	out := must(http.Get(s.MetadataURL + "/latest/meta-data/instance-id"))(t)
	out.Body.Close()
	if out.StatusCode != http.StatusUnauthorized {
		t.Errorf("version 1 got %s", out.Status)
	}
	ask := func(method, path, name, value string) string {
		r := must(http.NewRequestWithContext(t.Context(), method, s.MetadataURL+path, nil))(t)
		r.Header.Set(name, value)
		out := must(http.DefaultClient.Do(r))(t)
		defer out.Body.Close()
		return string(must(io.ReadAll(out.Body))(t))
	}
	token := ask(http.MethodPut, "/latest/api/token", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "60")
	if got := ask(http.MethodGet, "/latest/meta-data/instance-id", "X-Aws-Ec2-Metadata-Token", token); got != instance {
		t.Errorf("the instance is %q, want %s", got, instance)
	}
	for _, name := range []string{"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		t.Setenv(name, "")
	}
	cfg := must(config.LoadDefaultConfig(t.Context(), config.WithEC2IMDSRegion(), config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} })))(t)
	if cfg.Region != "eu-west-1" {
		t.Errorf("the region is %q", cfg.Region)
	}
	cfg.HTTPClient = whole{}
	c := ec2.NewFromConfig(cfg)
	got := must(c.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{instance}}))(t)
	if *got.Reservations[0].Instances[0].Placement.AvailabilityZone != "eu-west-1b" {
		t.Errorf("got %+v", got.Reservations[0].Instances[0].Placement)
	}
	s.ExpireRoles()
	_, err := c.DescribeRegions(t.Context(), &ec2.DescribeRegionsInput{})
	wantCode(t, err, "RequestExpired")
}
