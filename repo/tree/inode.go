package tree

import (
	"fmt"
	"slices"
	"strings"
)

// Attributes of the format's own, for what a file system knows of an entry and no attribute of the kernel says.
const (
	BirthTime = Reserved + "birth"  // when the entry was made
	Chattr    = Reserved + "chattr" // what chattr sets, as its letters, ascending
)

// ownNames are the attributes that are no notes.
var ownNames = []string{ACLNames, BirthTime, Chattr}

// EncodeBirth encodes the value of an attribute BirthTime.
func EncodeBirth(t Time) []byte { return appendTime(nil, t) }

// DecodeBirth decodes what EncodeBirth made.
func DecodeBirth(value []byte) (Time, error) {
	c := newCursor(string(value))
	t := c.time()
	if t.Nsec >= 1e9 {
		c.Fail(fmt.Errorf("%d nanoseconds", t.Nsec))
	}
	if err := c.End(); err != nil {
		return Time{}, fmt.Errorf("decode time of birth: %w", err)
	}
	return t, nil
}

// Birth returns when the entry was made, if that lies in its tree.
func (n *Node) Birth() (t Time, ok bool) {
	value, ok := n.xattr(BirthTime)
	if ok {
		var err error
		t, err = DecodeBirth(value)
		ok = err == nil
	}
	return t, ok
}

// Chattr returns the letters of chattr, ascending, if they lie in the entry's tree; "" is none. What no letters are counts for nothing.
func (n *Node) Chattr() string {
	value, _ := n.xattr(Chattr)
	letters := []byte{}
	for c := byte('A'); c <= 'z'; c++ {
		if (c <= 'Z' || c >= 'a') && strings.IndexByte(string(value), c) >= 0 {
			letters = append(letters, c)
		}
	}
	return string(letters)
}

func (n *Node) xattr(name string) ([]byte, bool) {
	at := slices.IndexFunc(n.Xattrs, func(x Xattr) bool { return x.Name == name })
	if at < 0 {
		return nil, false
	}
	return n.Xattrs[at].Value, true
}
