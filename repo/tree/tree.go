// Package tree encodes and decodes directories, and the lists of chunks that large content needs.
//
// A directory becomes one tree or, past some size, several, cut where a keyed hash of a name says so; content becomes
// a few items inline or, past some number, lists of items, cut where an id says so. So a change in a folder of a million
// entries, or in a file of a million chunks, costs one tree or one list, and equal directories are equal bytes.
//
// The encoding is canonical: a value has one encoding, and every encoding that decodes is the one that encoding
// again gives. Decoders take hostile bytes: they refuse what is out of bounds, out of order or left over.
//
// The package neither stores nor names what it makes, nor touches a file system: callers give it functions for that.
// Nothing in it is safe for use by several goroutines at once.
package tree

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"nightjar/chunk"
)

// Bounds of the format. Lengths are in bytes.
const (
	// MaxName bounds the name of an entry.
	MaxName = 4096
	// MaxPath bounds the path of an entry in an archive, from the slash that stands for the root. It is four times what the kernel takes at once.
	MaxPath = 16384
	// MaxTarget bounds the target of a symbolic link.
	MaxTarget = 4096
	// MaxOwner bounds the name of a user or a group.
	MaxOwner = 256
	// MaxTree bounds an encoded tree for readers; writers stay below an eighth of it.
	MaxTree = 1 << 20
	// MaxXattrs bounds the encoded attributes of one entry.
	MaxXattrs = 16 << 20
	// InlineXattrs is how long encoded attributes may be to lie in the tree; longer ones are content.
	InlineXattrs = 4096
	// InlineItems is how many items writers let contents hold before they go up a level.
	InlineItems = 256
	// MaxItems bounds for readers the items of contents or of a list.
	MaxItems = 65536
	// MaxLevel bounds the levels of lists.
	MaxLevel = 8
)

// The types of entries, the bits TypeMask of Node.Mode.
const (
	TypeMask    = 0o170000
	Socket      = 0o140000
	Symlink     = 0o120000
	Regular     = 0o100000
	BlockDevice = 0o060000
	Directory   = 0o040000
	CharDevice  = 0o020000
	FIFO        = 0o010000
)

// ErrLong says that a path is longer than MaxPath.
var ErrLong = fmt.Errorf("its path has more than %d bytes", MaxPath)

// Unsettled in Node.Flags says that the entry changed while or just before it was read, so that the next run reads it whatever
// its times say.
const Unsettled = 1

// A Node is one entry of a directory. What its type has no use for is not encoded, and is zero after decoding.
type Node struct {
	Name  string
	Mode  uint32 // st_mode: type and permissions, 16 bits
	Flags uint64 // Unsettled, or 0
	Owner Owner
	Mtime Time
	Ctime Time // only to see changes

	Inode  uint64
	Links  uint64 // number of hard links
	Device uint64 // kept only if Links is over 1 and this is no directory: equal Inode and Device are one file
	Size   uint64 // bytes of a regular file, the sum of the lengths in Contents; else not kept

	// Xattrs are the extended attributes, ascending by name, if EncodeXattrs makes of them at most InlineXattrs bytes.
	// Else XattrContents says where those bytes are, and Xattrs is nil.
	Xattrs        []Xattr
	XattrContents *Contents

	Contents     Contents // of regular files: chunks and holes; of directories: trees
	Target       string   // of symbolic links
	Major, Minor uint32   // of devices
}

// Type returns the type bits of Mode.
func (n *Node) Type() uint32 { return n.Mode & TypeMask }

// IsDir reports whether the entry is a directory.
func (n *Node) IsDir() bool { return n.Type() == Directory }

// IsRegular reports whether the entry is a regular file.
func (n *Node) IsRegular() bool { return n.Type() == Regular }

// IsSymlink reports whether the entry is a symbolic link.
func (n *Node) IsSymlink() bool { return n.Type() == Symlink }

// IsDevice reports whether the entry is a block or character device.
func (n *Node) IsDevice() bool { return n.Type() == BlockDevice || n.Type() == CharDevice }

// IsHardLinked reports whether the entry may have other names, so that Device counts.
func (n *Node) IsHardLinked() bool { return n.Links > 1 && !n.IsDir() }

// An Owner is who an entry belongs to. User and Group are the names as the host knew them, empty if it did not.
type Owner struct {
	UID, GID    uint32
	User, Group string
}

// Time is a Unix time. The zero value is 1970.
type Time struct {
	Sec  int64
	Nsec uint32 // below 1e9
}

// TimeOf converts from the standard library's form.
func TimeOf(t time.Time) Time { return Time{Sec: t.Unix(), Nsec: uint32(t.Nanosecond())} }

// Time converts to the standard library's form, in UTC.
func (t Time) Time() time.Time { return time.Unix(t.Sec, int64(t.Nsec)).UTC() }

// An Xattr is an extended attribute; ACLs are among them as the kernel shows them.
type Xattr struct {
	Name  string
	Value []byte
}

// Contents names bytes: of a file, of a directory, of extended attributes. The zero value is no bytes.
type Contents struct {
	Level int // 0: Items are chunks, trees or holes; n: they are lists of level n-1
	Items []Item
}

// Size returns the sum of the items' lengths in bytes.
func (c Contents) Size() int64 {
	var n int64
	for i := range c.Items {
		n += c.Items[i].Length
	}
	return n
}

// An Item is a part of contents.
type Item struct {
	ID     chunk.ID // zero for a hole
	Length int64    // bytes of content that it stands for, at least 1; of a tree, its encoded bytes
	Hole   bool     // zeros that no chunk holds; only in files, at level 0
}

// ValidName returns an error if an entry cannot have this name.
func ValidName(name string) error {
	switch {
	case name == "":
		return errors.New("empty name")
	case len(name) > MaxName:
		return fmt.Errorf("name of %d bytes, more than %d", len(name), MaxName)
	case name == "." || name == "..":
		return fmt.Errorf("reserved name %q", name)
	case strings.IndexByte(name, '/') >= 0:
		return fmt.Errorf("name %q holds a slash", name)
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("name %q holds a NUL", name)
	}
	return nil
}
