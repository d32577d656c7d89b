package sftp_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/internal/sshtest"
	"nightjar/repo/store"
)

// What lies in the place of an object or a folder is found, and moved aside; nothing else is.
func TestCluttered(t *testing.T) {
	t.Parallel()
	server, ctx, dir := sshtest.Start(t), t.Context(), t.TempDir()
	s := open(t, server.URL(dir), settings(t, server.Key, server.KnownHosts))
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	for _, name := range []string{"kind/ab/object", "stray"} {
		_, err := s.Put(ctx, name, []byte("x"))
		must(t, err)
	}
	belongs := func(name string) fs.FileMode {
		switch {
		case !strings.HasPrefix(name, "kind"):
			return store.Nothing
		case strings.Count(name, "/") == 2:
			return 0
		}
		return fs.ModeDir
	}
	must(t, os.Mkdir(at("kind/ab/folder"), 0o700))
	must(t, os.WriteFile(at("kind/ab/folder/below"), nil, 0o600))
	must(t, os.Symlink("object", at("kind/ab/link")))
	must(t, mkfifo(at("kind/ab/fifo")))
	must(t, os.WriteFile(at("kind/cd"), []byte("file"), 0o600))
	must(t, os.Symlink(t.TempDir(), at("kind/ef")))
	look := func() (found []string) {
		must(t, s.Clutter(ctx, belongs, func(name string, what error) error {
			if !errors.Is(what, store.ErrClutter) {
				t.Errorf("%s: %v", name, what)
			}
			found = append(found, name)
			return nil
		}))
		slices.Sort(found)
		return found
	}
	found := look()
	if want := []string{"kind/ab/fifo", "kind/ab/folder", "kind/ab/link", "kind/cd", "kind/ef"}; !slices.Equal(found, want) {
		t.Fatalf("found %q, want %q", found, want)
	}
	for _, name := range found {
		aside, err := s.MoveAside(ctx, name, belongs(name))
		base := aside[strings.LastIndexByte(aside, '/')+1:]
		if _, lookErr := os.Lstat(filepath.Join(filepath.Dir(at(name)), base)); err != nil || lookErr != nil || !strings.HasPrefix(base, ".aside-") {
			t.Errorf("%s is moved to %q, %v, %v", name, aside, err, lookErr)
		}
	}
	for _, name := range []string{"kind/ab/object", "kind/ab", "kind/ab/missing"} {
		if aside, err := s.MoveAside(ctx, name, belongs(name)); aside != "" || err != nil {
			t.Errorf("%s is moved to %q, %v", name, aside, err)
		}
	}
	if again := look(); len(again) > 0 {
		t.Errorf("found again %q", again)
	}
	// Put takes the place of anything but a link, as in a directory.
	must(t, mkfifo(at("kind/cd")))
	_, err := s.Put(ctx, "kind/cd/object", []byte("x"))
	must(t, err)
	if got := list(t, s, "kind/"); !slices.Equal(got, []string{"kind/ab/object", "kind/cd/object"}) {
		t.Errorf("listed %q", got)
	}
}

// Sweep removes unfinished writes that are old enough, and nothing else, also when they are copies of what is older.
func TestSweep(t *testing.T) {
	t.Parallel()
	server, ctx, dir := sshtest.Start(t), t.Context(), t.TempDir()
	s := open(t, server.URL(dir), settings(t, server.Key, server.KnownHosts))
	long := time.Unix(1, 0)
	for _, name := range []string{"config", "keys/000001", "content/ab/" + strings.Repeat("ab", 32)} {
		_, err := s.PutAt(ctx, name, []byte("x"), long)
		must(t, err)
	}
	var st unix.Stat_t
	must(t, unix.Lstat(filepath.Join(dir, "config"), &st))
	if st.Mtim.Sec != 1 || time.Since(time.Unix(st.Atim.Unix())) > time.Hour {
		t.Errorf("what is copied tells times %v and %v", st.Mtim, st.Atim)
	}
	temps := []string{".tmp-a", "content/.tmp-c", "content/ab/.tmp-d", "keys/.tmp-b"}
	write := func(name string, atime time.Time) {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte("half"), 0o600))
		must(t, os.Chtimes(path, atime, long))
	}
	for _, name := range append(temps, "content/.aside-e", ".other/.tmp-f", "content/.tmp-UPPER") {
		write(name, long)
	}
	write("content/.tmp-copied", time.Now())
	must(t, os.Mkdir(filepath.Join(dir, "content/.tmp-folder"), 0o700))
	must(t, mkfifo(filepath.Join(dir, "content/.tmp-fifo")))
	must(t, os.Symlink("config", filepath.Join(dir, "content/.tmp-link")))
	elsewhere := t.TempDir()
	must(t, os.WriteFile(filepath.Join(elsewhere, ".tmp-g"), nil, 0o600))
	must(t, os.Chtimes(filepath.Join(elsewhere, ".tmp-g"), long, long))
	must(t, os.Symlink(elsewhere, filepath.Join(dir, "index")))
	before := files(t, dir)
	if n, err := s.Sweep(ctx, 365*100*24*time.Hour); n != 0 || err != nil || !slices.Equal(files(t, dir), before) {
		t.Errorf("of young ones %d went, %v", n, err)
	}
	if n, err := s.Sweep(ctx, time.Hour); n != len(temps) || err != nil {
		t.Errorf("of old ones %d went, %v", n, err)
	}
	want := slices.DeleteFunc(before, func(name string) bool { return slices.Contains(temps, name) })
	if got := files(t, dir); !slices.Equal(got, want) || len(files(t, elsewhere)) != 1 {
		t.Errorf("left are %q, want %q", got, want)
	}
}

// files names all below a folder that is no folder.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, path[len(dir)+1:])
		}
		return err
	}))
	return names
}
