package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// maxOwners bounds the different owners in a tree.
const maxOwners = 65536

// minNode is the length of the shortest encoded entry, and minOwner that of the shortest owner.
const (
	minNode  = 14
	minOwner = 4
)

// check checks all that an encoded node says. What its type has no use for is not looked at.
func (n *Node) check() error {
	if err := ValidName(n.Name); err != nil {
		return err
	}
	if n.Mode > math.MaxUint16 {
		return fmt.Errorf("mode %#o of more than 16 bits", n.Mode)
	}
	if n.Flags&^Unsettled != 0 {
		return fmt.Errorf("unknown flags %#x", n.Flags)
	}
	if n.Mtime.Nsec >= 1e9 || n.Ctime.Nsec >= 1e9 {
		return errors.New("time with a second or more of nanoseconds")
	}
	if err := n.checkXattrs(); err != nil {
		return err
	}
	switch n.Type() {
	case Regular:
		size, err := n.Contents.check()
		if err != nil {
			return err
		}
		if n.Size != uint64(size) {
			return fmt.Errorf("size %d, but contents of %d bytes", n.Size, size)
		}
	case Directory:
		_, err := n.Contents.checkSolid()
		return err
	case Symlink:
		if len(n.Target) > MaxTarget {
			return fmt.Errorf("target of %d bytes, more than %d", len(n.Target), MaxTarget)
		}
	case BlockDevice, CharDevice, FIFO, Socket:
	default:
		return fmt.Errorf("mode %#o of no known type", n.Mode)
	}
	return nil
}

// checkXattrs checks the form that attributes are in; those that lie inline are checked where they are encoded and decoded.
func (n *Node) checkXattrs() error {
	if n.XattrContents == nil {
		return nil
	}
	if n.Xattrs != nil {
		return errors.New("attributes both inline and as contents")
	}
	size, err := n.XattrContents.checkSolid()
	if err == nil && (size <= InlineXattrs || size > MaxXattrs) {
		err = fmt.Errorf("%d bytes, not %d to %d", size, InlineXattrs+1, MaxXattrs)
	}
	if err != nil {
		return fmt.Errorf("attributes as contents: %w", err)
	}
	return nil
}

// The forms of attributes in a node.
const (
	xattrsNone = iota
	xattrsInline
	xattrsContents
)

// appendNode encodes a node that has been checked; xattrs is what EncodeXattrs made of its attributes.
func appendNode(b []byte, n *Node, owner uint64, xattrs []byte) []byte {
	b = appendString(b, n.Name)
	b = binary.AppendUvarint(b, uint64(n.Mode))
	b = binary.AppendUvarint(b, n.Flags)
	b = binary.AppendUvarint(b, owner)
	b = appendTime(b, n.Mtime)
	b = appendTime(b, n.Ctime)
	b = binary.AppendUvarint(b, n.Inode)
	b = binary.AppendUvarint(b, n.Links)
	if n.IsHardLinked() {
		b = binary.AppendUvarint(b, n.Device)
	}
	size := n.Size
	if !n.IsRegular() {
		size = 0
	}
	b = binary.AppendUvarint(b, size)
	switch {
	case n.XattrContents != nil:
		b = append(b, xattrsContents)
		b = appendContents(b, n.XattrContents)
	case len(xattrs) > 0:
		b = append(b, xattrsInline)
		b = binary.AppendUvarint(b, uint64(len(xattrs)))
		b = append(b, xattrs...)
	default:
		b = append(b, xattrsNone)
	}
	switch n.Type() {
	case Regular, Directory:
		b = appendContents(b, &n.Contents)
	case Symlink:
		b = appendString(b, n.Target)
	case BlockDevice, CharDevice:
		b = binary.AppendUvarint(b, uint64(n.Major))
		b = binary.AppendUvarint(b, uint64(n.Minor))
	}
	return b
}

func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendTime(b []byte, t Time) []byte {
	b = binary.AppendVarint(b, t.Sec)
	return binary.AppendUvarint(b, uint64(t.Nsec))
}

func appendOwner(b []byte, o *Owner) []byte {
	b = binary.AppendUvarint(b, uint64(o.UID))
	b = binary.AppendUvarint(b, uint64(o.GID))
	b = appendString(b, o.User)
	return appendString(b, o.Group)
}
