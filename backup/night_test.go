package backup

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/repo"
	"nightjar/repo/store"
	"nightjar/repo/tree"
)

func TestUnchanged(t *testing.T) {
	is := tree.Node{Size: 1, Mtime: tree.Time{Sec: 1}, Ctime: tree.Time{Sec: 1}, Inode: 1}
	if was := is; !unchanged(&is, &was) {
		t.Error("the same has changed")
	}
	for _, change := range []func(n *tree.Node){
		func(n *tree.Node) { n.Size++ }, func(n *tree.Node) { n.Mtime.Nsec++ }, func(n *tree.Node) { n.Ctime.Nsec++ },
		func(n *tree.Node) { n.Ctime.Sec-- }, func(n *tree.Node) { n.Inode++ }, func(n *tree.Node) { n.Flags = tree.Unsettled },
	} {
		was := is
		if change(&was); unchanged(&is, &was) {
			t.Errorf("%+v is taken for %+v", is, was)
		}
	}
}

// TestSecondNight looks at what a run reads, and at what it stores.
func TestSecondNight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 50 {
		s.write(fmt.Sprintf("dir%d/file%d", i%5, i), fmt.Sprint("content ", i))
	}
	s.write("big", string(random(3<<20)))
	first := s.save()
	if st := s.save(); st.BytesRead != first.BytesRead || st.Unchanged != first.Files || st.ChunksNew != 0 {
		t.Errorf("what changed just before the first run is not read again: %+v", st)
	}
	age()
	s.save()
	quiet := func(what string, st Statistics) {
		t.Helper()
		if st.BytesRead != 0 || st.Unchanged != st.Files || st.New+st.Changed+st.Deleted+st.NewDirs != 0 || st.ChunksNew != 0 {
			t.Errorf("%s: %+v", what, st)
		}
	}
	st := s.save()
	quiet("nothing", st)
	if st.MetadataNew > 8<<10 { // the folders above the source are everybody's
		t.Errorf("nothing: %d bytes of metadata", st.MetadataNew)
	}
	st = s.save(func(o *Options) { o.Rehash = true })
	if st.BytesRead != first.BytesRead || st.Unchanged != first.Files || st.ChunksNew != 0 || st.Changed != 0 {
		t.Errorf("all read again: %+v", st)
	}
	must(t, os.Rename(s.path("dir1"), s.path("renamed")))
	if st = s.save(); st.ChunksNew != 0 || st.New != 10 || st.Deleted != 10 || st.NewDirs != 1 {
		t.Errorf("a renamed directory: %+v", st)
	}
	quiet("after that", s.save())
	must(t, os.Chmod(s.path("dir2/file2"), 0o600))
	if st = s.save(); st.Changed != 0 || st.ChunksNew != 0 || st.Unchanged != st.Files {
		t.Errorf("another mode: %+v", st)
	}
	// Another content under the same size and mtime: ctime tells.
	var was unix.Stat_t
	must(t, unix.Stat(s.path("dir3/file3"), &was))
	s.write("dir3/file3", "CONTENT 3")
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, s.path("dir3/file3"), []unix.Timespec{was.Atim, was.Mtim}, 0))
	if st = s.save(); st.Changed != 1 {
		t.Errorf("other content, old mtime: %+v", st)
	}
	must(t, os.RemoveAll(s.path("renamed")))
	must(t, os.Remove(s.path("big")))
	if st = s.save(); st.Deleted != 11 {
		t.Errorf("deleted: %+v", st)
	}
}

// TestNights edits a tree at random for some nights, beside a model of what the statistics should say. Each archive restores to its own state.
func TestNights(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSite(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	var nights []night
	was := facts{}
	for i := range 10 {
		for range 60 {
			edit(t, r, s.src)
		}
		is := factsOf(t, s.src)
		st := s.save()
		s.log.none(t)
		want := model(was, is)
		want.Dirs += s.above()
		got := Statistics{Files: st.Files, Dirs: st.Dirs, Others: st.Others, New: st.New, Changed: st.Changed, Unchanged: st.Unchanged, NewDirs: st.NewDirs, Deleted: st.Deleted}
		if i == 0 {
			want.NewDirs += s.above()
		}
		if got != want {
			t.Errorf("night %d:\n%+v, not\n%+v", i, got, want)
		}
		if st.Unread+st.Unsettled != 0 {
			t.Errorf("night %d: %+v", i, st)
		}
		nights = append(nights, night{s.last, is})
		was = is
	}
	s.restoreAll(nights)
}

// A night is an archive, and what was in its source.
type night struct {
	archive *repo.Archive
	facts   facts
}

// restoreAll fails unless each archive restores to its own state.
func (s *site) restoreAll(nights []night) {
	s.t.Helper()
	for i, n := range nights {
		s.last = n.archive
		target, _ := s.restore()
		s.log.none(s.t)
		if same(s.t, factsOf(s.t, target), n.facts); s.t.Failed() {
			s.t.Fatalf("night %d", i)
		}
	}
}

func model(was, is facts) (s Statistics) {
	kind := func(d string) string { // mode's first digits
		var mode uint32
		fmt.Sscanf(d, "mode %v", &mode)
		return map[uint32]string{unix.S_IFREG: "file", unix.S_IFDIR: "dir"}[mode&unix.S_IFMT] + fmt.Sprint(mode&unix.S_IFMT)
	}
	content := func(d string) string {
		_, c, _ := strings.Cut(d, "mtime")
		c, _, _ = strings.Cut(c, " =")
		c, _, _ = strings.Cut(c, " user.")
		return c
	}
	for name, d := range is {
		old, there := was[name]
		there = there && kind(old) == kind(d)
		switch {
		case strings.HasPrefix(kind(d), "dir"):
			s.Dirs++
			if !there {
				s.NewDirs++
			}
		case strings.HasPrefix(kind(d), "file"):
			s.Files++
			if !there {
				s.New++
			} else if content(old) == content(d) {
				s.Unchanged++
			} else {
				s.Changed++
			}
		default:
			s.Others++
		}
	}
	if _, ok := was["."]; ok {
		for name, d := range was {
			if now, there := is[name]; !strings.HasPrefix(kind(d), "dir") && !(there && kind(now) == kind(d)) {
				s.Deleted++
			}
		}
	} else {
		s.NewDirs = s.Dirs
	}
	return s
}

// edit changes something in a tree.
func edit(t *testing.T, r *rand.Rand, src string) {
	t.Helper()
	names := append([]string{""}, treeOf(t, src)...)
	pick := func(dirs bool) string {
		for {
			name := names[r.IntN(len(names))]
			if dirs == (name == "" || strings.HasSuffix(name, "/")) {
				return path.Join(src, name)
			}
			if !dirs && !slices.ContainsFunc(names[1:], func(n string) bool { return !strings.HasSuffix(n, "/") }) {
				return ""
			}
		}
	}
	fresh := filepath.Join(pick(true), string([]byte{'a' + byte(r.IntN(26)), byte(128 + r.IntN(100))}))
	if _, err := os.Lstat(fresh); err == nil && r.IntN(2) == 0 {
		must(t, os.RemoveAll(fresh)) // so that a name becomes something else
	} else if err == nil {
		return
	}
	file := pick(false)
	switch n := r.IntN(12); {
	case n < 3:
		must(t, os.WriteFile(fresh, random(r.IntN(3000)), 0o644))
	case n == 3:
		must(t, os.Mkdir(fresh, 0o755))
	case n == 4:
		must(t, os.Symlink("anywhere", fresh))
	case n == 5 && len(names) > 20:
		if name := names[1+r.IntN(len(names)-1)]; strings.Count(name, "/") > 0 || r.IntN(5) == 0 {
			must(t, os.RemoveAll(path.Join(src, name)))
		}
	case n == 6 && len(names) > 1:
		from := path.Join(src, names[1+r.IntN(len(names)-1)])
		if !strings.HasPrefix(fresh+"/", from+"/") {
			if _, err := os.Lstat(from); err == nil {
				must(t, os.Rename(from, fresh))
			}
		}
	case file == "":
	default:
		info, err := os.Lstat(file)
		if err != nil || !info.Mode().IsRegular() {
			return
		}
		switch n {
		case 7:
			must(t, os.Chmod(file, os.FileMode(r.IntN(0o1000))))
		case 8:
			must(t, os.Link(file, fresh))
		case 9:
			size := r.Int64N(info.Size() + 1)
			if r.IntN(3) == 0 {
				size = info.Size() + 1<<20
			}
			must(t, os.Truncate(file, size))
		case 10:
			must(t, unix.Setxattr(file, "user.x", random(r.IntN(50)), 0))
		default:
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = f.Write(random(1 + r.IntN(100)))
			must(t, err)
			must(t, f.Close())
		}
	}
}

func TestStream(t *testing.T) {
	ctx := context.Background()
	s := newSite(t)
	big := random(scaled(20<<20, 5<<20))
	for _, data := range [][]byte{nil, {7}, big, append(slices.Clone(big), 1)} {
		var st Statistics
		noLeak(t, func() {
			var err error
			s.last, st, err = Stream(ctx, s.r, &repo.Archive{Host: "host", Job: "job"}, Source{"dump.sql", iotest.HalfReader(bytes.NewReader(data))}, Options{Previous: s.last})
			must(t, err)
		})
		if st.Files != 1 || st.Bytes != uint64(len(data)) || st.BytesRead != st.Bytes || !s.last.Complete {
			t.Errorf("%d bytes: %+v", len(data), st)
		}
		if len(data) > len(big) && st.BytesNew > 9<<20 {
			t.Errorf("one byte more: %d bytes are new", st.BytesNew)
		}
		var b bytes.Buffer
		must(t, Cat(ctx, s.reader(), s.last, "dump.sql", &b))
		if !bytes.Equal(b.Bytes(), data) {
			t.Errorf("%d bytes came back as %d others", len(data), b.Len())
		}
	}
	before, err := s.r.Archives(ctx, nil)
	must(t, err)
	broken := errors.New("the command failed")
	for _, n := range []int{0, 1, len(big) / 2} {
		noLeak(t, func() {
			_, _, err := Stream(ctx, s.r, &repo.Archive{Host: "host", Job: "job"}, Source{"x", io.MultiReader(bytes.NewReader(big[:n]), iotest.ErrReader(broken))}, Options{})
			if !errors.Is(err, broken) {
				t.Errorf("after %d bytes: %v", n, err)
			}
		})
	}
	stopped, cancel := context.WithCancel(ctx)
	noLeak(t, func() {
		endless := readerFunc(func(b []byte) (int, error) {
			cancel()
			return copy(b, big[:1<<20]), nil
		})
		if _, _, err := Stream(stopped, s.r, &repo.Archive{Host: "host", Job: "job"}, Source{"x", endless}, Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
	for _, name := range []string{"", ".", "..", "a/b", "a\x00"} {
		if _, _, err := Stream(ctx, s.r, &repo.Archive{}, Source{name, bytes.NewReader(nil)}, Options{}); err == nil {
			t.Errorf("name %q is taken", name)
		}
	}
	if after, err := s.r.Archives(ctx, nil); err != nil || len(after) != len(before) {
		t.Errorf("%d archives, not %d: %v", len(after), len(before), err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

func TestListAndCat(t *testing.T) {
	ctx := context.Background()
	s := newSite(t)
	holes := append(make([]byte, 2<<20), "end"...)
	s.write("d/x", "x")
	s.write("d/sub/y", "y")
	s.write("big", string(random(scaled(12<<20, 9<<20))))
	s.write("holes", "")
	f, err := os.OpenFile(s.path("holes"), os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("end"), 2<<20)
	must(t, err)
	must(t, f.Close())
	must(t, os.Symlink("d", s.path("link")))
	s.save()
	list := func(name string, recursive bool) (got []string) {
		must(t, List(ctx, s.reader(), s.last, s.path(name), recursive, func(p string, n *tree.Node) error {
			got = append(got, strings.TrimPrefix(p, s.src+"/"))
			return nil
		}))
		return got
	}
	for _, tt := range []struct {
		name      string
		recursive bool
		want      []string
	}{
		{"", false, []string{"big", "d", "holes", "link"}},
		{"", true, []string{"big", "d", "d/sub", "d/sub/y", "d/x", "holes", "link"}},
		{"d/x", true, []string{"d/x"}},
		{"link", true, []string{"link"}},
		{"d/", false, []string{"d/sub", "d/x"}},
	} {
		if got := list(tt.name, tt.recursive); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, not %q", tt.name, got, tt.want)
		}
	}
	stop := errors.New("enough")
	if err := List(ctx, s.reader(), s.last, "/", true, func(string, *tree.Node) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	for name, want := range map[string]string{"d/x": "x", "holes": string(holes), "big": content(t, s.path("big"))} {
		var b bytes.Buffer
		must(t, Cat(ctx, s.reader(), s.last, s.path(name), &b))
		if b.String() != want {
			t.Errorf("%s: %d bytes, not %d", name, b.Len(), len(want))
		}
	}
	for name, want := range map[string]error{"none": ErrNotFound, "link/x": ErrNotFound, "d": nil, "link": nil} {
		if err := Cat(ctx, s.reader(), s.last, s.path(name), io.Discard); err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Cat(ctx, s.reader(), s.last, s.path("big"), failing{stop}); !errors.Is(err, stop) {
		t.Error(err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// Inode numbers are used again: what had one number when each was read is not one file.
func TestInodeReused(t *testing.T) {
	ctx := context.Background()
	r := newRepository(t, store.NewMemory(nil))
	a := handMade(t, r, func(m *maker) tree.Node {
		file := func(name, content string, sec int64) tree.Node {
			id, err := m.saver.Content([]byte(content))
			must(t, err)
			n := tree.Node{Name: name, Mode: tree.Regular | 0o644, Links: 2, Inode: 5, Device: 1, Size: uint64(len(content)), Mtime: tree.Time{Sec: sec}}
			n.Contents.Items = []tree.Item{{ID: id, Length: int64(len(content))}}
			return n
		}
		return m.dir("root", file("a", "first", 1), file("b", "other", 2), file("c", "other", 2))
	})
	rd, err := r.NewReader(ctx)
	must(t, err)
	target := t.TempDir()
	_, err = Restore(ctx, rd, a, RestoreOptions{Target: target, Ownership: 2, Problem: func(p string, err error) { t.Error(p, err) }})
	must(t, err)
	got := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		got[name] = content(t, target+"/"+name)
	}
	if !os.SameFile(stat(t, target+"/b"), stat(t, target+"/c")) {
		t.Error("two names of one file became two files")
	}
	if want := map[string]string{"a": "first", "b": "other", "c": "other"}; !maps.Equal(got, want) {
		t.Errorf("restored %q", got)
	}
}
