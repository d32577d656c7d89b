package restore_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/backup/backuptest"
	"nightjar/backup/filter"
	"nightjar/backup/restore"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

// put makes a file that is not ours, older than what is saved.
func put(t testing.TB, path, content string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(content), 0o640))
	must(t, os.Chtimes(path, time.Time{}, time.Unix(1_000_000_000, 0)))
}

func inode(t testing.TB, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Lstat(path, &st))
	return st.Ino
}

// What chattr calls i and a.
const (
	immutable  = 0x10
	appendOnly = 0x20
)

// setFlags sets what chattr sets, until the test ends.
func setFlags(t testing.TB, path string, flags int) {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	was, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS)
	must(t, err)
	must(t, unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, was|flags))
	t.Cleanup(func() {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		must(t, err)
		defer unix.Close(fd)
		must(t, unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, was))
	})
}

// damaged lets all content that is read be read wrong.
func damaged(c storetest.Call) error {
	if c.Op == storetest.Get && strings.Contains(c.Name, "content") && len(c.Data) > 0 {
		c.Data[len(c.Data)/2] ^= 1
	}
	return nil
}

// A name becomes another name only of what this run has put back or proved, never of a file that happens to have the first name's path.
func TestLinkToStranger(t *testing.T) {
	backuptest.NeedRoot(t)
	f := &storetest.Faulty{Store: store.NewMemory(nil)}
	s := backuptest.NewOn(t, f)
	s.Write("a/f", string(backuptest.Random(5000)))
	must(t, os.MkdirAll(s.Path("z"), 0o755))
	must(t, os.Link(s.Path("a/f"), s.Path("z/f")))
	must(t, os.Link(s.Path("a/f"), s.Path("z/g")))
	s.Save()
	saved := backuptest.Content(t, s.Path("a/f"))
	const lost, whole = false, true
	for _, tt := range []struct {
		what    string
		content bool
		policy  restore.Overwrite
		make    func(t *testing.T, target string)
		want    map[string]string // content: "" is what was saved
		linked  []string          // names of one file
		bad     []string
	}{
		{"content is lost", lost, restore.Always, nil, map[string]string{"a/f": "a", "z/f": "z", "z/g": "g"}, nil, []string{"a/f", "z/f", "z/g"}},
		{"content is lost, if newer", lost, restore.IfNewer, nil, map[string]string{"a/f": "a", "z/f": "z", "z/g": "g"}, nil, []string{"a/f", "z/f", "z/g"}},
		{"content is lost, if changed", lost, restore.IfChanged, nil, map[string]string{"a/f": "a", "z/f": "z", "z/g": "g"}, nil, []string{"a/f", "z/f", "z/g"}},
		{"content is lost, one name is free", lost, restore.Never, func(t *testing.T, target string) { must(t, os.Remove(target+"/z/f")) }, map[string]string{"a/f": "a", "z/g": "g"}, nil, []string{"z/f"}},
		{"content is lost, a link is there", lost, restore.Always, func(t *testing.T, target string) {
			must(t, os.Remove(target+"/a/f"))
			must(t, os.Symlink("/etc/passwd", target+"/a/f"))
		}, map[string]string{"z/f": "z", "z/g": "g"}, nil, []string{"a/f", "z/f", "z/g"}},
		{"append only", whole, restore.Always, func(t *testing.T, target string) { setFlags(t, target+"/a", appendOnly) }, map[string]string{"a/f": "a", "z/f": "", "z/g": ""}, []string{"z/f", "z/g"}, []string{"a", "a/f"}},
		{"immutable", whole, restore.Always, func(t *testing.T, target string) { setFlags(t, target+"/a/f", immutable) }, map[string]string{"a/f": "a", "z/f": "", "z/g": ""}, []string{"z/f", "z/g"}, []string{"a/f"}},
		{"a directory is there", whole, restore.Always, func(t *testing.T, target string) {
			must(t, os.Remove(target+"/a/f"))
			must(t, os.Mkdir(target+"/a/f", 0o700))
			put(t, target+"/a/f/in", "in")
		}, map[string]string{"z/f": "", "z/g": ""}, []string{"z/f", "z/g"}, []string{"a/f"}},
		{"an empty directory is there", whole, restore.Always, func(t *testing.T, target string) {
			must(t, os.Remove(target+"/z/f"))
			must(t, os.Mkdir(target+"/z/f", 0))
		}, map[string]string{"a/f": "", "z/f": "", "z/g": ""}, []string{"a/f", "z/f", "z/g"}, nil},
		{"the first is newer", whole, restore.IfNewer, func(t *testing.T, target string) {
			must(t, os.Chtimes(target+"/a/f", time.Time{}, time.Now().Add(time.Hour)))
		}, map[string]string{"a/f": "a", "z/f": "", "z/g": ""}, []string{"z/f", "z/g"}, nil},
		{"kept whatever it is", whole, restore.Never, func(t *testing.T, target string) { must(t, os.Remove(target+"/z/g")) }, map[string]string{"a/f": "a", "z/f": "z", "z/g": ""}, nil, nil},
		{"all free but the first", whole, restore.Never, func(t *testing.T, target string) {
			must(t, os.Remove(target+"/z/f"))
			must(t, os.Remove(target+"/z/g"))
		}, map[string]string{"a/f": "a", "z/f": "", "z/g": ""}, []string{"z/f", "z/g"}, nil},
		{"replaced", whole, restore.Always, nil, map[string]string{"a/f": "", "z/f": "", "z/g": ""}, []string{"a/f", "z/f", "z/g"}, nil},
	} {
		t.Run(tt.what, func(t *testing.T) {
			target := t.TempDir()
			put(t, target+"/a/f", "a")
			put(t, target+"/z/f", "z")
			put(t, target+"/z/g", "g")
			if tt.make != nil {
				tt.make(t, target)
			}
			rd := s.Reader()
			if !tt.content {
				f.After = []storetest.Hook{damaged}
			}
			_, st, err := s.RestoreFrom(context.Background(), rd, overwrite(target, tt.policy))
			f.After = nil
			must(t, err)
			bad := make([]string, len(tt.bad))
			for i, name := range tt.bad {
				bad[i] = s.Path(name)
			}
			s.Log.Only(t, bad...)
			for name, want := range tt.want {
				if want == "" {
					want = saved
				}
				if got := backuptest.Content(t, target+"/"+name); got != want {
					t.Errorf("%s holds %.20q, not %.20q", name, got, want)
				}
			}
			for name := range tt.want {
				if slices.Contains(tt.linked, name) != (len(tt.linked) > 0 && inode(t, target+"/"+name) == inode(t, target+"/"+tt.linked[0])) {
					t.Errorf("%s is a name of %s, or is not", name, tt.linked)
				}
			}
			if want := max(len(tt.linked), 1) - 1; int(st.Links) != want {
				t.Errorf("%d hard links, not %d", st.Links, want)
			}
			for _, name := range backuptest.List(t, target) {
				if strings.Contains(name, ".nightjar") {
					t.Errorf("left %s", name)
				}
			}
		})
	}
}

// Links, FIFOs and other entries without content have several names, too. And of a part of the names, the first that comes is the first.
func TestLinksOfAllKinds(t *testing.T) {
	backuptest.NeedRoot(t)
	s := backuptest.New(t)
	s.Write("a/file", "file")
	s.Write("a/empty", "")
	must(t, os.Symlink("to", s.Path("a/link")))
	must(t, unix.Mkfifo(s.Path("a/fifo"), 0o600))
	must(t, os.Mkdir(s.Path("b"), 0o755))
	for _, name := range []string{"file", "empty", "link", "fifo"} {
		must(t, os.Link(s.Path("a/"+name), s.Path("b/"+name)))
		must(t, os.Link(s.Path("a/"+name), s.Path("b/z-"+name)))
	}
	s.Save()
	want := backuptest.FactsOf(t, s.Src)
	for _, policy := range []restore.Overwrite{restore.Refuse, restore.Always, restore.IfChanged} {
		target, st := s.Restore(func(o *restore.Options) { o.Overwrite = policy })
		s.Log.None(t)
		backuptest.Same(t, backuptest.FactsOf(t, target), want)
		if st.Links != 8 {
			t.Errorf("%d links", st.Links)
		}
	}
	target, _ := s.Restore(func(o *restore.Options) { o.Filter = backuptest.Filter(t, filter.Options{Include: []string{"/**/b"}}) })
	s.Log.None(t)
	for _, name := range []string{"file", "empty", "link", "fifo"} {
		if inode(t, target+"/b/"+name) != inode(t, target+"/b/z-"+name) {
			t.Errorf("%s and z-%s are not the same", name, name)
		}
	}
}

// The first name is on a file system that the others are not on, or on one that knows no hard links.
func TestLinkAcross(t *testing.T) {
	backuptest.NeedRoot(t)
	s := backuptest.New(t)
	s.Write("a/f", "content")
	must(t, os.Mkdir(s.Path("b"), 0o755))
	must(t, os.Link(s.Path("a/f"), s.Path("b/1")))
	must(t, os.Link(s.Path("a/f"), s.Path("b/2")))
	s.Save()
	target := t.TempDir()
	must(t, os.Mkdir(target+"/b", 0o755))
	backuptest.Mount(t, "", target+"/b")
	_, st := s.Restore(overwrite(target, restore.Always))
	s.Log.Only(t, s.Path("b/1"))
	if err := s.Log.All[s.Path("b/1")]; !strings.Contains(err.Error(), "as a file of its own") {
		t.Error(err)
	}
	if backuptest.Content(t, target+"/b/1") != "content" || inode(t, target+"/b/1") != inode(t, target+"/b/2") || st.Links != 1 || st.Files != 2 {
		t.Errorf("%+v", st)
	}
}

// The first of the names takes no further ones, as all do on a file system that knows no hard links: what is no file comes back by itself, too.
func TestLinkRefused(t *testing.T) {
	backuptest.NeedRoot(t)
	s := backuptest.New(t)
	s.Write("a", "content")
	must(t, unix.Mkfifo(s.Path("p"), 0o640))
	must(t, os.Symlink("nowhere", s.Path("s")))
	for _, name := range []string{"a", "p", "s"} {
		must(t, os.Link(s.Path(name), s.Path(name+"1")))
		must(t, os.Link(s.Path(name), s.Path(name+"2")))
	}
	s.Save()
	target := t.TempDir()
	backuptest.Mount(t, "", target)
	s.Restore(overwrite(target, restore.Always))
	for _, name := range []string{"a1", "a2"} {
		must(t, os.Remove(target+"/"+name))
	}
	setFlags(t, target+"/a", immutable)
	_, st := s.Restore(overwrite(target, restore.IfChanged))
	s.Log.Only(t, s.Path("a1"))
	if backuptest.Content(t, target+"/a2") != "content" || inode(t, target+"/a1") != inode(t, target+"/a2") || st.Files != 1 || st.Links != 1 {
		t.Errorf("%+v", st)
	}
	// And across file systems.
	must(t, os.Mkdir(s.Path("z"), 0o755))
	for _, name := range []string{"p", "s"} {
		must(t, os.Rename(s.Path(name+"1"), s.Path("z/"+name+"1")))
		must(t, os.Rename(s.Path(name+"2"), s.Path("z/"+name+"2")))
	}
	s.Save()
	target = t.TempDir()
	must(t, os.Mkdir(target+"/z", 0o755))
	backuptest.Mount(t, "", target+"/z")
	s.Restore(overwrite(target, restore.Always))
	s.Log.Only(t, s.Path("z/p1"), s.Path("z/s1"))
	for _, name := range []string{"p", "s"} {
		if inode(t, target+"/z/"+name+"1") != inode(t, target+"/z/"+name+"2") {
			t.Errorf("%s2 is no name of %[1]s1", name)
		}
	}
}

// A restore that stopped has put back some of the names.
func TestLinksOfAStoppedRestore(t *testing.T) {
	s := backuptest.New(t)
	names := []string{"a/f", "b/f", "b/g", "c/f"}
	for _, name := range names {
		must(t, os.MkdirAll(filepath.Dir(s.Path(name)), 0o755))
	}
	s.Write("a/f", string(backuptest.Random(100_000)))
	for _, name := range names[1:] {
		must(t, os.Link(s.Path("a/f"), s.Path(name)))
	}
	s.Save()
	want := backuptest.FactsOf(t, s.Src)
	for mask := range 1 << len(names) {
		target, _ := s.Restore()
		for i, name := range names {
			if mask&(1<<i) != 0 {
				must(t, os.Remove(target+"/"+name))
			}
		}
		dry := map[string]restore.Action{}
		s.Restore(overwrite(target, restore.IfChanged), func(o *restore.Options) {
			o.DryRun, o.Report = true, func(path string, a restore.Action) { dry[path] = a }
		})
		_, st := s.Restore(overwrite(target, restore.IfChanged), func(o *restore.Options) {
			o.Report = func(path string, a restore.Action) {
				if dry[path] != a {
					t.Errorf("%b: %s: %v, in the dry run %v", mask, path, a, dry[path])
				}
			}
		})
		s.Log.None(t)
		backuptest.Same(t, backuptest.FactsOf(t, target).Below(), want.Below())
		if mask&1 == 0 && st.Bytes > 0 {
			t.Errorf("%b: content was fetched again", mask)
		}
	}
	// Each a file of its own, as they came back once.
	target, _ := s.Restore()
	must(t, os.Remove(target+"/b/g"))
	must(t, os.WriteFile(target+"/b/g", []byte(backuptest.Content(t, target+"/a/f")), 0o644))
	info, err := os.Stat(target + "/a/f")
	must(t, err)
	must(t, os.Chtimes(target+"/b/g", time.Time{}, info.ModTime()))
	_, st := s.Restore(overwrite(target, restore.IfChanged))
	s.Log.None(t)
	backuptest.Same(t, backuptest.FactsOf(t, target).Below(), want.Below())
	if st.Bytes > 0 {
		t.Error("content was fetched again")
	}
}
