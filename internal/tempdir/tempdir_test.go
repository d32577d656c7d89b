package tempdir

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func newDir(t *testing.T) Dir {
	t.Helper()
	d, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func wantEmpty(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil || len(entries) > 0 {
		t.Errorf("%s holds %v, %v", path, entries, err)
	}
}

func TestNewRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// /proc is a folder in which not even root can make files.
	for _, path := range []string{"", filepath.Join(dir, "missing"), file, filepath.Join(file, "below"), "/proc"} {
		d, err := New(path)
		if err == nil || !strings.Contains(err.Error(), path) || d != (Dir{}) {
			t.Errorf("New(%q): %v, %v", path, d, err)
		}
	}
}

func TestNewReadOnly(t *testing.T) {
	if os.Geteuid() != 0 {
		const why = "NOT TESTED: mounting a read-only file system needs root"
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_RDONLY, "size=64k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	if _, err := New(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("error %v", err)
	}
}

func TestRelativePath(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(filepath.Dir(dir))
	d, err := New(filepath.Base(dir))
	if err != nil || d.Path() != dir {
		t.Fatalf("Path is %q, %v, want %q", d.Path(), err, dir)
	}
}

func TestCreate(t *testing.T) {
	d := newDir(t)
	for name, create := range map[string]func(string) (*os.File, error){"O_TMPFILE": d.Create, "unlinked": d.createUnlinked} {
		t.Run(name, func(t *testing.T) {
			f, err := create("frames-")
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			wantEmpty(t, d.Path())
			info, err := f.Stat()
			if err != nil || info.Mode() != 0o600 {
				t.Errorf("mode %v, %v", info.Mode(), err)
			}
			if !strings.HasPrefix(f.Name(), filepath.Join(d.Path(), "frames-")) {
				t.Errorf("Name is %q", f.Name())
			}
			if _, err := f.WriteAt([]byte("content"), 3); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 7)
			if _, err := f.ReadAt(buf, 3); err != nil || string(buf) != "content" {
				t.Errorf("read %q, %v", buf, err)
			}
		})
	}
}

func TestMkdirTemp(t *testing.T) {
	d := newDir(t)
	path, cleanup, err := d.MkdirTemp("gpg-")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != fs.ModeDir|0o700 || filepath.Dir(path) != d.Path() {
		t.Errorf("made %s: %v, %v", path, info, err)
	}
	if err := os.WriteFile(filepath.Join(path, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := cleanup(); err != nil {
			t.Fatal(err)
		}
	}
	wantEmpty(t, d.Path())
}

// TestNoFallback sees that nothing is ever made elsewhere.
func TestNoFallback(t *testing.T) {
	elsewhere := t.TempDir()
	t.Setenv("TMPDIR", elsewhere)
	gone := newDir(t)
	if err := os.Remove(gone.Path()); err != nil {
		t.Fatal(err)
	}
	for _, d := range []Dir{{}, gone} {
		if f, err := d.Create("x"); err == nil {
			t.Errorf("%q made %s", d.Path(), f.Name())
		}
		if path, _, err := d.MkdirTemp("x"); err == nil {
			t.Errorf("%q made %s", d.Path(), path)
		}
	}
	for _, pattern := range []string{"../x", "/x", "a/b"} {
		d := newDir(t)
		if f, err := d.Create(pattern); err == nil {
			t.Errorf("pattern %q made %s", pattern, f.Name())
		}
		if path, _, err := d.MkdirTemp(pattern); err == nil {
			t.Errorf("pattern %q made %s", pattern, path)
		}
	}
	wantEmpty(t, elsewhere)
}

func TestEnviron(t *testing.T) {
	d := newDir(t)
	base := []string{"PATH=/bin", "TMPDIR=/tmp", "TMP=/tmp", "TEMP=/tmp", "TMPDIR=/again", "TMPDIRS=kept", "HOME=/TMP=x"}
	before := slices.Clone(base)
	got := d.Environ(base)
	want := []string{"PATH=/bin", "TMPDIRS=kept", "HOME=/TMP=x", "TMPDIR=" + d.Path(), "TMP=" + d.Path(), "TEMP=" + d.Path()}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if !slices.Equal(base, before) {
		t.Error("the environment given was changed")
	}
	if got := (Dir{}).Environ(base); slices.Contains(got, "TMPDIR=") || !slices.Contains(got, "TMPDIR=/dev/null") {
		t.Errorf("the zero Dir gave %q", got)
	}
}
