package main

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/sys/unix"

	"nightjar/snapshot"
	"nightjar/snapshot/cloud"
	"nightjar/snapshot/ec2test"
	"nightjar/snapshot/ec2test/disks"
	"nightjar/snapshot/sets"
)

// A file system on a partition, and an ext4 and an XFS whose twins are mounted, come back beside those: all attached together, or what there is of a set
// that is not whole; and undoing takes it all away.
func TestEBSRestoreFiles(t *testing.T) {
	x := disks.New(t)
	x.Server.Setenv(t)
	d := &dumper{T: t, home: t.TempDir(), env: append(x.Server.Environ(), "TMPDIR=/tmp")}
	r := x.Server.Region("us-east-1")
	instance := r.AddInstance(ec2test.Instance{})
	x.Server.On(instance)
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%q: %v: %s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	uuid := func(device string) string { return run("blkid", "-p", "-s", "UUID", "-o", "value", device) }
	label := snapshot.Label{ID: "set-1", Job: "nightly", Time: time.Unix(1.7e9, 0), Consistency: snapshot.Crash}
	var devices []string
	for _, v := range []struct{ name, device, fs, on string }{{"/dev/sdf", "part", "ext4", "p1"}, {"/dev/sdg", "twin", "ext4", ""}, {"/dev/sdh", "xfs", "xfs", ""}} {
		kind := v.fs
		if v.on != "" {
			kind = ""
		}
		volume, device := x.Add("us-east-1", instance, v.name, kind)
		if v.on != "" {
			partition(t, device)
			device += v.on
			run("mkfs.ext4", "-q", device)
		}
		at := filepath.Join(x.Dir, v.device)
		must(t, os.Mkdir(at, 0o755))
		must(t, unix.Mount(device, at, v.fs, 0, ""))
		must(t, os.WriteFile(filepath.Join(at, "file"), []byte(v.device), 0o600))
		run("sync", "-f", at)
		label.Volumes = append(label.Volumes, snapshot.Volume{ID: volume, Device: v.name, Mount: at, FS: v.fs, Mode: "rw"})
		devices = append(devices, device)
		if v.on != "" {
			t.Cleanup(func() { _ = unix.Unmount(at, 0) })
		}
	}
	c, err := cloud.Open(t.Context(), cloud.Options{Region: "us-east-1", Endpoint: x.Server.URL})
	must(t, err)
	tags, err := snapshot.Encode(label)
	must(t, err)
	_, err = c.EC2.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{
		InstanceSpecification: &types.InstanceSpecification{InstanceId: aws.String(instance), ExcludeBootVolume: aws.Bool(true)},
		TagSpecifications:     []types.TagSpecification{{ResourceType: types.ResourceTypeSnapshot, Tags: sets.Tags(tags)}},
	})
	must(t, err)
	s, err := sets.Wait(t.Context(), c, "set-1", 10*time.Millisecond, nil)
	must(t, err)
	_, _, err = sets.Finish(t.Context(), c, s)
	must(t, err)

	restored := func(under string, want ...int) {
		t.Helper()
		for i, v := range label.Volumes {
			b, err := os.ReadFile(filepath.Join(under, v.Mount, "file"))
			there := len(want) == 0 || want[0] == i
			if there != (err == nil) || there && string(b) != filepath.Base(v.Mount) {
				t.Errorf("%s: %q, %v", v.Mount, b, err)
			}
		}
	}
	first, second := filepath.Join(x.Dir, "first"), filepath.Join(x.Dir, "second")
	d.must("ebs", "restore", "set-1", "--mount-at", first, "--no-database", "--together", "--new-uuid", "--poll", "10ms")
	restored(first)
	for i, v := range label.Volumes {
		if now := uuid(run("findmnt", "-n", "-o", "SOURCE", filepath.Join(first, v.Mount))); now == uuid(devices[i]) {
			t.Errorf("%s has the UUID of its twin, %s", v.Mount, now)
		}
	}
	for _, y := range s.Snapshots {
		if y.Volume != label.Volumes[1].ID {
			_, err := c.EC2.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: aws.String(y.ID)})
			must(t, err)
		}
	}
	partial := []string{"ebs", "restore", "set-1", "--mount-at", second, "--no-database", "--attempt", "2", "--poll", "10ms"}
	if _, said, code := d.run(partial...); code != 1 || !strings.Contains(said, "--partial") {
		t.Errorf("%d\n%s", code, said)
	}
	if _, said, code := d.run(append(partial, "--partial")...); code != 3 || !strings.Contains(said, "is not whole") {
		t.Errorf("%d\n%s", code, said)
	}
	restored(second, 1)
	d.must("ebs", "restore", "set-1", "--mount-at", second, "--attempt", "2", "--undo", "--partial", "--poll", "10ms")
	d.must("ebs", "restore", "set-1", "--mount-at", first, "--undo", "--partial", "--poll", "10ms")
	if n := len(volumesOf(r)); n != 3 {
		t.Errorf("%d volumes are left", n)
	}
}

// partition makes one partition of a device of a GiB, from its first MiB on.
func partition(t *testing.T, device string) {
	t.Helper()
	sector := make([]byte, 512)
	sector[446+4] = 0x83 // Linux
	binary.LittleEndian.PutUint32(sector[446+8:], 2048)
	binary.LittleEndian.PutUint32(sector[446+12:], 1<<21-2048)
	sector[510], sector[511] = 0x55, 0xaa
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	must(t, err)
	defer f.Close()
	_, err = f.WriteAt(sector, 0)
	must(t, err)
	must(t, f.Sync())
	must(t, disks.Partition(device))
}
