package lookup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"nightjar/internal/durable"
)

// openFolder makes the folder when it is missing and opens its files.
func (x *Index) openFolder() error {
	if err := os.MkdirAll(x.dir, 0o700); err != nil {
		return err
	}
	const attempts = 4 // another process may merge what was just listed
	for range attempts {
		names, err := x.list()
		if err != nil {
			return err
		}
		vanished, err := x.openFiles(names)
		if err != nil || !vanished {
			return err
		}
	}
	return nil // what was missed is fetched again
}

// list returns the names of the index's files, and removes what writers that were killed left.
func (x *Index) list() ([]string, error) {
	entries, err := os.ReadDir(x.dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		switch {
		case !e.Type().IsRegular():
		case strings.HasSuffix(e.Name(), fileSuffix):
			names = append(names, e.Name())
		case strings.HasPrefix(e.Name(), durable.TempPrefix):
			x.removeAbandoned(filepath.Join(x.dir, e.Name()))
		}
	}
	return names, nil
}

// openFiles opens those of the files that are not open yet, and reports whether one was gone.
func (x *Index) openFiles(names []string) (vanished bool, err error) {
	open := map[string]bool{}
	for _, g := range x.segments {
		open[g.name] = true
	}
	for _, name := range names {
		if open[name] {
			continue
		}
		g, err := openFile(x.dir, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			vanished = true
		case errors.Is(err, ErrBroken):
			x.warn(fmt.Errorf("%w: dropped, its content will be fetched again", err))
			x.remove(name)
		case err != nil:
			x.warn(fmt.Errorf("open local index: %w", err))
		default:
			x.segments = append(x.segments, g)
		}
	}
	return vanished, nil
}

func (x *Index) remove(name string) {
	if err := os.Remove(filepath.Join(x.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		x.warn(fmt.Errorf("remove old local index file: %w", err))
	}
}

// lock marks a file as being written for as long as it is open.
func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.ENOLCK) {
		return nil // a file system without locks; removeAbandoned leaves its files alone
	}
	return err
}

// removeAbandoned removes a temporary file that nobody writes.
func (x *Index) removeAbandoned(path string) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
	if err != nil {
		return // finished just now, or another user's
	}
	defer f.Close()
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
		x.remove(filepath.Base(path))
	}
}
