package directory

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/internal/durable"
	"nightjar/repo/store"
)

// Folders are entered one segment at a time with O_NOFOLLOW. (os.Root follows
// links that stay inside; here a link could still show one object as another.)

const folderFlags = unix.O_RDONLY | unix.O_DIRECTORY

// openFolder opens a folder of the store, "" for the directory itself.
func (d *Store) openFolder(folder string) (*os.File, error) {
	return d.walkTo(folder, func(parent *os.File, _, segment string) (*os.File, error) {
		return durable.OpenAt(parent, segment, folderFlags, 0)
	})
}

// makeFolder is openFolder for a folder that is made if it is missing. Its
// entry is durable afterwards, also if another writer has just made it.
func (d *Store) makeFolder(folder string) (*os.File, error) {
	return d.walkTo(folder, func(parent *os.File, path, segment string) (*os.File, error) {
		_, known := d.synced.Load(path)
		dir, err := durable.OpenAt(parent, segment, folderFlags, 0)
		if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			in := inPlace(parent, segment, fs.ModeDir)
			if isClutter(in) && in != store.MustBe(fs.ModeDir, fs.ModeSymlink) {
				_, in = d.moveAside(parent, segment, fs.ModeDir)
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
func (d *Store) walkTo(folder string, enter func(parent *os.File, path, segment string) (*os.File, error)) (*os.File, error) {
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
			if in := inPlace(dir, segment, fs.ModeDir); isClutter(in) {
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
func (d *Store) gone() bool {
	var st unix.Stat_t
	defer runtime.KeepAlive(d.root)
	return unix.Fstat(int(d.root.Fd()), &st) == nil && st.Nlink == 0
}

// openObject opens a regular file and nothing else.
func openObject(dir *os.File, base string) (*os.File, fs.FileInfo, error) {
	// Without O_NONBLOCK, opening a planted FIFO would wait for its writer.
	f, err := durable.OpenAt(dir, base, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		if in := inPlace(dir, base, 0); isClutter(in) {
			err = in
		}
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			err = store.MustBe(0, typeOf(st.Mode))
		}
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func infoOf(name string, st *unix.Stat_t) store.Info {
	return store.Info{Name: name, Size: st.Size, Time: time.Unix(st.Mtim.Unix())}
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
