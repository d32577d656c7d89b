package local

import (
	"cmp"
	"encoding/binary"
	"slices"
	"strings"

	"nightjar/repo/tree"
)

const (
	accessACL  = "system.posix_acl_access"
	defaultACL = "system.posix_acl_default"
)

// isACL says that an attribute is an ACL in the form below.
func isACL(name string) bool { return name == accessACL || name == defaultACL }

// An ACL, as the kernel shows it, is a version and entries: the tag, what is allowed, and for named accounts their number.
const (
	aclVersion   = 2
	aclHead      = 4
	aclEntrySize = 8

	aclUser       = 2
	aclGroupOwner = 4
	aclGroup      = 8
)

type aclEntry struct {
	tag, perm uint16
	id        uint32
	named     bool // the number is that of a name
}

func (e *aclEntry) ofAccount() bool { return e.tag == aclUser || e.tag == aclGroup }

// parseACL returns nil for what is no ACL.
func parseACL(value []byte) []aclEntry {
	if len(value) < aclHead || len(value)%aclEntrySize != aclHead || binary.LittleEndian.Uint32(value) != aclVersion {
		return nil
	}
	var entries []aclEntry
	for b := value[aclHead:]; len(b) > 0; b = b[aclEntrySize:] {
		entries = append(entries, aclEntry{
			tag: binary.LittleEndian.Uint16(b), perm: binary.LittleEndian.Uint16(b[2:]), id: binary.LittleEndian.Uint32(b[4:]),
		})
	}
	return entries
}

// modeWithoutACL returns the mode of an entry whose ACL may have not come back: the bits of the group are then what the ACL has for the group, not what it has for all
// that it names.
func (h handle) modeWithoutACL(n *tree.Node, mode uint32) uint32 {
	at, found := findXattr(n.Xattrs, accessACL)
	if !found {
		return mode
	}
	if _, err := h.xattr(accessACL); err == nil {
		return mode
	}
	group := mode
	for _, e := range parseACL(n.Xattrs[at].Value) {
		if e.tag == aclGroupOwner {
			group &= uint32(e.perm)<<3 | ^uint32(0o070)
		}
	}
	return group
}

func encodeACL(entries []aclEntry) []byte {
	b := binary.LittleEndian.AppendUint32(nil, aclVersion)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

// NameACLs returns attributes with tree.ACLNames among them, if there are ACLs that have entries for accounts with a name here. What those were
// called before does not count. It leaves xattrs as they are.
func (d *Dir) NameACLs(xattrs []tree.Xattr) []tree.Xattr {
	if d.owners == nil || !slices.ContainsFunc(xattrs, func(x tree.Xattr) bool { return isACL(x.Name) }) {
		return xattrs
	}
	var names []tree.AccountName
	for i := range xattrs {
		if !isACL(xattrs[i].Name) {
			continue
		}
		for _, e := range parseACL(xattrs[i].Value) {
			if !e.ofAccount() {
				continue
			}
			if name := d.owners.of(e.tag).name(e.id); name != "" {
				names = append(names, tree.AccountName{Group: e.tag == aclGroup, ID: e.id, Name: name})
			}
		}
	}
	slices.SortFunc(names, tree.AccountName.Compare)
	names = slices.CompactFunc(names, func(a, b tree.AccountName) bool { return a.Compare(b) == 0 })
	named := slices.DeleteFunc(slices.Clone(xattrs), func(x tree.Xattr) bool { return x.Name == tree.ACLNames })
	if len(names) == 0 {
		return named
	}
	at, _ := findXattr(named, tree.ACLNames)
	return slices.Insert(named, at, tree.Xattr{Name: tree.ACLNames, Value: tree.EncodeACLNames(names)})
}

func findXattr(xattrs []tree.Xattr, name string) (int, bool) {
	return slices.BinarySearchFunc(xattrs, name, func(x tree.Xattr, name string) int { return strings.Compare(x.Name, name) })
}

// of returns who the accounts of entries with a tag are.
func (o *Owners) of(tag uint16) *directory {
	if tag == aclGroup {
		return &o.groups
	}
	return &o.users
}

// localACL returns an ACL with the numbers that the accounts have here. Who is not known here keeps the number. Accounts that are one here are allowed
// what all of them were; and an account that is known by name gets nothing by its number that was another's.
func (a *Applier) localACL(value []byte, names []tree.AccountName) []byte {
	entries := parseACL(value)
	if len(names) == 0 || entries == nil {
		return value
	}
	for i := range entries {
		e := &entries[i]
		if !e.ofAccount() {
			continue
		}
		at, found := slices.BinarySearchFunc(names, tree.AccountName{Group: e.tag == aclGroup, ID: e.id}, tree.AccountName.Compare)
		if !found {
			continue
		}
		id, known := a.Owners.of(e.tag).find(names[at].Name)
		if !known {
			a.unknown(names[at])
			continue
		}
		e.id, e.named = id, true
	}
	slices.SortStableFunc(entries, func(x, y aclEntry) int {
		if x.tag != y.tag || !x.ofAccount() {
			return cmp.Compare(x.tag, y.tag)
		}
		return cmp.Or(cmp.Compare(x.id, y.id), -compareBool(x.named, y.named))
	})
	kept := entries[:0]
	for _, e := range entries {
		if len(kept) > 0 && e.ofAccount() {
			if last := &kept[len(kept)-1]; last.tag == e.tag && last.id == e.id {
				if e.named == last.named {
					last.perm &= e.perm
				}
				continue
			}
		}
		kept = append(kept, e)
	}
	return encodeACL(kept)
}

func compareBool(x, y bool) int {
	switch {
	case x == y:
		return 0
	case x:
		return 1
	}
	return -1
}

// unknown tells once of each account that nobody is here.
func (a *Applier) unknown(n tree.AccountName) {
	if a.Unknown == nil {
		return
	}
	a.mu.Lock()
	told := a.told[n] || len(a.told) >= maxRemembered
	if !told {
		if a.told == nil {
			a.told = map[tree.AccountName]bool{}
		}
		a.told[n] = true
	}
	a.mu.Unlock()
	if !told {
		a.Unknown(n)
	}
}
