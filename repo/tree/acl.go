package tree

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
)

// ACLNames is the attribute that says what the accounts in an entry's ACLs are called: an ACL itself has numbers only.
const ACLNames = Reserved + "acl"

// An AccountName is the name of a user or of a group that an ACL has an entry for, as the host knew it.
type AccountName struct {
	Group bool
	ID    uint32
	Name  string // 1 to MaxOwner bytes
}

const (
	maxAccounts = 65536
	minAccount  = 4
	// The tags are those of an ACL's entries.
	tagUser, tagGroup = 2, 8
)

// EncodeACLNames encodes the value of an attribute ACLNames: of at least one name, users before groups, each ascending by number.
func EncodeACLNames(names []AccountName) []byte {
	b := binary.AppendUvarint(nil, uint64(len(names)))
	for _, n := range names {
		tag := uint64(tagUser)
		if n.Group {
			tag = tagGroup
		}
		b = binary.AppendUvarint(b, tag)
		b = binary.AppendUvarint(b, uint64(n.ID))
		b = appendString(b, n.Name)
	}
	return b
}

// DecodeACLNames decodes what EncodeACLNames made.
func DecodeACLNames(value []byte) ([]AccountName, error) {
	c := newCursor(string(value))
	n := c.Count(maxAccounts, minAccount)
	if n == 0 {
		c.Fail(errors.New("none"))
	}
	names := make([]AccountName, n)
	for i := range names {
		tag, id, name := c.Uint(tagGroup), uint32(c.Uint(1<<32-1)), c.Sized(MaxOwner)
		if c.Err() != nil {
			break
		}
		names[i] = AccountName{Group: tag == tagGroup, ID: id, Name: name}
		switch {
		case tag != tagUser && tag != tagGroup:
			c.Fail(fmt.Errorf("neither user nor group: %d", tag))
		case name == "":
			c.Fail(errors.New("empty name"))
		case i > 0 && names[i-1].Compare(names[i]) >= 0:
			c.Fail(errors.New("names out of order"))
		}
	}
	if err := c.End(); err != nil {
		return nil, fmt.Errorf("decode names of ACLs: %w", err)
	}
	return names, nil
}

// Compare orders as EncodeACLNames wants it: two names of one account are equal.
func (n AccountName) Compare(m AccountName) int {
	switch {
	case n.Group == m.Group:
		return cmp.Compare(n.ID, m.ID)
	case m.Group:
		return -1
	}
	return 1
}
