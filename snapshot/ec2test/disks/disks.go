// Package disks has the volumes of a test server attached as real block devices: loop devices of the volumes' files, under the links that udev
// makes of EBS volumes on an instance. It needs root.
//
// The invariant: at the end of the test nothing is mounted of what it has made, no loop device is left, and no link. What a test leaves that is killed,
// the next one takes away.
package disks

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/snapshot/ec2test"
)

const links = "/dev/disk/by-id"

// patience is for how long a condition is waited for.
const patience = 5 * time.Minute

// Disks are the block devices of the volumes of a server of their own.
type Disks struct {
	Server *ec2test.Server
	Dir    string // a folder that every user reaches, which is removed last

	t     testing.TB
	shelf string // a file system that has the volumes' files, so that all can be copied as at one moment

	mu    sync.Mutex
	loops map[string]string // volume → device
}

// New starts a server whose volumes appear as block devices when they are attached. The files of volumes that Add makes are on a file system of their own, which is frozen while
// snapshots are taken. Tests that start servers on the volumes start them later, so that they end before.
func New(t testing.TB) *Disks {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED, NOT TESTED: loop devices need root")
	}
	must(t, sweep())
	dir, lock, err := newFolder()
	must(t, err)
	t.Cleanup(func() {
		if out, err := exec.Command("rm", "-r", "--one-file-system", dir).CombinedOutput(); err != nil {
			t.Errorf("remove %s: %v: %s", dir, err, out)
		}
		lock.Close()
	})
	d := &Disks{t: t, Dir: dir, shelf: filepath.Join(dir, "shelf"), loops: map[string]string{}}
	for _, name := range []string{"server", "shelf"} {
		must(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	d.Server, err = ec2test.Start(filepath.Join(dir, "server"), "127.0.0.1:0")
	must(t, err)
	t.Cleanup(d.Server.Close)
	file := filepath.Join(dir, "shelf.img")
	d.make(file, 4<<30, "ext4")
	loop, err := attach(file)
	must(t, err)
	t.Cleanup(func() {
		for _, mounted := range mountsOf(loop) {
			if err := unmount(mounted); err != nil {
				t.Error(err)
			}
		}
		if err := detach(loop); err != nil {
			t.Error(err)
		}
	})
	must(t, unix.Mount(loop, d.shelf, "ext4", unix.MS_NOATIME, ""))
	t.Cleanup(d.remove)
	d.Server.Freeze, d.Server.OnAttach, d.Server.OnDetach = d.shelf, d.attach, d.detach
	return d
}

func (d *Disks) make(file string, size int64, kind string) {
	d.t.Helper()
	must(d.t, os.WriteFile(file, nil, 0o600))
	must(d.t, os.Truncate(file, size))
	if kind == "" {
		return
	}
	args := map[string][]string{"ext4": {"mkfs.ext4", "-q", "-N", "8192", file}, "xfs": {"mkfs.xfs", "-q", file}}[kind]
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// Add makes a volume of 1 GiB with a file system, ext4 or xfs or none, that is attached to an instance, and returns its id and its device.
func (d *Disks) Add(region, instance, name, kind string) (volume, device string) {
	d.t.Helper()
	r := d.Server.Region(region)
	i, ok := r.Instance(instance)
	if !ok {
		d.t.Fatalf("no instance %s", instance)
	}
	f, err := os.CreateTemp(d.shelf, "volume-")
	must(d.t, err)
	f.Close()
	d.make(f.Name(), 1<<30, kind)
	volume = r.AddVolume(ec2test.Volume{Zone: i.Zone, Backing: f.Name()})
	r.Attach(volume, instance, name)
	must(d.t, d.attach(ec2test.Attachment{Volume: volume, Backing: f.Name()}))
	return volume, d.Device(volume)
}

// Mount mounts a volume.
func (d *Disks) Mount(volume, at, kind string) {
	d.t.Helper()
	must(d.t, os.MkdirAll(at, 0o755))
	must(d.t, unix.Mount(d.Device(volume), at, kind, 0, ""))
}

// Device is the block device of a volume that is attached; empty: it is not.
func (d *Disks) Device(volume string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.loops[volume]
}

func linkOf(volume string) string {
	return filepath.Join(links, "nvme-Amazon_Elastic_Block_Store_"+strings.Replace(volume, "-", "", 1))
}

func (d *Disks) attach(a ec2test.Attachment) error {
	loop, err := attach(a.Backing)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.loops[a.Volume] = loop
	d.mu.Unlock()
	for { // another test may remove the folder that is empty
		if err := os.MkdirAll(links, 0o755); err != nil {
			return err
		}
		if err := os.Symlink("../../"+filepath.Base(loop), linkOf(a.Volume)); !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
}

// detach fails while the device is mounted, as with EC2.
func (d *Disks) detach(a ec2test.Attachment) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	loop := d.loops[a.Volume]
	if loop == "" {
		return nil
	}
	if m := mountsOf(loop); len(m) > 0 {
		return fmt.Errorf("%s is mounted at %s", loop, m[0])
	}
	delete(d.loops, a.Volume)
	return errors.Join(os.Remove(linkOf(a.Volume)), detach(loop))
}

func (d *Disks) remove() {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []string
	for _, loop := range d.loops {
		all = append(all, mountsOf(loop)...)
	}
	for len(all) > 0 { // those within others first
		deepest := 0
		for i := range all {
			if len(all[i]) > len(all[deepest]) {
				deepest = i
			}
		}
		if err := unmount(all[deepest]); err != nil {
			d.t.Error(err)
			_ = unix.Unmount(all[deepest], unix.MNT_DETACH)
		}
		all = append(all[:deepest], all[deepest+1:]...)
	}
	for volume, loop := range d.loops {
		if err := errors.Join(os.Remove(linkOf(volume)), detach(loop)); err != nil {
			d.t.Error(err)
		}
	}
	_ = os.Remove(links) // which others may use
}

// unmount waits for those who are about to let go, as the kernel is of a loop device's file.
func unmount(path string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Unmount(path, 0)
		if err == nil {
			return nil
		}
		if err != unix.EBUSY || time.Now().After(deadline) {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
	}
}

func attach(file string) (string, error) {
	out, err := exec.Command("losetup", "--find", "--show", "--partscan", file).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("attach %s: %w: %s", file, err, out)
	}
	loop := strings.TrimSpace(string(out))
	return loop, Partition(loop)
}

// Loop makes a block device of a file, until the end of the test. What is mounted of it has to be unmounted by a cleanup that comes after this call.
func Loop(t testing.TB, file string) (device string) {
	t.Helper()
	device, err := attach(file)
	must(t, err)
	t.Cleanup(func() {
		if err := detach(device); err != nil {
			t.Error(err)
		}
	})
	return device
}

// Partition has the partitions of a device appear that its table names, also under a kernel that reads no tables.
func Partition(device string) error {
	f, err := os.Open(device)
	if err != nil {
		return err
	}
	defer f.Close()
	sector := make([]byte, 512)
	if _, err := f.ReadAt(sector, 0); err != nil || sector[510] != 0x55 || sector[511] != 0xaa {
		return nil
	}
	if there, err := filepath.Glob(device + "p*"); err != nil || len(there) > 0 {
		return err
	}
	if out, err := exec.Command("partx", "--add", device).CombinedOutput(); err != nil {
		if there, _ := filepath.Glob(device + "p*"); len(there) == 0 {
			return fmt.Errorf("find the partitions of %s: %w: %s", device, err, out)
		}
	}
	return nil
}

// detach returns when the device is free: who has it open for a moment, as blkid does, keeps it.
func detach(loop string) error {
	file := backing(loop)
	if out, err := exec.Command("losetup", "--detach", loop).CombinedOutput(); err != nil {
		return fmt.Errorf("detach %s: %w: %s", loop, err, out)
	}
	for deadline := time.Now().Add(patience); file != "" && backing(loop) == file; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return fmt.Errorf("detach %s: somebody keeps it open", loop)
		}
	}
	return nil
}

// backing is the file of a loop device; empty: it has none.
func backing(loop string) string {
	text, _ := os.ReadFile(filepath.Join("/sys/block", filepath.Base(loop), "loop/backing_file"))
	return strings.TrimSpace(string(text))
}

// mountsOf returns where a device, or a partition of it, is mounted.
func mountsOf(loop string) (paths []string) {
	table, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(table)) {
		before, after, _ := strings.Cut(line, " - ")
		fields, source := strings.Fields(before), strings.Fields(after)
		if len(fields) > 4 && len(source) > 1 && (source[1] == loop || strings.HasPrefix(source[1], loop+"p")) {
			paths = append(paths, fields[4])
		}
	}
	return paths
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
