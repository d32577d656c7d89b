package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"

	"nightjar/internal/durable"
	"nightjar/repo/store"
)

func isClutter(err error) bool { return errors.Is(err, store.ErrClutter) }

// inPlace is MustBe for a name in a folder.
func inPlace(dir *os.File, base string, belongs fs.FileMode) error {
	st, err := lstat(dir, base)
	if err != nil {
		return err
	}
	return store.MustBe(belongs, typeOf(st.Mode))
}

// typeOf is the type of a file, of the kernel's mode, as Go has it.
func typeOf(mode uint32) fs.FileMode {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 0
	case unix.S_IFDIR:
		return fs.ModeDir
	case unix.S_IFLNK:
		return fs.ModeSymlink
	case unix.S_IFIFO:
		return fs.ModeNamedPipe
	case unix.S_IFSOCK:
		return fs.ModeSocket
	case unix.S_IFCHR, unix.S_IFBLK:
		return fs.ModeDevice
	}
	return fs.ModeIrregular
}

// moveAside gives what is not of the type that belongs there a name that is left
// alone, "" if another writer has done that. It puts back what another process
// put there in the same moment.
func (d *Store) moveAside(dir *os.File, base string, belongs fs.FileMode) (aside string, err error) {
	d.moving.Lock()
	defer d.moving.Unlock()
	if !isClutter(inPlace(dir, base, belongs)) {
		return "", nil
	}
	defer runtime.KeepAlive(dir)
	fd := int(dir.Fd())
	aside = store.AsideName(base)
	err = unix.Renameat(fd, base, fd, aside)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err == nil && inPlace(dir, aside, belongs) == nil {
		err = unix.Renameat2(fd, aside, fd, base, unix.RENAME_NOREPLACE)
		if belongs == 0 && errors.Is(err, fs.ErrExist) {
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
func (d *Store) Clutter(ctx context.Context, belongs func(name string) fs.FileMode, f func(name string, what error) error) error {
	root, err := d.openFolder("")
	if err != nil {
		return fmt.Errorf("look through %s: %w", d.path, err)
	}
	return d.clutter(ctx, root, "", belongs, f)
}

// clutter looks through one folder and all below, and closes dir.
func (d *Store) clutter(ctx context.Context, dir *os.File, folder string, belongs func(string) fs.FileMode, f func(string, error) error) error {
	defer dir.Close()
	for {
		bases, readErr := dir.Readdirnames(1024)
		for _, base := range bases {
			name := path.Join(folder, base)
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("look through %s: %w", d.path, err)
			}
			if !store.ValidName(name) || belongs(name) == store.Nothing {
				continue
			}
			what := inPlace(dir, base, belongs(name))
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
func (d *Store) MoveAside(ctx context.Context, name string, belongs fs.FileMode) (aside string, err error) {
	if err := store.Check(ctx, "move aside", name); err != nil {
		return "", err
	}
	folder, base := split(name)
	dir, err := d.openFolder(folder)
	if err != nil {
		return "", d.fail("move aside", name, err)
	}
	defer dir.Close()
	if aside, err = d.moveAside(dir, base, belongs); err != nil || aside == "" {
		return "", err
	}
	return filepath.Join(d.path, folder, aside), nil
}
