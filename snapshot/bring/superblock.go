package bring

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A FileSystem is what a device holds, as its first bytes say.
type FileSystem struct {
	Kind string // ext4 (which ext2 and ext3 are mounted as, too), xfs
	UUID [16]byte
}

var (
	// ErrMember says that a device is a part of LVM, md or dm-crypt, which have to be put together by hand.
	ErrMember = errors.New("it is a part of something larger")
	// ErrNoFileSystem says that a device holds no file system that is mounted here.
	ErrNoFileSystem = errors.New("it has no file system that can be brought: ext4 and xfs can")
)

// headSize is how much of a device says what it is.
const headSize = 72 << 10

// Probe finds out what a device holds. It reads the head, and the end, where md has its superblocks of old.
//
// The places are those of the formats' own documentation: ext4's "super_block" at 1024, XFS's xfs_dsb at 0, LVM's label in one of the first four
// sectors, md's superblock 1.2 at 4096, 1.1 at 0, 1.0 and 0.90 at the end, LUKS's magic at 0.
func Probe(device io.ReaderAt, size int64) (FileSystem, error) {
	head := make([]byte, headSize)
	n, err := device.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return FileSystem{}, fmt.Errorf("read what the device holds: %w", err)
	}
	head = head[:n]
	var tail []byte
	if at := size - 128<<10; at > headSize {
		tail = make([]byte, 128<<10)
		if n, err = device.ReadAt(tail, at); err != nil && err != io.EOF {
			return FileSystem{}, fmt.Errorf("read what the device holds: %w", err)
		}
		tail = tail[:n]
	}
	return probe(head, tail)
}

func probe(head, tail []byte) (f FileSystem, err error) {
	has := func(b []byte, at int, magic string) bool {
		return at >= 0 && at+len(magic) <= len(b) && string(b[at:at+len(magic)]) == magic
	}
	for sector := range 4 {
		if has(head, sector*512, "LABELONE") {
			return f, fmt.Errorf("%w: a physical volume of LVM", ErrMember)
		}
	}
	const md = "\xfc\x4e\x2b\xa9" // 0xa92b4efc, little endian
	switch n := len(tail); {
	case has(head, 0, md), has(head, 4096, md), has(tail, n-64<<10, md), has(tail, (n-8<<10)&^4095, md):
		return f, fmt.Errorf("%w: a member of md", ErrMember)
	case has(head, 0, "LUKS\xba\xbe"):
		return f, fmt.Errorf("%w: encrypted by LUKS", ErrMember)
	case has(head, 0, "XFSB") && len(head) >= 48:
		return FileSystem{"xfs", [16]byte(head[32:48])}, nil
	case has(head, 1024+56, "\x53\xef") && len(head) >= 1024+264:
		const journalDevice = 8 // feature_incompat JOURNAL_DEV
		if binary.LittleEndian.Uint32(head[1024+96:])&journalDevice != 0 {
			return f, fmt.Errorf("%w: the journal of an ext4", ErrMember)
		}
		return FileSystem{"ext4", [16]byte(head[1024+104 : 1024+120])}, nil
	case has(head, 4086, "SWAPSPACE2"):
		return f, fmt.Errorf("%w: it is swap", ErrNoFileSystem)
	case has(head, 65600, "_BHRfS_M"):
		return f, fmt.Errorf("%w: it is btrfs", ErrNoFileSystem)
	case len(bytes.Trim(head, "\x00")) == 0:
		return f, fmt.Errorf("%w: it begins with zeros", ErrNoFileSystem)
	}
	return f, ErrNoFileSystem
}
