package local

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/repo/tree"
)

func TestNames(t *testing.T) {
	d, path := openTemp(t)
	names, err := d.Names()
	must(t, err)
	if len(names) != 0 {
		t.Fatalf("empty directory has %q", names)
	}
	var want []string
	for i := range 600 {
		name := fmt.Sprintf("%c%d%s", byte(i*7%255+1), i, strings.Repeat("\xff", i%200))
		name = strings.ReplaceAll(name, "/", "\x01")
		must(t, unix.Mknod(filepath.Join(path, name), unix.S_IFREG|0o600, 0))
		want = append(want, name)
	}
	slices.Sort(want)
	dup, err := d.Dup()
	must(t, err)
	defer dup.Close()
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			got, err := []*Dir{d, dup}[i%2].Names()
			if err != nil || !slices.Equal(got, want) {
				t.Errorf("%d names, want %d: %v", len(got), len(want), err)
			}
		})
	}
	wg.Wait()
}

// The time of birth stays when all other times change, and a file is renamed. Where the file system does not know it, that is said.
func TestBorn(t *testing.T) {
	d, path := openTemp(t)
	before := time.Now().Add(-time.Second) // clocks of file systems are coarse
	must(t, os.WriteFile(filepath.Join(path, "file"), []byte("x"), 0o600))
	born, known := d.Born("file")
	if known && (born.Before(before) || born.After(time.Now())) {
		t.Errorf("born %v", born)
	}
	must(t, os.Chtimes(filepath.Join(path, "file"), time.Unix(1, 0), time.Unix(1, 0)))
	must(t, os.Rename(filepath.Join(path, "file"), filepath.Join(path, "renamed")))
	if again, ok := d.Born("renamed"); ok != known || !again.Equal(born) {
		t.Errorf("born %v, and then %v", born, again)
	}
	for _, name := range []string{"file", "../x", ""} {
		if _, ok := d.Born(name); ok {
			t.Errorf("%q was born", name)
		}
	}
}

func TestLeavesAccessTimeAlone(t *testing.T) {
	d, path := openTemp(t)
	must(t, os.Mkdir(filepath.Join(path, "dir"), 0o700))
	must(t, os.WriteFile(filepath.Join(path, "file"), []byte("x"), 0o600))
	old := time.Unix(1_000_000_000, 0)
	for _, name := range []string{"dir", "file"} {
		must(t, os.Chtimes(filepath.Join(path, name), old, old.Add(time.Hour)))
	}
	sub, err := d.Sub("dir")
	must(t, err)
	defer sub.Close()
	_, err = sub.Names()
	must(t, err)
	f, err := d.Open("file")
	must(t, err)
	defer f.Close()
	if n, err := f.Read(make([]byte, 2)); n != 1 {
		t.Fatal(n, err)
	}
	for _, name := range []string{"dir", "file"} {
		var st unix.Stat_t
		must(t, unix.Lstat(filepath.Join(path, name), &st))
		if st.Atim.Sec != old.Unix() {
			t.Errorf("reading %s set its access time to %d", name, st.Atim.Sec)
		}
	}
}

func TestOpenDoesNotWait(t *testing.T) {
	d, path := openTemp(t)
	must(t, os.WriteFile(filepath.Join(path, "f"), nil, 0o600))
	var n tree.Node
	must(t, d.Stat("f", &n))
	must(t, os.Remove(filepath.Join(path, "f")))
	must(t, unix.Mkfifo(filepath.Join(path, "f"), 0o600))
	done := make(chan error)
	go func() {
		f, err := d.Open("f")
		if err == nil {
			defer f.Close()
			_, err = d.StatFile(f, &n)
		}
		done <- err
	}()
	select {
	case err := <-done:
		must(t, err)
	case <-time.After(time.Minute):
		t.Fatal("waits for a writer")
	}
	if n.IsRegular() {
		t.Errorf("mode %#o", n.Mode)
	}
}

func opened(c io.Closer, err error) error {
	if err != nil {
		return err
	}
	return c.Close()
}

// actions are all methods that take the name of an entry.
func actions(d *Dir) map[string]func(name string) error {
	var n tree.Node
	a := &Applier{Xattrs: true}
	id := func(name string) FileID {
		var n tree.Node
		_ = d.Stat(name, &n)
		return IDOf(&n)
	}
	return map[string]func(string) error{
		"Sub":             func(name string) error { return opened(d.Sub(name)) },
		"Stat":            func(name string) error { return d.Stat(name, &n) },
		"Readlink":        func(name string) error { _, err := d.Readlink(name); return err },
		"Xattrs":          func(name string) error { _, err := d.Xattrs(name); return err },
		"Open":            func(name string) error { return opened(d.Open(name)) },
		"Mkdir":           d.Mkdir,
		"Create":          func(name string) error { return opened(d.Create(name)) },
		"Symlink":         func(name string) error { return d.Symlink("x", name) },
		"Mknod":           func(name string) error { return d.Mknod(name, &tree.Node{Mode: unix.S_IFIFO}) },
		"Link from":       func(name string) error { return d.Link(d, name, id(name), "new") },
		"Link to":         func(name string) error { return d.Link(d, "old", id("old"), name) },
		"Rename from":     func(name string) error { return d.Rename(name, "new") },
		"Rename to":       func(name string) error { return d.Rename("old", name) },
		"NoReplace from":  func(name string) error { return d.RenameNoReplace(name, "new") },
		"NoReplace to":    func(name string) error { return d.RenameNoReplace("old", name) },
		"Remove":          d.Remove,
		"Entry":           func(name string) error { return a.Entry(d, name, &tree.Node{Mode: unix.S_IFLNK}) },
		"Entry as a file": func(name string) error { return a.Entry(d, name, &tree.Node{Mode: unix.S_IFREG | 0o777}) },
		"Amend":           func(name string) error { return a.Amend(d, name, id(name), &tree.Node{Mode: unix.S_IFLNK}) },
		"Differs":         func(name string) error { _, err := a.Differs(d, name, &tree.Node{Mode: unix.S_IFLNK}); return err },
		"Push":            func(name string) error { s := NewStack(d); defer s.Close(); return s.Push(name) },
	}
}

func TestRefusesPaths(t *testing.T) {
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "f"), nil, 0o600))
	d, path := openTemp(t)
	must(t, os.WriteFile(filepath.Join(path, "old"), nil, 0o600))
	must(t, os.Mkdir(filepath.Join(path, "sub"), 0o700))
	for what, act := range actions(d) {
		for _, name := range []string{"", ".", "..", "/", "sub/", "sub/..", "../x", outside + "/f", outside} {
			if err := act(name); !errors.Is(err, errName) {
				t.Errorf("%s %q: %v", what, name, err)
			}
		}
		if err := act("a\x00b"); err == nil {
			t.Errorf("%s takes a NUL", what)
		}
	}
	if names, _ := d.Names(); !slices.Equal(names, []string{"old", "sub"}) {
		t.Errorf("left behind: %q", names)
	}
}

func TestFollowsNoSymlink(t *testing.T) {
	needRoot(t) // for trusted attributes, which would show what was read
	outside := t.TempDir()
	for _, name := range []string{"f", "dir/in"} {
		must(t, os.MkdirAll(filepath.Join(outside, "dir"), 0o700))
		must(t, os.WriteFile(filepath.Join(outside, name), []byte("x"), 0o600))
	}
	must(t, unix.Setxattr(filepath.Join(outside, "f"), "trusted.secret", []byte("x"), 0))
	var before []facts
	list := func() (all []facts) {
		must(t, filepath.WalkDir(outside, func(path string, _ fs.DirEntry, err error) error {
			all = append(all, factsOf(t, path))
			return err
		}))
		return all
	}
	before = list()
	refused := []string{"Sub", "Open", "Mkdir", "Create", "Symlink", "Mknod", "Link to", "NoReplace to", "Entry as a file", "Push"}
	for _, target := range []string{"f", "dir", "nothing"} {
		for what := range actions(&Dir{}) {
			d, path := openTemp(t)
			must(t, os.WriteFile(filepath.Join(path, "old"), nil, 0o600))
			must(t, os.Symlink(filepath.Join(outside, target), filepath.Join(path, "link")))
			err := actions(d)[what]("link")
			if want := slices.Contains(refused, what); (err != nil) != want {
				t.Errorf("%s of a link to %s: %v", what, target, err)
			}
			if xattrs, _ := d.Xattrs("link"); len(xattrs) > 1 || len(xattrs) == 1 && xattrs[0].Name != tree.BirthTime {
				t.Errorf("%s: attributes %v", what, xattrs)
			}
			if !slices.Contains(refused, what) {
				continue
			}
			if got, err := os.Readlink(filepath.Join(path, "link")); err != nil || filepath.Base(got) != target {
				t.Errorf("%s: the link is gone: %v", what, err)
			}
		}
	}
	if after := list(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("outside, before:\n%v\nafter:\n%v", before, after)
	}
}

func TestRename(t *testing.T) {
	d, path := openTemp(t)
	for _, name := range []string{"a", "b"} {
		must(t, os.WriteFile(filepath.Join(path, name), []byte(name), 0o600))
	}
	if err := d.RenameNoReplace("a", "b"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another: %v", err)
	}
	must(t, d.RenameNoReplace("a", "c"))
	must(t, d.Rename("c", "b"))
	if err := d.Rename("c", "b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	content, err := os.ReadFile(filepath.Join(path, "b"))
	names, _ := d.Names()
	if string(content) != "a" || len(names) != 1 {
		t.Errorf("%q in %q: %v", content, names, err)
	}
}

func TestMknodRefusesOtherTypes(t *testing.T) {
	d, _ := openTemp(t)
	for _, mode := range []uint32{0, unix.S_IFREG, unix.S_IFDIR, unix.S_IFLNK, 0o110000} {
		if d.Mknod("x", &tree.Node{Mode: mode}) == nil {
			t.Errorf("makes %#o", mode)
		}
	}
}

func TestManyGoroutines(t *testing.T) {
	d, path := openTemp(t)
	a := &Applier{Owners: NewOwners(), Xattrs: true}
	own := tree.Owner{UID: uint32(os.Getuid()), GID: uint32(os.Getgid())}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 50 {
				name := fmt.Sprintf("%d.%d", i, j)
				err := putBack(d, a, &tree.Node{Name: name, Mode: unix.S_IFREG | 0o640, Owner: own, Mtime: tree.Time{Sec: int64(j)}})
				var n tree.Node
				if err = errors.Join(err, d.Stat(name, &n)); err != nil || n.Mtime.Sec != int64(j) || n.Mode != unix.S_IFREG|0o640 {
					t.Errorf("%s: %+v: %v", name, n, err)
				}
			}
		})
	}
	wg.Wait()
	if entries, err := os.ReadDir(path); len(entries) != 400 {
		t.Errorf("%d entries: %v", len(entries), err)
	}
}
