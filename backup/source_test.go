package backup

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

	"nightjar/repo"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
	"nightjar/repo/tree"
)

// saved lists what the last archive has below a folder.
func (s *site) saved(below string) []string {
	s.t.Helper()
	names := []string{}
	must(s.t, List(context.Background(), s.reader(), s.last, below, true, func(p string, n *tree.Node) error {
		p = strings.TrimPrefix(p, strings.TrimSuffix(below, "/")+"/")
		if n.IsDir() {
			p += "/"
		}
		names = append(names, p)
		return nil
	}))
	return names
}

func paths(p ...string) func(*Options) { return func(o *Options) { o.Paths = p } }

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
			s.save(paths(all...))
			s.log.only(t, bad...)
			if s.last.Complete != (len(bad) == 0) {
				t.Error("complete:", s.last.Complete)
			}
			if got := s.saved(base); !slices.Equal(got, tt.want) {
				t.Errorf("saved\n%q, not\n%q", got, tt.want)
			}
		})
	}
	s := newSite(t)
	for _, bad := range [][]string{nil, {p("none")}, {"data"}} {
		if _, err := s.trySave(paths(bad...)); err == nil || s.last != nil {
			t.Errorf("%q: %v, archive %v", bad, err, s.last)
		}
	}
	// All there is, but for what is not asked for.
	s.save(paths("/"), func(o *Options) {
		o.Filter = filter(t, FilterOptions{Exclude: []string{"/[!t]*", "/t[!m]*", "/tmp/[!T]*", "/tmp/T[!e]*", "/tmp/Test[!P]*"}})
	})
	if got := s.saved("/tmp"); strings.HasPrefix(base, "/tmp/TestPaths") && (!slices.Contains(got, strings.TrimPrefix(p("data/a/file"), "/tmp/")) || slices.Contains(got, "nightjar")) {
		t.Errorf("saved of /: %q", got)
	}
}

// mount mounts a file system, or what is at from, for the rest of the test.
func mount(t *testing.T, from, at string) {
	t.Helper()
	if from == "" {
		must(t, unix.Mount("none", at, "tmpfs", 0, "size=8m"))
	} else {
		must(t, unix.Mount(from, at, "", unix.MS_BIND, ""))
	}
	t.Cleanup(func() { must(t, unix.Unmount(at, unix.MNT_DETACH)) })
}

func TestOneFileSystem(t *testing.T) {
	needRoot(t)
	s := newSite(t)
	s.write("here", "")
	for _, dir := range []string{"m", "n"} {
		must(t, os.MkdirAll(s.path(dir), 0o755))
		mount(t, "", s.path(dir))
		s.write(dir+"/in/asked/file", "")
		s.write(dir+"/in/other", "")
		must(t, os.Mkdir(s.path(dir+"/in/asked/deeper"), 0o755))
		mount(t, "", s.path(dir+"/in/asked/deeper"))
		s.write(dir+"/in/asked/deeper/file", "")
	}
	one := func(o *Options) { o.OneFileSystem = true }
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
			all = append(all, s.path(name))
		}
		s.save(one, paths(all...))
		s.log.none(t)
		if got := s.saved(s.src); !slices.Equal(got, tt.want) {
			t.Errorf("of %q saved\n%q, not\n%q", tt.paths, got, tt.want)
		}
	}
}

func TestAvoid(t *testing.T) {
	s := newSite(t)
	s.write("repository/config", "never")
	s.write("file", "saved")
	must(t, os.Symlink("repository", s.path("link")))
	s.save(func(o *Options) { o.Avoid = []string{s.path("link"), s.path("none")} })
	if got := s.saved(s.src); !slices.Equal(got, []string{"file", "link"}) {
		t.Errorf("saved %q", got)
	}
}

func TestExclude(t *testing.T) {
	s := newSite(t)
	for _, name := range []string{"a.tmp", "keep", "sub/b.tmp", "sub/deep/c.tmp", "sub/deep/keep", "cache/CACHEDIR.TAG", "cache/x/y", "fake/CACHEDIR.TAG", "fake/x", "dir/x", "sub/dir/y", "raw\xff\xfe", "raw\xff"} {
		s.write(name, name)
	}
	s.write("cache/CACHEDIR.TAG", cacheTag+"\n# more")
	s.write("big", strings.Repeat("x", 1001))
	s.write("notbig", strings.Repeat("x", 1000))
	s.save()
	everything := s.saved(s.src)
	for _, tt := range []struct {
		o    FilterOptions
		less []string // what is missing, by prefix
	}{
		{FilterOptions{Exclude: []string{"*.tmp"}}, []string{"a.tmp", "sub/b.tmp", "sub/deep/c.tmp"}},
		{FilterOptions{Exclude: []string{s.src + "/*.tmp"}}, []string{"a.tmp"}},
		{FilterOptions{Exclude: []string{s.src + "/**/*.tmp"}}, []string{"a.tmp", "sub/b.tmp", "sub/deep/c.tmp"}},
		{FilterOptions{Exclude: []string{"dir/"}}, []string{"dir/", "sub/dir/"}},
		{FilterOptions{Exclude: []string{"sub/dir"}}, []string{"sub/dir/"}},
		{FilterOptions{Exclude: []string{"sub/**/keep"}}, []string{"sub/deep/keep"}},
		{FilterOptions{Exclude: []string{s.src + "/{sub,fake}"}}, []string{"sub/", "fake/"}},
		{FilterOptions{Exclude: []string{"raw\xff"}}, []string{"raw\xff"}},
		{FilterOptions{Exclude: []string{"raw*"}}, []string{"raw\xff", "raw\xff\xfe"}},
		{FilterOptions{LargerThan: 1000}, []string{"big"}},
		{FilterOptions{Caches: true}, []string{"cache/x/"}},
	} {
		st := s.save(func(o *Options) { o.Filter, o.Previous = filter(t, tt.o), s.last })
		s.log.none(t)
		want := slices.DeleteFunc(slices.Clone(everything), func(name string) bool {
			return slices.ContainsFunc(tt.less, func(p string) bool { return p == name || strings.HasSuffix(p, "/") && strings.HasPrefix(name, p) })
		})
		if got := s.saved(s.src); !slices.Equal(got, want) {
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
		s.save()
	}
	// The same at restore, where directories come only with what is in them.
	for _, tt := range []struct {
		o    FilterOptions
		want []string
	}{
		{FilterOptions{Include: []string{"*.tmp"}}, []string{"a.tmp", "sub/", "sub/b.tmp", "sub/deep/", "sub/deep/c.tmp"}},
		{FilterOptions{Include: []string{"sub"}, Exclude: []string{"deep"}}, []string{"sub/", "sub/b.tmp", "sub/dir/", "sub/dir/y"}},
		{FilterOptions{Include: []string{s.src + "/sub/deep/"}}, []string{"sub/", "sub/deep/", "sub/deep/c.tmp", "sub/deep/keep"}},
		{FilterOptions{Include: []string{s.src + "/{sub/deep,fake}/x", s.src + "/{sub/deep,fake}/keep"}}, []string{"fake/", "fake/x", "sub/", "sub/deep/", "sub/deep/keep"}},
		{FilterOptions{Include: []string{"none"}}, []string{}},
		{FilterOptions{Include: []string{"sub/**/y"}}, []string{"sub/", "sub/dir/", "sub/dir/y"}},
	} {
		target, st := s.restore(func(o *RestoreOptions) { o.Filter = filter(t, tt.o) })
		s.log.none(t)
		if got := treeOf(t, target); !slices.Equal(got, tt.want) || int(st.Files+st.Dirs) != len(got) {
			t.Errorf("%+v: restored\n%q, not\n%q: %+v", tt.o, got, tt.want, st)
		}
	}
	for _, bad := range []string{"", "/", "[", "a[", "{a", "a\\"} {
		if _, err := NewFilter(FilterOptions{Exclude: []string{bad}}); err == nil {
			t.Errorf("pattern %q is taken", bad)
		}
	}
}

// TestUnreadable backs up, as root, what root cannot read, and changes others before their turn comes.
func TestUnreadable(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSite(t)
	for _, name := range []string{"bad", "b-fifo", "b-dir", "b-link", "b-gone", "b-grown", "b-shrunk", "b-touched", "good", "sub/good"} {
		s.write(name, "content")
	}
	// An empty file by its size, whose every read fails.
	mount(t, "/proc/self/mem", s.path("bad"))
	age()
	s.save()
	s.log.only(t, s.path("bad"))
	if s.last.Complete {
		t.Error("complete")
	}
	// The scan has passed all in the batch when the first is read, and fails.
	s.write("a-bad", "")
	s.write("b-touched", "content") // so that it is read
	mount(t, "/proc/self/mem", s.path("a-bad"))
	for _, name := range []string{"b-fifo", "b-dir", "b-link", "b-gone", "b-grown", "b-shrunk"} {
		must(t, os.Chmod(s.path(name), 0o600))
	}
	age()
	var once sync.Once
	s.save(func(o *Options) {
		report := o.Problem
		o.Problem = func(path string, err error) {
			report(path, err)
			once.Do(func() {
				for _, name := range []string{"b-fifo", "b-dir", "b-link", "b-gone"} {
					must(t, os.Remove(s.path(name)))
				}
				must(t, unix.Mkfifo(s.path("b-fifo"), 0o600))
				must(t, os.Mkdir(s.path("b-dir"), 0o700))
				must(t, os.Symlink("good", s.path("b-link")))
				s.write("b-grown", "grown content")
				s.write("b-shrunk", "c")
				s.write("b-touched", "CONTENT")
			})
		}
	})
	s.log.only(t, s.path("a-bad"), s.path("b-fifo"), s.path("b-dir"), s.path("b-link"), s.path("b-gone"), s.path("bad"))
	if err := s.log.all[s.path("b-gone")]; !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "vanished") {
		t.Errorf("vanished: %v", err)
	}
	target, _ := s.restore()
	for name, want := range map[string]string{"good": "content", "sub/good": "content", "b-grown": "grown content", "b-shrunk": "c", "b-touched": "CONTENT"} {
		if got := content(t, target+"/"+name); got != want {
			t.Errorf("%s: %q, not %q", name, got, want)
		}
	}
	// What was read a moment after it changed may have changed again in the same tick of the clock.
	if st := s.save(); st.BytesRead < uint64(len("grown content"+"c"+"CONTENT")) {
		t.Errorf("read %d bytes of what may have changed again", st.BytesRead)
	}
}

// A file that the kernel makes up may have no end, or nothing to say.
func TestNoEnd(t *testing.T) {
	needRoot(t)
	t.Parallel()
	s := newSite(t)
	s.write("kmsg", "")
	s.write("file", "file")
	mount(t, "/proc/kmsg", s.path("kmsg"))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	log := new(problems)
	done := make(chan error, 1)
	go func() {
		_, _, err := Tree(ctx, s.r, &repo.Archive{Host: "host", Job: "job"}, Options{Paths: []string{s.src}, Problem: log.add})
		done <- err
	}()
	select {
	case err := <-done:
		must(t, err)
		if err := log.all[s.path("kmsg")]; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("reported %v", log.all)
		}
	case <-time.After(15 * time.Second):
		t.Fatal("waits for more")
	}
}

// TestChanging changes a large file while it is read.
func TestChanging(t *testing.T) {
	data := random(48 << 20)
	for name, change := range map[string]func(string) error{
		"grows": func(p string) error {
			f, err := os.OpenFile(p, os.O_APPEND|os.O_WRONLY, 0)
			if err == nil {
				_, err = f.Write(data[:1000])
				f.Close()
			}
			return err
		},
		"shrinks": func(p string) error { return os.Truncate(p, 1000) },
	} {
		t.Run(name, func(t *testing.T) {
			f := &storetest.Faulty{Store: store.NewMemory(nil)}
			// With one connection, reading waits at the second pack until the first is stored: so the file changes before it is read to its end.
			s := newSiteOn(t, f, func(o *repo.Options) { o.Connections = 1 })
			must(t, os.WriteFile(s.path("file"), data, 0o600))
			s.write("good", "good")
			var once sync.Once
			f.Before = []storetest.Hook{func(c storetest.Call) error {
				if c.Op == storetest.Put && strings.Contains(c.Name, "content") {
					once.Do(func() { must(t, change(s.path("file"))) })
				}
				return nil
			}}
			st := s.save(func(o *Options) { o.Workers = 1 })
			s.log.only(t, s.path("file"))
			if s.last.Complete || st.Unsettled != 1 || st.Files != 2 || st.Unread != 0 {
				t.Errorf("%+v, complete %v", st, s.last.Complete)
			}
			target, _ := s.restore()
			s.log.none(t)
			if got := content(t, target+"/file"); !strings.HasPrefix(string(data)+string(data[:1000]), got) || len(got) < 10<<20 {
				t.Errorf("restored %d bytes that were never there", len(got))
			}
		})
	}
}

// A directory that is moved while the walk is deep in it costs what is in it, not the backup.
func TestMoved(t *testing.T) {
	src := t.TempDir()
	deep(t, src, "top", slices.Repeat([]string{"d"}, 200))
	must(t, os.WriteFile(src+"/z", nil, 0o600))
	log := new(problems)
	o := Options{Paths: []string{src}, Problem: log.add}
	o.fill()
	sel, err := selectPaths(o.Paths, log.add)
	must(t, err)
	must(t, os.WriteFile(src+"/top"+strings.Repeat("/d", 200)+"/large", make([]byte, batchBytes), 0o600))
	var seen []string
	open, left := 0, 0
	s := scanner{ctx: context.Background(), o: &o, stats: new(Statistics), now: time.Now, out: func(b *batch) error {
		for _, e := range b.events {
			switch e.kind {
			case enter:
				open++
			case leave:
				open--
				left++
			default:
				seen = append(seen, e.node.Name)
				if e.node.Name == "large" {
					must(t, os.Rename(src+"/top/d/d/d", src+"/away"))
					must(t, os.RemoveAll(src+"/top/d/d"))
				}
			}
		}
		b.close()
		return nil
	}}
	noLeak(t, func() {
		root := openRoot(t)
		defer root.Close()
		err = s.scan(root, sel, nil)
	})
	must(t, err)
	if len(log.paths()) == 0 {
		t.Error("nothing is reported")
	}
	if open != 0 || !slices.Contains(seen, "z") {
		t.Errorf("%d directories open at the end of %d; saw %q", open, left, seen)
	}
}

// TestFailedRun stops a backup in its middle: it commits nothing, leaves nothing open, and the next one uses what was sent.
func TestFailedRun(t *testing.T) {
	f := &storetest.Faulty{Store: store.NewMemory(nil)}
	s := newSiteOn(t, f)
	for i := range 100 {
		s.write(strings.Repeat("d/", i%50)+"f"+string(rune('0'+i/50)), string(random(200_000)))
	}
	for _, n := range []int64{1, 2} {
		f.Before = []storetest.Hook{storetest.From(storetest.Put, n, syscall.ENOSPC)}
		noLeak(t, func() {
			if _, err := s.trySave(); !errors.Is(err, syscall.ENOSPC) {
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
	noLeak(t, func() {
		_, _, err := Tree(ctx, s.r, &repo.Archive{Host: "host", Job: "job"}, Options{Paths: []string{s.src}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
	f.After = nil
	all, err := s.r.Archives(context.Background(), func(name string, err error) { t.Error(name, err) })
	if err != nil || len(all) != 0 {
		t.Errorf("committed %v, %v", all, err)
	}
	if st := s.save(); st.ChunksKnown == 0 {
		t.Errorf("nothing was known of what had been sent: %+v", st)
	}
}
