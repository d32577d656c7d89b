package backup_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
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

	"nightjar/backup"
	"nightjar/backup/backuptest"
	"nightjar/backup/browse"
	"nightjar/repo"
)

// TestSecondNight looks at what a run reads, and at what it stores.
func TestSecondNight(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	for i := range 50 {
		s.Write(fmt.Sprintf("dir%d/file%d", i%5, i), fmt.Sprint("content ", i))
	}
	s.Write("big", string(backuptest.Random(3<<20)))
	first := s.Save()
	if st := s.Save(); st.BytesRead != first.BytesRead || st.Unchanged != first.Files || st.ChunksNew != 0 {
		t.Errorf("what changed just before the first run is not read again: %+v", st)
	}
	backuptest.Age()
	s.Save()
	quiet := func(what string, st backup.Statistics) {
		t.Helper()
		if st.BytesRead != 0 || st.Unchanged != st.Files || st.New+st.Changed+st.Deleted+st.NewDirs != 0 || st.ChunksNew != 0 {
			t.Errorf("%s: %+v", what, st)
		}
	}
	st := s.Save()
	quiet("nothing", st)
	if st.MetadataNew > 8<<10 { // the folders above the source are everybody's
		t.Errorf("nothing: %d bytes of metadata", st.MetadataNew)
	}
	st = s.Save(func(o *backup.Options) { o.Rehash = true })
	if st.BytesRead != first.BytesRead || st.Unchanged != first.Files || st.ChunksNew != 0 || st.Changed != 0 {
		t.Errorf("all read again: %+v", st)
	}
	must(t, os.Rename(s.Path("dir1"), s.Path("renamed")))
	if st = s.Save(); st.ChunksNew != 0 || st.New != 10 || st.Deleted != 10 || st.NewDirs != 1 {
		t.Errorf("a renamed directory: %+v", st)
	}
	quiet("after that", s.Save())
	must(t, os.Chmod(s.Path("dir2/file2"), 0o600))
	if st = s.Save(); st.Changed != 0 || st.ChunksNew != 0 || st.Unchanged != st.Files {
		t.Errorf("another mode: %+v", st)
	}
	// Another content under the same size and mtime: ctime tells.
	var was unix.Stat_t
	must(t, unix.Stat(s.Path("dir3/file3"), &was))
	s.Write("dir3/file3", "CONTENT 3")
	must(t, unix.UtimesNanoAt(unix.AT_FDCWD, s.Path("dir3/file3"), []unix.Timespec{was.Atim, was.Mtim}, 0))
	if st = s.Save(); st.Changed != 1 {
		t.Errorf("other content, old mtime: %+v", st)
	}
	must(t, os.RemoveAll(s.Path("renamed")))
	must(t, os.Remove(s.Path("big")))
	if st = s.Save(); st.Deleted != 11 {
		t.Errorf("deleted: %+v", st)
	}
}

// TestNights edits a tree at random for some nights, beside a model of what the statistics should say. Each archive restores to its own state.
func TestNights(t *testing.T) {
	backuptest.NeedRoot(t)
	t.Parallel()
	s := newSite(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	var nights []night
	was := backuptest.Facts{}
	for i := range 10 {
		for range 60 {
			edit(t, r, s.Src)
		}
		is := backuptest.FactsOf(t, s.Src)
		st := s.Save()
		s.Log.None(t)
		want := model(was, is)
		want.Dirs += s.Above()
		got := backup.Statistics{Files: st.Files, Dirs: st.Dirs, Others: st.Others, New: st.New, Changed: st.Changed, Unchanged: st.Unchanged, NewDirs: st.NewDirs, Deleted: st.Deleted}
		if i == 0 {
			want.NewDirs += s.Above()
		}
		if got != want {
			t.Errorf("night %d:\n%+v, not\n%+v", i, got, want)
		}
		if st.Unread+st.Unsettled != 0 {
			t.Errorf("night %d: %+v", i, st)
		}
		nights = append(nights, night{s.Last, is})
		was = is
	}
	s.restoreAll(nights)
}

// A night is an archive, and what was in its source.
type night struct {
	archive *repo.Archive
	facts   backuptest.Facts
}

// restoreAll fails unless each archive restores to its own state.
func (s *site) restoreAll(nights []night) {
	s.T.Helper()
	for i, n := range nights {
		s.Last = n.archive
		target, _ := s.Restore()
		s.Log.None(s.T)
		if backuptest.Same(s.T, backuptest.FactsOf(s.T, target), n.facts); s.T.Failed() {
			s.T.Fatalf("night %d", i)
		}
	}
}

func model(was, is backuptest.Facts) (s backup.Statistics) {
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
	names := append([]string{""}, backuptest.List(t, src)...)
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
		must(t, os.WriteFile(fresh, backuptest.Random(r.IntN(3000)), 0o644))
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
			must(t, unix.Setxattr(file, "user.x", backuptest.Random(r.IntN(50)), 0))
		default:
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			must(t, err)
			_, err = f.Write(backuptest.Random(1 + r.IntN(100)))
			must(t, err)
			must(t, f.Close())
		}
	}
}

func TestStream(t *testing.T) {
	ctx := context.Background()
	s := newSite(t)
	big := backuptest.Random(backuptest.Scaled(20<<20, 5<<20))
	for _, data := range [][]byte{nil, {7}, big, append(slices.Clone(big), 1)} {
		var st backup.Statistics
		backuptest.NoLeak(t, func() {
			var err error
			s.Last, st, err = backup.Stream(ctx, s.Repo, &repo.Record{Host: "host", Job: "job"}, backup.Source{Name: "dump.sql", Reader: iotest.HalfReader(bytes.NewReader(data)), AllowEmpty: true}, backup.Options{Previous: s.Last})
			must(t, err)
		})
		if st.Files != 1 || st.Bytes != uint64(len(data)) || st.BytesRead != st.Bytes || !s.Last.Complete {
			t.Errorf("%d bytes: %+v", len(data), st)
		}
		if len(data) > len(big) && st.BytesNew > 9<<20 {
			t.Errorf("one byte more: %d bytes are new", st.BytesNew)
		}
		var b bytes.Buffer
		must(t, browse.Cat(ctx, s.Reader(), s.Last, "dump.sql", &b))
		if !bytes.Equal(b.Bytes(), data) {
			t.Errorf("%d bytes came back as %d others", len(data), b.Len())
		}
	}
	before, err := s.Repo.Archives(ctx, nil)
	must(t, err)
	broken := errors.New("the command failed")
	for _, n := range []int{0, 1, len(big) / 2} {
		backuptest.NoLeak(t, func() {
			_, _, err := backup.Stream(ctx, s.Repo, &repo.Record{Host: "host", Job: "job"}, backup.Source{Name: "x", Reader: io.MultiReader(bytes.NewReader(big[:n]), iotest.ErrReader(broken))}, backup.Options{})
			if !errors.Is(err, broken) {
				t.Errorf("after %d bytes: %v", n, err)
			}
		})
	}
	stopped, cancel := context.WithCancel(ctx)
	backuptest.NoLeak(t, func() {
		endless := readerFunc(func(b []byte) (int, error) {
			cancel()
			return copy(b, big[:1<<20]), nil
		})
		if _, _, err := backup.Stream(stopped, s.Repo, &repo.Record{Host: "host", Job: "job"}, backup.Source{Name: "x", Reader: endless}, backup.Options{}); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
	if _, _, err := backup.Stream(ctx, s.Repo, &repo.Record{Host: "host", Job: "job"}, backup.Source{Name: "x", Reader: strings.NewReader("")}, backup.Options{}); !errors.Is(err, backup.ErrEmpty) {
		t.Errorf("empty: %v", err)
	}
	for _, name := range []string{"", ".", "..", "a/b", "a\x00"} {
		if _, _, err := backup.Stream(ctx, s.Repo, &repo.Record{}, backup.Source{Name: name, Reader: strings.NewReader("x")}, backup.Options{}); err == nil {
			t.Errorf("name %q is taken", name)
		}
	}
	if after, err := s.Repo.Archives(ctx, nil); err != nil || len(after) != len(before) {
		t.Errorf("%d archives, not %d: %v", len(after), len(before), err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
