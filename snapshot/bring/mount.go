package bring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nightjar/internal/child"
	"nightjar/internal/tempdir"
	"nightjar/snapshot/host"
)

var (
	// ErrMounted says that a file system, or a folder, is in use by a mount that is not the one that is wanted.
	ErrMounted = errors.New("it is in use by another mount")
	// ErrPoint says that nothing can be mounted at a path.
	ErrPoint = errors.New("nothing can be mounted there")
)

// MountOptions say how file systems are mounted. The zero value mounts where they were.
type MountOptions struct {
	Machine  host.Machine
	Under    string // a folder that stands for /; empty: /
	ReadOnly bool   // and nothing is replayed: of ext4 and XFS the journal, too, stays as it is
	Over     bool   // mount over folders that are not empty
	NewUUID  bool   // give each file system another UUID; else only an XFS gets one whose twin is mounted
	Temp     tempdir.Dir
	Told     func(string) // is told of each step; nil: nobody
}

// Points returns where parts are to be mounted, those that others are in first. What was mounted nowhere is left out, and so is / unless it
// goes under a folder. The error says what tags may not say.
func Points(parts []Part, under string) (map[string]string, []string, error) {
	points := map[string]string{}
	var order []string
	for _, p := range parts {
		if p.Mount == "" || p.Mount == "/" && under == "" {
			continue
		}
		if !filepath.IsAbs(p.Mount) || filepath.Clean(p.Mount) != p.Mount || strings.ContainsAny(p.Mount, "\x00\n") {
			return nil, nil, fmt.Errorf("mount %s: %w: its tag says %.200q, which is no plain absolute path", p.ID, ErrHostile, p.Mount)
		}
		if under == "" && slices.ContainsFunc([]string{"/proc", "/sys", "/dev", "/etc", "/usr", "/bin", "/sbin", "/lib", "/lib64", "/boot", "/run", "/root"}, func(own string) bool {
			return p.Mount == own || strings.HasPrefix(p.Mount, own+"/")
		}) {
			return nil, nil, fmt.Errorf("mount %s: %w: its tag says %.200q, over what this machine runs on", p.ID, ErrHostile, p.Mount)
		}
		at := filepath.Join("/", under, p.Mount)
		for other, there := range points {
			if there == at {
				return nil, nil, fmt.Errorf("mount %s: %w: %s is to be mounted at %s, too", p.ID, ErrHostile, other, at)
			}
		}
		points[p.ID] = at
		order = append(order, p.ID)
	}
	slices.SortStableFunc(order, func(a, b string) int { return strings.Count(points[a], "/") - strings.Count(points[b], "/") })
	return points, order, nil
}

// Mount mounts the parts whose devices are here. Those that are mounted where they should be are left as they are.
func Mount(ctx context.Context, parts []Part, o MountOptions) error {
	if o.Told == nil {
		o.Told = func(string) {}
	}
	points, order, err := Points(parts, o.Under)
	if err != nil {
		return err
	}
	for _, id := range order {
		p := &parts[slices.IndexFunc(parts, func(p Part) bool { return p.ID == id })]
		if err := p.mount(ctx, points[id], &o); err != nil {
			return fmt.Errorf("mount %s (%s of %s) at %s: %w", p.Device.Path, p.New, p.ID, points[id], err)
		}
	}
	return nil
}

func (p *Part) mount(ctx context.Context, at string, o *MountOptions) error {
	there, err := o.Machine.MountsOf(p.Device)
	if err != nil {
		return err
	}
	for _, m := range there {
		if m.Path != at || m.Root != "/" {
			return fmt.Errorf("%w: it is mounted at %s", ErrMounted, m.Path)
		}
		p.At = at
		o.Told(fmt.Sprintf("%s is mounted at %s already", p.Device.Path, at))
	}
	if p.At != "" {
		return nil
	}
	d, kind, err := p.fileSystem()
	if err != nil {
		return err
	}
	flags, data, err := mountOptions(kind.Kind, p.Mode, o.ReadOnly)
	if err != nil {
		return err
	}
	if o.ReadOnly {
		data = join(data, map[string]string{"xfs": "norecovery,nouuid", "ext4": "noload"}[kind.Kind])
	}
	if o.NewUUID && !o.ReadOnly {
		if err := p.newUUID(ctx, d, kind, o); err != nil {
			return err
		}
	}
	point, err := openPoint(at, o)
	if err != nil {
		return err
	}
	defer point.Close()
	err = mount(d.Path, point, kind.Kind, flags, data)
	if errors.Is(err, unix.EINVAL) && kind.Kind == "xfs" && !o.ReadOnly { // what the kernel says of a twin
		if err := p.newUUID(ctx, d, kind, o); err != nil {
			return err
		}
		err = mount(d.Path, point, kind.Kind, flags, data)
	}
	if err != nil {
		return err
	}
	p.At = at
	o.Told(fmt.Sprintf("mounted %s at %s", d.Path, at))
	return nil
}

func join(a, b string) string {
	return strings.Trim(a+","+b, ",")
}

// fileSystem finds the one file system of the part's device: on the device itself, or on a partition.
func (p *Part) fileSystem() (host.Device, FileSystem, error) {
	candidates := []host.Device{p.Device}
	if len(p.Device.Parts) > 0 {
		candidates = p.Device.Parts
	}
	var found host.Device
	var kind FileSystem
	var why error
	for _, d := range candidates {
		f, err := probeFile(d)
		switch {
		case errors.Is(err, ErrMember):
			return d, f, fmt.Errorf("%s: %w", d.Path, err)
		case err != nil:
			why = err
			continue
		case found.Path != "":
			return d, f, fmt.Errorf("%s and %s both have a file system, and tags do not say which of them was mounted: mount them by hand", found.Path, d.Path)
		}
		found, kind = d, f
	}
	if found.Path == "" {
		return found, kind, why
	}
	if p.FS != "" && !fits(p.FS, kind.Kind) {
		return found, kind, fmt.Errorf("%w: tags say %.20q, and the device has %s", ErrHostile, p.FS, kind.Kind)
	}
	return found, kind, nil
}

func fits(tag, kind string) bool {
	return tag == kind || kind == "ext4" && (tag == "ext2" || tag == "ext3")
}

func probeFile(d host.Device) (FileSystem, error) {
	f, err := os.OpenFile(d.Path, os.O_RDONLY, 0)
	if err != nil {
		return FileSystem{}, err
	}
	defer f.Close()
	return Probe(f, d.Bytes)
}

func mount(device string, point *os.File, kind string, flags uintptr, data string) error {
	if err := unix.Mount(device, fmt.Sprintf("/proc/self/fd/%d", point.Fd()), kind, flags, data); err != nil {
		return fmt.Errorf("mount %s as %s: %w", device, kind, err)
	}
	return nil
}

// openPoint makes a folder if it is not there, and opens it. No link is followed on the way, as restored file systems may have some.
func openPoint(at string, o *MountOptions) (*os.File, error) {
	fd, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(strings.Trim(at, "/"), "/") {
		how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS}
		next, err := unix.Openat2(fd, name, &how)
		if errors.Is(err, unix.ENOENT) {
			if err = unix.Mkdirat(fd, name, 0o755); err == nil {
				next, err = unix.Openat2(fd, name, &how)
			}
		}
		unix.Close(fd)
		switch {
		case errors.Is(err, unix.ELOOP):
			return nil, fmt.Errorf("%w: %q on the way is a link: name the folder that it leads to", ErrPoint, name)
		case errors.Is(err, unix.ENOTDIR):
			return nil, fmt.Errorf("%w: %q on the way is no folder", ErrPoint, name)
		case err != nil:
			return nil, fmt.Errorf("open %q: %w", name, err)
		}
		fd = next
	}
	f := os.NewFile(uintptr(fd), at)
	if err := vacant(f, at, o); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// vacant returns an error if something is mounted at a folder, or is in it.
func vacant(f *os.File, at string, o *MountOptions) error {
	all, err := o.Machine.Mounts()
	if err != nil {
		return err
	}
	for _, m := range all {
		if m.Path == at {
			return fmt.Errorf("%w: %s is mounted at %s", ErrMounted, m.Source, at)
		}
	}
	if o.Over {
		return nil
	}
	entries, err := os.ReadDir(fmt.Sprintf("/proc/self/fd/%d/", f.Fd()))
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(entries, func(e fs.DirEntry) bool { return e.Name() != "lost+found" }); i >= 0 {
		return fmt.Errorf("%w: it is not empty: it has %q", ErrPoint, entries[i].Name())
	}
	return nil
}

// newUUID gives a file system another UUID. Its log is replayed before, by a mount in a folder of its own.
func (p *Part) newUUID(ctx context.Context, d host.Device, kind FileSystem, o *MountOptions) error {
	scratch, remove, err := o.Temp.MkdirTemp("mount-*")
	if err != nil {
		return err
	}
	data := map[string]string{"xfs": "nouuid"}[kind.Kind]
	if err := unix.Mount(d.Path, scratch, kind.Kind, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, data); err != nil {
		return errors.Join(fmt.Errorf("mount it once, to replay its log: %w", err), remove())
	}
	if err := unix.Unmount(scratch, 0); err != nil { // the folder has to stay: removing it would remove what is mounted
		return fmt.Errorf("unmount it from %s: %w", scratch, err)
	}
	if err := remove(); err != nil {
		return err
	}
	commands := [][]string{{"xfs_admin", "-U", "generate", d.Path}}
	if kind.Kind == "ext4" { // tune2fs wants it checked just now
		commands = [][]string{{"e2fsck", "-f", "-p", d.Path}, {"tune2fs", "-U", "random", d.Path}}
	}
	for _, args := range commands {
		if _, err := child.Output(ctx, child.Command{Args: args, Env: o.Temp.Environ(nil)}, 1<<20); err != nil {
			return fmt.Errorf("give it another UUID: %w", err)
		}
	}
	o.Told(fmt.Sprintf("gave the %s on %s another UUID", kind.Kind, d.Path))
	return nil
}

// Unmount unmounts what is mounted of parts whose devices are here, the innermost first.
func Unmount(parts []Part, o MountOptions) error {
	var paths []string
	for _, p := range parts {
		if p.Device.Path == "" {
			continue
		}
		there, err := o.Machine.MountsOf(p.Device)
		if err != nil {
			return fmt.Errorf("unmount %s: %w", p.New, err)
		}
		for _, m := range there {
			paths = append(paths, m.Path)
		}
	}
	slices.SortFunc(paths, func(a, b string) int { return strings.Count(b, "/") - strings.Count(a, "/") })
	for _, path := range paths {
		if err := unix.Unmount(path, unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %s: %w", path, err)
		}
		if o.Told != nil {
			o.Told("unmounted " + path)
		}
	}
	return nil
}

// Devices finds the devices of the parts on this machine, and waits for them until ctx ends.
func Devices(ctx context.Context, m host.Machine, parts []Part) error {
	for i := range parts {
		p := &parts[i]
		if p.New == "" {
			continue
		}
		var err error
		if p.Device, err = m.Await(ctx, p.New, p.Name); err != nil {
			return err
		}
	}
	return nil
}

// Vacant returns an error if a part could not be mounted where it should be, before anything is made of it.
func Vacant(parts []Part, o MountOptions) error {
	points, order, err := Points(parts, o.Under)
	if err != nil {
		return err
	}
	all, err := o.Machine.Mounts()
	if err != nil {
		return err
	}
	for _, id := range order {
		at := points[id]
		for _, m := range all {
			if m.Path == at {
				return fmt.Errorf("mount %s at %s: %w: %s is mounted there", id, at, ErrMounted, m.Source)
			}
		}
		if entries, err := os.ReadDir(at); err == nil && !o.Over {
			if i := slices.IndexFunc(entries, func(e fs.DirEntry) bool { return e.Name() != "lost+found" }); i >= 0 {
				return fmt.Errorf("mount %s at %s: %w: it is not empty: it has %q", id, at, ErrPoint, entries[i].Name())
			}
		}
		p := parts[slices.IndexFunc(parts, func(p Part) bool { return p.ID == id })]
		if _, _, err := mountOptions(strings.Replace(strings.Replace(p.FS, "ext3", "ext4", 1), "ext2", "ext4", 1), p.Mode, o.ReadOnly); err != nil {
			return fmt.Errorf("mount %s at %s: %w", id, at, err)
		}
	}
	return nil
}
