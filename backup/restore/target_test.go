package restore_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/backup/backuptest"
	"nightjar/backup/browse"
	"nightjar/backup/filter"
	"nightjar/backup/restore"
	"nightjar/chunk"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
	"nightjar/repo/tree"
)

func overwrite(target string, policy restore.Overwrite) func(*restore.Options) {
	return func(o *restore.Options) { o.Target, o.Overwrite = target, policy }
}

func TestPath(t *testing.T) {
	s := backuptest.New(t)
	s.Write("d/file", "content")
	s.Write("d/sub/x", "x")
	for name, target := range map[string]string{
		"link": "d", "tofile": "d/file", "far": s.Path("link/sub"), "d/sub/up": "../../link/../d", "dangling": "none", "loop": "loop", "out": "../../../../../../none",
	} {
		must(t, os.Symlink(target, s.Path(name)))
	}
	s.Save()
	for _, tt := range []struct {
		path string
		want []string
		err  string
	}{
		{"d", []string{"file", "sub/", "sub/up", "sub/x"}, ""},
		{"d/", []string{"file", "sub/", "sub/up", "sub/x"}, ""},
		{"d/file", []string{"file"}, ""},
		{"link", []string{"link"}, ""},
		{"d/../d/sub", []string{"up", "x"}, ""},
		{"link/", []string{"file", "sub/", "sub/up", "sub/x"}, ""},
		{"link/file", []string{"file"}, ""},
		{"link/sub/../file", []string{"file"}, ""},
		{"far/x", []string{"x"}, ""},
		{"far/../file", []string{"file"}, ""},
		{"far/up/file", []string{"file"}, ""},
		{"tofile", []string{"tofile"}, ""},
		{"dangling", []string{"dangling"}, ""},
		{"dangling/", []string{"dangling"}, ""},
		{"dangling/x", nil, `symbolic link to "none"`},
		{"out/x", nil, `symbolic link to "../../../../../../none"`},
		{"loop/x", nil, "too many symbolic links"},
		{"link/none", nil, `symbolic link to "d"`},
		{"missing", nil, "missing"},
		{"d/file/x", nil, "d/file/x"},
	} {
		target, _, err := s.TryRestore(func(o *restore.Options) { o.Path = s.Src + "/" + tt.path })
		if tt.err != "" {
			if !errors.Is(err, browse.ErrNotFound) || !strings.Contains(err.Error(), tt.err) {
				t.Errorf("%s: %v", tt.path, err)
			}
			continue
		}
		must(t, err)
		if got := backuptest.List(t, target); !slices.Equal(got, tt.want) {
			t.Errorf("%s: restored %q, want %q", tt.path, got, tt.want)
		}
	}
}

// A top directory called root is not the root.
func TestRoot(t *testing.T) {
	r := backuptest.NewRepository(t, store.NewMemory(nil))
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
		_, err := restore.Run(context.Background(), rd, a, restore.Options{
			Path: path, Target: t.TempDir(), Filter: backuptest.Filter(t, filter.Options{Include: []string{"/root/etc"}}),
			Report: func(path string, _ restore.Action) { got = append(got, path) }, Problem: func(path string, err error) { t.Errorf("%s: %v", path, err) },
		})
		must(t, err)
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("of %s restored %q, want %q", path, got, want)
		}
	}
}

// Directories come only with what is in them.
func TestFilter(t *testing.T) {
	s := backuptest.New(t)
	for _, name := range []string{"a.tmp", "keep", "sub/b.tmp", "sub/deep/c.tmp", "sub/deep/keep", "fake/x", "dir/x", "sub/dir/y", "raw\xff"} {
		s.Write(name, name)
	}
	s.Save()
	for _, tt := range []struct {
		o    filter.Options
		want []string
	}{
		{filter.Options{Include: []string{"*.tmp"}}, []string{"a.tmp", "sub/", "sub/b.tmp", "sub/deep/", "sub/deep/c.tmp"}},
		{filter.Options{Include: []string{"sub"}, Exclude: []string{"deep"}}, []string{"sub/", "sub/b.tmp", "sub/dir/", "sub/dir/y"}},
		{filter.Options{Include: []string{s.Src + "/sub/deep/"}}, []string{"sub/", "sub/deep/", "sub/deep/c.tmp", "sub/deep/keep"}},
		{filter.Options{Include: []string{s.Src + "/{sub/deep,fake}/x", s.Src + "/{sub/deep,fake}/keep"}}, []string{"fake/", "fake/x", "sub/", "sub/deep/", "sub/deep/keep"}},
		{filter.Options{Include: []string{"none"}}, []string{}},
		{filter.Options{Include: []string{"sub/**/y"}}, []string{"sub/", "sub/dir/", "sub/dir/y"}},
	} {
		target, st := s.Restore(func(o *restore.Options) { o.Filter = backuptest.Filter(t, tt.o) })
		s.Log.None(t)
		if got := backuptest.List(t, target); !slices.Equal(got, tt.want) || int(st.Files+st.Dirs) != len(got) {
			t.Errorf("%+v: restored\n%q, not\n%q: %+v", tt.o, got, tt.want, st)
		}
	}
}

func TestTarget(t *testing.T) {
	s := backuptest.New(t)
	s.Write("file", "new")
	s.Save()
	base := t.TempDir()
	if _, _, err := s.TryRestore(overwrite(base+"/made/here", restore.Refuse)); err != nil || backuptest.Content(t, base+"/made/here/file") != "new" {
		t.Error(err)
	}
	must(t, os.WriteFile(base+"/full", nil, 0o600))
	if _, _, err := s.TryRestore(overwrite(base, restore.Refuse)); !errors.Is(err, restore.ErrNotEmpty) || !strings.Contains(err.Error(), base) {
		t.Errorf("into a folder with something in it: %v", err)
	}
	if _, _, err := s.TryRestore(overwrite(base+"/full", restore.Always)); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("into a file: %v", err)
	}
	if got := backuptest.List(t, base); !slices.Equal(got, []string{"full", "made/", "made/here/", "made/here/file"}) {
		t.Errorf("left %q", got)
	}
	must(t, os.Symlink("nowhere", base+"/dangling"))
	must(t, os.Symlink("made", base+"/link"))
	for below, fits := range map[string]bool{"dangling": false, "dangling/a/b": false, "full/a": false, "a/b": true, "link/a/b": true} {
		_, _, dry := s.TryRestore(overwrite(base+"/"+below, restore.Refuse), func(o *restore.Options) { o.DryRun = true })
		_, _, real := s.TryRestore(overwrite(base+"/"+below, restore.Refuse))
		if (dry == nil) != fits || (real == nil) != fits {
			t.Errorf("into %s: %v, in a dry run %v", below, real, dry)
		}
	}
}

// TestOverwrite goes through what may be there, by every policy, in a dry run first.
func TestOverwrite(t *testing.T) {
	s := backuptest.New(t)
	kinds := []string{"gone", "file", "older", "newer", "alike", "symlink", "fifo", "dir", "fulldir"}
	saved := []string{"f-", "l-", "p-", "d-", "e-"} // file, link, FIFO, directory, empty directory
	when := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
	stamp := func(path string, at time.Time) {
		ts := unix.NsecToTimespec(at.UnixNano())
		must(t, unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW))
	}
	for _, dir := range []string{"", "sub/", "tub/"} {
		for _, kind := range kinds {
			s.Write(dir+"f-"+kind, "saved")
			must(t, os.Symlink("saved", s.Path(dir+"l-"+kind)))
			must(t, unix.Mkfifo(s.Path(dir+"p-"+kind), 0o600))
			s.Write(dir+"d-"+kind+"/x", "saved")
			must(t, os.Mkdir(s.Path(dir+"e-"+kind), 0o755))
			for _, k := range saved {
				stamp(s.Path(dir+k+kind), when)
			}
		}
	}
	s.Save()
	want := backuptest.FactsOf(t, s.Src)
	outside := t.TempDir()
	must(t, os.WriteFile(outside+"/precious", []byte("precious"), 0o600))
	must(t, os.Mkdir(outside+"/dir", 0o700))
	untouched := backuptest.FactsOf(t, outside)

	for _, policy := range []restore.Overwrite{restore.Always, restore.IfChanged, restore.IfNewer, restore.Never} {
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
			before := backuptest.FactsOf(t, target)
			run := func(dry bool) (map[string]restore.Action, restore.Statistics) {
				actions := map[string]restore.Action{}
				_, st, err := s.TryRestore(overwrite(target, policy), func(o *restore.Options) {
					o.DryRun = dry
					o.Report = func(path string, a restore.Action) { actions[path] = a }
				})
				must(t, err)
				return actions, st
			}
			planned, _ := run(true)
			reported := s.Log.Paths()
			backuptest.Same(t, backuptest.FactsOf(t, target), before)
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
			if !slices.Equal(reported, s.Log.Paths()) {
				t.Errorf("problems of the dry run: %q, then: %q", reported, s.Log.Paths())
			}
			if int(st.Problems) != s.Log.Count {
				t.Errorf("counted %d problems of %d", st.Problems, s.Log.Count)
			}
			for _, f := range open {
				b := make([]byte, 10)
				if n, _ := f.ReadAt(b, 0); string(b[:n]) != "there" {
					t.Errorf("%s: who had it open reads %q", f.Name(), b[:n])
				}
			}
			backuptest.Same(t, backuptest.FactsOf(t, outside), untouched)
			after := backuptest.FactsOf(t, target)
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
				case restore.Always:
					replaced = replaced || kind != "fulldir"
				case restore.IfChanged:
					replaced = replaced || kind != "fulldir" // or has its attributes put right
				case restore.IfNewer:
					replaced = replaced || kind == "older"
				}
				if policy == restore.IfChanged && strings.HasPrefix(base, "f-") && (kind == "file" || kind == "alike") {
					// A file of the same size and time is taken for the same, but for its attributes.
					attributes, _, _ := strings.Cut(want[name], " size")
					if _, own, _ := strings.Cut(before[name], " size"); is != attributes+" size"+own {
						t.Errorf("%s is %s, not what it was as %s", name, is, want[name])
					}
					continue
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
	s.Restore(overwrite(none, restore.Refuse), func(o *restore.Options) {
		o.DryRun = true
		o.Report = func(string, restore.Action) { n++ }
	})
	if _, err := os.Lstat(none); err == nil || n != len(want)-1 {
		t.Errorf("dry run: %d actions, not %d; target: %v", n, len(want)-1, err)
	}
}

// Files whose long names begin alike, and files that are called as what stands beside another, keep their own content.
func TestBeside(t *testing.T) {
	s := backuptest.New(t)
	for i := range 5 {
		s.Write(strings.Repeat("n", 240)+fmt.Sprint(i), fmt.Sprint("content ", i))
	}
	s.Write("file", "file")
	s.Write(".nightjar-file", "another")
	must(t, os.Symlink("saved", s.Path("link")))
	s.Save()
	want := backuptest.FactsOf(t, s.Src)
	target, _ := s.Restore()
	for range 2 {
		s.Restore(overwrite(target, restore.Always))
		s.Log.None(t)
		backuptest.Same(t, backuptest.FactsOf(t, target).Below(), want.Below())
	}
}

// What a restore has left that was killed when it was about to give its files their names is neither saved nor stays, wherever it lies. A folder of such a name is another thing.
func TestLeftBeside(t *testing.T) {
	s := backuptest.New(t)
	const left = ".nightjar-0123456789abcdef0123456789abcdef"
	for _, name := range []string{"file", "dir/file", "dir/" + left + "0"} {
		s.Write(name, "saved")
	}
	s.Write("dir/"+strings.Replace(left, "0", "1", 1)+"/file", "saved")
	must(t, os.MkdirAll(s.Path("way/in"), 0o755))
	s.Write("way/in/file", "saved")
	s.Save()
	want := backuptest.FactsOf(t, s.Src)
	s.Write("dir/"+left, "left")
	must(t, os.Chtimes(s.Path("dir"), time.Time{}, time.Unix(1_000_000_000, 0)))
	s.Save()
	s.Save(backuptest.Paths(s.Path("dir/" + left)))
	if target, _ := s.Restore(); backuptest.Content(t, target+"/dir/"+left) != "left" {
		t.Error("what was asked for by its own name is not saved")
	}
	s.Save()
	for _, tt := range []struct {
		with func(*restore.Options)
		gone []string
	}{
		{overwrite("", restore.Always), []string{"", "dir/", "way/", "way/in/"}},
		{overwrite("", restore.IfChanged), []string{"", "dir/", "way/", "way/in/"}},
		{func(o *restore.Options) {
			o.Overwrite, o.Filter = restore.Always, backuptest.Filter(t, filter.Options{Include: []string{"/**/in/file"}})
		}, []string{"", "way/", "way/in/"}},
	} {
		target, _ := s.Restore()
		if got := backuptest.FactsOf(t, target); len(got) != len(want) {
			t.Errorf("restored: %v", got)
		}
		for _, at := range []string{"", "dir/", "way/", "way/in/"} {
			must(t, os.WriteFile(target+"/"+at+left, []byte("left"), 0o600))
		}
		s.Restore(tt.with, func(o *restore.Options) { o.Target, o.DryRun = target, true })
		for _, at := range tt.gone {
			must(t, os.Chmod(target+"/"+at+left, 0o600)) // it is there yet
		}
		s.Restore(tt.with, func(o *restore.Options) { o.Target = target })
		s.Log.None(t)
		for _, at := range tt.gone {
			if _, err := os.Lstat(target + "/" + at + left); err == nil {
				t.Errorf("%q is there yet", at+left)
			}
		}
	}
}

// hidden returns the name under which a file waits to take the place of another: it is the same in every restore of an archive.
func hidden(s *backuptest.Site, name string) (found string) {
	s.T.Helper()
	target := s.T.TempDir()
	must(s.T, os.WriteFile(filepath.Join(target, name), nil, 0o600))
	s.Restore(overwrite(target, restore.Always), func(o *restore.Options) {
		o.Path = s.Path(name)
		o.Verify = func() *chunk.Namer {
			if there, _ := filepath.Glob(target + "/.nightjar-*"); len(there) == 1 {
				found = filepath.Base(there[0])
			}
			return s.Repo.Namer()
		}
	})
	if found == "" {
		s.T.Fatalf("nothing stood beside %s", name)
	}
	return found
}

// TestPlanted restores where somebody has put links: they are replaced, or reported, never followed.
func TestPlanted(t *testing.T) {
	s := backuptest.New(t)
	s.Write("dir/file", "saved")
	s.Write("dir/sub/file", "saved")
	s.Write("top", "saved")
	s.Write("empty", "")
	must(t, os.Link(s.Path("top"), s.Path("zlink")))
	s.Save()
	for _, policy := range []restore.Overwrite{restore.Always, restore.IfChanged, restore.IfNewer, restore.Never} {
		outside, target := t.TempDir(), t.TempDir()
		must(t, os.Mkdir(outside+"/sub", 0o700))
		must(t, os.WriteFile(outside+"/file", []byte("precious"), 0o600))
		must(t, os.WriteFile(outside+"/sub/file", []byte("precious"), 0o600))
		before := backuptest.FactsOf(t, outside)
		for name, to := range map[string]string{"dir": outside, "top": outside + "/file", "empty": outside + "/new", "zlink": outside + "/sub/file", hidden(s, "top"): outside + "/file"} {
			must(t, os.Symlink(to, target+"/"+name))
		}
		s.Restore(overwrite(target, policy))
		backuptest.Same(t, backuptest.FactsOf(t, outside), before)
		if policy == restore.Always {
			s.Log.None(t)
			if backuptest.Content(t, target+"/dir/sub/file") != "saved" || backuptest.Content(t, target+"/top") != "saved" {
				t.Error("not restored")
			}
		}
	}
	// Also while the restore runs: when content is asked for, directories are there.
	outside, target := t.TempDir(), t.TempDir()
	f := &storetest.Faulty{Store: store.NewMemory(nil)}
	s2 := backuptest.NewOn(t, f)
	s2.Src = s.Src
	s2.Save()
	f.Before = append(f.Before, func(c storetest.Call) error {
		if c.Op == storetest.Get {
			os.Rename(target+"/dir/sub", target+"/moved")
			os.Symlink(outside, target+"/dir/sub")
		}
		return nil
	})
	s2.Restore(overwrite(target, restore.Always))
	if got := backuptest.List(t, outside); len(got) > 0 {
		t.Errorf("outside there is %q", got)
	}
}

// What is mounted in the target is made durable, too.
func TestMountedTarget(t *testing.T) {
	backuptest.NeedRoot(t)
	s := backuptest.New(t)
	s.Write("a/x", "x")
	s.Write("a/m/y", "y")
	s.Write("a/m/n/z", "z")
	s.Save()
	target := t.TempDir()
	must(t, os.MkdirAll(target+"/a/m", 0o755))
	backuptest.Mount(t, "", target+"/a/m")
	backuptest.NoLeak(t, func() { s.Restore(overwrite(target, restore.Always)) })
	s.Log.None(t)
	if got := backuptest.List(t, target); !slices.Equal(got, []string{"a/", "a/m/", "a/m/n/", "a/m/n/z", "a/m/y", "a/x"}) {
		t.Errorf("restored %q", got)
	}
}
