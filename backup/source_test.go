package backup_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/backup"
	"nightjar/backup/backuptest"
	"nightjar/backup/browse"
	"nightjar/backup/filter"
	"nightjar/repo"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
	"nightjar/repo/tree"
)

// saved lists what the last archive has below a folder.
func (s *site) saved(below string) []string {
	s.T.Helper()
	names := []string{}
	must(s.T, browse.List(context.Background(), s.Reader(), s.Last, below, true, func(p string, n *tree.Node) error {
		p = strings.TrimPrefix(p, strings.TrimSuffix(below, "/")+"/")
		if n.IsDir() {
			p += "/"
		}
		names = append(names, p)
		return nil
	}))
	return names
}

func paths(p ...string) func(*backup.Options) { return func(o *backup.Options) { o.Paths = p } }

func TestPaths(t *testing.T) {
	base := t.TempDir()
	p := func(name string) string { return base + "/" + name }
	for _, name := range []string{"data/a/file", "data/b/file", "data/c", "other/x/y"} {
		must(t, os.MkdirAll(filepath.Dir(p(name)), 0o755))
		must(t, os.WriteFile(p(name), []byte(name), 0o644))
	}
	for name, target := range map[string]string{
		"link": "data", "data/up": "../other", "absolute": p("other/x"), "twice": "link/a", "dangling": "nowhere", "dangling2": "dangling",
		"loop": "loop", "data/tofile": "c",
	} {
		must(t, os.Symlink(target, p(name)))
	}
	for _, tt := range []struct {
		name  string
		paths []string
		want  []string
		bad   []string
	}{
		{"file", []string{"data/c"}, []string{"data/", "data/c"}, nil},
		{"nested", []string{"data/a", "data", "data/a/file"}, []string{"data/", "data/a/", "data/a/file", "data/b/", "data/b/file", "data/c", "data/tofile", "data/up"}, nil},
		{"duplicate", []string{"data/a", "data/a/", "data/./a", "data/b/../a"}, []string{"data/", "data/a/", "data/a/file"}, nil},
		{"link", []string{"link/a"}, []string{"data/", "data/a/", "data/a/file", "link"}, nil},
		{"relative link", []string{"link/up/x"}, []string{"data/", "data/up", "link", "other/", "other/x/", "other/x/y"}, nil},
		{"absolute link", []string{"absolute"}, []string{"absolute", "other/", "other/x/", "other/x/y"}, nil},
		{"up after a link", []string{"absolute/../x/y"}, []string{"absolute", "other/", "other/x/", "other/x/y"}, nil},
		{"up in a link", []string{"link/up/../data/c"}, []string{"data/", "data/c", "data/up", "link", "other/"}, nil},
		{"up from what is missing", []string{"data/c", "none/../data/a"}, []string{"data/", "data/c"}, []string{"none/../data/a"}},
		{"links to links", []string{"twice/file"}, []string{"data/", "data/a/", "data/a/file", "link", "twice"}, nil},
		{"link to a file", []string{"link/tofile"}, []string{"data/", "data/c", "data/tofile", "link"}, nil},
		{"dangling", []string{"dangling2"}, []string{"dangling", "dangling2"}, nil},
		{"missing", []string{"data/c", "data/none"}, []string{"data/", "data/c"}, []string{"data/none"}},
		{"missing below a link", []string{"data/c", "link/none"}, []string{"data/", "data/c", "link"}, []string{"link/none"}},
		{"below a dangling link", []string{"data/c", "dangling/x"}, []string{"dangling", "data/", "data/c"}, []string{"dangling/x"}},
		{"loop", []string{"data/c", "loop/x"}, []string{"data/", "data/c", "loop"}, []string{"loop/x"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newSite(t)
			var all, bad []string
			for _, name := range tt.paths {
				all = append(all, p(name))
			}
			for _, name := range tt.bad {
				bad = append(bad, p(name))
			}
			s.Save(paths(all...))
			s.Log.Only(t, bad...)
			if s.Last.Complete != (len(bad) == 0) {
				t.Error("complete:", s.Last.Complete)
			}
			if got := s.saved(base); !slices.Equal(got, tt.want) {
				t.Errorf("saved\n%q, not\n%q", got, tt.want)
			}
		})
	}
	s := newSite(t)
	for _, bad := range [][]string{nil, {p("none")}, {"data"}} {
		if _, err := s.TrySave(paths(bad...)); err == nil || s.Last != nil {
			t.Errorf("%q: %v, archive %v", bad, err, s.Last)
		}
	}
	// All there is, but for what is not asked for.
	s.Save(paths("/"), func(o *backup.Options) {
		o.Filter = backuptest.Filter(t, filter.Options{Exclude: []string{"/[!t]*", "/t[!m]*", "/tmp/[!T]*", "/tmp/T[!e]*", "/tmp/Test[!P]*"}})
	})
	if got := s.saved("/tmp"); strings.HasPrefix(base, "/tmp/TestPaths") && (!slices.Contains(got, strings.TrimPrefix(p("data/a/file"), "/tmp/")) || slices.Contains(got, "nightjar")) {
		t.Errorf("saved of /: %q", got)
	}
}

func TestOneFileSystem(t *testing.T) {
	backuptest.NeedRoot(t)
	s := newSite(t)
	s.Write("here", "")
	for _, dir := range []string{"m", "n"} {
		must(t, os.MkdirAll(s.Path(dir), 0o755))
		backuptest.Mount(t, "", s.Path(dir))
		s.Write(dir+"/in/asked/file", "")
		s.Write(dir+"/in/other", "")
		must(t, os.Mkdir(s.Path(dir+"/in/asked/deeper"), 0o755))
		backuptest.Mount(t, "", s.Path(dir+"/in/asked/deeper"))
		s.Write(dir+"/in/asked/deeper/file", "")
	}
	one := func(o *backup.Options) { o.OneFileSystem = true }
	for _, tt := range []struct {
		paths []string
		want  []string
	}{
		{[]string{""}, []string{"here", "m/", "n/"}},
		{[]string{"", "m"}, []string{"here", "m/", "m/in/", "m/in/asked/", "m/in/asked/deeper/", "m/in/asked/file", "m/in/other", "n/"}},
		{[]string{"m/in/asked", ""}, []string{"here", "m/", "m/in/", "m/in/asked/", "m/in/asked/deeper/", "m/in/asked/file", "n/"}},
		{[]string{"n/in/asked/deeper"}, []string{"n/", "n/in/", "n/in/asked/", "n/in/asked/deeper/", "n/in/asked/deeper/file"}},
	} {
		var all []string
		for _, name := range tt.paths {
			all = append(all, s.Path(name))
		}
		s.Save(one, paths(all...))
		s.Log.None(t)
		if got := s.saved(s.Src); !slices.Equal(got, tt.want) {
			t.Errorf("of %q saved\n%q, not\n%q", tt.paths, got, tt.want)
		}
	}
}

func TestAvoid(t *testing.T) {
	s := newSite(t)
	s.Write("repository/config", "never")
	s.Write("file", "saved")
	must(t, os.Symlink("repository", s.Path("link")))
	s.Save(func(o *backup.Options) { o.Avoid = []string{s.Path("link"), s.Path("none")} })
	if got := s.saved(s.Src); !slices.Equal(got, []string{"file", "link"}) {
		t.Errorf("saved %q", got)
	}
}

func TestExclude(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"a.tmp", "keep", "sub/b.tmp", "sub/deep/c.tmp", "sub/deep/keep", "cache/CACHEDIR.TAG", "cache/x/y", "fake/CACHEDIR.TAG", "fake/x", "dir/x", "sub/dir/y", "raw\xff\xfe", "raw\xff"} {
		s.Write(name, name)
	}
	s.Write("cache/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n# more")
	s.Write("big", strings.Repeat("x", 1001))
	s.Write("notbig", strings.Repeat("x", 1000))
	s.Save()
	everything := s.saved(s.Src)
	for _, tt := range []struct {
		o    filter.Options
		less []string // what is missing, by prefix
	}{
		{filter.Options{Exclude: []string{"*.tmp"}}, []string{"a.tmp", "sub/b.tmp", "sub/deep/c.tmp"}},
		{filter.Options{Exclude: []string{s.Src + "/*.tmp"}}, []string{"a.tmp"}},
		{filter.Options{Exclude: []string{s.Src + "/**/*.tmp"}}, []string{"a.tmp", "sub/b.tmp", "sub/deep/c.tmp"}},
		{filter.Options{Exclude: []string{"dir/"}}, []string{"dir/", "sub/dir/"}},
		{filter.Options{Exclude: []string{"sub/dir"}}, []string{"sub/dir/"}},
		{filter.Options{Exclude: []string{"sub/**/keep"}}, []string{"sub/deep/keep"}},
		{filter.Options{Exclude: []string{s.Src + "/{sub,fake}"}}, []string{"sub/", "fake/"}},
		{filter.Options{Exclude: []string{"raw\xff"}}, []string{"raw\xff"}},
		{filter.Options{Exclude: []string{"raw*"}}, []string{"raw\xff", "raw\xff\xfe"}},
		{filter.Options{LargerThan: 1000}, []string{"big"}},
	} {
		st := s.Save(func(o *backup.Options) { o.Filter, o.Previous = backuptest.Filter(t, tt.o), s.Last })
		s.Log.None(t)
		want := slices.DeleteFunc(slices.Clone(everything), func(name string) bool {
			return slices.ContainsFunc(tt.less, func(p string) bool { return p == name || strings.HasSuffix(p, "/") && strings.HasPrefix(name, p) })
		})
		if got := s.saved(s.Src); !slices.Equal(got, want) {
			t.Errorf("%+v: saved\n%q, not\n%q", tt.o, got, want)
		}
		gone := uint64(0)
		for _, name := range everything {
			if !slices.Contains(want, name) && !strings.HasSuffix(name, "/") {
				gone++
			}
		}
		if st.Deleted != gone {
			t.Errorf("%+v: %d deleted, not %d", tt.o, st.Deleted, gone)
		}
		s.Save()
	}
	st := s.Save(func(o *backup.Options) { o.ExcludeCaches = true })
	s.Log.None(t)
	want := slices.DeleteFunc(slices.Clone(everything), func(name string) bool { return strings.HasPrefix(name, "cache/x/") })
	if got := s.saved(s.Src); !slices.Equal(got, want) || st.Deleted != 1 {
		t.Errorf("without caches: saved\n%q, not\n%q: %+v", got, want, st)
	}
}

// TestUnreadable backs up, as root, what root cannot read, and changes others before their turn comes.
func TestUnreadable(t *testing.T) {
	backuptest.NeedRoot(t)
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{"bad", "b-fifo", "b-dir", "b-link", "b-gone", "b-grown", "b-shrunk", "b-touched", "good", "sub/good"} {
		s.Write(name, "content")
	}
	// An empty file by its size, whose every read fails.
	backuptest.Mount(t, "/proc/self/mem", s.Path("bad"))
	backuptest.Age()
	s.Save()
	s.Log.Only(t, s.Path("bad"))
	if s.Last.Complete {
		t.Error("complete")
	}
	// The scan has passed all in the batch when the first is read, and fails.
	s.Write("a-bad", "")
	s.Write("b-touched", "content") // so that it is read
	backuptest.Mount(t, "/proc/self/mem", s.Path("a-bad"))
	for _, name := range []string{"b-fifo", "b-dir", "b-link", "b-gone", "b-grown", "b-shrunk"} {
		must(t, os.Chmod(s.Path(name), 0o600))
	}
	backuptest.Age()
	var once sync.Once
	s.Save(func(o *backup.Options) {
		report := o.Problem
		o.Problem = func(path string, err error) {
			report(path, err)
			once.Do(func() {
				for _, name := range []string{"b-fifo", "b-dir", "b-link", "b-gone"} {
					must(t, os.Remove(s.Path(name)))
				}
				must(t, unix.Mkfifo(s.Path("b-fifo"), 0o600))
				must(t, os.Mkdir(s.Path("b-dir"), 0o700))
				must(t, os.Symlink("good", s.Path("b-link")))
				s.Write("b-grown", "grown content")
				s.Write("b-shrunk", "c")
				s.Write("b-touched", "CONTENT")
			})
		}
	})
	s.Log.Only(t, s.Path("a-bad"), s.Path("b-fifo"), s.Path("b-dir"), s.Path("b-link"), s.Path("b-gone"), s.Path("bad"))
	if err := s.Log.All[s.Path("b-gone")]; !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "vanished") {
		t.Errorf("vanished: %v", err)
	}
	target, _ := s.Restore()
	for name, want := range map[string]string{"good": "content", "sub/good": "content", "b-grown": "grown content", "b-shrunk": "c", "b-touched": "CONTENT"} {
		if got := backuptest.Content(t, target+"/"+name); got != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
	// What was read a moment after it changed may have changed again in the same tick of the clock.
	if st := s.Save(); st.BytesRead < uint64(len("grown content"+"c"+"CONTENT")) {
		t.Errorf("read %d bytes of what may have changed again", st.BytesRead)
	}
}

// A file that the kernel makes up may have no end, or nothing to say.
func TestNoEnd(t *testing.T) {
	backuptest.NeedRoot(t)
	t.Parallel()
	s := newSite(t)
	s.Write("kmsg", "")
	s.Write("file", "file")
	backuptest.Mount(t, "/proc/kmsg", s.Path("kmsg"))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	log := new(backuptest.Problems)
	done := make(chan error, 1)
	go func() {
		_, _, err := backup.Tree(ctx, s.Repo, &repo.Record{Host: "host", Job: "job"}, backup.Options{Paths: []string{s.Src}, Problem: log.Add})
		done <- err
	}()
	select {
	case err := <-done:
		must(t, err)
		if err := log.All[s.Path("kmsg")]; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reported %v", log.All)
		}
	case <-time.After(2 * time.Minute):
		t.Fatal("waits for more")
	}
}

// TestChanging changes a large file while it is read.
func TestChanging(t *testing.T) {
	data := backuptest.Random(48 << 20)
	for name, change := range map[string]func(string) error{
		"grows": func(p string) error {
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.Write(data[:1000])
				f.Close()
			}
			return err
		},
		"grows and changes": func(p string) error {
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err == nil {
				_, err = f.WriteAt(data[:1000], 5)
				_, more := f.WriteAt(data[:1000], int64(len(data)))
				err = errors.Join(err, more, f.Close())
			}
			return err
		},
		"is renamed": func(p string) error { return os.Rename(p, p+".1") },
		"shrinks":    func(p string) error { return os.Truncate(p, 1000) },
	} {
		t.Run(name, func(t *testing.T) {
			f := &storetest.Faulty{Store: store.NewMemory(nil)}
			// With one connection, reading waits at the second pack until the first is stored: so the file changes before it is read to its end.
			s := newSiteOn(t, f, func(o *repo.Options) { o.Connections = 1 })
			must(t, os.WriteFile(s.Path("file"), data, 0o600))
			s.Write("good", "good")
			var once sync.Once
			f.Before = []storetest.Hook{func(c storetest.Call) error {
				if c.Op == storetest.Put && strings.Contains(c.Name, "content") {
					once.Do(func() { must(t, change(s.Path("file"))) })
				}
				return nil
			}}
			var noted string
			st := s.Save(func(o *backup.Options) { o.Workers, o.Note = 1, func(path, _ string) { noted = path } })
			grew := name == "grows"
			same := grew || name == "is renamed" // as far as it was read
			if same {
				s.Log.None(t)
			} else {
				s.Log.Only(t, s.Path("file"))
			}
			if s.Last.Complete != same || (st.Grown == 1) != grew || (st.Unsettled == 0) != same || st.Files != 2 || st.Unread != 0 || (noted == s.Path("file")) != same {
				t.Errorf("%+v, complete %v, noted %q", st, s.Last.Complete, noted)
			}
			if name == "grows and changes" { // what was read is neither the one nor the other, which is why it is told
				return
			}
			target, _ := s.Restore()
			s.Log.None(t)
			if got := backuptest.Content(t, target+"/file"); !strings.HasPrefix(string(data)+string(data[:1000]), got) || len(got) < 10<<20 {
				t.Errorf("restored %d bytes that were never there", len(got))
			}
		})
	}
}

// TestFailedRun stops a backup in its middle: it commits nothing, leaves nothing open, and the next one uses what was sent.
func TestFailedRun(t *testing.T) {
	f := &storetest.Faulty{Store: store.NewMemory(nil)}
	s := newSiteOn(t, f)
	for i := range 100 {
		s.Write(strings.Repeat("d/", i%50)+"f"+string(rune('0'+i/50)), string(backuptest.Random(200_000)))
	}
	for _, n := range []int64{1, 2} {
		f.Before = []storetest.Hook{storetest.From(storetest.Put, n, syscall.ENOSPC)}
		backuptest.NoLeak(t, func() {
			if _, err := s.TrySave(); !errors.Is(err, syscall.ENOSPC) {
				t.Errorf("put %d fails: %v", n, err)
			}
		})
	}
	f.Before = nil
	ctx, cancel := context.WithCancel(context.Background())
	f.After = []storetest.Hook{func(c storetest.Call) error {
		if c.Op == storetest.Put {
			cancel()
		}
		return nil
	}}
	backuptest.NoLeak(t, func() {
		_, _, err := backup.Tree(ctx, s.Repo, &repo.Record{Host: "host", Job: "job"}, backup.Options{Paths: []string{s.Src}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
	f.After = nil
	all, err := s.Repo.Archives(context.Background(), func(name string, err error) { t.Error(name, err) })
	if err != nil || len(all) != 0 {
		t.Errorf("committed %v, %v", all, err)
	}
	if st := s.Save(); st.ChunksKnown == 0 {
		t.Errorf("nothing was known of what had been sent: %+v", st)
	}
}
