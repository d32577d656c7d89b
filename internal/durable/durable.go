// Package durable writes files that are there after a power failure, as a
// whole or not at all.
//
// The order is always the same: a temporary file beside the destination, write,
// check the length, fsync, rename, fsync of the folder. The invariant: a reader
// never sees a part of a file under its final name, and when a function has
// returned nil a crash no longer takes the file away.
//
// A process that is killed leaves a file whose name begins with TempPrefix; the
// package does not remove such leftovers, and it does not lock anything.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// TempPrefix begins the name of every file that awaits its rename.
const TempPrefix = ".tmp-"

// WriteFile writes data to path, replacing what was there (a symbolic link
// itself, not what it points to). A device, a pipe, a socket, and a link to
// one, as /dev/stdout, is refused: it would be gone. perm is before umask.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	if err := replaceable(path); err != nil {
		return fmt.Errorf("write file %s: %w", path, err)
	}
	return writePath(path, data, perm, rename)
}

// CreateFile is WriteFile for a path that must not exist: fs.ErrExist if it does.
func CreateFile(path string, data []byte, perm fs.FileMode) error {
	return writePath(path, data, perm, renameNoReplace)
}

// CreateIn is CreateFile for a name in an open folder, and follows no symbolic
// link. The file's mtime is at, or now for a zero time. It returns what the file
// system says about the new file.
func CreateIn(dir *os.File, name string, data []byte, perm fs.FileMode, at time.Time) (fs.FileInfo, error) {
	return writeIn(dir, name, data, perm, at, renameNoReplace)
}

// ReplaceIn is CreateIn for a name that may be taken: what was there goes.
func ReplaceIn(dir *os.File, name string, data []byte, perm fs.FileMode, at time.Time) (fs.FileInfo, error) {
	return writeIn(dir, name, data, perm, at, rename)
}

// SyncDir makes the entries of a folder durable.
func SyncDir(path string) error {
	dir, err := openDir(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return Sync(dir)
}

// Sync is SyncDir for an open folder.
func Sync(dir *os.File) error {
	err := dir.Sync()
	// Some network and FUSE file systems know no fsync of a folder.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		return nil
	}
	return err
}

// MkdirAll makes a folder and its missing parents, and makes them durable. perm
// is before umask. A folder that exists stays as it is.
func MkdirAll(path string, perm fs.FileMode) error {
	path = filepath.Clean(path)
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: path, Err: unix.ENOTDIR}
		}
		return nil
	}
	parent := filepath.Dir(path)
	if parent != path {
		if err := MkdirAll(parent, perm); err != nil {
			return err
		}
	}
	if err := os.Mkdir(path, perm); err != nil {
		info, statErr := os.Stat(path)
		if !errors.Is(err, fs.ErrExist) || statErr != nil || !info.IsDir() {
			return err
		}
	}
	return SyncDir(parent)
}

// Probe makes a file in a directory and removes it, so that what would fail late fails early.
func Probe(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	f, err := CreateTemp(dir, 0o600)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close()
	return Unlink(dir, f.Name())
}

// CreateTemp makes an empty file of a new name that begins with TempPrefix in
// an open folder, for reading and writing by its owner only, following no
// symbolic link; perm is before umask. The file's Name is relative to dir.
func CreateTemp(dir *os.File, perm fs.FileMode) (*os.File, error) {
	for range 1000 {
		name := TempPrefix + strconv.FormatUint(rand.Uint64(), 36)
		f, err := OpenAt(dir, name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, perm)
		if !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
	return nil, fmt.Errorf("create temporary file in %s: no free name", dir.Name())
}

// OpenAt opens name in an open folder; name itself may be no symbolic link. The
// file's Name is name.
func OpenAt(dir *os.File, name string, flag int, perm fs.FileMode) (*os.File, error) {
	defer runtime.KeepAlive(dir)
	var fd int
	err := retry(func() (err error) {
		fd, err = unix.Openat(int(dir.Fd()), name, flag|unix.O_NOFOLLOW|unix.O_CLOEXEC, uint32(perm.Perm()))
		return err
	})
	if err != nil {
		return nil, os.NewSyscallError("open", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// Unlink removes a file from an open folder; the removal is not synced.
func Unlink(dir *os.File, name string) error {
	defer runtime.KeepAlive(dir)
	return retry(func() error { return unix.Unlinkat(int(dir.Fd()), name, 0) })
}
