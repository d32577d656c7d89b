// Package scratch makes the folder in which a drill restores, and removes it, with those that drills have left which were killed.
//
// A folder is locked by who uses it, so one that nobody has locked is of a process that is gone. The invariant: only folders that bear the mark, and are the user's
// own, are ever removed.
package scratch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"nightjar/internal/human"
	"nightjar/internal/tempdir"
)

const (
	prefix = "nightjar-drill-"
	mark   = ".nightjar-drill"
)

// ErrSpace says that there is not enough room.
var ErrSpace = errors.New("there is not enough room in the scratch folder")

// A Folder is a scratch folder that is in use. What is in it is removed with it.
type Folder struct {
	Path string
	lock *os.File
}

// Make makes a folder below a folder that is there, after it has removed what killed drills have left there. With open, other users may go through it to what is
// given to them; nobody else may list it.
func Make(below string, open bool) (*Folder, error) {
	if err := sweep(below); err != nil {
		return nil, fmt.Errorf("remove what a drill has left in %s: %w", below, err)
	}
	d, err := tempdir.New(below)
	if err != nil {
		return nil, err
	}
	path, remove, err := d.MkdirTemp(prefix + "*")
	if err != nil {
		return nil, err
	}
	f := &Folder{Path: path}
	if f.lock, err = take(path); err == nil {
		err = os.WriteFile(filepath.Join(path, mark), nil, 0o600)
	}
	if err == nil && open {
		err = os.Chmod(path, 0o711)
	}
	if err != nil {
		return nil, fmt.Errorf("make scratch folder: %w", errors.Join(err, remove()))
	}
	return f, nil
}

// take locks a folder.
func take(path string) (*os.File, error) {
	d, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// sweep removes the folders of drills that are gone.
func sweep(below string) error {
	entries, err := os.ReadDir(below)
	if err != nil {
		return err
	}
	var failed []error
	for _, e := range entries {
		path := filepath.Join(below, e.Name())
		if !strings.HasPrefix(e.Name(), prefix) || !ours(path) {
			continue
		}
		lock, err := take(path)
		if err != nil {
			continue // it is in use
		}
		if _, err := os.Lstat(filepath.Join(path, mark)); err == nil {
			failed = append(failed, removeAll(path))
		}
		lock.Close()
	}
	return errors.Join(failed...)
}

func ours(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(s.Uid) == os.Geteuid()
}

// removeAll removes a folder. The mark goes last, so that whoever is killed here has it removed by the next.
func removeAll(path string) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != mark {
			if err := removeTree(filepath.Join(path, e.Name())); err != nil {
				return err
			}
		}
	}
	return os.RemoveAll(path)
}

// removeTree is os.RemoveAll also for folders that came back closed to who is not root, and for what came back with flags by which nobody may remove it.
func removeTree(path string) error {
	err := os.RemoveAll(path)
	if !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(path, func(name string, e fs.DirEntry, err error) error {
		if e == nil || err != nil {
			return nil
		}
		if e.IsDir() || e.Type().IsRegular() {
			unfix(name)
		}
		if e.IsDir() { // told of before it is read
			_ = os.Chmod(name, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}

// unfix takes from a file or folder the flags of chattr +i and +a, if it has them.
func unfix(path string) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return
	}
	defer f.Close()
	const fixed = unix.STATX_ATTR_IMMUTABLE | unix.STATX_ATTR_APPEND // which are the bits of FS_IOC_SETFLAGS
	fd := int(f.Fd())
	if flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS); err == nil && flags&fixed != 0 {
		_ = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags&^fixed))
	}
}

// Remove removes the folder with all that is in it.
func (f *Folder) Remove() error {
	defer f.lock.Close()
	if err := removeAll(f.Path); err != nil {
		return fmt.Errorf("remove scratch folder: %w", err)
	}
	return nil
}

// Fits returns an error that wraps ErrSpace if so many bytes have no room.
func (f *Folder) Fits(bytes uint64) error {
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.lock.Fd()), &s); err != nil {
		return fmt.Errorf("look for room in %s: %w", f.Path, err)
	}
	if free := s.Bavail * uint64(s.Bsize); bytes > free {
		return fmt.Errorf("%w: about %s are needed below %s, and %s are free", ErrSpace, human.Size(bytes), filepath.Dir(f.Path), human.Size(free))
	}
	return nil
}
