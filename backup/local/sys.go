package local

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// retry repeats calls that a signal interrupted: network and FUSE file systems let that happen.
func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

func openat(dir int, name string, flags int, mode uint32) (fd int, err error) {
	err = retry(func() (err error) {
		fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC, mode)
		return err
	})
	return fd, err
}

// openQuietly opens for reading without a trace in the access time, if the file is ours or we are root.
func openQuietly(dir int, name string, flags int) (int, error) {
	fd, err := openat(dir, name, flags|unix.O_NOATIME, 0)
	if err == unix.EPERM {
		fd, err = openat(dir, name, flags, 0)
	}
	return fd, err
}

// futimens is the one call that x/sys has no function for: utimensat without a path.
func futimens(fd int, times *[2]unix.Timespec) error {
	return retry(func() error {
		_, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(times)), 0, 0, 0)
		if errno != 0 {
			return errno
		}
		return nil
	})
}
