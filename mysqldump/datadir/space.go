package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"nightjar/internal/human"
)

// ErrSpace says that there is not enough room for the files of a backup.
var ErrSpace = errors.New("there is not enough room for it")

// Fits returns an error that wraps ErrSpace if files of so many bytes do not fit in beside what is there of them. A folder in which nothing is yet is
// then left as it was found, and no longer ours.
func (d *Dir) Fits(bytes uint64) error {
	there, files := uint64(0), 0
	err := d.walk(func(name string, e fs.DirEntry) error {
		if name == Mark {
			return nil
		}
		files++
		info, err := e.Info()
		if err != nil {
			return err
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok && !e.IsDir() {
			there += uint64(s.Blocks) * 512
		}
		return nil
	})
	var s unix.Statfs_t
	if err == nil {
		err = unix.Fstatfs(int(d.self.Fd()), &s)
	}
	if free := s.Bavail * uint64(s.Bsize); err == nil && bytes > there && bytes-there > free {
		err = fmt.Errorf("%w: it takes %s, and %s are free", ErrSpace, human.Size(bytes-there), human.Size(free))
		if files == 0 {
			err = errors.Join(err, d.leave())
		}
	}
	if err != nil {
		return fmt.Errorf("look for room in data directory %q: %w", d.path, err)
	}
	return nil
}

// leave takes the mark out of a folder, and removes the folder if it was made.
func (d *Dir) leave() error {
	err := d.root.Remove(Mark)
	if err == nil && d.made {
		err = os.Remove(d.path)
	}
	return err
}
