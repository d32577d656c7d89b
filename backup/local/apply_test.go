package local

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

var (
	when    = tree.Time{Sec: 1_600_000_000, Nsec: 5}
	whenRaw = unix.Timespec{Sec: 1_600_000_000, Nsec: 5}
)

// What cannot be set is reported, and all else is set.
func TestApplyGoesOn(t *testing.T) {
	needRoot(t)
	d, path := openTemp(t)
	a := &Applier{Ownership: Numeric, Xattrs: true}
	for _, kind := range []uint32{unix.S_IFREG, unix.S_IFDIR, unix.S_IFIFO} {
		n := &tree.Node{
			Name: fmt.Sprintf("%o", kind), Mode: kind | 0o6640, Owner: tree.Owner{UID: noID, GID: 1}, Mtime: when,
			Xattrs: []tree.Xattr{{Name: "nosuchspace.x"}, {Name: "trusted.y", Value: []byte("y")}},
		}
		err := putBack(d, a, n)
		if !errors.Is(err, unix.EINVAL) || !errors.Is(err, unix.ENOTSUP) {
			t.Errorf("%s: %v", n.Name, err)
		}
		mode := n.Mode
		if kind == unix.S_IFREG {
			mode &^= unix.S_ISUID | unix.S_ISGID // that would be root's
		}
		got := factsOf(t, filepath.Join(path, n.Name))
		if got.mode != mode || got.mtime != whenRaw || string(got.xattrs["trusted.y"]) != "y" {
			t.Errorf("%s: %v, want mode %#o", n.Name, got, mode)
		}
	}
}

func TestApplyRefusesAnotherType(t *testing.T) {
	d, path := openTemp(t)
	must(t, os.Mkdir(filepath.Join(path, "dir"), 0o700))
	before := factsOf(t, filepath.Join(path, "dir"))
	a := &Applier{Ownership: Numeric}
	if a.Entry(d, "dir", &tree.Node{Mode: unix.S_IFIFO | 0o777}) == nil {
		t.Error("a directory for a FIFO")
	}
	if got := factsOf(t, filepath.Join(path, "dir")); got.String() != before.String() {
		t.Errorf("changed to %v", got)
	}
	if err := a.Entry(d, "nothing", &tree.Node{Mode: unix.S_IFIFO}); !errors.Is(err, unix.ENOENT) {
		t.Error(err)
	}
}

func TestApplyWantsLargeAttributesLoaded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, unix.Setxattr(file, "user.x", []byte("x"), 0))
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	n := &tree.Node{Mode: unix.S_IFREG | 0o600, XattrContents: &tree.Contents{}}
	if err := (&Applier{Ownership: None, Xattrs: true}).File(f, n); err == nil {
		t.Error("no error")
	}
	if got := factsOf(t, file); len(got.xattrs) != 1 {
		t.Errorf("took the attributes away: %v", got)
	}
}

// A directory that was there takes on what was saved, whatever it had.
func TestApplyReplacesAttributes(t *testing.T) {
	needRoot(t)
	d, path := openTemp(t)
	dir := filepath.Join(path, "dir")
	must(t, os.Mkdir(dir, 0o777))
	for name, value := range map[string]string{accessACL: string(acl(5, 7, 7)), defaultACL: string(acl(5, 7, 7)), "user.stale": "s", "user.same": "x", "user.other": "a", "security.label": "l"} {
		must(t, unix.Setxattr(dir, name, []byte(value), 0))
	}
	sub, err := d.Sub("dir")
	must(t, err)
	defer sub.Close()
	n := &tree.Node{Mode: unix.S_IFDIR | 0o750, Mtime: when, Xattrs: []tree.Xattr{{Name: "nightjar.later"}, {Name: "user.new"}, {Name: "user.other", Value: []byte("b")}, {Name: "user.same", Value: []byte("x")}}}
	must(t, (&Applier{Xattrs: true}).Dir(sub, n))
	got := factsOf(t, dir)
	want := facts{mode: n.Mode, mtime: whenRaw, xattrs: map[string][]byte{"user.new": {}, "user.other": []byte("b"), "user.same": []byte("x"), "security.label": []byte("l")}}
	if got.String() != want.String() {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// To change the owner costs a file its set-id bits, even if those were the same before.
func TestApplyKeepsSetID(t *testing.T) {
	needRoot(t)
	file := filepath.Join(t.TempDir(), "f")
	must(t, os.WriteFile(file, nil, 0o600))
	must(t, os.Chown(file, 1, 1))
	must(t, unix.Chmod(file, 0o6755))
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	must(t, err)
	defer f.Close()
	must(t, (&Applier{Ownership: Numeric}).File(f, &tree.Node{Mode: unix.S_IFREG | 0o6755, Owner: tree.Owner{UID: 2, GID: 2}, Mtime: when}))
	if got := factsOf(t, file); got.mode != unix.S_IFREG|0o6755 || got.uid != 2 {
		t.Error(got)
	}
}

func TestAsNobody(t *testing.T) {
	needRoot(t)
	d, path := openTemp(t)
	must(t, os.WriteFile(filepath.Join(path, "roots"), []byte("x"), 0o644))
	must(t, os.Chown(path, nobody, nobody))
	n := &tree.Node{
		Name: "f", Mode: unix.S_IFREG | 0o4444, Mtime: when,
		Xattrs: []tree.Xattr{{Name: "user.x", Value: []byte("x")}},
	}
	asNobody(t, func() {
		f, err := d.Open("roots") // without the right to leave the access time alone
		if err != nil {
			t.Error(err)
		} else {
			f.Close()
		}
		err = putBack(d, &Applier{Owners: NewOwners(), Xattrs: true}, n)
		if !errors.Is(err, unix.EPERM) {
			t.Errorf("root's file: %v", err)
		}
		n := *n
		n.Name = "own"
		if err := putBack(d, &Applier{Owners: NewOwners(), Ownership: None, Xattrs: true}, &n); err != nil {
			t.Errorf("own file: %v", err)
		}
		n.Name, n.Owner = "same", tree.Owner{UID: nobody, GID: nobody}
		if err := putBack(d, &Applier{Ownership: Numeric}, &n); err != nil {
			t.Errorf("file that was nobody's: %v", err)
		}
		if err := d.Mknod("dev", &tree.Node{Mode: unix.S_IFCHR, Major: 1, Minor: 3}); !errors.Is(err, unix.EPERM) {
			t.Errorf("device: %v", err)
		}
	})
	for name, mode := range map[string]uint32{"f": 0o444, "own": 0o444, "same": 0o4444} {
		got := factsOf(t, filepath.Join(path, name))
		if got.mode != unix.S_IFREG|mode || got.uid != nobody || got.mtime != whenRaw || name != "same" && string(got.xattrs["user.x"]) != "x" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestExtents(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct {
		what string
		size int64
		data []Extent
		want []Extent
	}{
		{"empty", 0, nil, nil},
		{"all hole", mib, nil, []Extent{{0, mib, true}}},
		{"all data", mib, []Extent{{0, mib, false}}, []Extent{{0, mib, false}}},
		{"hole first", 2 * mib, []Extent{{mib, mib, false}}, []Extent{{0, mib, true}, {mib, mib, false}}},
		{"hole last", 2 * mib, []Extent{{0, mib, false}}, []Extent{{0, mib, false}, {mib, mib, true}}},
		{"odd size", 5*mib + 3, []Extent{{mib, mib, false}, {3 * mib, mib, false}}, []Extent{
			{0, mib, true}, {mib, mib, false}, {2 * mib, mib, true}, {3 * mib, mib, false}, {4 * mib, mib + 3, true},
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			d, path := openTemp(t)
			w, err := d.Create("f")
			must(t, err)
			defer w.Close()
			must(t, w.Truncate(c.size))
			for _, e := range c.data {
				_, err := w.WriteAt(bytes.Repeat([]byte{1}, int(e.Length)), e.Offset)
				must(t, err)
			}
			must(t, w.Sync()) // so that blocks are counted
			f, err := d.Open("f")
			must(t, err)
			defer f.Close()
			var n tree.Node
			sparse, err := d.StatFile(f, &n)
			must(t, err)
			if want := slices.ContainsFunc(c.want, func(e Extent) bool { return e.Hole }); sparse != want {
				t.Errorf("sparse: %v", sparse)
			}
			if n.Size != uint64(c.size) {
				t.Errorf("size %d", n.Size)
			}
			var got []Extent
			for e := range Extents(f, c.size) {
				got = append(got, e)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
			// A file that shrinks meanwhile still adds up.
			must(t, os.Truncate(filepath.Join(path, "f"), c.size/2))
			end := int64(0)
			for e := range Extents(f, c.size) {
				if e.Offset != end || e.Length <= 0 {
					t.Errorf("%v after %d", e, end)
				}
				end += e.Length
			}
			if end != c.size {
				t.Errorf("ends at %d of %d", end, c.size)
			}
		})
	}
}

// What is not known to be a hole is data: after an error, or an answer that makes no sense, all the rest is.
func TestExtentsUncertain(t *testing.T) {
	type answer struct {
		off int64
		err error
	}
	at := func(off int64) answer { return answer{off, nil} }
	for _, c := range []struct {
		what    string
		answers []answer // to SEEK_HOLE, SEEK_DATA, SEEK_HOLE, and so on
		want    []Extent
	}{
		{"no holes here", []answer{{0, unix.EINVAL}}, []Extent{{0, 100, false}}},
		{"no data found", []answer{at(10), {0, unix.EINVAL}}, []Extent{{0, 10, false}, {10, 90, false}}},
		{"no data found at the start", []answer{at(0), {0, unix.ENOTSUP}}, []Extent{{0, 100, false}}},
		{"no data found later", []answer{at(10), at(20), at(30), {0, unix.ENOTSUP}}, []Extent{{0, 10, false}, {10, 10, true}, {20, 10, false}, {30, 70, false}}},
		{"fails", []answer{at(10), {0, unix.EIO}}, []Extent{{0, 10, false}, {10, 90, false}}},
		{"fails to find a hole", []answer{at(10), at(20), {0, unix.EIO}}, []Extent{{0, 10, false}, {10, 10, true}, {20, 80, false}}},
		{"is gone when a hole is looked for", []answer{at(10), at(20), {0, unix.ENXIO}}, []Extent{{0, 10, false}, {10, 10, true}, {20, 80, false}}},
		{"ends in a hole", []answer{at(10), {0, unix.ENXIO}}, []Extent{{0, 10, false}, {10, 90, true}}},
		{"data moves backwards", []answer{at(10), at(5)}, []Extent{{0, 10, false}, {10, 90, false}}},
		{"data before the start", []answer{at(10), at(-1)}, []Extent{{0, 10, false}, {10, 90, false}}},
		{"a hole moves backwards", []answer{at(10), at(20), at(15)}, []Extent{{0, 10, false}, {10, 10, true}, {20, 80, false}}},
		{"hole and data in one place", []answer{at(10), at(10)}, []Extent{{0, 10, false}, {10, 90, false}}},
		{"data and hole in one place", []answer{at(10), at(20), at(20)}, []Extent{{0, 10, false}, {10, 10, true}, {20, 80, false}}},
		{"data past the end", []answer{at(10), at(1000)}, []Extent{{0, 10, false}, {10, 90, true}}},
		{"a hole past the end", []answer{at(1000)}, []Extent{{0, 100, false}}},
	} {
		t.Run(c.what, func(t *testing.T) {
			left := c.answers
			seek := func(_ int64, whence int) (int64, error) {
				want := unix.SEEK_HOLE
				if (len(c.answers)-len(left))%2 == 1 {
					want = unix.SEEK_DATA
				}
				if len(left) == 0 || whence != want {
					t.Fatalf("asked for %d after %d answers", whence, len(c.answers)-len(left))
				}
				a := left[0]
				left = left[1:]
				return a.off, a.err
			}
			if got := slices.Collect(extents(100, seek)); !slices.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
		})
	}
	p, q, err := os.Pipe()
	must(t, err)
	defer p.Close()
	defer q.Close()
	if got := slices.Collect(Extents(p, 1)); !slices.Equal(got, []Extent{{0, 1, false}}) {
		t.Errorf("of a pipe: %v", got)
	}
}
