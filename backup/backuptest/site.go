// Package backuptest makes repositories to save to and restore from, and compares trees of files as the kernel describes them.
package backuptest

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/backup"
	"nightjar/backup/filter"
	"nightjar/backup/restore"
	"nightjar/backup/scan"
	"nightjar/crypto"
	"nightjar/internal/tempdir"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
)

// NeedRoot skips on a developer's machine what only root can show, and fails where nobody would read that it was skipped.
func NeedRoot(t testing.TB) {
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

// A Site is a repository, a source to back up, and what was reported of it.
type Site struct {
	T    testing.TB
	Repo *repo.Repository
	Src  string
	Last *repo.Archive // that was saved
	Log  *Problems     // of the last run
}

// Problems collects what was reported.
type Problems struct {
	mu    sync.Mutex
	All   map[string]error // by path
	Count int
}

// Add notes a problem with a path.
func (p *Problems) Add(path string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.All == nil {
		p.All = map[string]error{}
	}
	p.All[path] = errors.Join(p.All[path], err)
	p.Count++
}

// Paths returns the paths that were reported, in order.
func (p *Problems) Paths() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.All))
}

// None checks that nothing was reported.
func (p *Problems) None(t testing.TB) {
	t.Helper()
	for _, path := range p.Paths() {
		t.Errorf("reported: %q: %v", path, p.All[path])
	}
}

// Only checks that exactly these paths were reported.
func (p *Problems) Only(t testing.TB, paths ...string) {
	t.Helper()
	if got := p.Paths(); !slices.Equal(got, slices.Sorted(slices.Values(paths))) {
		t.Errorf("reported %q, want %q: %v", got, paths, p.All)
	}
}

// hostKey is made once: it costs more than most tests.
var hostKey = sync.OnceValues(func() (*crypto.Key, error) { return crypto.Generate("host", time.Now(), rand.Reader) })

// NewRepository makes a repository whose one key plays host and recovery, and opens it for everything.
func NewRepository(t testing.TB, s store.Store, change ...func(*repo.Options)) *repo.Repository {
	t.Helper()
	ctx := context.Background()
	key, err := hostKey()
	must(t, err)
	keys, err := repo.Init(ctx, s, repo.InitOptions{HostName: "host", Host: key, Recovery: []*crypto.Key{key}})
	must(t, err)
	opener := keyring.Held(key)
	temp, err := tempdir.New(t.TempDir())
	must(t, err)
	o := repo.Options{IndexDir: t.TempDir(), Temp: temp, Warn: func(err error) { t.Logf("warning: %v", err) }}
	for _, f := range change {
		f(&o)
	}
	r, err := repo.OpenContent(ctx, s, keys, opener, o)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	must(t, r.SetHost(key))
	return r
}

// New returns a site with a repository in memory and an empty source.
func New(t testing.TB) *Site { return NewOn(t, store.NewMemory(nil)) }

// NewOn is New with a store to make the repository in.
func NewOn(t testing.TB, s store.Store, change ...func(*repo.Options)) *Site {
	return &Site{T: t, Repo: NewRepository(t, s, change...), Src: t.TempDir(), Log: new(Problems)}
}

// Path is a path in the source.
func (s *Site) Path(name string) string { return filepath.Join(s.Src, name) }

// Above counts the directories above the source, which every archive of it holds too.
func (s *Site) Above() uint64 { return uint64(strings.Count(s.Src, "/")) - 1 }

// Write writes a file in the source.
func (s *Site) Write(name, content string) {
	s.T.Helper()
	must(s.T, os.MkdirAll(filepath.Dir(s.Path(name)), 0o755))
	must(s.T, os.WriteFile(s.Path(name), []byte(content), 0o644))
}

// Save backs up the source, beside what was saved last.
func (s *Site) Save(change ...func(*backup.Options)) backup.Statistics {
	s.T.Helper()
	st, err := s.TrySave(change...)
	must(s.T, err)
	return st
}

// Paths has a backup save these paths, for packages that may not know its options.
func Paths(paths ...string) func(*backup.Options) {
	return func(o *backup.Options) { o.Paths = paths }
}

// ExcludeNoDump has a backup leave out what chattr +d was said of, likewise.
func ExcludeNoDump(o *backup.Options) { o.ExcludeNoDump = true }

// TrySave is Save that may fail.
func (s *Site) TrySave(change ...func(*backup.Options)) (backup.Statistics, error) {
	s.Log = new(Problems)
	o := backup.Options{Paths: []string{s.Src}, Previous: s.Last, Problem: s.Log.Add}
	for _, f := range change {
		f(&o)
	}
	a, st, err := backup.Tree(context.Background(), s.Repo, &repo.Record{Host: "host", Job: "job"}, o)
	if err == nil {
		s.Last = a
	}
	return st, err
}

// SaveStream saves a stream as a file.
func (s *Site) SaveStream(name, content string) {
	s.T.Helper()
	src := backup.Source{Name: name, Reader: strings.NewReader(content)}
	a, _, err := backup.Stream(context.Background(), s.Repo, &repo.Record{Host: "host", Job: "stream"}, src, backup.Options{})
	must(s.T, err)
	s.Last = a
}

// Restore puts the source as it was saved last into a target, by default a new one.
func (s *Site) Restore(change ...func(*restore.Options)) (string, restore.Statistics) {
	s.T.Helper()
	target, st, err := s.TryRestore(change...)
	must(s.T, err)
	return target, st
}

// RestoreAll puts all that was saved last into a new target, and reads it back.
func (s *Site) RestoreAll() string {
	s.T.Helper()
	target, _ := s.Restore(func(o *restore.Options) { o.Path, o.Verify = "/", s.Repo.Namer })
	return target
}

// TryRestore is Restore that may fail.
func (s *Site) TryRestore(change ...func(*restore.Options)) (string, restore.Statistics, error) {
	return s.RestoreFrom(context.Background(), s.Reader(), change...)
}

// RestoreFrom is TryRestore with a reader that was opened before.
func (s *Site) RestoreFrom(ctx context.Context, rd *repo.Reader, change ...func(*restore.Options)) (string, restore.Statistics, error) {
	s.Log = new(Problems)
	o := restore.Options{Path: s.Src, Problem: s.Log.Add}
	for _, f := range change {
		f(&o)
	}
	if o.Target == "" {
		o.Target = filepath.Join(s.T.TempDir(), "restored") // which the restore makes, so that it takes on the source's attributes
	}
	st, err := restore.Run(ctx, rd, s.Last, o)
	return o.Target, st, err
}

// Reader opens the repository for reading.
func (s *Site) Reader() *repo.Reader {
	s.T.Helper()
	rd, err := s.Repo.NewReader(context.Background())
	must(s.T, err)
	return rd
}

// Filter makes a filter of options that are well.
func Filter(t testing.TB, o filter.Options) *filter.Filter {
	t.Helper()
	f, err := filter.New(o)
	must(t, err)
	return f
}

// Mount mounts a file system, or what is at from, for the rest of the test.
func Mount(t *testing.T, from, at string) {
	t.Helper()
	if from == "" {
		must(t, unix.Mount("none", at, "tmpfs", 0, "size=8m"))
	} else {
		must(t, unix.Mount(from, at, "", unix.MS_BIND, ""))
	}
	t.Cleanup(func() { must(t, unix.Unmount(at, unix.MNT_DETACH)) })
}

// MountExt mounts a new file system of the kind ext4, made with the options, for the rest of the test.
func MountExt(t *testing.T, options ...string) (at string) {
	t.Helper()
	NeedRoot(t)
	dir := t.TempDir()
	disk, at := filepath.Join(dir, "disk"), filepath.Join(dir, "mounted")
	must(t, os.WriteFile(disk, nil, 0o600))
	must(t, os.Truncate(disk, 16<<20))
	must(t, os.Mkdir(at, 0o755))
	for _, args := range [][]string{append(append([]string{"mkfs.ext4", "-q"}, options...), disk), {"mount", "-o", "loop", disk, at}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	t.Cleanup(func() { must(t, unix.Unmount(at, unix.MNT_DETACH)) })
	return at
}

// MountCaseless mounts a new file system that takes names for the same which differ by case only, and returns where. The kernel remembers such names one by one, and
// for a second after they have changed: again mounts it anew. Modes and owners are kept, unless other options are given.
func MountCaseless(t *testing.T, options ...string) (at string, again func()) {
	t.Helper()
	NeedRoot(t)
	disk, at := newDisk(t)
	mount := func() {
		output(t, "lowntfs-3g", "-o", "ignore_case,"+cmp.Or(strings.Join(options, ","), "permissions"), disk, at)
	}
	output(t, "mkntfs", "--quiet", "--fast", "--force", disk)
	mount()
	t.Cleanup(func() { output(t, "umount", at) })
	return at, func() {
		t.Helper()
		output(t, "umount", at)
		mount()
	}
}

// MountExFAT mounts a new file system that knows no case, no links, no owners, no modes, and gives each spelling of a name an inode of its own. It returns where.
func MountExFAT(t *testing.T) (at string) {
	t.Helper()
	NeedRoot(t)
	disk, at := newDisk(t)
	output(t, "mkfs.exfat", disk)
	loop := strings.TrimSpace(output(t, "losetup", "--find", "--show", disk))
	t.Cleanup(func() { output(t, "losetup", "--detach", loop) })
	output(t, "mount.exfat-fuse", loop, at)
	t.Cleanup(func() { output(t, "umount", at) })
	return at
}

// newDisk returns a file to make a file system in, and where to mount that.
func newDisk(t *testing.T) (disk, at string) {
	t.Helper()
	dir := t.TempDir()
	disk, at = filepath.Join(dir, "disk"), filepath.Join(dir, "mounted")
	must(t, os.WriteFile(disk, nil, 0o600))
	must(t, os.Truncate(disk, 64<<20))
	must(t, os.Mkdir(at, 0o755))
	return disk, at
}

// output runs a program that the test needs.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") == "" {
		t.Skip("NOT TESTED: this test needs ", name)
	}
	if err != nil {
		t.Fatalf("%s: %v: %s", name, err, out)
	}
	return string(out)
}

// Age waits until what was changed has been left alone for long enough that its times will show the next change.
func Age() { time.Sleep(scan.Settled + 20*time.Millisecond) }

// Scaled is n, or less where the race detector makes everything ten times slower.
func Scaled(n, race int) int {
	if Race {
		return race
	}
	return n
}

// Random returns bytes that nothing compresses.
func Random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}
