// Package image writes volumes into files and devices of this machine.
//
// A file is sparse, as a volume is. A device is written from its beginning, and zeroed where the volume holds nothing, so that what was on it
// before is gone; what it has beyond the volume's end stays.
//
// The invariant: nothing that is there is written to unless it is a device that nobody uses and that is large enough, or the caller says so.
package image

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"

	"nightjar/internal/durable"
)

// Why a place is not written to.
var (
	ErrInUse = errors.New("it is mounted, or in use otherwise")
	ErrSmall = errors.New("it is too small")
	ErrKind  = errors.New("it is neither a device nor a new file")
)

// An Image is a file or a device that is being written. End it.
type Image struct {
	f      *os.File
	device bool
	path   string
	size   int64
}

// Open begins to write a volume of so many bytes: into a new file, or into a device that is there. With force, a device may be in use.
func Open(path string, size int64, force bool) (*Image, error) {
	i := &Image{path: path, size: size}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = i.create()
	case err != nil:
	case info.Mode()&(fs.ModeDevice|fs.ModeCharDevice) == fs.ModeDevice:
		err = i.open(force)
	default:
		err = ErrKind
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return i, nil
}

// Device reports whether it is a device.
func (i *Image) Device() bool { return i.device }

func (i *Image) create() (err error) {
	if i.f, err = os.OpenFile(i.path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600); err != nil {
		return err
	}
	if err = i.f.Truncate(i.size); err != nil {
		_ = i.remove()
	}
	return err
}

func (i *Image) open(force bool) (err error) {
	i.device = true
	flag := os.O_RDWR
	if !force {
		flag |= unix.O_EXCL // of a block device: fails if it, or a partition of it, is mounted, swap, or part of another device
	}
	if i.f, err = os.OpenFile(i.path, flag, 0); errors.Is(err, unix.EBUSY) {
		return ErrInUse
	} else if err != nil {
		return err
	}
	size, err := sizeOf(i.f)
	if err == nil && size < i.size {
		err = fmt.Errorf("%w: %d bytes, for a volume of %d", ErrSmall, size, i.size)
	}
	if err != nil {
		_ = i.f.Close() // nothing was written
	}
	return err
}

func sizeOf(f *os.File) (int64, error) {
	var size uint64
	if err := control(f, unix.BLKGETSIZE64, unsafe.Pointer(&size)); err != nil {
		return 0, fmt.Errorf("ask for its size: %w", err)
	}
	return int64(size), nil
}

// control makes an ioctl of a device.
func control(f *os.File, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

// Block writes data at an offset.
func (i *Image) Block(at int64, data []byte) error {
	if at < 0 || at+int64(len(data)) > i.size {
		return fmt.Errorf("write %s: %d bytes at %d, beyond its end", i.path, len(data), at)
	}
	if _, err := i.f.WriteAt(data, at); err != nil {
		return fmt.Errorf("write %s: %w", i.path, err)
	}
	return nil
}

// Hole has n zeros be at an offset.
func (i *Image) Hole(at, n int64) error {
	if at < 0 || n < 0 || at+n > i.size {
		return fmt.Errorf("write %s: %d zeros at %d, beyond its end", i.path, n, at)
	}
	if !i.device || n == 0 {
		return nil // a new file has them
	}
	span := [2]uint64{uint64(at), uint64(n)}
	err := control(i.f, unix.BLKZEROOUT, unsafe.Pointer(&span))
	if err != nil {
		err = i.zero(at, n) // the kernel cannot, or not so
	}
	if err != nil {
		return fmt.Errorf("zero %s: %w", i.path, err)
	}
	return nil
}

func (i *Image) zero(at, n int64) error {
	zeros := make([]byte, min(n, 1<<20))
	for n > 0 {
		k := min(n, int64(len(zeros)))
		if _, err := i.f.WriteAt(zeros[:k], at); err != nil {
			return err
		}
		at, n = at+k, n-k
	}
	return nil
}

// End ends it: what was written is on the disk then. If failed is set, a new file is removed.
func (i *Image) End(failed error) error {
	if failed != nil {
		if i.device {
			return errors.Join(failed, i.f.Close())
		}
		return errors.Join(failed, i.remove())
	}
	err := i.f.Sync()
	if closed := i.f.Close(); err == nil {
		err = closed
	}
	if err == nil && !i.device {
		err = durable.SyncDir(filepath.Dir(i.path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", i.path, err)
	}
	return nil
}

func (i *Image) remove() error { return errors.Join(i.f.Close(), os.Remove(i.path)) }
