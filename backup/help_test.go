package backup

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/backup/local"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/store"
)

// needRoot skips on a developer's machine what only root can show, and fails where nobody would read that it was skipped.
func needRoot(t testing.TB) {
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

// A site is a repository, a source to back up, and what was reported of it.
type site struct {
	t    testing.TB
	r    *repo.Repository
	src  string
	last *repo.Archive
	log  *problems
}

// problems collects what was reported.
type problems struct {
	mu  sync.Mutex
	all map[string]error
	n   int
}

func (p *problems) add(path string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.all == nil {
		p.all = map[string]error{}
	}
	p.all[path] = errors.Join(p.all[path], err)
	p.n++
}

func (p *problems) paths() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.all))
}

func (p *problems) none(t testing.TB) {
	t.Helper()
	for _, path := range p.paths() {
		t.Errorf("reported: %q: %v", path, p.all[path])
	}
}

// only checks that exactly these paths were reported.
func (p *problems) only(t testing.TB, paths ...string) {
	t.Helper()
	if got := p.paths(); !slices.Equal(got, slices.Sorted(slices.Values(paths))) {
		t.Errorf("reported %q, want %q: %v", got, paths, p.all)
	}
}

// keys are made once: they cost more than most tests.
var hostKey = sync.OnceValues(func() (*crypto.Key, error) { return crypto.Generate("host", time.Now(), rand.Reader) })

func newSite(t testing.TB) *site { return newSiteOn(t, store.NewMemory(nil)) }

func newSiteOn(t testing.TB, s store.Store, change ...func(*repo.Options)) *site {
	return &site{t: t, r: newRepository(t, s, change...), src: t.TempDir(), log: new(problems)}
}

// path is a path in the source.
func (s *site) path(name string) string { return filepath.Join(s.src, name) }

// above counts the directories above the source, which every archive of it holds too.
func (s *site) above() uint64 { return uint64(strings.Count(s.src, "/")) - 1 }

func (s *site) write(name, content string) {
	s.t.Helper()
	must(s.t, os.MkdirAll(filepath.Dir(s.path(name)), 0o755))
	must(s.t, os.WriteFile(s.path(name), []byte(content), 0o644))
}

// save backs up the source, beside what was saved last.
func (s *site) save(change ...func(*Options)) Statistics {
	s.t.Helper()
	st, err := s.trySave(change...)
	must(s.t, err)
	return st
}

func (s *site) trySave(change ...func(*Options)) (Statistics, error) {
	s.log = new(problems)
	o := Options{Paths: []string{s.src}, Previous: s.last, Problem: s.log.add}
	for _, f := range change {
		f(&o)
	}
	a, st, err := Tree(context.Background(), s.r, &repo.Archive{Host: "host", Job: "job"}, o)
	if err == nil {
		s.last = a
	}
	return st, err
}

// restore puts the source as it was saved last into a target, by default a new one.
func (s *site) restore(change ...func(*RestoreOptions)) (string, RestoreStatistics) {
	s.t.Helper()
	target, st, err := s.tryRestore(change...)
	must(s.t, err)
	return target, st
}

func (s *site) tryRestore(change ...func(*RestoreOptions)) (string, RestoreStatistics, error) {
	return s.restoreFrom(context.Background(), s.reader(), change...)
}

func (s *site) restoreFrom(ctx context.Context, rd *repo.Reader, change ...func(*RestoreOptions)) (string, RestoreStatistics, error) {
	s.log = new(problems)
	o := RestoreOptions{Path: s.src, Problem: s.log.add}
	for _, f := range change {
		f(&o)
	}
	if o.Target == "" {
		o.Target = s.t.TempDir()
	}
	st, err := Restore(ctx, rd, s.last, o)
	return o.Target, st, err
}

func (s *site) reader() *repo.Reader {
	s.t.Helper()
	rd, err := s.r.NewReader(context.Background())
	must(s.t, err)
	return rd
}

func filter(t testing.TB, o FilterOptions) *Filter {
	t.Helper()
	f, err := NewFilter(o)
	must(t, err)
	return f
}

// facts are what the kernel says of a tree's entries, by their paths in it, asked without the packages under test.
type facts map[string]string

// factsOf reads a tree at any depth. Hard links are told by the first path of the file.
func factsOf(t testing.TB, root string) facts {
	t.Helper()
	fd, err := unix.Open(root, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	must(t, err)
	f := facts{}
	f.read(t, fd, ".", map[[2]uint64]string{})
	return f
}

// read reads an open directory, and closes it.
func (f facts) read(t testing.TB, fd int, at string, seen map[[2]uint64]string) {
	t.Helper()
	dir := os.NewFile(uintptr(fd), "directory")
	defer dir.Close()
	var st unix.Stat_t
	must(t, unix.Fstat(fd, &st))
	f[at] = describe(t, fd, ".", &st)
	names, err := dir.Readdirnames(-1)
	must(t, err)
	slices.Sort(names)
	for _, name := range names {
		here := path.Join(at, name)
		must(t, unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW))
		if st.Mode&unix.S_IFMT == unix.S_IFDIR {
			sub, err := unix.Openat(fd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			must(t, err)
			f.read(t, sub, here, seen)
			continue
		}
		f[here] = describe(t, fd, name, &st)
		if st.Nlink > 1 {
			id := [2]uint64{uint64(st.Dev), st.Ino}
			if first := seen[id]; first != "" {
				f[here] += " = " + first
			} else {
				seen[id] = here
			}
		}
	}
}

func describe(t testing.TB, dir int, name string, st *unix.Stat_t) string {
	t.Helper()
	s := fmt.Sprintf("mode %#o owner %d:%d mtime %d.%09d", st.Mode, st.Uid, st.Gid, st.Mtim.Sec, st.Mtim.Nsec)
	flags := unix.O_PATH | unix.O_NOFOLLOW
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		s += fmt.Sprintf(" size %d", st.Size)
		flags = unix.O_RDONLY | unix.O_NOFOLLOW
	case unix.S_IFBLK, unix.S_IFCHR:
		s += fmt.Sprintf(" device %#x", st.Rdev)
	}
	fd, err := unix.Openat(dir, name, flags|unix.O_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		s += data(t, fd, st.Size)
	case unix.S_IFLNK:
		buf := make([]byte, 8192)
		n, err := unix.Readlinkat(fd, "", buf)
		must(t, err)
		s += fmt.Sprintf(" to %q", buf[:n])
	}
	// A link's attributes can be had by its path only.
	proc := fmt.Sprintf("/proc/self/fd/%d", fd)
	n, err := unix.Listxattr(proc, nil)
	must(t, err)
	list := make([]byte, n)
	n, err = unix.Listxattr(proc, list)
	must(t, err)
	for _, x := range slices.Sorted(strings.SplitSeq(strings.TrimSuffix(string(list[:n]), "\x00"), "\x00")) {
		if x == "" {
			continue
		}
		value := make([]byte, 64<<10)
		n, err := unix.Getxattr(proc, x, value)
		must(t, err)
		s += fmt.Sprintf(" %s=%x", x, sha256.Sum256(value[:n]))
	}
	return s
}

// data describes content by where there is data, and its hash.
func data(t testing.TB, fd int, size int64) (s string) {
	t.Helper()
	buf := make([]byte, min(size, 1<<20))
	for off := int64(0); off < size; {
		start, err := unix.Seek(fd, off, unix.SEEK_DATA)
		if err == unix.ENXIO {
			break
		}
		must(t, err)
		end, err := unix.Seek(fd, start, unix.SEEK_HOLE)
		must(t, err)
		h := sha256.New()
		for at := start; at < end; {
			n, err := unix.Pread(fd, buf[:min(int64(len(buf)), end-at)], at)
			must(t, err)
			if n == 0 {
				break
			}
			h.Write(buf[:n])
			at += int64(n)
		}
		s += fmt.Sprintf(" %d-%d:%x", start, end, h.Sum(nil)[:8])
		off = end
	}
	return s
}

// same fails for every difference between two trees.
func same(t testing.TB, got, want facts) {
	t.Helper()
	bad := 0
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if bad > 10 {
			t.Fatal("and so on")
		}
		if got[name] != want[name] {
			t.Errorf("%.200q is\n  %.500s\nnot\n  %.500s", name, got[name], want[name])
			bad++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[name]; !ok {
			t.Errorf("%.200q should not be there: %.500s", name, got[name])
			bad++
		}
	}
}

// tree lists what is below a folder, directories with a slash.
func treeOf(t testing.TB, root string) []string {
	t.Helper()
	names := []string{}
	must(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		name := strings.TrimPrefix(p, root+"/")
		if d.IsDir() {
			name += "/"
		}
		names = append(names, name)
		return nil
	}))
	return names
}

// held counts what a run may leak.
func held(t testing.TB) (fds, goroutines int) {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, name := range names {
		if to, _ := os.Readlink("/proc/self/fd/" + name.Name()); !strings.HasSuffix(to, ".njx") { // the local index is the repository's
			fds++
		}
	}
	return fds, runtime.NumGoroutine()
}

// noLeak runs f and checks that it leaves no descriptor and no goroutine behind.
func noLeak(t testing.TB, f func()) {
	t.Helper()
	fds, goroutines := held(t)
	f()
	var nowFds, now int
	for range 100 { // some are on their way out
		if nowFds, now = held(t); nowFds <= fds && now <= goroutines {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	var open []string
	for i := range nowFds + 10 {
		if to, err := os.Readlink(fmt.Sprint("/proc/self/fd/", i)); err == nil {
			open = append(open, to)
		}
	}
	stacks := make([]byte, 64<<10)
	t.Errorf("left behind: %d descriptors, of %q, %d goroutines of\n%s", nowFds-fds, open, now-goroutines, stacks[:runtime.Stack(stacks, true)])
}

// scaled is n, or less where the race detector makes everything ten times slower.
func scaled(n, race int) int {
	if raceEnabled {
		return race
	}
	return n
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

// content reads a restored file.
func content(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	return string(bytes.Clone(b))
}

// age waits until what was changed has been left alone for long enough that its times will show the next change.
func age() { time.Sleep(settled + 20*time.Millisecond) }

func openRoot(t testing.TB) *local.Dir {
	t.Helper()
	d, err := local.OpenDir("/", nil)
	must(t, err)
	return d
}

func stat(t testing.TB, path string) os.FileInfo {
	t.Helper()
	info, err := os.Lstat(path)
	must(t, err)
	return info
}
