package local

import (
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// Stat fills in what the file system says about an entry itself: Name, Mode, Owner, Mtime, Ctime, Inode, Links, Device, Size (0 if not
// a regular file), Major and Minor (0 if not a device). The rest of n stays as it is.
func (d *Dir) Stat(name string, n *tree.Node) error {
	if err := checkName(name); err != nil {
		return err
	}
	var st unix.Stat_t
	err := retry(func() error { return unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	if err != nil {
		return fmt.Errorf("stat %s: %w", name, err)
	}
	n.Name = name
	fill(n, &st, d.owners)
	return nil
}

// StatThrough is Stat for the directory that a symbolic link leads to.
func (d *Dir) StatThrough(name string, n *tree.Node) error {
	to, err := d.through(name)
	if err != nil {
		return err
	}
	defer to.Close()
	n.Name = name
	return to.StatSelf(n)
}

// StatSelf is Stat for the directory itself; it leaves Name as it is.
func (d *Dir) StatSelf(n *tree.Node) error {
	var st unix.Stat_t
	if err := fstat(d.fd, &st); err != nil {
		return fmt.Errorf("stat directory: %w", err)
	}
	fill(n, &st, d.owners)
	return nil
}

// StatFile is Stat for an open file, of which Name is its name. Sparse tells whether the file may have holes, so that
// Extents is worth its calls.
func (d *Dir) StatFile(f *os.File, n *tree.Node) (sparse bool, err error) {
	defer runtime.KeepAlive(f)
	var st unix.Stat_t
	if err := fstat(int(f.Fd()), &st); err != nil {
		return false, fmt.Errorf("stat %s: %w", f.Name(), err)
	}
	n.Name = f.Name()
	fill(n, &st, d.owners)
	return n.Size > 0 && uint64(st.Blocks)*512 < n.Size, nil
}

// Born returns when an entry of the directory was made, if the file system knows.
func (d *Dir) Born(name string) (time.Time, bool) {
	if checkName(name) != nil {
		return time.Time{}, false
	}
	var st unix.Statx_t
	err := retry(func() error {
		return unix.Statx(d.fd, name, unix.AT_SYMLINK_NOFOLLOW|unix.AT_STATX_DONT_SYNC, unix.STATX_BTIME, &st)
	})
	if err != nil || st.Mask&unix.STATX_BTIME == 0 {
		return time.Time{}, false
	}
	return time.Unix(st.Btime.Sec, int64(st.Btime.Nsec)), true
}

func fstat(fd int, st *unix.Stat_t) error {
	return retry(func() error { return unix.Fstat(fd, st) })
}

func fill(n *tree.Node, st *unix.Stat_t, owners *Owners) {
	n.Mode = st.Mode
	n.Owner = owners.owner(st.Uid, st.Gid)
	n.Mtime = timeOf(st)
	n.Ctime = tree.Time{Sec: int64(st.Ctim.Sec), Nsec: uint32(st.Ctim.Nsec)}
	n.Inode, n.Links, n.Device = st.Ino, uint64(st.Nlink), uint64(st.Dev)
	n.Size, n.Major, n.Minor = 0, 0, 0
	if n.IsRegular() {
		n.Size = uint64(st.Size)
	}
	if n.IsDevice() {
		n.Major, n.Minor = unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))
	}
}

func timeOf(st *unix.Stat_t) tree.Time {
	return tree.Time{Sec: int64(st.Mtim.Sec), Nsec: uint32(st.Mtim.Nsec)}
}
