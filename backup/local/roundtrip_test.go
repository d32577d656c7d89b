package local

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// acl encodes an ACL as the kernel takes it: user::rw-, user:uid:perm, group::r--, mask, other::---.
func acl(uid uint32, perm, mask uint16) []byte {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range []struct {
		tag, perm uint16
		id        uint32
	}{{1, 6, noID}, {2, perm, uid}, {4, 4, noID}, {0x10, mask, noID}, {0x20, 0, noID}} {
		b = binary.LittleEndian.AppendUint16(b, e.tag)
		b = binary.LittleEndian.AppendUint16(b, e.perm)
		b = binary.LittleEndian.AppendUint32(b, e.id)
	}
	return b
}

// capNetBind is security.capability with cap_net_bind_service+ep, version 2.
var capNetBind = []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

// A specimen is an entry made by path, with what the kernel offers for that.
type specimen struct {
	what     string
	name     string
	kind     uint32
	mode     uint32
	target   string
	dev      uint64
	size     int64
	uid, gid int
	mtime    unix.Timespec
	xattrs   map[string]string
}

func (s specimen) make(t *testing.T, dir string) {
	t.Helper()
	path := filepath.Join(dir, s.name)
	switch s.kind {
	case unix.S_IFREG:
		must(t, os.WriteFile(path, nil, 0o600))
		must(t, os.Truncate(path, s.size))
	case unix.S_IFDIR:
		must(t, os.Mkdir(path, 0o700))
	case unix.S_IFLNK:
		must(t, os.Symlink(s.target, path))
	default:
		must(t, unix.Mknod(path, s.kind|0o600, int(s.dev)))
	}
	must(t, unix.Lchown(path, s.uid, s.gid))
	if s.kind != unix.S_IFLNK {
		must(t, unix.Chmod(path, s.mode))
	}
	for name, value := range s.xattrs {
		must(t, unix.Lsetxattr(path, name, []byte(value), 0))
	}
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{s.mtime, s.mtime}, unix.AT_SYMLINK_NOFOLLOW))
}

func specimens() []specimen {
	at := unix.Timespec{Sec: 1_700_000_000, Nsec: 123_456_789}
	everyByte := make([]byte, 0, 255)
	for b := 1; b < 256; b++ {
		if b != '/' {
			everyByte = append(everyByte, byte(b))
		}
	}
	many := map[string]string{}
	for i := range 30 {
		many[fmt.Sprintf("user.%s.%02d", strings.Repeat("n", 60), i)] = strings.Repeat("v", i%3)
	}
	const reg, dir, lnk = unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK
	return []specimen{
		{what: "plain", name: "plain", kind: reg, mode: 0o644, size: 12345, mtime: at},
		{what: "no permissions", name: "none", kind: reg, mtime: at},
		{what: "owner with a name", name: "owned", kind: reg, mode: 0o640, uid: 1, gid: 1, mtime: at},
		{what: "owner without a name", name: "strange", kind: reg, mode: 0o640, uid: 3_000_000_001, gid: 3_000_000_002, mtime: at},
		{what: "set-id bits of another", name: "suid", kind: reg, mode: 0o6755, uid: 1, gid: 1, mtime: at},
		{what: "sticky file", name: "sticky", kind: reg, mode: 0o1600, mtime: at},
		{what: "capability", name: "cap", kind: reg, mode: 0o755, uid: 1, mtime: at, xattrs: map[string]string{"security.capability": string(capNetBind)}},
		{what: "attributes", name: "attrs", kind: reg, mode: 0o444, mtime: at, xattrs: map[string]string{"user.empty": "", "user.big": strings.Repeat("x", 2000), "trusted.t": "\x00\xff"}},
		{what: "long list of attributes", name: "list", kind: reg, mode: 0o600, mtime: at, xattrs: many},
		{what: "ACL", name: "acl", kind: reg, mode: 0o660, uid: 1, mtime: at, xattrs: map[string]string{accessACL: string(acl(1234, 7, 6))}},
		{what: "before 1970", name: "old", kind: reg, mode: 0o600, mtime: unix.Timespec{Sec: -1_000_000_000, Nsec: 999_999_999}},
		{what: "after 2038", name: "new", kind: reg, mode: 0o600, mtime: unix.Timespec{Sec: 1 << 33, Nsec: 1}},
		{what: "every byte", name: string(everyByte), kind: reg, mode: 0o600, mtime: at},
		{what: "longest name", name: strings.Repeat("\xfe", 255), kind: dir, mode: 0o755, mtime: at},
		{what: "set-id and sticky directory", name: "dir", kind: dir, mode: 0o7770, uid: 1, gid: 1, mtime: at, xattrs: map[string]string{"user.d": "d"}},
		{what: "directory with ACLs", name: "acldir", kind: dir, mode: 0o760, mtime: at, xattrs: map[string]string{accessACL: string(acl(1234, 7, 6)), defaultACL: string(acl(99, 5, 7))}},
		{what: "dangling link", name: "dangling", kind: lnk, target: "/no/such/\xff", uid: 1, gid: 1, mtime: at},
		{what: "longest link", name: "longlink", kind: lnk, target: strings.Repeat("a/", 2047) + "b", mtime: at},
		{what: "link with attributes", name: "attrlink", kind: lnk, target: "plain", mtime: at, xattrs: map[string]string{"trusted.l": "l"}},
		{what: "character device", name: "chr", kind: unix.S_IFCHR, mode: 0o666, dev: unix.Mkdev(0xfff, 0xfffff), uid: 1, mtime: at},
		{what: "block device", name: "blk", kind: unix.S_IFBLK, mode: 0o640, dev: unix.Mkdev(8, 17), mtime: at, xattrs: map[string]string{"trusted.b": "b"}},
		{what: "FIFO", name: "fifo", kind: unix.S_IFIFO, mode: 0o4622, uid: 1, gid: 1, mtime: at, xattrs: map[string]string{accessACL: string(acl(7, 6, 6))}},
		{what: "socket", name: "sock", kind: unix.S_IFSOCK, mode: 0o755, mtime: at},
	}
}

func TestRoundTrip(t *testing.T) {
	needRoot(t)
	src, srcPath := openTemp(t)
	dst, dstPath := openTemp(t)
	// Where an ACL and a group are inherited, what comes back is what was saved, and no more.
	must(t, unix.Setxattr(dstPath, defaultACL, acl(77, 7, 7), 0))
	must(t, unix.Chmod(dstPath, 0o2755))
	must(t, unix.Chown(dstPath, 0, 5))
	a := &Applier{Owners: NewOwners(), Ownership: Numeric, Xattrs: true}
	for _, s := range specimens() {
		t.Run(s.what, func(t *testing.T) {
			s.make(t, srcPath)
			want := factsOf(t, filepath.Join(srcPath, s.name))
			if s.kind != unix.S_IFLNK && len(s.xattrs[accessACL]) == 0 && want.mode&0o7777 != s.mode {
				t.Fatalf("made mode %#o of %#o", want.mode, s.mode)
			}
			n := read(t, src, s.name)
			if got := factsIn(n); !reflect.DeepEqual(got, want) {
				t.Errorf("read  %v\nwant  %v", got, want)
			}
			must(t, putBack(dst, a, n))
			if got := factsOf(t, filepath.Join(dstPath, s.name)); !reflect.DeepEqual(got, want) {
				t.Errorf("put back %v\nwant     %v", got, want)
			}
			if got := read(t, dst, s.name); !reflect.DeepEqual(got.Xattrs, n.Xattrs) || got.Inode == n.Inode {
				t.Errorf("read again %v\nafter      %v", got, n)
			}
		})
	}
}

func TestStat(t *testing.T) {
	d, path := openTemp(t)
	must(t, os.WriteFile(filepath.Join(path, "a"), []byte("abc"), 0o600))
	must(t, d.Link(d, "a", IDOf(read(t, d, "a")), "b"))
	n := tree.Node{Target: "kept", Major: 1, Minor: 1}
	must(t, d.Stat("b", &n))
	var st unix.Stat_t
	must(t, unix.Stat(filepath.Join(path, "a"), &st))
	want := tree.Node{
		Name: "b", Mode: st.Mode, Owner: NewOwners().owner(st.Uid, st.Gid), Mtime: tree.Time{Sec: st.Mtim.Sec, Nsec: uint32(st.Mtim.Nsec)},
		Ctime: tree.Time{Sec: st.Ctim.Sec, Nsec: uint32(st.Ctim.Nsec)}, Inode: st.Ino, Links: 2, Device: st.Dev, Size: 3, Target: "kept",
	}
	if !reflect.DeepEqual(n, want) {
		t.Errorf("got  %+v\nwant %+v", n, want)
	}
	var self tree.Node
	must(t, d.StatSelf(&self))
	must(t, unix.Stat(path, &st))
	if self.Inode != st.Ino || !self.IsDir() || self.Size != 0 {
		t.Errorf("the directory itself: %+v", self)
	}
}

func TestSetsOwnerByName(t *testing.T) {
	needRoot(t)
	d, path := openTemp(t)
	foreign := tree.Owner{UID: 54321, GID: 54322, User: "daemon", Group: "daemon"}
	for _, c := range []struct {
		how      Ownership
		owner    tree.Owner
		uid, gid uint32
	}{
		{ByName, foreign, 1, 1},
		{ByName, tree.Owner{UID: 54321, GID: 54322, User: "no such user", Group: "no such group"}, 54321, 54322},
		{ByName, tree.Owner{UID: 54321, GID: 54322}, 54321, 54322},
		{Numeric, foreign, 54321, 54322},
		{None, foreign, 0, 0},
	} {
		name := fmt.Sprintf("%d %s", c.how, c.owner.User)
		a := &Applier{Owners: NewOwners(), Ownership: c.how}
		must(t, putBack(d, a, &tree.Node{Name: name, Mode: unix.S_IFREG | 0o6755, Owner: c.owner}))
		got := factsOf(t, filepath.Join(path, name))
		if got.uid != c.uid || got.gid != c.gid {
			t.Errorf("%q: owner %d:%d, want %d:%d", name, got.uid, got.gid, c.uid, c.gid)
		}
		mode := uint32(0o6755)
		if c.how == None {
			mode = 0o755 // root's own set-id program is not what was saved
		}
		if got.mode&0o7777 != mode {
			t.Errorf("%q: mode %#o, want %#o", name, got.mode&0o7777, mode)
		}
	}
}

func TestOwnersRemembers(t *testing.T) {
	asked := 0
	o := &Owners{
		users: directory{
			nameOf: func(id string) (string, error) {
				asked++
				if id == "7" {
					return "", os.ErrNotExist
				}
				return "u" + id, nil
			},
			idOf: func(name string) (string, error) { asked++; return strings.TrimPrefix(name, "u"), nil },
		},
		groups: directory{nameOf: func(string) (string, error) { return strings.Repeat("g", tree.MaxOwner+1), nil }},
	}
	for range 3 {
		if got := o.owner(5, 5); got != (tree.Owner{UID: 5, GID: 5, User: "u5"}) {
			t.Error(got)
		}
		if got := o.owner(7, 5); got.User != "" {
			t.Error(got)
		}
		if id := o.users.id("u6", 1); id != 6 {
			t.Error(id)
		}
		if id := o.users.id("not a number", 1); id != 1 {
			t.Error(id)
		}
	}
	if asked != 4 {
		t.Errorf("asked %d times about 4 names", asked)
	}
	for id := range uint32(3 * maxRemembered) {
		o.owner(id, 0)
	}
	if len(o.users.names) > maxRemembered {
		t.Errorf("remembers %d", len(o.users.names))
	}
	var none *Owners
	if got := none.owner(1, 2); got != (tree.Owner{UID: 1, GID: 2}) {
		t.Error(got)
	}
}
