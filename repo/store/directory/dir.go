// Package directory is the kind of store that is a directory of this machine, or of a file system that is mounted here.
//
// The invariant is that of package store, whatever dies: a file gets its name when all of it is on the disk. The package follows no
// link below the directory, and deletes nothing that it was not told to.
package directory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/internal/durable"
	"nightjar/internal/where"
	"nightjar/repo/store"
)

// Store is a store.Store in a directory: an object is a file, a '/' in its name a
// folder, its time the file's mtime. Below the directory no symbolic link is
// followed, wherever it points to. Files are made with mode 0600, folders with
// 0700.
//
// What is no regular file is no object: under an object's name it is a missing
// one, and Put moves it aside. So it does with what is no folder where objects
// lie, but for a symbolic link: somebody may have moved the folder. Only
// MoveAside takes that away.
//
// A Put that is killed leaves a file whose name begins with ".tmp-", which is
// no valid name; Sweep removes it.
type Store struct {
	path   string
	root   *os.File
	synced sync.Map   // folders whose entry this Store knows to be durable
	moving sync.Mutex // held while something is moved aside
}

var (
	_ store.Carrier   = (*Store)(nil)
	_ store.Clock     = (*Store)(nil)
	_ store.Replacer  = (*Store)(nil)
	_ store.Cluttered = (*Store)(nil)
	_ store.Sweeper   = (*Store)(nil)
	_ store.Local     = (*Store)(nil)
	_ store.Folder    = (*Store)(nil)
)

// Open opens the store in an existing directory, store.ErrNoStore if there is
// none. The path itself may be a symbolic link.
func Open(path string) (*Store, error) {
	abs, err := where.Absolute(path)
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", path, err)
	}
	root, err := os.OpenFile(abs, os.O_RDONLY|unix.O_DIRECTORY, 0)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("%w: %w", store.ErrNoStore, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	return &Store{path: abs, root: root}, nil
}

// Create is Open for a directory that is made, with its parents, if it
// is missing. One that exists stays as it is, empty or not.
func Create(path string) (*Store, error) {
	if err := durable.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("create store: %w", err)
	}
	return Open(path)
}

// Path implements Local: it returns the directory's absolute path.
func (d *Store) Path() string { return d.path }

// Close releases the directory; the Store is of no use afterwards.
func (d *Store) Close() error { return d.root.Close() }

// Put implements Store.
func (d *Store) Put(ctx context.Context, name string, data []byte) (store.Info, error) {
	return d.PutAt(ctx, name, data, time.Time{})
}

// PutAt implements Carrier: the home time becomes the mtime.
func (d *Store) PutAt(ctx context.Context, name string, data []byte, at time.Time) (store.Info, error) {
	if err := store.CheckPut(ctx, "store", name, len(data)); err != nil {
		return store.Info{}, err
	}
	folder, base := split(name)
	dir, err := d.makeFolder(folder)
	if err != nil {
		return store.Info{}, d.fail("store", name, err)
	}
	defer dir.Close()
	info, err := sameObject(dir, base, data)
	if isClutter(err) {
		if _, err = d.moveAside(dir, base, 0); err == nil {
			err = fs.ErrNotExist
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		info, err = durable.CreateIn(dir, base, data, 0o600, at)
	}
	if errors.Is(err, fs.ErrExist) {
		info, err = sameObject(dir, base, data) // another writer was faster
	}
	if err != nil {
		return store.Info{}, d.fail("store", name, err)
	}
	return store.Info{Name: name, Size: info.Size(), Time: info.ModTime()}, nil
}

// Replace implements Replacer.
func (d *Store) Replace(ctx context.Context, name string, data []byte, at time.Time) (store.Info, error) {
	if err := store.CheckPut(ctx, "replace", name, len(data)); err != nil {
		return store.Info{}, err
	}
	folder, base := split(name)
	dir, err := d.makeFolder(folder)
	if err != nil {
		return store.Info{}, d.fail("replace", name, err)
	}
	defer dir.Close()
	info, err := sameObject(dir, base, data)
	if isClutter(err) {
		if _, err = d.moveAside(dir, base, 0); err == nil {
			err = fs.ErrNotExist
		}
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, store.ErrExists) || errors.Is(err, unix.EIO) { // EIO: of a bad disk
		info, err = durable.ReplaceIn(dir, base, data, 0o600, at)
	}
	if err != nil {
		return store.Info{}, d.fail("replace", name, err)
	}
	return store.Info{Name: name, Size: info.Size(), Time: info.ModTime()}, nil
}

// sameObject compares what is stored with data, and makes it as durable as if
// it had been written now: whoever stored it may not be done with that.
func sameObject(dir *os.File, base string, data []byte) (fs.FileInfo, error) {
	f, info, err := openObject(dir, base)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() != int64(len(data)) {
		return nil, store.ErrExists
	}
	buf := make([]byte, min(len(data), 256<<10))
	for rest := data; len(rest) > 0; {
		part := buf[:min(len(buf), len(rest))]
		if _, err := io.ReadFull(f, part); err != nil {
			return nil, err
		}
		if !bytes.Equal(part, rest[:len(part)]) {
			return nil, store.ErrExists
		}
		rest = rest[len(part):]
	}
	if err := f.Sync(); err != nil {
		return nil, err
	}
	if err := durable.Sync(dir); err != nil {
		return nil, err
	}
	return info, nil
}

// Stat implements Store.
func (d *Store) Stat(ctx context.Context, name string) (store.Info, error) {
	if err := store.Check(ctx, "look up", name); err != nil {
		return store.Info{}, err
	}
	folder, base := split(name)
	dir, err := d.openFolder(folder)
	if err != nil {
		return store.Info{}, d.fail("look up", name, err)
	}
	defer dir.Close()
	st, err := lstat(dir, base)
	if err == nil {
		err = store.MustBe(0, typeOf(st.Mode))
	}
	if err != nil {
		return store.Info{}, d.fail("look up", name, err)
	}
	return infoOf(name, st), nil
}

// GetInto implements Store.
func (d *Store) GetInto(ctx context.Context, name string, offset int64, buf []byte) error {
	if err := store.Check(ctx, "read", name); err != nil {
		return err
	}
	folder, base := split(name)
	dir, err := d.openFolder(folder)
	if err != nil {
		return d.fail("read", name, err)
	}
	defer dir.Close()
	f, info, err := openObject(dir, base)
	if err != nil {
		return d.fail("read", name, err)
	}
	defer f.Close()
	if err := store.CheckRange(name, offset, len(buf), info.Size()); err != nil {
		return err
	}
	if _, err := f.ReadAt(buf, offset); err != nil {
		if errors.Is(err, io.EOF) { // cut off since we looked at its size
			err = io.ErrUnexpectedEOF
		}
		return d.fail("read", name, err)
	}
	return nil
}

// Delete implements Store. Folders stay.
func (d *Store) Delete(ctx context.Context, name string) error {
	if err := store.Check(ctx, "delete", name); err != nil {
		return err
	}
	folder, base := split(name)
	dir, err := d.openFolder(folder)
	if err != nil {
		return d.fail("delete", name, err)
	}
	defer dir.Close()
	st, err := lstat(dir, base)
	if err == nil {
		err = store.MustBe(0, typeOf(st.Mode))
	}
	if err == nil {
		err = durable.Unlink(dir, base)
	}
	if err != nil {
		return d.fail("delete", name, err)
	}
	return nil
}

// Now implements Clock, by the mtime of a small file that it makes and removes.
func (d *Store) Now(ctx context.Context) (time.Time, error) {
	if err := ctx.Err(); err != nil {
		return time.Time{}, fmt.Errorf("ask store %s for its time: %w", d.path, err)
	}
	t, err := d.now()
	if err != nil {
		if d.gone() {
			err = store.ErrNoStore
		}
		return time.Time{}, fmt.Errorf("ask store %s for its time: %w", d.path, err)
	}
	return t, nil
}

func (d *Store) now() (t time.Time, err error) {
	f, err := durable.CreateTemp(d.root, 0o600)
	if err != nil {
		return t, err
	}
	defer func() {
		f.Close()
		if unlinkErr := durable.Unlink(d.root, f.Name()); err == nil {
			err = unlinkErr
		}
	}()
	if _, err := f.Write([]byte{0}); err != nil {
		return t, err
	}
	// Only then does a network file system tell its own time, not this host's.
	if err := f.Sync(); err != nil {
		return t, err
	}
	info, err := f.Stat()
	if err != nil {
		return t, err
	}
	return info.ModTime(), nil
}

// fail wraps an error of an operation on an object, and tells a missing object
// from a missing store.
func (d *Store) fail(verb, name string, err error) error {
	reading := verb != "store" && verb != "replace"
	switch {
	case errors.Is(err, fs.ErrNotExist) && d.gone():
		return fmt.Errorf("%s object %s: directory %s: %w", verb, name, d.path, store.ErrNoStore)
	case errors.Is(err, fs.ErrNotExist):
		err = store.ErrNotExist
	case isClutter(err) && reading:
		err = fmt.Errorf("%w: %w", store.ErrNotExist, err)
	case outOfReach(err):
		err = fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	case errors.As(err, new(unix.Errno)) && reading:
		err = store.Unread(err)
	}
	return fmt.Errorf("%s object %s: %w", verb, name, err)
}

// split cuts a valid name into its folder, "" for the directory itself, and the
// file's name in there.
func split(name string) (folder, base string) {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)], name[i+1:]
}
