package local

import (
	"fmt"
	"iter"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// An Extent is a part of a file, in bytes: data, or a hole, which takes no space and reads as zeros.
type Extent struct {
	Offset, Length int64
	Hole           bool
}

// Extents iterates over the data and the holes in the first size bytes of f, in order and without gaps; where the file system knows no holes, all
// is data. It ends after the first error. It moves the file's offset: meanwhile, read with ReadAt.
func Extents(f *os.File, size int64) iter.Seq2[Extent, error] {
	return func(yield func(Extent, error) bool) {
		hole := false
		for off := int64(0); off < size; hole = !hole {
			end, err := extentEnd(f, off, size, hole)
			if err != nil {
				yield(Extent{}, fmt.Errorf("find holes of %s: %w", f.Name(), err))
				return
			}
			if hole && end <= off {
				// Neither data nor a hole: the file changes under us. To call it data is never wrong.
				end, hole = size, false
			}
			if end > off && !yield(Extent{Offset: off, Length: end - off, Hole: hole}, nil) {
				return
			}
			off = max(off, end)
		}
	}
}

// extentEnd returns where the data, or the hole, at off ends: not past off if there is none.
func extentEnd(f *os.File, off, size int64, hole bool) (int64, error) {
	defer runtime.KeepAlive(f)
	whence := unix.SEEK_HOLE
	if hole {
		whence = unix.SEEK_DATA
	}
	var end int64
	err := retry(func() (err error) {
		end, err = unix.Seek(int(f.Fd()), off, whence)
		return err
	})
	switch err {
	case nil:
		return min(end, size), nil
	case unix.ENXIO, // nothing but a hole follows; or the file has shrunk, which its reader will see
		unix.EINVAL, unix.ENOTSUP: // no holes here
		return size, nil
	}
	return 0, err
}
