package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"nightjar/internal/durable"
)

// asidePrefix begins the names of what was moved aside. They name no object.
const asidePrefix = ".aside-"

// clutter is the type of a file that lies where an object or a folder belongs.
type clutter uint32

func (c clutter) Error() string {
	what := "something else"
	switch uint32(c) {
	case unix.S_IFREG:
		what = "a file"
	case unix.S_IFDIR:
		what = "a folder"
	case unix.S_IFLNK:
		what = "a symbolic link, which is not followed,"
	case unix.S_IFIFO:
		what = "a FIFO"
	case unix.S_IFSOCK:
		what = "a socket"
	case unix.S_IFCHR, unix.S_IFBLK:
		what = "a device"
	}
	return what + " is in its place"
}

func (c clutter) Is(target error) bool { return target == ErrClutter }

func isClutter(err error) bool {
	var c clutter
	return errors.As(err, &c)
}

// mustBe returns the clutter that something of another type is.
func mustBe(format, mode uint32) error {
	if is := mode & unix.S_IFMT; is != format {
		return clutter(is)
	}
	return nil
}

// inPlace is mustBe for a name in a folder.
func inPlace(dir *os.File, base string, format uint32) error {
	st, err := lstat(dir, base)
	if err != nil {
		return err
	}
	return mustBe(format, st.Mode)
}

// moveAside gives what is not of the type that belongs there a name that is left
// alone, "" if another writer has done that. It puts back what another process
// put there in the same moment.
func (d *Dir) moveAside(dir *os.File, base string, belongs uint32) (aside string, err error) {
	d.moving.Lock()
	defer d.moving.Unlock()
	if !isClutter(inPlace(dir, base, belongs)) {
		return "", nil
	}
	defer runtime.KeepAlive(dir)
	fd := int(dir.Fd())
	aside = asidePrefix + base + "-" + strconv.FormatUint(rand.Uint64(), 36)
	err = unix.Renameat(fd, base, fd, aside)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err == nil && inPlace(dir, aside, belongs) == nil {
		err = unix.Renameat2(fd, aside, fd, base, unix.RENAME_NOREPLACE)
		if belongs == unix.S_IFREG && errors.Is(err, fs.ErrExist) {
			err = durable.Unlink(dir, aside)
		}
		aside = ""
	}
	if err == nil {
		err = durable.Sync(dir)
	}
	if err != nil {
		return "", fmt.Errorf("move aside what is in the place of %s: %w", base, err)
	}
	return aside, nil
}

// Clutter implements Cluttered.
func (d *Dir) Clutter(ctx context.Context, belongs func(name string) fs.FileMode, f func(name string, what error) error) error {
	root, err := d.openFolder("")
	if err != nil {
		return fmt.Errorf("look through %s: %w", d.path, err)
	}
	return d.clutter(ctx, root, "", belongs, f)
}

// clutter looks through one folder and all below, and closes dir.
func (d *Dir) clutter(ctx context.Context, dir *os.File, folder string, belongs func(string) fs.FileMode, f func(string, error) error) error {
	defer dir.Close()
	for {
		bases, readErr := dir.Readdirnames(1024)
		for _, base := range bases {
			name := path.Join(folder, base)
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("look through %s: %w", d.path, err)
			}
			if !ValidName(name) || belongs(name) == Nothing {
				continue
			}
			what := inPlace(dir, base, format(belongs(name)))
			switch {
			case isClutter(what):
				if err := f(name, what); err != nil {
					return err
				}
			case what == nil && belongs(name).IsDir():
				sub, err := durable.OpenAt(dir, base, folderFlags, 0)
				if err != nil {
					return fmt.Errorf("look through %s: %w", filepath.Join(d.path, name), err)
				}
				if err := d.clutter(ctx, sub, name, belongs, f); err != nil {
					return err
				}
			}
		}
		if errors.Is(readErr, io.EOF) || errors.Is(readErr, fs.ErrNotExist) {
			return nil
		}
		if readErr != nil {
			return fmt.Errorf("look through %s: %w", filepath.Join(d.path, folder), readErr)
		}
	}
}

// MoveAside implements Cluttered.
func (d *Dir) MoveAside(ctx context.Context, name string, belongs fs.FileMode) (aside string, err error) {
	if err := Check(ctx, "move aside", name); err != nil {
		return "", err
	}
	folder, base := split(name)
	dir, err := d.openFolder(folder)
	if err != nil {
		return "", d.fail("move aside", name, err)
	}
	defer dir.Close()
	if aside, err = d.moveAside(dir, base, format(belongs)); err != nil || aside == "" {
		return "", err
	}
	return filepath.Join(d.path, folder, aside), nil
}

// format is the type of file for a mode, as the kernel has it.
func format(mode fs.FileMode) uint32 {
	if mode.IsDir() {
		return unix.S_IFDIR
	}
	return unix.S_IFREG
}
