// Package local knows what an entry is on a Linux file system, how to read it and how to put it back.
//
// Everything goes by an open directory and the name of an entry in it. So neither a path longer than the kernel takes, nor a tree of any
// depth, nor a symbolic link that somebody plants meanwhile makes a difference. The invariant: no method of Dir reaches anything but the directory
// itself and its entries, and none follows a symbolic link. Only OpenDir, through and StatThrough do, since there the user named the path.
//
// The package neither chooses what is saved nor reads content, and it knows no repository. Its errors name an entry as it is called in its directory,
// unescaped; the path, and how it is shown, is for the caller to add.
package local

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// A Dir is an open directory. Its methods may be used by several goroutines at once, but none after Close.
// A name is that of an entry: names with a slash, "", "." and ".." are refused.
type Dir struct {
	fd      int
	owners  *Owners
	listing *sync.Mutex // the place in the list of names is the kernel's, and shared with duplicates
}

const openDir = unix.O_RDONLY | unix.O_DIRECTORY

// OpenDir opens a directory, following symbolic links in path. Stat, there and in what is opened from there, takes the names of owners
// from owners; nil leaves them empty.
func OpenDir(path string, owners *Owners) (*Dir, error) {
	fd, err := openQuietly(unix.AT_FDCWD, path, openDir)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", path, err)
	}
	return newDir(fd, owners), nil
}

func newDir(fd int, owners *Owners) *Dir {
	return &Dir{fd: fd, owners: owners, listing: new(sync.Mutex)}
}

// Sub opens a directory in d. A symbolic link to one is an error.
func (d *Dir) Sub(name string) (*Dir, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	fd, err := openQuietly(d.fd, name, openDir|unix.O_NOFOLLOW)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", name, err)
	}
	return newDir(fd, d.owners), nil
}

// through opens the directory that a symbolic link in d leads to.
func (d *Dir) through(name string) (*Dir, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	fd, err := openQuietly(d.fd, name, openDir)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", name, err)
	}
	return newDir(fd, d.owners), nil
}

// parent opens the directory that d is in now.
func (d *Dir) parent() (*Dir, error) {
	fd, err := openQuietly(d.fd, "..", openDir)
	if err != nil {
		return nil, err
	}
	return newDir(fd, d.owners), nil
}

// Dup returns d again, to be closed on its own.
func (d *Dir) Dup() (*Dir, error) {
	fd, err := unix.FcntlInt(uintptr(d.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate directory handle: %w", err)
	}
	return &Dir{fd: fd, owners: d.owners, listing: d.listing}, nil
}

// Close closes the handle. It is for exactly one call.
func (d *Dir) Close() error {
	fd := d.fd
	d.fd = -1
	if err := unix.Close(fd); err != nil && err != unix.EINTR {
		return fmt.Errorf("close directory: %w", err)
	}
	return nil
}

// Names returns the names of all entries, ascending by bytes, without "." and "..".
func (d *Dir) Names() ([]string, error) {
	var names []string
	if err := d.each(func(some []string) { names = append(names, some...) }); err != nil {
		return nil, err
	}
	slices.Sort(names)
	// A directory that changes while it is listed may show an entry twice.
	return slices.Compact(names), nil
}

// each calls f with the names of all entries, some at a time, which are good until it returns.
func (d *Dir) each(f func(names []string)) error {
	d.listing.Lock()
	defer d.listing.Unlock()
	if _, err := unix.Seek(d.fd, 0, unix.SEEK_SET); err != nil {
		return fmt.Errorf("list directory: %w", err)
	}
	var names []string
	var buf [16 << 10]byte
	for {
		var n int
		err := retry(func() (err error) {
			n, err = unix.ReadDirent(d.fd, buf[:])
			return err
		})
		if err != nil {
			return fmt.Errorf("list directory: %w", err)
		}
		if n == 0 {
			return nil
		}
		_, _, names = unix.ParseDirent(buf[:n], -1, names[:0])
		f(names)
	}
}

// Readlink returns the target of a symbolic link.
func (d *Dir) Readlink(name string) (string, error) {
	if err := checkName(name); err != nil {
		return "", err
	}
	var buf [tree.MaxTarget + 1]byte
	var n int
	err := retry(func() (err error) {
		n, err = unix.Readlinkat(d.fd, name, buf[:])
		return err
	})
	if err == nil && n == len(buf) {
		err = unix.ENAMETOOLONG
	}
	if err != nil {
		return "", fmt.Errorf("read link %s: %w", name, err)
	}
	return string(buf[:n]), nil
}

// Open opens a regular file for reading, leaving its access time alone where it may. It never waits, and does not know what it opened: a file can become
// a FIFO meanwhile. Callers look with StatFile before they read.
func (d *Dir) Open(name string) (*os.File, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	fd, err := openQuietly(d.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.IndexByte(name, '/') >= 0 {
		return fmt.Errorf("use entry %q: %w", name, errName)
	}
	return nil
}

var errName = errors.New("not the name of an entry")
