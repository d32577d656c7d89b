package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nightjar/internal/durable"
	"nightjar/repo/store"
)

// List implements Store. Files, folders and links that are no objects are left
// out; what is in the place of the folder that prefix names is an error, since
// nobody may take what is out of sight for gone.
func (d *Store) List(ctx context.Context, prefix string, f func(store.Info) error) error {
	if err := store.CheckList(ctx, prefix); err != nil {
		return err
	}
	folder, _ := split(prefix)
	for again := false; ; again = true {
		dir, err := d.openFolder(folder)
		if err == nil {
			return d.listAll(ctx, dir, folder, prefix, f)
		}
		missing := errors.Is(err, fs.ErrNotExist)
		if missing && d.gone() {
			return fmt.Errorf("list objects: directory %s: %w", d.path, store.ErrNoStore)
		}
		if missing {
			there, lookErr := d.names(folder)
			switch {
			case lookErr != nil:
				err = lookErr
			case !there:
				return nil
			case !again: // made meanwhile, as a rule
				continue
			}
		}
		return fmt.Errorf("list objects in %s: %w", d.path, err)
	}
}

// names reports whether a folder, and each on the way to it, is named in the one above. Not to open it is not proof enough that
// nothing was ever stored there.
func (d *Store) names(folder string) (bool, error) {
	path := ""
	for segment := range strings.SplitSeq(folder, "/") {
		dir, err := d.openFolder(path)
		if err != nil {
			return false, err
		}
		all, err := dir.Readdirnames(-1)
		dir.Close()
		if err != nil || !slices.Contains(all, segment) {
			return false, err
		}
		path = strings.TrimPrefix(path+"/"+segment, "/")
	}
	return true, nil
}

// Entries implements Folder.
func (d *Store) Entries(ctx context.Context, folder string) ([]string, error) {
	if folder != "" {
		if err := store.Check(ctx, "list", folder); err != nil {
			return nil, err
		}
	}
	dir, err := d.openFolder(folder)
	if errors.Is(err, fs.ErrNotExist) && !d.gone() {
		return nil, nil
	}
	var all []string
	if err == nil {
		all, err = dir.Readdirnames(-1)
		dir.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("list folder %s: %w", filepath.Join(d.path, folder), err)
	}
	return all, nil
}

// Mark implements Folder.
func (d *Store) Mark(ctx context.Context) (name string, remove func() error, err error) {
	err = ctx.Err()
	var f *os.File
	if err == nil {
		f, err = durable.CreateTemp(d.root, 0o600)
	}
	if err != nil {
		return "", nil, fmt.Errorf("mark store %s: %w", d.path, err)
	}
	f.Close() // nothing was written
	return f.Name(), func() error { return durable.Unlink(d.root, f.Name()) }, nil
}

// listAll is list for a folder that has to stay where it is.
func (d *Store) listAll(ctx context.Context, dir *os.File, folder, prefix string, f func(store.Info) error) error {
	before, err := dir.Stat()
	if err != nil {
		dir.Close()
		return fmt.Errorf("list objects in %s: %w", d.path, err)
	}
	if err := d.list(ctx, dir, folder, prefix, f); err != nil {
		return err
	}
	now, err := d.openFolder(folder)
	if err == nil {
		defer now.Close()
		if after, err := now.Stat(); err == nil && os.SameFile(before, after) {
			return nil
		}
	}
	return fmt.Errorf("list objects in %s: %w", filepath.Join(d.path, folder), errVanished)
}

// errVanished says that a folder is not where it was when its listing began, which then may lack anything: nothing here removes folders.
var errVanished = errors.New("the folder was moved or removed while it was listed")

// list lists one folder and all below, and closes dir.
func (d *Store) list(ctx context.Context, dir *os.File, folder, prefix string, f func(store.Info) error) error {
	defer dir.Close()
	fail := func(err error) error { return fmt.Errorf("list objects in %s: %w", filepath.Join(d.path, folder), err) }
	if folder != "" {
		folder += "/"
	}
	named, err := d.named(dir, folder)
	if err != nil {
		return fail(err)
	}
	defer named.Close()
	missing := map[string]bool{} // which were listed, and not there
	for {
		entries, readErr := named.ReadDir(1024)
		for _, entry := range entries {
			base := entry.Name()
			name := folder + base
			if !strings.HasPrefix(name, prefix) || !store.ValidName(name) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return fail(err)
			}
			st, err := lstat(dir, base)
			switch {
			case errors.Is(err, fs.ErrNotExist) && !entry.IsDir():
				missing[base], err = true, nil // deleted meanwhile, as a rule
			case errors.Is(err, fs.ErrNotExist):
				return fail(fmt.Errorf("%s: %w", base, errVanished))
			case err != nil:
				return fail(err)
			case st.Mode&unix.S_IFMT == unix.S_IFREG:
				err = f(infoOf(name, st))
			case st.Mode&unix.S_IFMT == unix.S_IFDIR:
				err = d.listBelow(ctx, dir, folder, base, st, prefix, f)
			}
			if err != nil {
				return err
			}
		}
		if errors.Is(readErr, io.EOF) {
			break
		}
		if errors.Is(readErr, fs.ErrNotExist) { // which is how the kernel ends the listing of a folder that was removed
			readErr = errVanished
		}
		if d.gone() {
			readErr = store.ErrNoStore
		}
		if readErr != nil {
			return fail(readErr)
		}
	}
	if d.gone() {
		return fmt.Errorf("list objects: directory %s: %w", d.path, store.ErrNoStore)
	}
	if len(missing) == 0 {
		return nil
	}
	return again(dir, folder, missing, f)
}

// listBelow lists a folder in one that is being listed: dir, whose name ends with a slash.
func (d *Store) listBelow(ctx context.Context, dir *os.File, folder, base string, st *unix.Stat_t, prefix string, f func(store.Info) error) error {
	fail := func(err error) error {
		return fmt.Errorf("list objects in %s: %s: %w", filepath.Join(d.path, folder), base, err)
	}
	sub, err := durable.OpenAt(dir, base, folderFlags, 0)
	if errors.Is(err, fs.ErrNotExist) {
		err = errVanished
	}
	if err != nil {
		return fail(err)
	}
	if err := d.list(ctx, sub, folder+base, prefix, f); err != nil {
		return err
	}
	if now, err := lstat(dir, base); err != nil || now.Dev != st.Dev || now.Ino != st.Ino {
		return fail(errVanished)
	}
	return nil
}

// named opens a folder again under its whole path. Where the file system tells no types of entries, ReadDir asks for them by that path, and leaves
// out what it does not find.
func (d *Store) named(dir *os.File, folder string) (*os.File, error) {
	f, err := durable.OpenAt(dir, ".", folderFlags, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), filepath.Join(d.path, folder)), nil
}

// again looks once more for what was listed, and then not there: what was deleted is not listed any more.
func again(dir *os.File, folder string, missing map[string]bool, f func(store.Info) error) error {
	_, err := dir.Seek(0, io.SeekStart)
	for err == nil {
		var bases []string
		bases, err = dir.Readdirnames(1024)
		for _, base := range bases {
			if !missing[base] {
				continue
			}
			st, err := lstat(dir, base)
			if err != nil {
				return fmt.Errorf("list objects: %s%s is listed: %w", folder, base, err)
			}
			if st.Mode&unix.S_IFMT == unix.S_IFREG {
				if err := f(infoOf(folder+base, st)); err != nil {
					return err
				}
			}
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return fmt.Errorf("list objects in %s: %w", dir.Name(), err)
}
