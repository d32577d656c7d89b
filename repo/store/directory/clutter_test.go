package directory_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/repo/store"
)

// clutter makes what is no regular file, by what it is called.
var clutter = map[string]func(t *testing.T, path string){
	"folder": func(t *testing.T, path string) {
		must(t, os.Mkdir(path, 0o700))
		must(t, os.WriteFile(filepath.Join(path, "below"), []byte("below"), 0o600))
	},
	"FIFO":     func(t *testing.T, path string) { must(t, unix.Mkfifo(path, 0o600)) },
	"link":     func(t *testing.T, path string) { must(t, os.Symlink(filepath.Join(outside(t), "secret"), path)) },
	"inner":    func(t *testing.T, path string) { must(t, os.Symlink("other", path)) },
	"dangling": func(t *testing.T, path string) { must(t, os.Symlink("nowhere", path)) },
	"loop":     func(t *testing.T, path string) { must(t, os.Symlink(filepath.Base(path), path)) },
	"socket": func(t *testing.T, path string) {
		t.Chdir(filepath.Dir(path)) // a socket's path is short
		l, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: filepath.Base(path)})
		must(t, err)
		l.SetUnlinkOnClose(false)
		must(t, l.Close())
	},
	"device": func(t *testing.T, path string) {
		if os.Geteuid() != 0 {
			must(t, unix.Mkfifo(path, 0o600)) // only root makes devices
			return
		}
		must(t, unix.Mknod(path, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 5)))) // /dev/zero
	},
}

// outside is a folder beside all stores that holds a file.
func outside(t *testing.T) string {
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("secret"), 0o600))
	return dir
}

// What is no regular file is a missing object, which can be stored again; what was there is kept.
func TestDirClutter(t *testing.T) {
	ctx := t.Context()
	for what, make := range clutter {
		for _, put := range []string{"put", "replace"} {
			t.Run(what+" "+put, func(t *testing.T) {
				dir := t.TempDir()
				s := openDir(t, dir)
				_, err := s.Put(ctx, "real/other", []byte("secret"))
				must(t, err)
				make(t, filepath.Join(dir, "real", "object"))
				const name = "real/object"
				_, err = s.Stat(ctx, name)
				wantError(t, err, store.ErrNotExist, name)
				wantError(t, s.GetInto(ctx, name, 0, nil), store.ErrNotExist, name)
				wantError(t, s.GetInto(ctx, name, 0, []byte{0}), store.ErrNotExist, "is in its place")
				wantError(t, s.Delete(ctx, name), store.ErrNotExist, name)
				if got := list(t, s, ""); slices.Contains(got, name) || !slices.Contains(got, "real/other") {
					t.Errorf("List: %q", got)
				}
				for range 2 {
					if put == "put" {
						_, err = s.Put(ctx, name, []byte("secret"))
					} else {
						_, err = s.Replace(ctx, name, []byte("secret"), time.Time{})
					}
					must(t, err)
				}
				if got, err := store.ReadAll(ctx, s, name, 0); err != nil || string(got) != "secret" {
					t.Errorf("afterwards it is %q, %v", got, err)
				}
				if got, want := list(t, s, ""), []string{name, "real/other"}; !slices.Equal(got, want) {
					t.Errorf("List: %q, want %q", got, want)
				}
				aside, err := filepath.Glob(filepath.Join(dir, "real", ".aside-object-*"))
				must(t, err)
				if len(aside) != 1 {
					t.Fatalf("moved aside: %q", aside)
				}
				if info, err := os.Lstat(aside[0]); err != nil || info.Mode().IsRegular() {
					t.Errorf("moved aside is %v, %v", info, err)
				}
			})
		}
	}
}

// What is in the place of a folder hides the objects below it. Put takes its place, but not that of a link, behind which somebody's folder may lie.
func TestDirClutteredFolder(t *testing.T) {
	ctx := t.Context()
	belongs := func(name string) fs.FileMode {
		switch name {
		case "kind", "kind/ab":
			return fs.ModeDir
		case "kind/ab/object":
			return 0
		}
		return store.Nothing
	}
	for what, make := range clutter {
		if what == "folder" {
			what, make = "file", func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte("file"), 0o600)) }
		}
		for _, folder := range []string{"kind", "kind/ab"} {
			t.Run(what+" "+folder, func(t *testing.T) {
				dir := t.TempDir()
				s := openDir(t, dir)
				must(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, folder)), 0o700))
				make(t, filepath.Join(dir, folder))
				const name = "kind/ab/object"
				_, err := s.Stat(ctx, name)
				wantError(t, err, store.ErrNotExist, folder)
				wantError(t, s.GetInto(ctx, name, 0, nil), store.ErrNotExist, name)
				wantError(t, s.Delete(ctx, name), store.ErrNotExist, name)
				err = s.List(ctx, folder+"/", func(store.Info) error { return nil })
				if err == nil || errors.Is(err, store.ErrNotExist) || !strings.Contains(err.Error(), folder) {
					t.Errorf("listing it: %v", err)
				}
				link := slices.Contains([]string{"link", "inner", "dangling", "loop"}, what)
				if link {
					_, err := s.Put(ctx, name, []byte("x"))
					if err == nil || errors.Is(err, store.ErrNotExist) || !strings.Contains(err.Error(), folder+": a symbolic link") {
						t.Errorf("storing below a link: %v", err)
					}
					var found []string
					must(t, s.Clutter(ctx, belongs, func(name string, what error) error {
						found = append(found, name)
						aside, err := s.MoveAside(ctx, name, belongs(name))
						if filepath.Dir(aside) != filepath.Dir(filepath.Join(dir, folder)) {
							t.Errorf("moved to %s", aside)
						}
						return err
					}))
					if !slices.Equal(found, []string{folder}) {
						t.Errorf("found %q", found)
					}
				}
				_, err = s.Put(ctx, name, []byte("x"))
				must(t, err)
				if got := list(t, s, ""); !slices.Equal(got, []string{name}) {
					t.Errorf("List: %q", got)
				}
				must(t, s.Clutter(ctx, belongs, func(name string, what error) error {
					t.Errorf("%s: %v", name, what)
					return nil
				}))
				if aside, err := s.MoveAside(ctx, name, 0); aside != "" || err != nil {
					t.Errorf("an object was moved to %s, %v", aside, err)
				}
			})
		}
	}
}

// Writers who find the same clutter leave one object, and lose none.
func TestDirClutterRace(t *testing.T) {
	for range 50 {
		dir := t.TempDir()
		s := openDir(t, dir)
		must(t, unix.Mkfifo(filepath.Join(dir, "kind"), 0o600))
		var wg sync.WaitGroup
		errs := make([]error, 8)
		for i := range errs {
			wg.Go(func() { _, errs[i] = s.Put(t.Context(), fmt.Sprintf("kind/%d", i/2), []byte("x")) })
		}
		wg.Wait()
		must(t, errors.Join(errs...))
		if got, want := list(t, s, ""), []string{"kind/0", "kind/1", "kind/2", "kind/3"}; !slices.Equal(got, want) {
			t.Fatalf("List: %q", got)
		}
	}
}
