package sftp_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightjar/internal/sshtest"
	"nightjar/repo/store"
	"nightjar/repo/store/directory"
	"nightjar/repo/store/sftp"
	"nightjar/repo/store/storetest"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func location(t testing.TB, url string) store.Location {
	t.Helper()
	l, err := store.ParseLocation(url)
	must(t, err)
	l, err = sftp.Kind.Parse(l)
	must(t, err)
	return l
}

// settings opens with files that are named, and an environment that is empty but for more.
func settings(t testing.TB, key, known string, more ...string) store.Opening {
	all := map[string]string{"sftp-key": key, "sftp-known-hosts": known, "sftp-config": "none", "HOME": t.TempDir()}
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	get := func(name string) string { return all[name] }
	return store.Opening{Create: true, Setting: get, Getenv: get, Warn: func(err error) { t.Errorf("warned: %v", err) }}
}

func open(t testing.TB, url string, o store.Opening) *sftp.Store {
	t.Helper()
	s, err := sftp.OpenImpatient(t.Context(), location(t, url), o, 100, 256<<20)
	must(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func list(t *testing.T, s store.Store, prefix string) (names []string) {
	t.Helper()
	must(t, s.List(t.Context(), prefix, func(i store.Info) error {
		names = append(names, i.Name)
		return nil
	}))
	slices.Sort(names)
	return names
}

func TestConformance(t *testing.T) {
	t.Parallel()
	server := sshtest.Start(t)
	storetest.Run(t, func(t *testing.T) store.Store {
		dir := filepath.Join(t.TempDir(), "new", "store")
		s := open(t, server.URL(dir), settings(t, server.Key, server.KnownHosts))
		t.Cleanup(func() { private(t, dir) })
		return s
	})
}

// private wants what is below a folder to be its owner's alone.
func private(t *testing.T, dir string) {
	t.Helper()
	must(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	}))
}

// A directory store that is moved to a server, and back, is the same.
func TestSameAsDirectory(t *testing.T) {
	t.Parallel()
	server, ctx, dir := sshtest.Start(t), t.Context(), t.TempDir()
	d, err := directory.Open(dir)
	must(t, err)
	defer d.Close()
	s := open(t, server.URL(dir), settings(t, server.Key, server.KnownHosts))
	for i, by := range []store.Store{d, s} {
		name := []string{"content/ab/dir", "content/cd/sftp"}[i]
		_, err := by.Put(ctx, name, []byte(name))
		must(t, err)
		for _, from := range []store.Store{d, s} {
			got, err := store.ReadAll(ctx, from, name, 0)
			if err != nil || string(got) != name {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	}
	for _, from := range []store.Store{d, s} {
		if got := list(t, from, ""); !slices.Equal(got, []string{"content/ab/dir", "content/cd/sftp"}) {
			t.Errorf("listed %q", got)
		}
	}
	link, other := filepath.Join(t.TempDir(), "link"), open(t, server.URL(t.TempDir()), settings(t, server.Key, server.KnownHosts))
	must(t, os.Symlink(dir, link))
	linked := open(t, server.URL(link), settings(t, server.Key, server.KnownHosts))
	for i, pair := range [][2]store.Store{{d, d}, {d, s}, {s, d}, {s, linked}, {s, other}, {other, d}} {
		same, err := store.Same(ctx, pair[0], pair[1], "content/ab/dir")
		if must(t, err); same != (i < 4) {
			t.Errorf("pair %d is one place: %v", i, same)
		}
	}
	_, err = s.Put(ctx, "content/ab/dir", []byte("other"))
	if !errors.Is(err, store.ErrExists) {
		t.Errorf("over another's object: %v", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "content", "*", ".*"))
	must(t, err)
	if marks, _ := filepath.Glob(filepath.Join(dir, ".*")); len(marks) > 0 {
		t.Errorf("left %q", marks)
	}
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

// What is no regular file is a missing object, which can be stored again; a link is not followed, a FIFO not opened.
func TestClutter(t *testing.T) {
	t.Parallel()
	server, ctx, dir := sshtest.Start(t), t.Context(), t.TempDir()
	s := open(t, server.URL(dir), settings(t, server.Key, server.KnownHosts))
	_, err := s.Put(ctx, "real/other", []byte("secret"))
	must(t, err)
	at := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	must(t, os.Mkdir(at("real/folder"), 0o700))
	must(t, os.Symlink("other", at("real/link")))
	must(t, mkfifo(at("real/fifo")))
	for _, name := range []string{"real/folder", "real/link", "real/fifo"} {
		_, err := s.Stat(ctx, name)
		for _, err := range []error{err, s.GetInto(ctx, name, 0, make([]byte, 1)), s.Delete(ctx, name)} {
			if !errors.Is(err, store.ErrNotExist) || !strings.Contains(err.Error(), "is in its place") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if got := list(t, s, ""); slices.Contains(got, name) {
			t.Errorf("%s is listed", name)
		}
		_, err = s.Put(ctx, name, []byte("secret"))
		must(t, err)
		if got, err := store.ReadAll(ctx, s, name, 0); err != nil || string(got) != "secret" {
			t.Errorf("afterwards %s is %q, %v", name, got, err)
		}
	}
	aside, err := filepath.Glob(at("real/.aside-*"))
	if must(t, err); len(aside) != 3 {
		t.Errorf("moved aside: %q", aside)
	}
	// A link in the place of a folder hides what is behind.
	must(t, os.Symlink("real", at("linked")))
	_, err = s.Stat(ctx, "linked/other")
	_, putErr := s.Put(ctx, "linked/new", nil)
	if !errors.Is(err, store.ErrNotExist) || !errors.Is(putErr, store.ErrClutter) {
		t.Errorf("behind a link: %v, %v", err, putErr)
	}
	if err := s.List(ctx, "linked/", func(store.Info) error { return nil }); err == nil || errors.Is(err, store.ErrNotExist) {
		t.Errorf("listed behind a link: %v", err)
	}
}

// A listing that lacks anything is an error.
func TestNeverShort(t *testing.T) {
	t.Parallel()
	server, ctx := sshtest.Start(t), t.Context()
	fill := func(t *testing.T) (*sftp.Store, string) {
		dir := filepath.Join(t.TempDir(), "store")
		s := open(t, server.URL(dir), settings(t, server.Key, server.KnownHosts))
		for _, name := range []string{"content/a/1", "content/b/2", "content/c/3"} {
			_, err := s.Put(ctx, name, nil)
			must(t, err)
		}
		return s, dir
	}
	for what, breaks := range map[string]func(dir string) error{
		"a folder is moved away": func(dir string) error { return os.Rename(filepath.Join(dir, "content/c"), filepath.Join(dir, "x")) },
		"all is moved away":      func(dir string) error { return os.Rename(dir, dir+"-away") },
		"a folder becomes a file": func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "content/c")), os.WriteFile(filepath.Join(dir, "content/c"), nil, 0o600))
		},
	} {
		t.Run(what, func(t *testing.T) {
			s, dir := fill(t)
			storetest.NeverShort(t, s, 3, func(seen int) {
				if seen == 1 {
					must(t, breaks(dir))
				}
			})
		})
	}
	s, dir := fill(t)
	must(t, os.RemoveAll(dir))
	for what, err := range map[string]error{
		"list": s.List(ctx, "content/", func(store.Info) error { return nil }),
		"get":  s.GetInto(ctx, "content/a/1", 0, nil),
	} {
		if !errors.Is(err, store.ErrNoStore) {
			t.Errorf("%s: %v", what, err)
		}
	}
	o := settings(t, server.Key, server.KnownHosts)
	o.Create = false
	if _, err := sftp.Open(ctx, location(t, server.URL(dir)), o); !errors.Is(err, store.ErrNoStore) {
		t.Errorf("a missing folder opens with %v", err)
	}
	// Of one folder the server may not say more than can be kept.
	s2, err := sftp.OpenImpatient(ctx, location(t, server.URL(filepath.Dir(dir))), settings(t, server.Key, server.KnownHosts), 2, 10)
	must(t, err)
	defer s2.Close()
	if err := s2.List(ctx, "", func(store.Info) error { return nil }); err == nil || !strings.Contains(err.Error(), "no end") {
		t.Errorf("a listing without end: %v", err)
	}
}

// Every address has one spelling.
func TestParse(t *testing.T) {
	t.Parallel()
	for url, want := range map[string]string{
		"sftp://h/p": "h/p", "sftp://h//p/": "h/p", "sftp://me@h:22/p/../q": "me@h:22/q", "sftp://h/~/p": "h/~/p", "sftp://h/~": "h/~", "sftp://h/~/../p": "h/~/p",
		"sftp://[::1]:2222/a%20b": "[::1]:2222/a%20b", "sftp://h/a%25b": "h/a%25b", "sftp://h:0022/p": "h:22/p",
	} {
		l := location(t, url)
		if l.Path != want || location(t, "sftp://"+l.Path) != l {
			t.Errorf("%s is %q, want %q", url, l.Path, want)
		}
	}
	for _, url := range []string{"sftp://", "sftp://h", "sftp://h/", "sftp:///p", "sftp://u:hunter2@h/p", "sftp://h:x/p", "sftp://h:99999/p", "sftp://h/p?q", "sftp://h/p#f", "sftp://@h/p", "sftp://-oX/p", "sftp://h/%00", "sftp://h/..", "sftp://a b/p"} {
		l, err := store.ParseLocation(url)
		if err == nil {
			l, err = sftp.Kind.Parse(l)
		}
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s is %+v, %v", url, l, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"me@host:22/path", "h/~/x", "[::1]/a%20b", "u:p@h/x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		l, err := sftp.Parse(store.Location{Scheme: "sftp", Path: path})
		if err != nil {
			return
		}
		if again, err := sftp.Parse(l); err != nil || again != l {
			t.Errorf("%q is %q, then %q, %v", path, l.Path, again.Path, err)
		}
	})
}
