package local

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

// needRoot skips on a developer's machine what only root can show, and fails where nobody would read that it was skipped.
func needRoot(t *testing.T) {
	t.Helper()
	switch {
	case os.Geteuid() == 0:
	case os.Getenv("CI") != "":
		t.Fatal("this test needs root")
	default:
		t.Skip("NOT TESTED: this test needs root")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func openTemp(t testing.TB) (*Dir, string) {
	t.Helper()
	path := t.TempDir()
	return open(t, path), path
}

func open(t testing.TB, path string) *Dir {
	t.Helper()
	d, err := OpenDir(path, NewOwners())
	must(t, err)
	t.Cleanup(func() { d.Close() })
	return d
}

// asNobody runs f with the rights of an ordinary user, on a thread of its own, which ends with it.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	needRoot(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		must := func(err error) {
			if err != nil {
				panic(err)
			}
		}
		must(unix.Setfsgid(nobody))
		must(unix.Setfsuid(nobody))
		f()
	}()
	<-done
}

const nobody = 65534

// facts is what the kernel says of an entry by its path, asked without this package.
type facts struct {
	mode, uid, gid uint32
	mtime          unix.Timespec
	rdev           uint64
	size           int64
	target         string
	xattrs         map[string][]byte
}

func factsOf(t testing.TB, path string) facts {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	f := facts{mode: st.Mode, uid: st.Uid, gid: st.Gid, mtime: st.Mtim, xattrs: map[string][]byte{}}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		f.size = st.Size
	case unix.S_IFBLK, unix.S_IFCHR:
		f.rdev = uint64(st.Rdev)
	case unix.S_IFLNK:
		var err error
		f.target, err = os.Readlink(path)
		must(t, err)
	}
	list := make([]byte, 64<<10)
	n, err := unix.Llistxattr(path, list)
	must(t, err)
	for name := range bytes.SplitSeq(list[:n], []byte{0}) {
		if len(name) == 0 {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(path, string(name), value)
		must(t, err)
		f.xattrs[string(name)] = value[:n]
	}
	return f
}

func (f facts) String() string {
	s := fmt.Sprintf("mode %#o, owner %d:%d, mtime %d.%09d, rdev %#x, size %d, target %.20q", f.mode, f.uid, f.gid, f.mtime.Sec, f.mtime.Nsec, f.rdev, f.size, f.target)
	for _, name := range slices.Sorted(maps.Keys(f.xattrs)) {
		s += fmt.Sprintf(", %s=%x", name, f.xattrs[name])
	}
	return s
}

// factsIn is what a node says, in the same form.
func factsIn(n *tree.Node) facts {
	f := facts{
		mode: n.Mode, uid: n.Owner.UID, gid: n.Owner.GID,
		mtime: unix.Timespec{Sec: n.Mtime.Sec, Nsec: int64(n.Mtime.Nsec)},
		size:  int64(n.Size), target: n.Target, xattrs: map[string][]byte{},
	}
	if n.IsDevice() {
		f.rdev = unix.Mkdev(n.Major, n.Minor)
	}
	for _, x := range n.Xattrs {
		if x.Name == tree.ACLNames {
			continue
		}
		f.xattrs[x.Name] = x.Value
	}
	return f
}

// read is how a backup reads an entry.
func read(t testing.TB, d *Dir, name string) *tree.Node {
	t.Helper()
	var n tree.Node
	must(t, d.Stat(name, &n))
	var err error
	switch {
	case n.IsSymlink():
		n.Target, err = d.Readlink(name)
		must(t, err)
		n.Xattrs, err = d.Xattrs(name)
	case n.IsRegular():
		f, openErr := d.Open(name)
		must(t, openErr)
		defer f.Close()
		_, err = d.StatFile(f, &n)
		must(t, err)
		n.Xattrs, err = d.XattrsFile(f)
	case n.IsDir():
		sub, openErr := d.Sub(name)
		must(t, openErr)
		defer sub.Close()
		must(t, sub.StatSelf(&n))
		n.Xattrs, err = sub.XattrsSelf()
	default:
		n.Xattrs, err = d.Xattrs(name)
	}
	must(t, err)
	n.Xattrs = slices.DeleteFunc(n.Xattrs, func(x tree.Xattr) bool { return x.Name == tree.BirthTime }) // nothing brings that back
	return &n
}

// putBack is how a restore makes an entry, but for its content.
func putBack(d *Dir, a *Applier, n *tree.Node) error {
	switch {
	case n.IsRegular():
		f, err := d.Create(n.Name)
		if err != nil {
			return err
		}
		defer f.Close()
		if err := f.Truncate(int64(n.Size)); err != nil {
			return err
		}
		return a.File(f, n)
	case n.IsDir():
		if err := d.Mkdir(n.Name); err != nil {
			return err
		}
		sub, err := d.Sub(n.Name)
		if err != nil {
			return err
		}
		defer sub.Close()
		return a.Dir(sub, n)
	case n.IsSymlink():
		if err := d.Symlink(n.Target, n.Name); err != nil {
			return err
		}
	default:
		if err := d.Mknod(n.Name, n); err != nil {
			return err
		}
	}
	return a.Entry(d, n.Name, n)
}
