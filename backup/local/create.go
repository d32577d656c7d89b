package local

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// Mkdir makes a directory that only its owner may use, until Applier.Dir.
func (d *Dir) Mkdir(name string) error {
	return d.do("make directory", name, func() error { return unix.Mkdirat(d.fd, name, 0o700) })
}

// Create makes an empty file for writing that only its owner may use, until Applier.File. The name must be free.
func (d *Dir) Create(name string) (*os.File, error) {
	var fd int
	err := d.do("create", name, func() (err error) {
		fd, err = unix.Openat(d.fd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Symlink makes a symbolic link to target, whatever that is.
func (d *Dir) Symlink(target, name string) error {
	return d.do("make symbolic link", name, func() error { return unix.Symlinkat(target, d.fd, name) })
}

// Mknod makes the device, FIFO or socket that n is, for its owner only, until Applier.Entry.
func (d *Dir) Mknod(name string, n *tree.Node) error {
	var dev uint64
	switch n.Type() {
	case tree.BlockDevice, tree.CharDevice:
		dev = unix.Mkdev(n.Major, n.Minor)
	case tree.FIFO, tree.Socket:
	default:
		return fmt.Errorf("make %s: mode %#o is neither device, FIFO nor socket", name, n.Mode)
	}
	err := d.do("make", name, func() error { return unix.Mknodat(d.fd, name, n.Type()|0o600, int(dev)) })
	if errors.Is(err, unix.EIO) { // exFAT and FAT by FUSE make a file of it, and then notice
		var there tree.Node
		if d.Stat(name, &there) == nil && there.IsRegular() && there.Size == 0 {
			_ = d.Remove(name)
		}
	}
	return err
}

// Rename renames an entry of d, replacing one that has the new name.
func (d *Dir) Rename(oldName, newName string) error {
	if err := checkName(oldName); err != nil {
		return err
	}
	return d.do("rename to", newName, func() error {
		err := unix.Renameat(d.fd, oldName, d.fd, newName)
		if err == unix.EISDIR { // the new name's is a directory, and the old one's is none
			if err = unix.Unlinkat(d.fd, newName, unix.AT_REMOVEDIR); err == nil {
				err = unix.Renameat(d.fd, oldName, d.fd, newName)
			}
		}
		return err
	})
}

// RenameNoReplace is Rename to a name that is free: fs.ErrExist if it is not.
func (d *Dir) RenameNoReplace(oldName, newName string) error {
	if err := checkName(oldName); err != nil {
		return err
	}
	return d.do("rename to", newName, func() error {
		err := unix.Renameat2(d.fd, oldName, d.fd, newName, unix.RENAME_NOREPLACE)
		if err != unix.EINVAL && err != unix.ENOSYS && err != unix.ENOTSUP {
			return err
		}
		// NFS and some FUSE file systems know renames only that replace. Directories cannot be linked; those fail.
		if linkErr := unix.Linkat(d.fd, oldName, d.fd, newName, 0); linkErr != nil {
			return linkErr
		}
		return unix.Unlinkat(d.fd, oldName, 0)
	})
}

// SyncFS makes all durable that was written to the file system that d is on.
func (d *Dir) SyncFS() error {
	if err := retry(func() error { return unix.Syncfs(d.fd) }); err != nil {
		return fmt.Errorf("sync file system: %w", err)
	}
	return nil
}

func (d *Dir) do(what, name string, call func() error) error {
	if err := checkName(name); err != nil {
		return err
	}
	err := retry(call)
	switch {
	case err == nil:
		return nil
	case unusual(name) && (err == unix.ENOENT || err == unix.EINVAL || err == unix.EILSEQ || err == unix.EPERM): // each has its own
		return fmt.Errorf("%s %s: %w: FAT, exFAT and NTFS take no name like this", what, name, err)
	}
	return fmt.Errorf("%s %s: %w", what, name, err)
}

// unusual reports whether a name is one that file systems of other systems do not take.
func unusual(name string) bool {
	return !utf8.ValidString(name) || strings.HasSuffix(name, ".") || strings.HasSuffix(name, " ") ||
		strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || strings.ContainsRune(`"*:<>?\|`, r) })
}
