package tree

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

const (
	maxXattrs    = 65536
	maxXattrName = 255 // the kernel's bound
	minXattr     = 3
)

// Reserved begins the names of attributes that are no kernel's: what later programs may note of an entry besides. Others pass over them.
const Reserved = "nightjar."

// maxNote bounds the name of a note in bytes.
const maxNote = 64

// Note returns the name of the attribute that a note has: Reserved and the name, which is of a to z, 0 to 9, ".", "_" and "-", at most 64 of them, and none of the format's own.
func Note(name string) (string, error) {
	switch valid := "abcdefghijklmnopqrstuvwxyz0123456789._-"; {
	case name == "" || len(name) > maxNote:
		return "", fmt.Errorf("name of %d bytes, not 1 to %d", len(name), maxNote)
	case strings.Trim(name, valid) != "":
		return "", fmt.Errorf("name has other characters than %s", valid)
	case slices.Contains(ownNames, Reserved+name):
		return "", errors.New("the name is taken")
	}
	return Reserved + name, nil
}

// Notes returns the notes of an entry that lie in its tree, by their names; nil: none.
func (n *Node) Notes() map[string]string {
	var notes map[string]string
	for _, x := range n.Xattrs {
		if name, ok := strings.CutPrefix(x.Name, Reserved); ok && !slices.Contains(ownNames, x.Name) {
			if notes == nil {
				notes = map[string]string{}
			}
			notes[name] = string(x.Value)
		}
	}
	return notes
}

// EncodeXattrs encodes attributes, which must ascend by name. None are no bytes. A node of which more than InlineXattrs
// come out names them as XattrContents.
func EncodeXattrs(xattrs []Xattr) ([]byte, error) { return appendXattrs(nil, xattrs) }

func appendXattrs(b []byte, xattrs []Xattr) ([]byte, error) {
	if len(xattrs) == 0 {
		return b, nil
	}
	if len(xattrs) > maxXattrs {
		return nil, fmt.Errorf("encode attributes: %d, more than %d", len(xattrs), maxXattrs)
	}
	start := len(b)
	b = binary.AppendUvarint(b, uint64(len(xattrs)))
	last := ""
	for i := range xattrs {
		x := &xattrs[i]
		if err := checkXattrName(last, x.Name); err != nil {
			return nil, fmt.Errorf("encode attributes: %w", err)
		}
		last = x.Name
		b = appendString(b, x.Name)
		b = binary.AppendUvarint(b, uint64(len(x.Value)))
		b = append(b, x.Value...)
		if len(b)-start > MaxXattrs {
			return nil, fmt.Errorf("encode attributes: more than %d bytes", MaxXattrs)
		}
	}
	return b, nil
}

func checkXattrName(last, name string) error {
	switch {
	case name == "":
		return errors.New("attribute without a name")
	case len(name) > maxXattrName:
		return fmt.Errorf("attribute name of %d bytes, more than %d", len(name), maxXattrName)
	case strings.IndexByte(name, 0) >= 0:
		return fmt.Errorf("attribute name %q holds a NUL", name)
	case name <= last:
		return fmt.Errorf("attribute %q does not follow %q", name, last)
	}
	return nil
}

// DecodeXattrs decodes what EncodeXattrs made of at least one attribute.
func DecodeXattrs(b []byte) ([]Xattr, error) {
	if len(b) > MaxXattrs {
		return nil, fmt.Errorf("decode attributes: %d bytes, more than %d", len(b), MaxXattrs)
	}
	return decodeXattrs(string(b))
}

func decodeXattrs(text string) ([]Xattr, error) {
	c := newCursor(text)
	n := c.Count(maxXattrs, minXattr)
	if n == 0 {
		c.Fail(errors.New("none"))
	}
	xattrs := make([]Xattr, n)
	last := ""
	for i := range xattrs {
		name := c.Sized(maxXattrName)
		value := c.Sized(MaxXattrs)
		if err := checkXattrName(last, name); err != nil {
			c.Fail(err)
		}
		if c.Err() != nil {
			break
		}
		xattrs[i] = Xattr{Name: name, Value: []byte(value)}
		last = name
	}
	if err := c.End(); err != nil {
		return nil, fmt.Errorf("decode attributes: %w", err)
	}
	return xattrs, nil
}
