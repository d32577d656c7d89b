package directory_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightjar/repo/store"
	"nightjar/repo/store/directory"
	"nightjar/repo/store/storetest"
)

func openDir(t testing.TB, path string) *directory.Store {
	t.Helper()
	d, err := directory.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestDir(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return openDir(t, t.TempDir()) })
}

func list(t *testing.T, s store.Store, prefix string) []string {
	t.Helper()
	var names []string
	err := s.List(t.Context(), prefix, func(info store.Info) error {
		names = append(names, info.Name)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantError(t *testing.T, err, target error, names string) {
	t.Helper()
	if !errors.Is(err, target) || !strings.Contains(err.Error(), names) {
		t.Fatalf("got error %v, want one that is %q and names %q", err, target, names)
	}
}

// mountTmpfs mounts a small file system of its own; only root can.
func mountTmpfs(t *testing.T, options string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		const why = "NOT TESTED: mounting a small file system needs root"
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

func TestDirOpen(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for _, path := range []string{filepath.Join(dir, "missing"), file, filepath.Join(file, "below")} {
		s, err := directory.Open(path)
		wantError(t, err, store.ErrNoStore, path)
		if s != nil {
			t.Fatal("an error and a store")
		}
	}
	if _, err := directory.Create(file); err == nil {
		t.Fatal("a file became a store")
	}
	link := filepath.Join(dir, "link")
	must(t, os.Symlink(t.TempDir(), link))
	openDir(t, link)

	made := filepath.Join(dir, "x", "y")
	for range 2 {
		s, err := directory.Create(made)
		must(t, err)
		defer s.Close()
		if s.Path() != made {
			t.Fatalf("Path is %s", s.Path())
		}
	}
}

func TestDirModesAndTimes(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	info, err := s.Put(t.Context(), "content/ab/pack", []byte("x"))
	must(t, err)
	for path, want := range map[string]fs.FileMode{"content": 0o700, "content/ab": 0o700, "content/ab/pack": 0o600} {
		got, err := os.Lstat(filepath.Join(dir, path))
		must(t, err)
		if got.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v", path, got.Mode().Perm(), want)
		}
		if path == info.Name && !got.ModTime().Equal(info.Time) {
			t.Errorf("Info has %v, the file %v", info.Time, got.ModTime())
		}
	}
}

func TestDirListLeavesOutJunk(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	for _, name := range []string{"config", "content/ab/pack"} {
		_, err := s.Put(t.Context(), name, []byte("x"))
		must(t, err)
	}
	must(t, os.Mkdir(filepath.Join(dir, "lost+found"), 0))
	must(t, os.Mkdir(filepath.Join(dir, "Folder"), 0o700))
	must(t, os.Mkdir(filepath.Join(dir, ".tmp-folder"), 0o700))
	must(t, os.Symlink("content", filepath.Join(dir, "link")))
	must(t, os.Symlink("config", filepath.Join(dir, "content", "ab", "link")))
	must(t, unix.Mkfifo(filepath.Join(dir, "fifo"), 0o600))
	for _, junk := range []string{
		".tmp-1", "content/.tmp-2", "content/ab/.tmp-3", "content/ab/pack~", "content/ab/PACK",
		"Folder/pack", ".tmp-folder/pack", "content/ab/a\nb",
	} {
		must(t, os.WriteFile(filepath.Join(dir, junk), []byte("junk"), 0o600))
	}
	if got, want := list(t, s, ""), []string{"config", "content/ab/pack"}; !slices.Equal(got, want) {
		t.Errorf("List: %q, want %q", got, want)
	}
}

func TestDirRemoved(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	must(t, os.Mkdir(dir, 0o700))
	s := openDir(t, dir)
	must(t, os.Remove(dir))
	must(t, os.Mkdir(dir, 0o700)) // another one, which this Store must not take for its own
	_, putErr := s.Put(t.Context(), "a", []byte("x"))
	_, deepErr := s.Put(t.Context(), "a/b", []byte("x"))
	_, statErr := s.Stat(t.Context(), "a")
	_, nowErr := s.Now(t.Context())
	all := func(prefix string) error {
		return s.List(t.Context(), prefix, func(store.Info) error { return nil })
	}
	for i, err := range []error{
		putErr, deepErr, statErr, nowErr, s.GetInto(t.Context(), "a", 0, nil), s.Delete(t.Context(), "a/b"), all(""), all("a/b"),
	} {
		if !errors.Is(err, store.ErrNoStore) || !strings.Contains(err.Error(), dir) {
			t.Errorf("operation %d on a removed store: %v", i, err)
		}
	}
}

func TestDirFull(t *testing.T) {
	dir := mountTmpfs(t, "size=256k")
	s := openDir(t, dir)
	_, err := s.Put(t.Context(), "a/fits", make([]byte, 100_000))
	must(t, err)
	_, err = s.Put(t.Context(), "a/does-not-fit", make([]byte, 1_000_000))
	wantError(t, err, unix.ENOSPC, "a/does-not-fit")
	entries, err := os.ReadDir(filepath.Join(dir, "a"))
	must(t, err)
	if len(entries) != 1 || entries[0].Name() != "fits" {
		t.Errorf("a full disk left %v", entries)
	}
	// What was taken by the failed one is free again.
	_, err = s.Put(t.Context(), "a/fits-too", make([]byte, 100_000))
	must(t, err)

	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1_000_000), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	_, err = s.Put(t.Context(), "a/fits", make([]byte, 100_000)) // needs no space
	must(t, err)
	_, err = s.Now(t.Context())
	wantError(t, err, unix.ENOSPC, dir)
}

func TestDirReadOnly(t *testing.T) {
	dir := mountTmpfs(t, "size=256k")
	s := openDir(t, dir)
	_, err := s.Put(t.Context(), "a", []byte("x"))
	must(t, err)
	must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	_, err = s.Put(t.Context(), "b", []byte("x"))
	wantError(t, err, unix.EROFS, "b")
	_, err = s.Put(t.Context(), "new/folder", []byte("x"))
	wantError(t, err, unix.EROFS, "new/folder")
	wantError(t, s.Delete(t.Context(), "a"), unix.EROFS, "a")
	_, err = s.Now(t.Context())
	wantError(t, err, unix.EROFS, dir)
	got, err := store.ReadAll(t.Context(), s, "a", 0)
	if err != nil || string(got) != "x" {
		t.Errorf("reading gave %q, %v", got, err)
	}
}

func TestDirDamaged(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	_, err := s.Put(t.Context(), "cut", make([]byte, 1000))
	must(t, err)
	must(t, os.Truncate(filepath.Join(dir, "cut"), 999))
	wantError(t, s.GetInto(t.Context(), "cut", 0, make([]byte, 1000)), io.ErrUnexpectedEOF, "cut")
	_, err = s.Put(t.Context(), "cut", make([]byte, 1000))
	wantError(t, err, store.ErrExists, "cut")

	must(t, os.WriteFile(filepath.Join(dir, "huge"), nil, 0o600))
	must(t, os.Truncate(filepath.Join(dir, "huge"), 1<<40)) // sparse
	wantError(t, s.GetInto(t.Context(), "huge", 0, make([]byte, 1)), store.ErrTooLarge, "huge")
	_, err = store.ReadAll(t.Context(), s, "huge", 1<<50)
	wantError(t, err, store.ErrTooLarge, "huge")
}

// TestDirKilled kills a writer again and again: whatever is there is whole.
func TestDirKilled(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	for round := range 5 {
		before := len(list(t, s, ""))
		cmd := exec.Command(os.Args[0], "-test.run=^TestDirWriter$")
		cmd.Env = append(os.Environ(), "STORE_TEST_DIR="+dir, fmt.Sprintf("STORE_TEST_ROUND=%d", round))
		must(t, cmd.Start())
		for deadline := time.Now().Add(time.Minute); len(list(t, s, "")) < before+3; {
			if time.Now().After(deadline) {
				t.Fatal("the writer stores nothing")
			}
			time.Sleep(time.Millisecond)
		}
		must(t, cmd.Process.Kill())
		_ = cmd.Wait() // "signal: killed"
	}
	for _, name := range list(t, s, "") {
		data, err := store.ReadAll(t.Context(), s, name, 0)
		must(t, err)
		if sum := sha256.Sum256(data); name != "content/"+hex.EncodeToString(sum[:1])+"/"+hex.EncodeToString(sum[:]) {
			t.Errorf("%s holds something else", name)
		}
	}
}

// TestDirWriter is the program that TestDirKilled kills.
func TestDirWriter(t *testing.T) {
	dir := os.Getenv("STORE_TEST_DIR")
	if dir == "" {
		return
	}
	s := openDir(t, dir)
	for i := 0; ; i++ {
		data := slices.Repeat([]byte(fmt.Sprintf("%s %10d ", os.Getenv("STORE_TEST_ROUND"), i)), 100_000)
		sum := sha256.Sum256(data)
		name := "content/" + hex.EncodeToString(sum[:1]) + "/" + hex.EncodeToString(sum[:])
		_, err := s.Put(t.Context(), name, data)
		must(t, err)
	}
}

// A folder that goes while it is listed makes a listing that lacks anything an error.
func TestDirListNeverShort(t *testing.T) {
	const objects = 60
	for name, breaks := range map[string]func(t *testing.T, path string){
		"a folder removed": func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Join(path, "content", "1"))) },
		"a folder moved": func(t *testing.T, path string) {
			must(t, os.Rename(filepath.Join(path, "content", "1"), filepath.Join(path, "away")))
		},
		"all of them removed": func(t *testing.T, path string) { must(t, os.RemoveAll(filepath.Join(path, "content"))) },
		"all of them moved": func(t *testing.T, path string) {
			must(t, os.Rename(filepath.Join(path, "content"), filepath.Join(path, "away")))
		},
		"the store removed": func(t *testing.T, path string) { must(t, os.RemoveAll(path)) },
	} {
		for _, at := range []int{1, 20, 30, 31, 59} {
			t.Run(fmt.Sprintf("%s/%d", name, at), func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "store")
				s, err := directory.Create(path)
				must(t, err)
				defer s.Close()
				for i := range objects {
					folder := filepath.Join(path, "content", strconv.Itoa(i%2))
					if i < 2 {
						must(t, os.MkdirAll(folder, 0o700))
					}
					must(t, os.WriteFile(filepath.Join(folder, strconv.Itoa(i)), nil, 0o600))
				}
				storetest.NeverShort(t, s, objects, func(seen int) {
					if seen == at {
						breaks(t, path)
					}
				})
			})
		}
	}
}
