package local

import (
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

// Extents iterates over the data and the holes in the first size bytes of f, in order and without gaps. What is not known to be a hole is data: so is all that
// follows a call that fails or contradicts itself. It moves the file's offset: meanwhile, read with ReadAt.
func Extents(f *os.File, size int64) iter.Seq[Extent] {
	return extents(size, func(off int64, whence int) (end int64, err error) {
		defer runtime.KeepAlive(f)
		err = retry(func() (err error) {
			end, err = unix.Seek(int(f.Fd()), off, whence)
			return err
		})
		return end, err
	})
}

// extents is Extents by a function that seeks. A hole is one where SEEK_HOLE and SEEK_DATA both say so.
func extents(size int64, seek func(off int64, whence int) (int64, error)) iter.Seq[Extent] {
	return func(yield func(Extent) bool) {
		off := int64(0)
		for off < size {
			end, err := seek(off, unix.SEEK_HOLE)
			if err != nil || end < off || end == off && off > 0 { // elsewhere than at the start, data begins here
				break
			}
			end = min(end, size)
			if end > off && !yield(Extent{Offset: off, Length: end - off}) {
				return
			}
			if off = end; off == size {
				return
			}
			end, err = seek(off, unix.SEEK_DATA)
			if err == unix.ENXIO { // nothing but a hole follows; or the file has shrunk, which its reader will see
				end, err = size, nil
			}
			if err != nil || end <= off {
				break
			}
			end = min(end, size)
			if !yield(Extent{Offset: off, Length: end - off, Hole: true}) {
				return
			}
			off = end
		}
		if off < size {
			yield(Extent{Offset: off, Length: size - off})
		}
	}
}
