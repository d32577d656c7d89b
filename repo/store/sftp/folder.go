package sftp

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"

	"github.com/pkg/sftp"

	"nightjar/repo/store"
)

// find is stat for an object whose folders may be anything.
func (s *Store) find(c *conn, name string) (store.Info, error) {
	folder, _ := split(name)
	if err := s.folder(c, folder); err != nil {
		return store.Info{}, err
	}
	return s.stat(c, name)
}

// stat looks at what is there, and not at what a link points to.
func (s *Store) stat(c *conn, name string) (store.Info, error) {
	info, err := c.Lstat(s.path(name))
	if err != nil {
		return store.Info{}, err
	}
	return infoOf(name, info)
}

func infoOf(name string, info fs.FileInfo) (store.Info, error) {
	if err := store.MustBe(0, info.Mode()); err != nil {
		return store.Info{}, err
	}
	if info.Size() < 0 {
		return store.Info{}, fmt.Errorf("the server says that %s has %d bytes", name, uint64(info.Size()))
	}
	return store.Info{Name: name, Size: info.Size(), Time: info.ModTime()}, nil
}

// folder makes sure that a folder is one, and each on the way to it: fs.ErrNotExist, or store.ErrClutter.
func (s *Store) folder(c *conn, folder string) error {
	return s.eachFolder(folder, func(path string) error {
		if _, known := c.folders.Load(path); known {
			return nil
		}
		info, err := c.Lstat(s.path(path))
		if err != nil {
			return err
		}
		if err := store.MustBe(fs.ModeDir, info.Mode()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		c.folders.Store(path, true)
		return nil
	})
}

// makeFolder is folder for one that is made if it is missing. It forgets what it knew: to know better costs one answer of a few bytes for each object.
func (s *Store) makeFolder(c *conn, folder string) error {
	return s.eachFolder(folder, func(path string) error {
		info, err := c.Lstat(s.path(path))
		if err == nil && !info.IsDir() && info.Mode()&fs.ModeSymlink == 0 { // behind a link somebody's folder may lie
			if _, err = s.moveAside(c, path, fs.ModeDir); err == nil {
				info, err = c.Lstat(s.path(path))
			}
		}
		switch {
		case errors.Is(err, fs.ErrNotExist):
			if err := s.mkdir(c, s.path(path)); err != nil {
				return fmt.Errorf("make folder %s: %w", path, err)
			}
			return nil
		case err != nil:
			return err
		}
		if err := store.MustBe(fs.ModeDir, info.Mode()); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	})
}

// eachFolder calls f for each folder on the way to one, and for that.
func (s *Store) eachFolder(folder string, f func(path string) error) error {
	for i := range len(folder) + 1 {
		if i > 0 && (i == len(folder) || folder[i] == '/') {
			if err := f(folder[:i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// mkdir makes a folder whose parent is there, durably. One that another writer has made meanwhile is as good.
func (s *Store) mkdir(c *conn, dir string) error {
	err := c.Mkdir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err != nil {
		if info, lookErr := c.Lstat(dir); lookErr != nil || !info.IsDir() {
			return s.full(c, err)
		}
	} else if err := s.restrict(c, c.Chmod(dir, 0o700)); err != nil {
		return err
	}
	s.syncFolder(c, dir[:max(strings.LastIndexByte(dir, '/'), 0)]+"/.")
	return nil
}

// restrict takes the error of a chmod: a server that lets nobody do that does without.
func (s *Store) restrict(c *conn, err error) error {
	if err != nil && c.lost(err) {
		return err
	}
	if err != nil {
		s.lacks(chmod)
		return nil
	}
	s.does(chmod)
	return nil
}

// sync makes a file durable, as far as the server does that.
func (s *Store) sync(c *conn, f *sftp.File) error {
	if _, has := c.HasExtension(fsync); has {
		err := f.Sync()
		if err == nil {
			s.does(fsync)
		}
		if !refused(err) {
			return err
		}
	}
	s.lacks(fsync)
	return nil
}

// refused reports whether the server does not do what it was asked for, or not for us.
func refused(err error) bool {
	var status *sftp.StatusError
	return errors.Is(err, fs.ErrPermission) || errors.As(err, &status) && status.FxCode() == sftp.ErrSSHFxOpUnsupported
}

// syncFolder makes the names in a folder durable. SFTP has no way to do that; OpenSSH opens a folder as if it were a file, and syncs that.
func (s *Store) syncFolder(c *conn, dir string) {
	if _, has := c.HasExtension(fsync); !has {
		return // that was told of
	}
	f, err := c.Open(dir)
	if err == nil {
		err = f.Sync()
		_ = f.Close() // nothing was written
	}
	if err == nil {
		s.does(fsyncFolder)
	} else if !c.lost(err) {
		s.lacks(fsyncFolder)
	}
}

// missing tells a missing object from a missing store.
func (s *Store) missing(c *conn, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if _, lookErr := c.Stat(s.root); errors.Is(lookErr, fs.ErrNotExist) {
		return fmt.Errorf("folder %s: %w", s.at, store.ErrNoStore)
	}
	return err
}

// full gives an error of a full disk, of which the protocol says no more than that something failed, its name.
func (s *Store) full(c *conn, err error) error {
	if _, has := c.HasExtension("statvfs@openssh.com"); has {
		if v, statErr := c.StatVFS(s.root); statErr == nil && (v.Bavail == 0 || v.Files > 0 && v.Favail == 0) {
			return fmt.Errorf("%w: %w", syscall.ENOSPC, err)
		}
	}
	return err
}

// A rangeError has said all.
type rangeError struct{ error }

func (e *rangeError) Unwrap() error { return e.error }

// fail wraps an error of an operation on an object.
func fail(verb, name string, err error) error {
	reading := verb != "store" && verb != "replace"
	var ranged *rangeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &ranged):
		return ranged.error
	case errors.Is(err, store.ErrClutter) && reading:
		err = fmt.Errorf("%w: %w", store.ErrNotExist, err)
	case errors.Is(err, fs.ErrNotExist):
		err = store.ErrNotExist
	case reading && isServers(err):
		err = store.Unread(err)
	}
	return fmt.Errorf("%s object %s: %w", verb, name, err)
}
