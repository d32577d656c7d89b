package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// machine is who is who on a made-up machine.
func machine(users, groups map[string]uint32) *Owners {
	of := func(names map[string]uint32) directory {
		return directory{
			nameOf: func(id string) (string, error) {
				for name, n := range names {
					if fmt.Sprint(n) == id {
						return name, nil
					}
				}
				return "", errors.New("nobody")
			},
			idOf: func(name string) (string, error) {
				if id, ok := names[name]; ok {
					return fmt.Sprint(id), nil
				}
				return "", errors.New("nobody")
			},
		}
	}
	return &Owners{users: of(users), groups: of(groups)}
}

// aclOf makes an ACL of entries like "u:5:rw", with all else that one needs.
func aclOf(entries ...string) []byte {
	all := []aclEntry{{tag: 1, perm: 6, id: noID}, {tag: 4, perm: 4, id: noID}, {tag: 0x10, perm: 7, id: noID}, {tag: 0x20, id: noID}}
	for _, text := range entries {
		var kind rune
		var e aclEntry
		if _, err := fmt.Sscanf(text, "%c:%d:%d", &kind, &e.id, &e.perm); err != nil {
			panic(err)
		}
		e.tag = map[rune]uint16{'u': aclUser, 'g': aclGroup}[kind]
		all = append(all, e)
	}
	slices.SortStableFunc(all, func(a, b aclEntry) int { return int(a.tag) - int(b.tag) })
	return encodeACL(all)
}

// Accounts in ACLs are who they were, whatever their numbers are here.
func TestACLByName(t *testing.T) {
	needRoot(t)
	there := machine(map[string]uint32{"alice": 1000, "bob": 1001, "gone": 1002, "moved": 1003, "same": 7}, map[string]uint32{"ops": 1000})
	here := machine(map[string]uint32{"alice": 1001, "bob": 1000, "moved": 1002, "same": 7, "alias": 1001}, map[string]uint32{"ops": 2000})
	for _, tt := range []struct {
		what                string
		saved, want, number []string
		unknown             []string
	}{
		{"swapped", []string{"u:1000:6", "u:1001:4"}, []string{"u:1000:4", "u:1001:6"}, nil, nil},
		{"a group with the number of a user", []string{"u:1000:6", "g:1000:4"}, []string{"u:1001:6", "g:2000:4"}, nil, nil},
		{"not known here", []string{"u:7:1", "u:1002:6"}, []string{"u:7:1", "u:1002:6"}, nil, []string{"gone"}},
		{"not known there", []string{"u:55:7", "g:66:7"}, []string{"u:55:7", "g:66:7"}, nil, nil},
		// Who has the number of the one that is unknown is not let in by it.
		{"the number is another's here", []string{"u:1002:7", "u:1003:4"}, []string{"u:1002:4"}, nil, []string{"gone"}},
	} {
		for _, numeric := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.what, numeric), func(t *testing.T) {
				d, path := openTemp(t)
				d.owners = there
				must(t, d.Mkdir("dir"))
				for _, acl := range []string{accessACL, defaultACL} {
					must(t, unix.Setxattr(path+"/dir", acl, aclOf(tt.saved...), 0))
				}
				n := read(t, d, "dir")
				n.Name = "back"
				var unknown []string
				a := &Applier{Owners: here, Ownership: Numeric, Xattrs: true, NumericACLs: numeric, Unknown: func(n tree.AccountName) { unknown = append(unknown, n.Name) }}
				for range 2 {
					must(t, putBack(d, a, n))
					got, want := factsOf(t, path+"/back"), tt.want
					if numeric {
						want = tt.saved
					}
					for _, acl := range []string{accessACL, defaultACL} {
						if string(got.xattrs[acl]) != string(aclOf(want...)) {
							t.Errorf("%s is %x, want %x", acl, got.xattrs[acl], aclOf(want...))
						}
					}
					if len(got.xattrs) != 2 {
						t.Errorf("has %q", slices.Sorted(maps.Keys(got.xattrs)))
					}
					must(t, d.Remove("back"))
				}
				if numeric {
					tt.unknown = nil
				}
				if !slices.Equal(unknown, tt.unknown) {
					t.Errorf("told of %q, want %q", unknown, tt.unknown)
				}
			})
		}
	}
}

func TestLocalACL(t *testing.T) {
	name := func(id uint32, name string) tree.AccountName { return tree.AccountName{ID: id, Name: name} }
	a := &Applier{Owners: machine(map[string]uint32{"a": 5, "also-a": 5}, nil)}
	// Two accounts that are one here are allowed what both were.
	if got := a.localACL(aclOf("u:1:6", "u:2:3"), []tree.AccountName{name(1, "a"), name(2, "also-a")}); string(got) != string(aclOf("u:5:2")) {
		t.Errorf("%x", got)
	}
	// What is no ACL is for the kernel to refuse.
	for _, b := range [][]byte{nil, {2, 0, 0, 0, 1}, binary.LittleEndian.AppendUint32(nil, 3), []byte(strings.Repeat("x", 12))} {
		if got := a.localACL(b, []tree.AccountName{name(1, "a")}); string(got) != string(b) {
			t.Errorf("%x became %x", b, got)
		}
	}
	for i := range uint32(3 * maxRemembered) {
		a.Unknown = func(tree.AccountName) {}
		a.unknown(name(i, "x"))
	}
	if len(a.told) > maxRemembered {
		t.Errorf("remembers %d", len(a.told))
	}
}

// What accounts are called is looked up anew, and a name that is gone goes.
func TestNameACLs(t *testing.T) {
	d := &Dir{owners: machine(map[string]uint32{"alice": 1}, nil)}
	old := []tree.Xattr{{Name: tree.ACLNames, Value: []byte("old")}, {Name: "security.x"}, {Name: accessACL, Value: aclOf("u:1:6", "g:1:6")}, {Name: "user.x"}}
	got := d.NameACLs(old)
	if at, found := findXattr(got, tree.ACLNames); !found || at != 0 || len(got) != 4 {
		t.Fatalf("%q", got)
	}
	if names, err := tree.DecodeACLNames(got[0].Value); err != nil || !slices.Equal(names, []tree.AccountName{{ID: 1, Name: "alice"}}) {
		t.Errorf("%v, %v", names, err)
	}
	d.owners = machine(nil, nil)
	if got := d.NameACLs(got); len(got) != 3 || got[0].Name != "security.x" {
		t.Errorf("%q", got)
	}
	if string(old[0].Value) != "old" {
		t.Error("changed what it was given")
	}
}

// Names that cannot be read are no reason to let in whoever has the number.
func TestACLNamesUnreadable(t *testing.T) {
	needRoot(t)
	d, path := openTemp(t)
	n := &tree.Node{Name: "f", Mode: unix.S_IFREG | 0o670, Mtime: when, Xattrs: []tree.Xattr{{Name: tree.ACLNames, Value: []byte{9}}, {Name: accessACL, Value: aclOf("u:1:6")}}}
	if err := putBack(d, &Applier{Owners: NewOwners(), Xattrs: true}, n); err == nil || !strings.Contains(err.Error(), "names of ACLs") {
		t.Errorf("%v", err)
	}
	// The bits of the group were those of all whom the ACL named.
	if got := factsOf(t, path+"/f"); len(got.xattrs) > 0 || got.mtime != whenRaw || got.mode != unix.S_IFREG|0o640 {
		t.Errorf("%v", got)
	}
}

// Where there are no ACLs, the group is not allowed what was for somebody else.
func TestNoACLsHere(t *testing.T) {
	needRoot(t)
	path := t.TempDir()
	must(t, unix.Mount("none", path, "ramfs", 0, ""))
	defer unix.Unmount(path, unix.MNT_DETACH)
	d := open(t, path)
	n := &tree.Node{Name: "f", Mode: unix.S_IFREG | 0o660, Mtime: when, Xattrs: []tree.Xattr{{Name: accessACL, Value: aclOf("u:1:6")}}}
	if err := putBack(d, &Applier{Owners: NewOwners(), Xattrs: true}, n); !errors.Is(err, unix.ENOTSUP) {
		t.Errorf("%v", err)
	}
	if got := factsOf(t, path+"/f"); got.mode != unix.S_IFREG|0o640 {
		t.Errorf("%v", got)
	}
}
