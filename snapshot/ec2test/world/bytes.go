package world

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Block is the size of the blocks of a snapshot.
const Block = 512 << 10

// GiB is in bytes.
const GiB = 1 << 30

// Ioctls of linux/fs.h.
const (
	fiFreeze = 0xc0045877
	fiThaw   = 0xc0045878
)

// Copy makes a file of the same bytes and holes, of a size in GiB if that is larger. Without a source it is one hole.
func Copy(from, to string, gib int) (err error) {
	dst, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err = errors.Join(err, dst.Close()); err != nil {
			os.Remove(to)
		}
	}()
	size := int64(gib) * GiB
	if from != "" {
		src, err := os.Open(from)
		if err != nil {
			return err
		}
		defer src.Close()
		info, err := src.Stat()
		if err != nil {
			return err
		}
		size = max(size, info.Size())
		if unix.IoctlFileClone(int(dst.Fd()), int(src.Fd())) != nil {
			if err := copyData(dst, src, info.Size()); err != nil {
				return fmt.Errorf("copy %s: %w", from, err)
			}
		}
	}
	return dst.Truncate(size)
}

// Share gives the bytes of a snapshot, which nobody changes any more, to another.
func (w *World) Share(from, to string) error {
	if filepath.Dir(from) == w.dir && os.Link(from, to) == nil {
		return nil
	}
	return Copy(from, to, 0)
}

func copyData(dst, src *os.File, size int64) error {
	for at := int64(0); ; {
		start, end, err := Data(src, at)
		if err != nil || start < 0 {
			return err
		}
		end = min(end, size)
		if _, err := src.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err := dst.Seek(start, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(dst, src, end-start); err != nil {
			return err
		}
		at = end
	}
}

// Data returns where the next bytes begin and end that are no hole; -1: there are none.
func Data(f *os.File, at int64) (start, end int64, err error) {
	start, err = unix.Seek(int(f.Fd()), at, unix.SEEK_DATA)
	if errors.Is(err, unix.ENXIO) {
		return -1, -1, nil
	}
	if err != nil {
		return 0, 0, err
	}
	end, err = unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE)
	return start, end, err
}

// Blocks lists the blocks of a snapshot's file that hold something.
func Blocks(path string) (blocks []int, err error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	for at := int64(0); ; {
		start, end, err := Data(f, at)
		if err != nil || start < 0 {
			return blocks, err
		}
		for b := int(start / Block); int64(b)*Block < end; b++ {
			if n := len(blocks); n == 0 || blocks[n-1] < b {
				blocks = append(blocks, b)
			}
		}
		at = end
	}
}

// ReadBlock reads a block; what is beyond the file is zeros.
func ReadBlock(path string, index int) ([]byte, error) {
	b := make([]byte, Block)
	if path == "" {
		return b, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if _, err := f.ReadAt(b, int64(index)*Block); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b, nil
}

// AtOneMoment copies the files of volumes to new files of snapshots. Nobody writes to the file system of Settings.Freeze meanwhile.
func (r *Region) AtOneMoment(volumes []*Volume) (files []string, err error) {
	if r.Freeze != "" {
		shelf, failed := os.Open(r.Freeze)
		if failed != nil {
			return nil, failed
		}
		defer shelf.Close()
		if err := unix.IoctlSetInt(int(shelf.Fd()), fiFreeze, 0); err != nil {
			return nil, fmt.Errorf("freeze %s: %w", r.Freeze, err)
		}
		defer func() { err = errors.Join(err, unix.IoctlSetInt(int(shelf.Fd()), fiThaw, 0)) }()
	}
	for _, v := range volumes {
		file := ""
		if v.Backing != "" {
			file = r.File("snapshot")
			if err := Copy(v.Backing, file, 0); err != nil {
				return nil, err
			}
		}
		files = append(files, file)
	}
	return files, nil
}
