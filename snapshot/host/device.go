package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Device is a block device: a disk with its partitions, or a partition.
type Device struct {
	Path   string // such as /dev/nvme1n1
	Number Number
	Bytes  int64
	Parts  []Device // by number
}

// Has reports whether a number is the device's own or that of one of its partitions.
func (d Device) Has(n Number) bool {
	return d.Number == n || slices.ContainsFunc(d.Parts, func(p Device) bool { return p.Number == n })
}

const (
	maxDevices = 1 << 16
	maxValue   = 4 << 10 // of a file of sysfs
)

var (
	volumeID   = regexp.MustCompile(`^vol-[0-9a-f]{8,17}$`)
	deviceName = regexp.MustCompile(`^(?:/dev/)?(?:sd|xvd)([a-z]{1,2})([0-9]{0,3})$`)
	kernelName = regexp.MustCompile(`^[A-Za-z0-9_!.:@+-]{1,64}$`)
)

// Volumes returns how many disks are EBS volumes, by their serial numbers or, on Xen, by their names.
func (m Machine) Volumes() (n int) {
	entries, err := m.list("sys/class/block")
	if err != nil {
		return 0
	}
	for _, e := range entries {
		serial := m.value("sys/class/block", e, "device/serial")
		if (strings.HasPrefix(serial, "vol") || strings.HasPrefix(e, "xvd")) && !m.isPart(e) {
			n++
		}
	}
	return n
}

// DeviceOf returns the disk that a volume is. The name is what the instance's block device mapping calls it, such as /dev/sdf, and counts on Xen alone; it may be empty.
// The error is ErrNoDevice if it is not there.
func (m Machine) DeviceOf(volume, name string) (Device, error) {
	if !volumeID.MatchString(volume) {
		return Device{}, fmt.Errorf("find the device of %.40q: it is no volume's id", volume)
	}
	disk, err := m.diskOf(strings.Replace(volume, "-", "", 1), name)
	if err != nil {
		return Device{}, fmt.Errorf("find the device of %s: %w", volume, err)
	}
	d, err := m.device(disk)
	if err != nil {
		return Device{}, fmt.Errorf("find the device of %s: %w", volume, err)
	}
	return d, nil
}

// Await is DeviceOf of a volume that is being attached: it waits for the device until ctx ends.
func (m Machine) Await(ctx context.Context, volume, name string) (Device, error) {
	for {
		d, err := m.DeviceOf(volume, name)
		if !errors.Is(err, ErrNoDevice) {
			return d, err
		}
		select {
		case <-ctx.Done():
			return Device{}, fmt.Errorf("%w: %w", err, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// diskOf returns the kernel's name of the disk with an NVMe serial number, or a name of Xen's.
func (m Machine) diskOf(serial, name string) (string, error) {
	entries, err := m.list("sys/class/block")
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if said := m.value("sys/class/block", e, "device/serial"); strings.ReplaceAll(said, "-", "") == serial && !m.isPart(e) {
			return e, nil
		}
	}
	for _, link := range []string{"nvme-Amazon_Elastic_Block_Store_" + serial, "nvme-Amazon_Elastic_Block_Store_" + serial + "_1"} {
		to, err := os.Readlink(m.path("dev/disk/by-id", link))
		if e := filepath.Base(to); err == nil && slices.Contains(entries, e) && !m.isPart(e) && m.value("sys/class/block", e, "device/serial") == "" {
			return e, nil
		}
	}
	// The kernel calls it xvdf, whatever the mapping does. A root volume is mapped as /dev/sda1 and is all of xvda, or of old the disk xvda1.
	if parts := deviceName.FindStringSubmatch(name); parts != nil {
		disk := "xvd" + parts[1]
		for _, e := range []string{disk + parts[2], disk} {
			if slices.Contains(entries, e) && !m.isPart(e) {
				return e, nil
			}
		}
	}
	return "", ErrNoDevice
}

func (m Machine) isPart(entry string) bool {
	_, err := os.Stat(m.path("sys/class/block", entry, "partition"))
	return err == nil
}

// device returns a device by the kernel's name of it.
func (m Machine) device(entry string) (d Device, err error) {
	d.Path = "/dev/" + strings.ReplaceAll(entry, "!", "/")
	if d.Number, err = ParseNumber(m.value("sys/class/block", entry, "dev")); err != nil {
		return d, fmt.Errorf("device %s: %w", entry, err)
	}
	sectors, err := strconv.ParseInt(m.value("sys/class/block", entry, "size"), 10, 64)
	if err != nil || sectors < 0 || sectors > 1<<53 {
		return d, fmt.Errorf("device %s has no size", entry)
	}
	d.Bytes = sectors * 512
	inside, err := m.list("sys/class/block", entry)
	if err != nil {
		return d, err
	}
	for _, e := range inside {
		if !strings.HasPrefix(e, entry) || !m.isPart(e) {
			continue
		}
		part, err := m.device(e)
		if err != nil {
			return d, err
		}
		d.Parts = append(d.Parts, part)
	}
	slices.SortFunc(d.Parts, func(a, b Device) int { return int(a.Number.Minor) - int(b.Number.Minor) })
	return d, nil
}

// MountsOf returns the mounts of a device and its partitions. The error is ErrStacked if the device, or a partition, is a member of another device; ErrUnseen if it has no
// mount here and is in use all the same.
func (m Machine) MountsOf(d Device) ([]Mount, error) {
	all, err := m.Mounts()
	if err != nil {
		return nil, err
	}
	var found []Mount
	for _, part := range append([]Device{d}, d.Parts...) {
		if err := m.stacked(part); err != nil {
			return nil, err
		}
		before := len(found)
		for _, mount := range all {
			if mount.Number == part.Number || mount.Number.Major == 0 && mount.Source == part.Path { // as btrfs, which may be on several
				found = append(found, mount)
			}
		}
		if len(part.Parts) == 0 && len(found) == before && m.isClaimed(part) {
			return nil, fmt.Errorf("%s: %w", part.Path, ErrUnseen)
		}
	}
	return found, nil
}

// stacked returns an error that names what a device is a member of.
func (m Machine) stacked(d Device) error {
	entry := strings.ReplaceAll(strings.TrimPrefix(d.Path, "/dev/"), "/", "!")
	holders, err := m.list("sys/class/block", entry, "holders")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(holders) == 0 {
		return nil
	}
	h := holders[0]
	kind := "another device"
	id, _, _ := strings.Cut(m.value("sys/class/block", h, "dm/uuid"), "-")
	switch {
	case id == "LVM":
		kind = "LVM"
	case id == "CRYPT":
		kind = "dm-crypt"
	case id == "mpath":
		kind = "multipath"
	case m.value("sys/class/block", h, "dm/name") != "":
		kind = "device mapper"
	case m.value("sys/class/block", h, "md/level") != "":
		kind = "md"
	}
	return fmt.Errorf("%s: %w, %s of %s", d.Path, ErrStacked, h, kind)
}

// isClaimed reports whether somebody has a device for themselves, as mounts have and swap. Who may not open it, or has no node of it, cannot tell.
func (m Machine) isClaimed(d Device) bool {
	fd, err := unix.Open(m.path(d.Path), unix.O_RDONLY|unix.O_EXCL|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		_ = unix.Close(fd)
	}
	return err == unix.EBUSY
}

// Beneath returns the numbers of all that a file system is on: its own, of the devices that its device is made of, and of the file systems that have the files of its loop
// devices or its overlay's upper folder, as far as they are seen here.
func (m Machine) Beneath(n Number) []Number {
	var mounts []Mount
	return m.beneath(nil, n, &mounts)
}

const maxBeneath = 1 << 10

// Made returns the numbers of the devices that a device is made of, as those of a volume group or an array, and so on down to what is made of nothing; n alone if it is none.
func (m Machine) Made(n Number) (of []Number) {
	seen := []Number{n}
	for i := 0; i < len(seen) && len(seen) < maxBeneath; i++ {
		slaves, _ := m.list("sys/dev/block", seen[i].String(), "slaves")
		for _, s := range slaves {
			if number, err := ParseNumber(m.value("sys/class/block", s, "dev")); err == nil && !slices.Contains(seen, number) {
				seen = append(seen, number)
			}
		}
		if len(slaves) == 0 {
			of = append(of, seen[i])
		}
	}
	return of
}

func (m Machine) beneath(found []Number, n Number, mounts *[]Mount) []Number {
	if slices.Contains(found, n) || len(found) == maxBeneath {
		return found
	}
	found = append(found, n)
	if n.Major == 0 {
		if *mounts == nil {
			*mounts, _ = m.Mounts()
		}
		for _, mount := range *mounts {
			if mount.Number == n && mount.FS == "overlay" {
				found = m.beneathPath(found, upperDir(mount.FSOptions), mounts)
				break
			}
		}
		return found
	}
	entry := filepath.Join("sys/dev/block", n.String())
	slaves, _ := m.list(entry, "slaves")
	for _, s := range slaves {
		if number, err := ParseNumber(m.value("sys/class/block", s, "dev")); err == nil {
			found = m.beneath(found, number, mounts)
		}
	}
	return m.beneathPath(found, m.value(entry, "loop/backing_file"), mounts)
}

// beneathPath adds what a file is on, which may be a device itself.
func (m Machine) beneathPath(found []Number, path string, mounts *[]Mount) []Number {
	var stat unix.Stat_t
	if path == "" || unix.Stat(m.path(path), &stat) != nil {
		return found
	}
	if stat.Mode&unix.S_IFMT == unix.S_IFBLK {
		return m.beneath(found, numberFrom(stat.Rdev), mounts)
	}
	return m.beneath(found, numberFrom(stat.Dev), mounts)
}

// upperDir returns the folder that an overlay writes to; empty: it writes nothing.
func upperDir(options string) string {
	for _, o := range strings.Split(options, ",") {
		if dir, is := strings.CutPrefix(o, "upperdir="); is {
			return dir
		}
	}
	return ""
}

// list returns the names in a folder that can be the kernel's, in order.
func (m Machine) list(elements ...string) ([]string, error) {
	f, err := os.Open(m.path(elements...))
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	defer f.Close()
	names, err := f.Readdirnames(maxDevices)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !kernelName.MatchString(name) || name == "." || name == ".." })
	slices.Sort(names)
	return names, nil
}

// value returns what a file of sysfs says, without white space around; empty: nothing.
func (m Machine) value(elements ...string) string {
	f, err := os.Open(m.path(elements...))
	if err != nil {
		return ""
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxValue+1))
	if err != nil || len(b) > maxValue {
		return ""
	}
	return strings.TrimSpace(string(b))
}
