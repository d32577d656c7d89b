package local

import (
	"errors"
	"strconv"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// A handle is one open entry, of whose attributes the kernel is asked by descriptor or, where that is only a place holder (O_PATH: the one way to hold a link, a device, a FIFO or
// a socket without opening it), through /proc, which leads to that entry and no further.
type handle struct {
	fd   int
	path string // "", or in /proc
}

// hold opens a handle of any entry, to be closed.
func (d *Dir) hold(name string) (handle, error) {
	if err := checkName(name); err != nil {
		return handle{}, err
	}
	fd, err := openat(d.fd, name, unix.O_PATH|unix.O_NOFOLLOW, 0)
	if err != nil {
		return handle{}, err
	}
	return handle{fd, "/proc/self/fd/" + strconv.Itoa(fd)}, nil
}

func (h handle) close() { _ = unix.Close(h.fd) }

var errNoProc = errors.New("needs /proc, which is not mounted")

// do makes a call. What a handle holds exists, so it can only be /proc that does not.
func (h handle) do(call func() error) error {
	err := retry(call)
	if err == unix.ENOENT && h.path != "" {
		return errNoProc
	}
	return err
}

func (h handle) chown(uid, gid uint32) error {
	return h.do(func() error { return unix.Fchownat(h.fd, "", int(uid), int(gid), unix.AT_EMPTY_PATH) })
}

func (h handle) chmod(mode uint32) error {
	return h.do(func() error {
		if h.path == "" {
			return unix.Fchmod(h.fd, mode)
		}
		return unix.Chmod(h.path, mode)
	})
}

// setTime sets the times of modification and of access.
func (h handle) setTime(t tree.Time) error {
	ts, err := unix.TimeToTimespec(t.Time())
	if err != nil {
		return err
	}
	times := [2]unix.Timespec{ts, ts}
	if h.path == "" {
		return futimens(h.fd, &times)
	}
	return h.do(func() error { return unix.UtimesNanoAt(unix.AT_FDCWD, h.path, times[:], 0) })
}

func (h handle) listXattrs(buf []byte) (n int, err error) {
	err = h.do(func() (err error) {
		if h.path == "" {
			n, err = unix.Flistxattr(h.fd, buf)
		} else {
			n, err = unix.Listxattr(h.path, buf)
		}
		return err
	})
	return n, err
}

func (h handle) getXattr(name string, buf []byte) (n int, err error) {
	err = h.do(func() (err error) {
		if h.path == "" {
			n, err = unix.Fgetxattr(h.fd, name, buf)
		} else {
			n, err = unix.Getxattr(h.path, name, buf)
		}
		return err
	})
	return n, err
}

func (h handle) setXattr(name string, value []byte) error {
	return h.do(func() error {
		if h.path == "" {
			return unix.Fsetxattr(h.fd, name, value, 0)
		}
		return unix.Setxattr(h.path, name, value, 0)
	})
}

func (h handle) removeXattr(name string) error {
	return h.do(func() error {
		if h.path == "" {
			return unix.Fremovexattr(h.fd, name)
		}
		return unix.Removexattr(h.path, name)
	})
}
