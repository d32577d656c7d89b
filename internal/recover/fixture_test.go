package recover_test

import (
	"bytes"
	"context"
	crand "crypto/rand"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/backup"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
	"nightjar/repo/store/directory"
)

// fixture is a repository in a directory, and what was backed up to it.
type fixture struct {
	dir, src string
	store    store.Store
	keys     *keyring.Keyring
	repo     *repo.Repository
	host     *crypto.Key
	recovery *crypto.Key
	last     *repo.Archive
}

// newFixture makes a repository. embedded: one key plays host and recovery, as init does when no key is named.
func newFixture(t *testing.T, embedded bool) *fixture {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "repository")
	s, err := directory.Create(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return newFixtureIn(t, s, dir, embedded)
}

// newFixtureIn makes a repository in a store, of which dir holds the objects before anything is recovered from it.
func newFixtureIn(t *testing.T, s store.Store, dir string, embedded bool) *fixture {
	t.Helper()
	ctx := context.Background()
	host, recovery := generate(t, "nightjar host web1"), generate(t, "nightjar recovery web1")
	if embedded {
		recovery = host
	}
	f := &fixture{dir: dir, src: filepath.Join(t.TempDir(), "src"), store: s, host: host, recovery: recovery}
	var err error
	f.keys, err = repo.Init(ctx, f.store, repo.InitOptions{HostName: "web1", Host: host, Recovery: []*crypto.Key{recovery}})
	if err != nil {
		t.Fatal(err)
	}
	f.open(t)
	return f
}

// open opens the repository as its host, with the newest keys.
func (f *fixture) open(t *testing.T) {
	t.Helper()
	o := repo.Options{IndexDir: t.TempDir(), Warn: func(err error) { t.Errorf("warning: %v", err) }}
	r, err := repo.Open(context.Background(), f.store, f.keys, keyring.Held(f.host), o)
	must(t, err)
	t.Cleanup(func() { r.Close() })
	must(t, r.SetHost(f.host))
	f.repo = r
}

// rekey makes new keys of every kind, one number after another.
func (f *fixture) rekey(t *testing.T) {
	t.Helper()
	e := keyring.Editor{
		Store: f.store, Now: time.Now, Random: crand.Reader,
		Load: func(context.Context) (*keyring.Keyring, error) { return f.keys, nil },
		Open: func(ctx context.Context, k *keyring.Keyring) ([]*crypto.Key, error) {
			return k.OpenSecrets(ctx, keyring.Held(f.recovery))
		},
	}
	for _, edit := range []func(*keyring.Draft) error{(*keyring.Draft).HandOver, (*keyring.Draft).RotateMetadata, (*keyring.Draft).RotateContent} {
		next, _, err := e.Change(context.Background(), edit)
		must(t, err)
		f.keys = next
	}
	f.open(t)
}

func generate(t *testing.T, name string) *crypto.Key {
	t.Helper()
	k, err := crypto.Generate(name, time.Now().Add(-time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// backup saves the source, beside what was saved last.
func (f *fixture) backup(t *testing.T) (sums backup.Statistics) {
	t.Helper()
	o := backup.Options{Paths: []string{f.src}, Previous: f.last, Problem: func(path string, err error) { t.Errorf("%s: %v", path, err) }}
	var err error
	if f.last, sums, err = backup.Tree(context.Background(), f.repo, &repo.Record{Host: "web1", Job: "job", Paths: []repo.Text{repo.Text(f.src)}}, o); err != nil {
		t.Fatal(err)
	}
	return sums
}

// kit returns the recovery kit with the recovery key under a passphrase, if there is one.
func (f *fixture) kit(t *testing.T, passphrase string) []byte {
	t.Helper()
	secret, err := f.recovery.ArmorSecret([]byte(passphrase))
	if err != nil {
		t.Fatal(err)
	}
	kit, err := f.keys.Kit(context.Background(), f.store, f.dir, secret, passphrase != "")
	if err != nil {
		t.Fatal(err)
	}
	text, err := kit.Text()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// fill makes a source tree with some of everything.
func fill(t *testing.T, src string) {
	t.Helper()
	random := rand.NewChaCha8([32]byte{1})
	bytesOf := func(n int) []byte { b := make([]byte, n); random.Read(b); return b }
	write(t, filepath.Join(src, "etc/passwd"), []byte("root:x:0:0\nnightjar's needle\n"))
	write(t, filepath.Join(src, "etc/empty"), nil)
	write(t, filepath.Join(src, "var/large"), bytesOf(9<<20))
	write(t, filepath.Join(src, "var/text"), bytes.Repeat([]byte("one line of a log, and the next\n"), 100_000))
	for i := range 900 { // a directory of several trees
		write(t, filepath.Join(src, "var/many", fmt.Sprintf("a file with a rather long name so that the tree fills up %04d", i)), fmt.Appendf(nil, "file %d", i))
	}
	write(t, filepath.Join(src, "names/\xff\x1b[31mnot utf-8\\"), []byte("x"))
	deep := src
	for range 60 {
		deep = filepath.Join(deep, "a directory with a name of forty letters")
	}
	write(t, filepath.Join(deep, "bottom"), []byte("deep"))

	// So many extents that the file has a list, and one that is nearly all hole.
	sparse, err := os.Create(filepath.Join(src, "var/sparse"))
	must(t, err)
	for i := range 300 {
		_, err := sparse.WriteAt(bytesOf(4096), int64(i)*65536)
		must(t, err)
	}
	must(t, sparse.Truncate(300*65536+5))
	must(t, sparse.Close())
	write(t, filepath.Join(src, "var/hole"), nil)
	must(t, os.Truncate(filepath.Join(src, "var/hole"), 1<<30))

	must(t, os.Symlink("/nowhere/at all", filepath.Join(src, "etc/link")))
	must(t, os.Link(filepath.Join(src, "etc/passwd"), filepath.Join(src, "var/passwd")))
	must(t, unix.Mkfifo(filepath.Join(src, "var/fifo"), 0o622))
	must(t, os.Chmod(filepath.Join(src, "etc/passwd"), 0o644))
	must(t, os.Chmod(filepath.Join(src, "var/text"), 0o4755))
	must(t, unix.Setxattr(filepath.Join(src, "etc/passwd"), "user.colour", []byte("blue"), 0))
	must(t, unix.Setxattr(filepath.Join(src, "etc"), "user.large", bytes.Repeat([]byte("v"), 3000), 0))
	// user::rw-, user:games:rwx, group::r--, mask::rwx, other::r--: of accounts that have a name, an attribute of ours speaks.
	acl := "\x02\x00\x00\x00\x01\x00\x06\x00\xff\xff\xff\xff\x02\x00\x07\x00\x05\x00\x00\x00\x04\x00\x04\x00\xff\xff\xff\xff\x10\x00\x07\x00\xff\xff\xff\xff\x20\x00\x04\x00\xff\xff\xff\xff"
	must(t, unix.Setxattr(filepath.Join(src, "etc/empty"), "system.posix_acl_access", []byte(acl), 0))
	if os.Geteuid() == 0 {
		must(t, os.Lchown(filepath.Join(src, "etc/link"), 12345, 54321))
		must(t, os.Chown(filepath.Join(src, "var/large"), 12345, 54321))
	}
	old := time.Date(2001, 2, 3, 4, 5, 6, 789_000_001, time.UTC)
	must(t, os.Chtimes(filepath.Join(src, "etc/passwd"), old, old))
	must(t, os.Chmod(filepath.Join(src, "etc"), 0o751))
	must(t, os.Chtimes(filepath.Join(src, "etc"), old, old))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// facts says all of an entry that has to come back.
type facts struct {
	mode, uid, gid, rdev uint64
	size, mtime          int64
	link, same, xattrs   string
	content              string
	sparse               bool
}

// look describes the tree at root, by path.
func look(t *testing.T, root string) map[string]facts {
	t.Helper()
	found, firsts := map[string]facts{}, map[uint64]string{}
	must(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		name, st := path[len(root):], info.Sys().(*syscall.Stat_t)
		f := facts{mode: uint64(st.Mode), uid: uint64(st.Uid), gid: uint64(st.Gid), rdev: st.Rdev, mtime: st.Mtim.Nano()}
		switch {
		case info.Mode().IsRegular():
			f.size, f.sparse = st.Size, st.Blocks*512 < st.Size/2
			if st.Size < 64<<20 {
				b, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				f.content = string(b)
			}
			if st.Nlink > 1 {
				if firsts[st.Ino] == "" {
					firsts[st.Ino] = name
				}
				f.same = firsts[st.Ino]
			}
		case info.Mode()&fs.ModeSymlink != 0:
			if f.link, err = os.Readlink(path); err != nil {
				return err
			}
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			for _, x := range []string{"user.colour", "user.large", "system.posix_acl_access"} {
				value := make([]byte, 4096)
				n, _ := unix.Getxattr(path, x, value)
				f.xattrs += string(value[:max(n, 0)]) + ";"
			}
		}
		found[name] = f
		return nil
	}))
	return found
}

// compare says where the trees differ.
func compare(t *testing.T, want, got map[string]facts) {
	t.Helper()
	for name, w := range want {
		g, ok := got[name]
		if !ok {
			t.Errorf("%q is missing", name)
			continue
		}
		if g != w {
			same := g.content == w.content
			g.content, w.content = "", ""
			t.Errorf("%q: content the same: %v\n got %+v\nwant %+v", name, same, g, w)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%q was not backed up", name)
		}
	}
}
