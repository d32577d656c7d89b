package sftp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"nightjar/internal/durable"
	"nightjar/repo/store"
)

// piece is what is read or written between two looks at the context.
const piece = 4 << 20

// Put implements store.Store.
func (s *Store) Put(ctx context.Context, name string, data []byte) (store.Info, error) {
	return s.PutAt(ctx, name, data, time.Time{})
}

// PutAt implements store.Carrier: the home time becomes the mtime.
func (s *Store) PutAt(ctx context.Context, name string, data []byte, at time.Time) (store.Info, error) {
	return s.store(ctx, "store", name, data, at)
}

// Replace implements store.Replacer.
func (s *Store) Replace(ctx context.Context, name string, data []byte, at time.Time) (store.Info, error) {
	return s.store(ctx, "replace", name, data, at)
}

func (s *Store) store(ctx context.Context, verb, name string, data []byte, at time.Time) (info store.Info, err error) {
	if err := store.CheckPut(ctx, verb, name, len(data)); err != nil {
		return info, err
	}
	err = s.do(ctx, func(c *conn) error {
		info, err = s.put(ctx, c, name, data, at, verb == "replace")
		return s.missing(c, err)
	})
	return info, fail(verb, name, err)
}

func (s *Store) put(ctx context.Context, c *conn, name string, data []byte, at time.Time, replace bool) (store.Info, error) {
	folder, _ := split(name)
	if err := s.makeFolder(c, folder); err != nil {
		return store.Info{}, err
	}
	info, err := s.same(ctx, c, name, data)
	if errors.Is(err, store.ErrClutter) {
		if _, err = s.moveAside(c, name, 0); err == nil {
			err = fs.ErrNotExist
		}
	}
	if !errors.Is(err, fs.ErrNotExist) && !(replace && errors.Is(err, store.ErrExists)) {
		return info, err
	}
	temp := path.Join(s.path(folder), durable.TempPrefix+strconv.FormatUint(rand.Uint64(), 36))
	info, err = s.write(ctx, c, temp, data, at)
	if err == nil && replace {
		err = s.supersede(c, temp, s.path(name))
	} else if err == nil {
		err = s.publish(c, temp, s.path(name))
	}
	if err != nil {
		_ = c.Remove(temp) // or it stays, under a name that is none
	}
	if errors.Is(err, store.ErrExists) { // another writer was faster
		return s.same(ctx, c, name, data)
	}
	if err != nil {
		return store.Info{}, err
	}
	s.syncFolder(c, s.path(folder))
	info.Name = name
	return info, nil
}

// write makes a file of its own for data, which is durable but for its name.
func (s *Store) write(ctx context.Context, c *conn, temp string, data []byte, at time.Time) (info store.Info, err error) {
	f, err := c.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return info, err
	}
	defer func() {
		if closeErr := f.Close(); err == nil {
			err = closeErr
		}
	}()
	if err := s.restrict(c, f.Chmod(0o600)); err != nil {
		return info, err
	}
	for done := 0; done < len(data); {
		if err := ctx.Err(); err != nil {
			return info, err
		}
		n, err := f.WriteAt(data[done:min(len(data), done+piece)], int64(done))
		if done += n; err != nil {
			return info, s.full(c, err)
		}
	}
	if !at.IsZero() {
		is, err := f.Stat()
		if err != nil {
			return info, err
		}
		if err := c.Chtimes(temp, is.ModTime(), at); err != nil { // the atime still tells Sweep how old it is
			return info, fmt.Errorf("set its time: %w", err)
		}
	}
	if err := s.sync(c, f); err != nil {
		return info, s.full(c, err)
	}
	is, err := f.Stat()
	if err == nil && is.Size() != int64(len(data)) {
		err = fmt.Errorf("the server has %d of %d bytes", is.Size(), len(data))
	}
	if err != nil {
		return info, err
	}
	return store.Info{Size: is.Size(), Time: is.ModTime()}, nil
}

// publish gives a file the name that it is for, unless that is taken: store.ErrExists.
func (s *Store) publish(c *conn, temp, to string) error {
	taken := func() bool {
		_, err := c.Lstat(to)
		return err == nil
	}
	if _, has := c.HasExtension(hardlink); has {
		err := c.Link(temp, to)
		if err == nil {
			s.does(hardlink)
			_ = c.Remove(temp) // a second name of what is stored
			return nil
		}
		if taken() {
			return store.ErrExists
		}
		if c.lost(err) {
			return err
		}
	}
	s.lacks(hardlink)
	if taken() {
		return store.ErrExists
	}
	err := c.Rename(temp, to)
	if err != nil && !c.lost(err) && taken() {
		return store.ErrExists
	}
	return err
}

// supersede gives a file the name that it is for, whatever has it.
func (s *Store) supersede(c *conn, temp, to string) error {
	if _, has := c.HasExtension(posixRename); has {
		err := c.PosixRename(temp, to)
		if err == nil {
			s.does(posixRename)
		}
		if !refused(err) {
			return err
		}
	}
	s.lacks(posixRename)
	if err := c.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return c.Rename(temp, to)
}

// same compares what is stored with data, and makes it durable: whoever stored it may not be done with that.
func (s *Store) same(ctx context.Context, c *conn, name string, data []byte) (store.Info, error) {
	info, err := s.stat(c, name)
	if err != nil {
		return info, err
	}
	if info.Size != int64(len(data)) {
		return info, store.ErrExists
	}
	f, err := c.Open(s.path(name))
	if err != nil {
		return info, err
	}
	defer f.Close()
	buf := make([]byte, min(len(data), piece))
	for at := 0; at < len(data); at += len(buf) {
		if err := ctx.Err(); err != nil {
			return info, err
		}
		buf = buf[:min(len(buf), len(data)-at)]
		if _, err := f.ReadAt(buf, int64(at)); err != nil {
			return info, err
		}
		if !bytes.Equal(buf, data[at:at+len(buf)]) {
			return info, store.ErrExists
		}
	}
	if err := s.sync(c, f); err != nil {
		return info, err
	}
	folder, _ := split(name)
	s.syncFolder(c, s.path(folder))
	return info, nil
}

// Stat implements store.Store.
func (s *Store) Stat(ctx context.Context, name string) (info store.Info, err error) {
	if err := store.Check(ctx, "look up", name); err != nil {
		return info, err
	}
	err = s.do(ctx, func(c *conn) error {
		info, err = s.find(c, name)
		return s.missing(c, err)
	})
	return info, fail("look up", name, err)
}

// GetInto implements store.Store.
func (s *Store) GetInto(ctx context.Context, name string, offset int64, buf []byte) error {
	if err := store.Check(ctx, "read", name); err != nil {
		return err
	}
	err := s.do(ctx, func(c *conn) error {
		return s.missing(c, s.read(ctx, c, name, offset, buf))
	})
	return fail("read", name, err)
}

func (s *Store) read(ctx context.Context, c *conn, name string, offset int64, buf []byte) error {
	info, err := s.find(c, name) // to open what is no file might hold the server up for ever
	if err != nil {
		return err
	}
	if err := store.CheckRange(name, offset, len(buf), info.Size); err != nil {
		return &rangeError{err}
	}
	f, err := c.Open(s.path(name))
	if err != nil {
		return err
	}
	defer f.Close()
	for done := 0; done < len(buf); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := f.ReadAt(buf[done:min(len(buf), done+piece)], offset+int64(done))
		done += n
		if errors.Is(err, io.EOF) && !c.lost(err) { // cut off since we looked at its size
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Delete implements store.Store. Folders stay.
func (s *Store) Delete(ctx context.Context, name string) error {
	if err := store.Check(ctx, "delete", name); err != nil {
		return err
	}
	asked := false // and the answer was lost
	err := s.do(ctx, func(c *conn) error {
		_, err := s.find(c, name)
		if err == nil {
			asked = true
			err = c.Remove(s.path(name))
		} else if asked && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return s.missing(c, err)
	})
	return fail("delete", name, err)
}

// Now implements store.Clock, by the mtime of a small file that it makes and removes.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	if err := ctx.Err(); err != nil {
		return now, fmt.Errorf("ask store %s for its time: %w", s.at, err)
	}
	err = s.do(ctx, func(c *conn) error {
		temp := path.Join(s.root, durable.TempPrefix+strconv.FormatUint(rand.Uint64(), 36))
		info, err := s.write(ctx, c, temp, []byte{0}, time.Time{})
		if now = info.Time; err == nil {
			err = c.Remove(temp)
		}
		return s.missing(c, err)
	})
	if err != nil {
		return now, fmt.Errorf("ask store %s for its time: %w", s.at, err)
	}
	return now, nil
}

// Mark implements store.Folder.
func (s *Store) Mark(ctx context.Context) (name string, remove func() error, err error) {
	name = durable.TempPrefix + strconv.FormatUint(rand.Uint64(), 36)
	err = s.do(ctx, func(c *conn) error {
		f, err := c.OpenFile(s.path(name), os.O_WRONLY|os.O_CREATE)
		if err == nil {
			err = f.Close()
		}
		return s.missing(c, err)
	})
	if err != nil {
		return "", nil, fmt.Errorf("mark store %s: %w", s.at, err)
	}
	return name, func() error {
		err := s.do(ctx, func(c *conn) error { return c.Remove(s.path(name)) })
		if errors.Is(err, fs.ErrNotExist) { // an answer was lost
			err = nil
		}
		return err
	}, nil
}

// path is where an object or a folder is; "" is the store's folder.
func (s *Store) path(name string) string {
	if name == "" {
		return s.root
	}
	return s.root + "/" + name
}

// split cuts a valid name into its folder, "" for the store's own, and the file's name in there.
func split(name string) (folder, base string) {
	i := strings.LastIndexByte(name, '/')
	return name[:max(i, 0)], name[i+1:]
}
