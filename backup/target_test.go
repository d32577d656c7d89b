package backup

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
	"nightjar/repo/tree"
)

func overwrite(target string, policy Overwrite) func(*RestoreOptions) {
	return func(o *RestoreOptions) { o.Target, o.Overwrite = target, policy }
}

func TestRestorePath(t *testing.T) {
	s := newSite(t)
	s.write("d/file", "content")
	s.write("d/sub/x", "x")
	must(t, os.Symlink("d", s.path("link")))
	s.save()
	for _, tt := range []struct {
		path string
		want []string
		err  string
	}{
		{"d", []string{"file", "sub/", "sub/x"}, ""},
		{"d/", []string{"file", "sub/", "sub/x"}, ""},
		{"d/file", []string{"file"}, ""},
		{"link", []string{"link"}, ""},
		{"d/../d/sub", []string{"x"}, ""},
		{"missing", nil, "missing"},
		{"d/file/x", nil, "d/file/x"},
		{"link/file", nil, `symbolic link to "d"`},
	} {
		target, _, err := s.tryRestore(func(o *RestoreOptions) { o.Path = s.src + "/" + tt.path })
		if tt.err != "" {
			if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v", tt.path, err)
			}
			continue
		}
		must(t, err)
		if got := treeOf(t, target); !slices.Equal(got, tt.want) {
			t.Errorf("%s: restored %q, want %q", tt.path, got, tt.want)
		}
	}
}

// A top directory called root is not the root.
func TestRestoreRoot(t *testing.T) {
	r := newRepository(t, store.NewMemory(nil))
	file := func(name string) tree.Node {
		return tree.Node{Name: name, Mode: tree.Regular | 0o644, Links: 1}
	}
	a := handMade(t, r, func(d *maker) tree.Node {
		return d.dir("root", d.dir("etc", file("b")), d.dir("root", file("a"), d.dir("etc", file("c")), d.dir("root", file("d"))))
	})
	rd, err := r.NewReader(context.Background())
	must(t, err)
	for path, want := range map[string][]string{"/root": {"/root/etc", "/root/etc/c"}, "/": {"/root", "/root/etc", "/root/etc/c"}, "/root/root": {}} {
		var got []string
		_, err := Restore(context.Background(), rd, a, RestoreOptions{
			Path: path, Target: t.TempDir(), Filter: filter(t, FilterOptions{Include: []string{"/root/etc"}}),
			Report: func(path string, _ Action) { got = append(got, path) }, Problem: func(path string, err error) { t.Errorf("%s: %v", path, err) },
		})
		must(t, err)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("of %s restored %q, want %q", path, got, want)
		}
	}
}

func TestTarget(t *testing.T) {
	s := newSite(t)
	s.write("file", "new")
	s.save()
	base := t.TempDir()
	if _, _, err := s.tryRestore(overwrite(base+"/made/here", Refuse)); err != nil || content(t, base+"/made/here/file") != "new" {
		t.Error(err)
	}
	must(t, os.WriteFile(base+"/full", nil, 0o600))
	if _, _, err := s.tryRestore(overwrite(base, Refuse)); !errors.Is(err, ErrNotEmpty) || !strings.Contains(err.Error(), base) {
		t.Errorf("into a folder with something in it: %v", err)
	}
	if _, _, err := s.tryRestore(overwrite(base+"/full", Always)); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("into a file: %v", err)
	}
	if got := treeOf(t, base); !slices.Equal(got, []string{"full", "made/", "made/here/", "made/here/file"}) {
		t.Errorf("left %q", got)
	}
}

// TestOverwrite goes through what may be there, by every policy, in a dry run first.
func TestOverwrite(t *testing.T) {
	s := newSite(t)
	kinds := []string{"gone", "file", "older", "newer", "alike", "symlink", "fifo", "dir", "fulldir"}
	saved := []string{"f-", "l-", "p-", "d-", "e-"} // file, link, FIFO, directory, empty directory
	when := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	stamp := func(path string, at time.Time) {
		ts := unix.NsecToTimespec(at.UnixNano())
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
	}
	for _, dir := range []string{"", "sub/", "tub/"} {
		for _, kind := range kinds {
			s.write(dir+"f-"+kind, "saved")
			must(t, os.Symlink("saved", s.path(dir+"l-"+kind)))
			must(t, unix.Mkfifo(s.path(dir+"p-"+kind), 0o600))
			s.write(dir+"d-"+kind+"/x", "saved")
			must(t, os.Mkdir(s.path(dir+"e-"+kind), 0o755))
			for _, k := range saved {
				stamp(s.path(dir+k+kind), when)
			}
		}
	}
	s.save()
	want := factsOf(t, s.src)
	outside := t.TempDir()
	must(t, os.WriteFile(outside+"/precious", []byte("precious"), 0o600))
	must(t, os.Mkdir(outside+"/dir", 0o700))
	untouched := factsOf(t, outside)

	for _, policy := range []Overwrite{Always, IfChanged, IfNewer, Never} {
		t.Run(fmt.Sprint(policy), func(t *testing.T) {
			target := t.TempDir()
			var open []*os.File
			for _, dir := range []string{"", "tub/"} {
				must(t, os.MkdirAll(target+"/"+dir, 0o755))
				for _, kind := range kinds {
					for _, k := range saved {
						p := target + "/" + dir + k + kind
						switch kind {
						case "file", "older", "newer", "alike":
							must(t, os.WriteFile(p, []byte("there"), 0o640))
							f, err := os.Open(p)
							must(t, err)
							defer f.Close()
							open = append(open, f)
						case "symlink":
							must(t, os.Symlink(map[bool]string{true: outside + "/dir", false: outside + "/precious"}[k == "d-"], p))
						case "fifo":
							must(t, unix.Mkfifo(p, 0o640))
						case "dir":
							must(t, os.Mkdir(p, 0o750))
						case "fulldir":
							must(t, os.Mkdir(p, 0o750))
							must(t, os.WriteFile(p+"/own", []byte("there"), 0o640))
						}
						switch kind {
						case "gone":
						case "older":
							stamp(p, when.Add(-1))
						case "newer":
							stamp(p, when.Add(1))
						default:
							stamp(p, when)
						}
					}
				}
			}
			before := factsOf(t, target)
			run := func(dry bool) (map[string]Action, RestoreStatistics) {
				actions := map[string]Action{}
				_, st, err := s.tryRestore(overwrite(target, policy), func(o *RestoreOptions) {
					o.DryRun = dry
					o.Report = func(path string, a Action) { actions[path] = a }
				})
				must(t, err)
				return actions, st
			}
			planned, _ := run(true)
			reported := s.log.paths()
			same(t, factsOf(t, target), before)
			done, st := run(false)
			if !maps.Equal(planned, done) {
				for path := range done {
					if a, ok := planned[path]; !ok || a != done[path] {
						t.Errorf("%s: dry run %d %v, then %d", path, a, ok, done[path])
					}
				}
				for path := range planned {
					if _, ok := done[path]; !ok {
						t.Errorf("%s: in the dry run only", path)
					}
				}
			}
			if !slices.Equal(reported, s.log.paths()) {
				t.Errorf("problems of the dry run: %q, then: %q", reported, s.log.paths())
			}
			if int(st.Problems) != s.log.n {
				t.Errorf("counted %d problems of %d", st.Problems, s.log.n)
			}
			for _, f := range open {
				b := make([]byte, 10)
				if n, _ := f.ReadAt(b, 0); string(b[:n]) != "there" {
					t.Errorf("%s: who had it open reads %q", f.Name(), b[:n])
				}
			}
			same(t, factsOf(t, outside), untouched)
			after := factsOf(t, target)
			for name := range after {
				if strings.HasPrefix(filepath.Base(name), ".nightjar") {
					t.Errorf("left %s", name)
				}
			}
			for name, is := range after {
				base := filepath.Base(name)
				_, kind, _ := strings.Cut(base, "-")
				isDir := strings.HasPrefix(base, "d-") || strings.HasPrefix(base, "e-")
				if len(kind) == 0 || isDir || strings.HasPrefix(name, "sub") {
					continue
				}
				replaced := kind == "gone"
				switch policy {
				case Always:
					replaced = replaced || kind != "dir" && kind != "fulldir"
				case IfChanged:
					// A file of the same size and time is taken for the same.
					alike := strings.HasPrefix(base, "f-") && (kind == "file" || kind == "alike") || strings.HasPrefix(base, "p-") && kind == "fifo" || strings.HasPrefix(base, "l-") && kind == "symlink"
					replaced = replaced || kind != "dir" && kind != "fulldir" && !alike
				case IfNewer:
					replaced = replaced || kind == "older"
				}
				if wanted := before[name]; replaced && is != want[name] {
					t.Errorf("%s is %s, not as saved: %s", name, is, want[name])
				} else if !replaced && is != wanted {
					t.Errorf("%s is %s, not as it was: %s", name, is, wanted)
				}
			}
		})
	}
	// Without a target a dry run makes none.
	none := filepath.Join(t.TempDir(), "none")
	n := 0
	s.restore(overwrite(none, Refuse), func(o *RestoreOptions) {
		o.DryRun = true
		o.Report = func(string, Action) { n++ }
	})
	if _, err := os.Lstat(none); err == nil || n != len(want)-1 {
		t.Errorf("dry run: %d actions, not %d; target: %v", n, len(want)-1, err)
	}
}

// Files whose long names begin alike, and files that are called as what stands beside another, keep their own content.
func TestBeside(t *testing.T) {
	s := newSite(t)
	for i := range 5 {
		s.write(strings.Repeat("n", 240)+fmt.Sprint(i), fmt.Sprint("content ", i))
	}
	s.write("file", "file")
	s.write(".nightjar-0123456789abcdef0123456789abcdef", "what a run left that was killed")
	s.write(".nightjar-file", "another")
	must(t, os.Symlink("saved", s.path("link")))
	s.save()
	want := factsOf(t, s.src)
	target, _ := s.restore()
	for range 2 {
		s.restore(overwrite(target, Always))
		s.log.none(t)
		same(t, factsOf(t, target), want)
	}
}

// TestPlanted restores where somebody has put links: they are replaced, or reported, never followed.
func TestPlanted(t *testing.T) {
	s := newSite(t)
	s.write("dir/file", "saved")
	s.write("dir/sub/file", "saved")
	s.write("top", "saved")
	s.write("empty", "")
	must(t, os.Link(s.path("top"), s.path("zlink")))
	s.save()
	for _, policy := range []Overwrite{Always, IfChanged, IfNewer, Never} {
		outside, target := t.TempDir(), t.TempDir()
		must(t, os.Mkdir(outside+"/sub", 0o700))
		must(t, os.WriteFile(outside+"/file", []byte("precious"), 0o600))
		must(t, os.WriteFile(outside+"/sub/file", []byte("precious"), 0o600))
		before := factsOf(t, outside)
		for name, to := range map[string]string{"dir": outside, "top": outside + "/file", "empty": outside + "/new", "zlink": outside + "/sub/file", beside(s.last.ID, "top"): outside + "/file"} {
			must(t, os.Symlink(to, target+"/"+name))
		}
		s.restore(overwrite(target, policy))
		same(t, factsOf(t, outside), before)
		if policy == Always {
			s.log.none(t)
			if content(t, target+"/dir/sub/file") != "saved" || content(t, target+"/top") != "saved" {
				t.Error("not restored")
			}
		}
	}
	// Also while the restore runs: when content is asked for, directories are there.
	outside, target := t.TempDir(), t.TempDir()
	f := &storetest.Faulty{Store: store.NewMemory(nil)}
	s2 := &site{t: t, r: newRepository(t, f), src: s.src}
	s2.save()
	f.Before = append(f.Before, func(c storetest.Call) error {
		if c.Op == storetest.Get {
			os.Rename(target+"/dir/sub", target+"/moved")
			os.Symlink(outside, target+"/dir/sub")
		}
		return nil
	})
	s2.restore(overwrite(target, Always))
	if got := treeOf(t, outside); len(got) > 0 {
		t.Errorf("outside there is %q", got)
	}
}

// A maker stores trees made by hand.
type maker struct {
	t     *testing.T
	key   []byte
	saver *repo.Saver
}

func (m *maker) dir(name string, nodes ...tree.Node) tree.Node {
	m.t.Helper()
	e := tree.NewEncoder(m.key, m.saver.Tree)
	for _, n := range nodes {
		must(m.t, e.Add(&n))
	}
	items, err := e.Finish()
	must(m.t, err)
	return tree.Node{Name: name, Mode: tree.Directory | 0o755, Contents: tree.Contents{Items: items}}
}

// raw is a directory of bytes that no encoder makes.
func (m *maker) raw(name string, encoded []byte) tree.Node {
	m.t.Helper()
	id, err := m.saver.Tree(encoded)
	must(m.t, err)
	return tree.Node{Name: name, Mode: tree.Directory | 0o755, Contents: tree.Contents{Items: []tree.Item{{ID: id, Length: int64(len(encoded))}}}}
}

// encoded returns the bytes of a directory.
func (m *maker) encoded(nodes ...tree.Node) (b []byte) {
	m.t.Helper()
	e := tree.NewEncoder(m.key, func(encoded []byte) (chunk.ID, error) {
		b = slices.Clone(encoded)
		return chunk.ID{}, nil
	})
	for _, n := range nodes {
		must(m.t, e.Add(&n))
	}
	_, err := e.Finish()
	must(m.t, err)
	return b
}

// handMade commits an archive as a host would that has been taken over.
func handMade(t *testing.T, r *repo.Repository, f func(*maker) tree.Node) *repo.Archive {
	t.Helper()
	a, err := r.Write(context.Background(), new(repo.Sent), func(_ context.Context, w *repo.Writer) (*repo.Archive, error) {
		saver, err := w.NewSaver()
		must(t, err)
		m := &maker{t, r.NameKey(), saver}
		root := m.dir("", f(m))
		item := root.Contents.Items[0]
		return &repo.Archive{Host: "host", Job: "job", Root: repo.Root{ID: item.ID, Length: item.Length}}, nil
	})
	must(t, err)
	return a
}

func TestHostileArchive(t *testing.T) {
	r := newRepository(t, store.NewMemory(nil))
	outer := t.TempDir()
	file := func(name string) tree.Node { return tree.Node{Name: name, Mode: tree.Regular | 0o644, Links: 1} }
	link := func(name, target string) tree.Node {
		return tree.Node{Name: name, Mode: tree.Symlink | 0o777, Target: target, Links: 1}
	}
	// swap makes another name of one that the encoder takes.
	swap := func(b []byte, old, new string) []byte {
		if len(old) != len(new) || strings.Count(string(b), old) != 1 {
			t.Fatalf("cannot make %q of %q", new, old)
		}
		return []byte(strings.Replace(string(b), old, new, 1))
	}
	a := handMade(t, r, func(m *maker) tree.Node {
		return m.dir("root",
			m.dir("a good", file("file")),
			m.raw("dot", swap(m.encoded(file("@")), "@", ".")),
			m.raw("dots", swap(m.encoded(file("@@")), "@@", "..")),
			m.raw("dotsdir", swap(m.encoded(m.dir("@@", file("up"))), "@@", "..")),
			m.raw("duplicate", swap(m.encoded(link("@1", outer), m.dir("@2", file("in"))), "@2", "@1")),
			m.raw("nul", swap(m.encoded(file("@@@")), "@@@", "a\x00b")),
			m.raw("slash", swap(m.encoded(file("@@@@")), "@@@@", "../x")),
			m.raw("truncated", m.encoded(file("abc"))[:10]),
			m.dir("z good", link("absolute", outer), link("up", "../../.."), file("x")),
			// Names of one file that was never saved itself, of another type, and of itself.
			tree.Node{Name: "z1", Mode: tree.Regular | 0o600, Links: 9, Inode: 7, Device: 1},
			tree.Node{Name: "z2", Mode: tree.Symlink | 0o777, Target: outer, Links: 9, Inode: 7, Device: 1},
			tree.Node{Name: "z3", Mode: tree.Regular | 0o600, Links: 9, Inode: 7, Device: 1},
		)
	})
	rd, err := r.NewReader(context.Background())
	must(t, err)
	top := t.TempDir()
	target := top + "/target"
	log := new(problems)
	noLeak(t, func() {
		_, err = Restore(context.Background(), rd, a, RestoreOptions{Target: target, Problem: log.add})
	})
	must(t, err)
	log.only(t, "/dot", "/dots", "/dotsdir", "/duplicate", "/nul", "/slash", "/truncated")
	if got := treeOf(t, top); !slices.Equal(got, []string{
		"target/", "target/a good/", "target/a good/file", "target/dot/", "target/dots/", "target/dotsdir/", "target/duplicate/", "target/nul/", "target/slash/", "target/truncated/",
		"target/z good/", "target/z good/absolute", "target/z good/up", "target/z good/x", "target/z1", "target/z2", "target/z3",
	}) {
		t.Errorf("restored %q", got)
	}
	if got := treeOf(t, outer); len(got) > 0 {
		t.Errorf("outside there is %q", got)
	}
}

// TestStop stops a restore at each of its reads: files are old or new, new ones whole or absent.
func TestStop(t *testing.T) {
	f := &storetest.Faulty{Store: store.NewMemory(nil)}
	s := newSiteOn(t, f)
	for i := range 30 {
		s.write(fmt.Sprintf("old/%02d", i), string(random(1000+i*10_000)))
		s.write(fmt.Sprintf("new/%02d", i), string(random(1000+i*10_000)))
	}
	s.write("old/empty", "")
	must(t, os.Link(s.path("old/07"), s.path("old/link")))
	s.save()
	want := factsOf(t, s.src)
	for n := int64(1); n < 40; n = n*2 + 1 {
		target := t.TempDir()
		must(t, os.Mkdir(target+"/old", 0o755))
		for name := range want {
			if base, ok := strings.CutPrefix(name, "old/"); ok {
				must(t, os.WriteFile(target+"/old/"+base, []byte("old"), 0o600))
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		rd := s.reader()
		var reads atomic.Int64
		f.Before = []storetest.Hook{func(c storetest.Call) error {
			if c.Op == storetest.Get {
				if reads.Add(1) == n {
					cancel()
					return ctx.Err()
				}
			}
			return nil
		}}
		var err error
		noLeak(t, func() { _, _, err = s.restoreFrom(ctx, rd, overwrite(target, Always)) })
		f.Before = nil
		cancel()
		if reads.Load() >= n && !errors.Is(err, context.Canceled) {
			t.Errorf("stopped at read %d: %v", n, err)
		}
		for name, is := range factsOf(t, target) {
			base := filepath.Base(name)
			switch {
			case strings.HasPrefix(base, ".nightjar"):
				t.Errorf("stopped at read %d: left %s", n, name)
			case base == "." || base == "old" || base == "new":
			case strings.HasPrefix(name, "old") && strings.Contains(is, "size 3 "):
			default:
				if is, _, _ = strings.Cut(is, " ="); is != strings.Split(want[name], " =")[0] {
					t.Errorf("stopped at read %d: %s is %s, not %s", n, name, is, want[name])
				}
			}
		}
	}
}

// TestDamage flips bits of packs as they are read.
func TestDamage(t *testing.T) {
	f := &storetest.Faulty{Store: store.NewMemory(nil)}
	s := newSiteOn(t, f)
	for i := range 8 { // each has a frame to itself, or several
		s.write(fmt.Sprint("f", i), string(random(800_000+i*300_000)))
	}
	must(t, os.Link(s.path("f3"), s.path("g3")))
	s.save()
	want := factsOf(t, s.src)
	for _, offset := range []int64{100_000, 2_000_000, 5_000_000} {
		target := t.TempDir()
		must(t, os.WriteFile(target+"/f5", []byte("old"), 0o600))
		rd := s.reader()
		f.After = []storetest.Hook{func(c storetest.Call) error {
			if i := offset - c.Offset; c.Op == storetest.Get && strings.Contains(c.Name, "content") && i >= 0 && i < int64(len(c.Data)) {
				c.Data[i] ^= 1
			}
			return nil
		}}
		var st RestoreStatistics
		var err error
		noLeak(t, func() { _, st, err = s.restoreFrom(context.Background(), rd, overwrite(target, Always)) })
		f.After = nil
		must(t, err)
		bad := s.log.paths()
		if len(bad) == 0 || len(bad) > 2 || st.Problems != uint64(s.log.n) {
			t.Errorf("reported %q", bad)
		}
		got := factsOf(t, target)
		for name, is := range want {
			if slices.Contains(bad, s.path(name)) {
				if got[name] != "" && (name != "f5" || !strings.Contains(got[name], "size 3 ")) {
					t.Errorf("%s: damaged, and there: %s", name, got[name])
				}
			} else if got[name] != is && name != "." {
				t.Errorf("%s is %s, not %s", name, got[name], is)
			}
		}
		for name := range got {
			if want[name] == "" {
				t.Errorf("left %s", name)
			}
		}
	}
}

// TestFull fills a small target.
func TestFull(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	for i := range 4 {
		s.write(fmt.Sprint("small", i), string(random(10_000)))
		s.write(fmt.Sprint("tail", i), string(random(10_000)))
	}
	s.write("large", string(random(3<<20)))
	s.save()
	target := t.TempDir()
	must(t, unix.Mount("none", target, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { unix.Unmount(target, unix.MNT_DETACH) })
	must(t, os.WriteFile(target+"/large", []byte("old"), 0o600))
	if _, _, err := s.tryRestore(overwrite(target, Always)); !errors.Is(err, syscall.ENOSPC) {
		t.Error(err)
	}
	s.log.none(t) // nobody reads thousands of the same
	for name, is := range factsOf(t, s.src) {
		got, err := os.ReadFile(filepath.Join(target, name))
		if name == "large" && string(got) != "old" || name != "large" && err == nil && int64(len(got)) != 10_000 {
			t.Errorf("%s: %d bytes, %v; was %.50s", name, len(got), err, is)
		}
	}
	for _, name := range treeOf(t, target) {
		if strings.HasPrefix(name, ".nightjar") {
			t.Errorf("left %s", name)
		}
	}
	must(t, unix.Mount("none", target, "tmpfs", unix.MS_REMOUNT, "size=9m"))
	s.restore(overwrite(target, IfChanged))
	s.log.none(t)
	same(t, factsOf(t, target), factsOf(t, s.src))
}
