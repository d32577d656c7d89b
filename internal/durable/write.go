package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

func openDir(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY, 0)
}

// commit gives a finished file of a folder its final name.
type commit func(dir *os.File, temp, name string) error

func writePath(path string, data []byte, perm fs.FileMode, c commit) error {
	folder, name := filepath.Split(path)
	if name == "" || name == "." || name == ".." {
		return fmt.Errorf("write file %s: not a file name", path)
	}
	if folder == "" {
		folder = "."
	}
	dir, err := openDir(folder)
	if err != nil {
		return fmt.Errorf("write file %s: %w", path, err)
	}
	defer dir.Close()
	if _, err := writeIn(dir, name, data, perm, time.Time{}, c); err != nil {
		return fmt.Errorf("write file %s: %w", path, err)
	}
	return nil
}

// replaceable returns an error if what is at a path is not for a file to replace.
func replaceable(path string) error {
	info, err := os.Lstat(path)
	open := false // by a process: what /dev/stdout leads to may be a regular file
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		to, _ := os.Readlink(path)
		open = strings.HasPrefix(to, "/proc/")
		info, err = os.Stat(path)
	}
	if open || err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return errors.New("it is no regular file, and is not replaced")
	}
	return nil // what else is wrong shows when it is written
}

func writeIn(dir *os.File, name string, data []byte, perm fs.FileMode, at time.Time, c commit) (fs.FileInfo, error) {
	f, err := CreateTemp(dir, perm)
	if err != nil {
		return nil, err
	}
	info, err := fill(dir, f, data, at)
	if closeErr := f.Close(); err == nil {
		err = closeErr // network file systems report a full disk here
	}
	if err == nil {
		err = c(dir, f.Name(), name)
	}
	if err != nil {
		_ = Unlink(dir, f.Name()) // what failed first is what the caller must know
		return nil, err
	}
	if err := Sync(dir); err != nil {
		return nil, err
	}
	return info, nil
}

// fill writes data, dates and syncs it, and checks that the file has it all.
func fill(dir, f *os.File, data []byte, at time.Time) (fs.FileInfo, error) {
	if _, err := f.Write(data); err != nil {
		return nil, err
	}
	if !at.IsZero() {
		if err := setTime(dir, f.Name(), at); err != nil {
			return nil, err
		}
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() != int64(len(data)) {
		return nil, fmt.Errorf("%d of %d bytes written: %w", info.Size(), len(data), io.ErrShortWrite)
	}
	return info, nil
}

func setTime(dir *os.File, name string, at time.Time) error {
	t, err := unix.TimeToTimespec(at)
	if err != nil {
		return err
	}
	defer runtime.KeepAlive(dir)
	return retry(func() error {
		return unix.UtimesNanoAt(int(dir.Fd()), name, []unix.Timespec{t, t}, unix.AT_SYMLINK_NOFOLLOW)
	})
}

func rename(dir *os.File, temp, name string) error {
	defer runtime.KeepAlive(dir)
	return retry(func() error { return unix.Renameat(int(dir.Fd()), temp, int(dir.Fd()), name) })
}

func renameNoReplace(dir *os.File, temp, name string) error {
	defer runtime.KeepAlive(dir)
	err := retry(func() error {
		return unix.Renameat2(int(dir.Fd()), temp, int(dir.Fd()), name, unix.RENAME_NOREPLACE)
	})
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOTSUP) {
		return linkNoReplace(dir, temp, name)
	}
	return err
}

// linkNoReplace serves where renames always replace: NFS, some FUSE file
// systems, old kernels.
func linkNoReplace(dir *os.File, temp, name string) error {
	defer runtime.KeepAlive(dir)
	err := retry(func() error { return unix.Linkat(int(dir.Fd()), temp, int(dir.Fd()), name, 0) })
	if err != nil {
		return err
	}
	// The file has its name; a temporary name that stays behind harms nobody.
	_ = Unlink(dir, temp)
	return nil
}

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
