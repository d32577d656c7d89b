package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/internal/durable"
)

// Folders are entered one segment at a time with O_NOFOLLOW. (os.Root follows
// links that stay inside; here a link could still show one object as another.)

const folderFlags = unix.O_RDONLY | unix.O_DIRECTORY

// openFolder opens a folder of the store, "" for the directory itself.
func (d *Dir) openFolder(folder string) (*os.File, error) {
	return d.walkTo(folder, func(parent *os.File, _, segment string) (*os.File, error) {
		return durable.OpenAt(parent, segment, folderFlags, 0)
	})
}

// makeFolder is openFolder for a folder that is made if it is missing. Its
// entry is durable afterwards, also if another writer has just made it.
func (d *Dir) makeFolder(folder string) (*os.File, error) {
	return d.walkTo(folder, func(parent *os.File, path, segment string) (*os.File, error) {
		_, known := d.synced.Load(path)
		dir, err := durable.OpenAt(parent, segment, folderFlags, 0)
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			in := inPlace(parent, segment, unix.S_IFDIR)
			if isClutter(in) && in != clutter(unix.S_IFLNK) {
				_, in = d.moveAside(parent, segment, unix.S_IFDIR)
			}
			if in == nil || errors.Is(in, fs.ErrNotExist) { // by now
				err = fs.ErrNotExist
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			known = false
			if err := mkdir(parent, segment); err != nil && !errors.Is(err, fs.ErrExist) {
				return nil, err
			}
			dir, err = durable.OpenAt(parent, segment, folderFlags, 0)
		}
		if err != nil {
			return nil, err
		}
		if !known {
			if err := durable.Sync(parent); err != nil {
				dir.Close()
				return nil, err
			}
			d.synced.Store(path, struct{}{})
		}
		return dir, nil
	})
}

// walkTo enters folder with one call of enter per segment; path is the folder's
// up to and including the segment.
func (d *Dir) walkTo(folder string, enter func(parent *os.File, path, segment string) (*os.File, error)) (*os.File, error) {
	dir, err := durable.OpenAt(d.root, ".", folderFlags, 0)
	if err != nil || folder == "" {
		return dir, err
	}
	done := 0
	for segment := range strings.SplitSeq(folder, "/") {
		done += len(segment)
		path := folder[:done]
		done++
		next, err := enter(dir, path, segment)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			if in := inPlace(dir, segment, unix.S_IFDIR); isClutter(in) {
				err = fmt.Errorf("%s: %w", path, in)
			}
		}
		dir.Close()
		if err != nil {
			return nil, err
		}
		dir = next
	}
	return dir, nil
}

// gone says whether the directory has been removed since it was opened.
func (d *Dir) gone() bool {
	var st unix.Stat_t
	defer runtime.KeepAlive(d.root)
	return unix.Fstat(int(d.root.Fd()), &st) == nil && st.Nlink == 0
}

// openObject opens a regular file and nothing else.
func openObject(dir *os.File, base string) (*os.File, fs.FileInfo, error) {
	// Without O_NONBLOCK, opening a planted FIFO would wait for its writer.
	f, err := durable.OpenAt(dir, base, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		if in := inPlace(dir, base, unix.S_IFREG); isClutter(in) {
			err = in
		}
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			err = mustBe(unix.S_IFREG, st.Mode)
		}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

// List implements Store. Files, folders and links that are no objects are left
// out; what is in the place of the folder that prefix names is an error, since
// nobody may take what is out of sight for gone.
func (d *Dir) List(ctx context.Context, prefix string, f func(Info) error) error {
	if err := checkList(ctx, prefix); err != nil {
		return err
	}
	folder, _ := split(prefix)
	dir, err := d.openFolder(folder)
	switch {
	case err == nil:
		before, err := dir.Stat()
		if err != nil {
			dir.Close()
			return fmt.Errorf("list objects in %s: %w", d.path, err)
		}
		if err := d.list(ctx, dir, folder, prefix, f); err != nil {
			return err
		}
		return d.stays(folder, before)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("list objects in %s: %w", d.path, err)
	case d.gone():
		return fmt.Errorf("list objects: directory %s: %w", d.path, ErrNoStore)
	}
	return nil
}

// errVanished says that a folder is not where it was when its listing began, which then may lack anything: nothing here removes folders.
var errVanished = errors.New("the folder was moved or removed while it was listed")

// stays fails unless a folder is the one that it was.
func (d *Dir) stays(folder string, before fs.FileInfo) error {
	dir, err := d.openFolder(folder)
	if err == nil {
		defer dir.Close()
		var now fs.FileInfo
		if now, err = dir.Stat(); err == nil && os.SameFile(before, now) {
			return nil
		}
	}
	return fmt.Errorf("list objects in %s: %w", filepath.Join(d.path, folder), errVanished)
}

// list lists one folder and all below, and closes dir.
func (d *Dir) list(ctx context.Context, dir *os.File, folder, prefix string, f func(Info) error) error {
	defer dir.Close()
	fail := func(err error) error { return fmt.Errorf("list objects in %s: %w", filepath.Join(d.path, folder), err) }
	if folder != "" {
		folder += "/"
	}
	for {
		entries, readErr := dir.ReadDir(1024)
		for _, entry := range entries {
			base := entry.Name()
			name := folder + base
			if !strings.HasPrefix(name, prefix) || !ValidName(name) {
				continue
			}
			if err := ctx.Err(); err != nil {
				return fail(err)
			}
			st, err := lstat(dir, base)
			if errors.Is(err, fs.ErrNotExist) && !entry.IsDir() {
				continue // deleted meanwhile
			}
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%s: %w", base, errVanished)
			}
			if err != nil {
				return fail(err)
			}
			switch st.Mode & unix.S_IFMT {
			case unix.S_IFREG:
				if err := f(infoOf(name, st)); err != nil {
					return err
				}
			case unix.S_IFDIR:
				sub, err := durable.OpenAt(dir, base, folderFlags, 0)
				if errors.Is(err, fs.ErrNotExist) {
					err = errVanished
				}
				if err != nil {
					return fail(fmt.Errorf("%s: %w", base, err))
				}
				if err := d.list(ctx, sub, name, prefix, f); err != nil {
					return err
				}
				if now, err := lstat(dir, base); err != nil || now.Dev != st.Dev || now.Ino != st.Ino {
					return fail(fmt.Errorf("%s: %w", base, errVanished))
				}
			}
		}
		if errors.Is(readErr, io.EOF) {
			break
		}
		if errors.Is(readErr, fs.ErrNotExist) { // which is how the kernel ends the listing of a folder that was removed
			readErr = errVanished
		}
		if d.gone() {
			readErr = ErrNoStore
		}
		if readErr != nil {
			return fail(readErr)
		}
	}
	if d.gone() {
		return fmt.Errorf("list objects: directory %s: %w", d.path, ErrNoStore)
	}
	return nil
}
func infoOf(name string, st *unix.Stat_t) Info {
	return Info{Name: name, Size: st.Size, Time: time.Unix(st.Mtim.Unix())}
}

func lstat(dir *os.File, base string) (*unix.Stat_t, error) {
	var st unix.Stat_t
	defer runtime.KeepAlive(dir)
	for {
		err := unix.Fstatat(int(dir.Fd()), base, &st, unix.AT_SYMLINK_NOFOLLOW)
		if err == nil {
			return &st, nil
		}
		if err != unix.EINTR {
			return nil, os.NewSyscallError("stat", err)
		}
	}
}

func mkdir(dir *os.File, base string) error {
	defer runtime.KeepAlive(dir)
	return unix.Mkdirat(int(dir.Fd()), base, 0o700)
}

// outOfReach reports whether an error is the machine's or the file system's, and
// says nothing about one object.
func outOfReach(err error) bool {
	for _, is := range []error{unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.ESTALE, unix.ENOTCONN, unix.EHOSTDOWN, unix.ETIMEDOUT} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}
