package directory_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Sweep removes unfinished writes that are old enough, and nothing else, whatever their mtime says.
func TestDirSweep(t *testing.T) {
	dir := t.TempDir()
	s := openDir(t, dir)
	for _, name := range []string{"config", "keys/000001", "content/ab/" + strings.Repeat("ab", 32)} {
		_, err := s.Put(t.Context(), name, []byte("x"))
		must(t, err)
	}
	temps := []string{".tmp-a", "keys/.tmp-b", "content/.tmp-c", "content/ab/.tmp-d"}
	long := time.Unix(1, 0)
	for _, name := range append(temps, "content/.aside-e", ".other/.tmp-f") {
		path := filepath.Join(dir, name)
		must(t, os.MkdirAll(filepath.Dir(path), 0o700))
		must(t, os.WriteFile(path, []byte("half"), 0o600))
		must(t, os.Chtimes(path, long, long))
	}
	must(t, os.Mkdir(filepath.Join(dir, "content/.tmp-folder"), 0o700))
	must(t, unix.Mkfifo(filepath.Join(dir, "content/.tmp-fifo"), 0o600))
	must(t, os.Symlink(t.TempDir(), filepath.Join(dir, "index")))
	left := func() (names []string) {
		must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if !d.IsDir() {
				names = append(names, path[len(dir)+1:])
			}
			return err
		}))
		return names
	}
	before := left()
	if n, err := s.Sweep(t.Context(), time.Hour); n != 0 || err != nil || !slices.Equal(left(), before) {
		t.Errorf("of young ones %d went, %v", n, err)
	}
	if n, err := s.Sweep(t.Context(), -time.Hour); n != len(temps) || err != nil {
		t.Errorf("of old ones %d went, %v", n, err)
	}
	want := slices.DeleteFunc(before, func(name string) bool { return slices.Contains(temps, name) })
	if got := left(); !slices.Equal(got, want) {
		t.Errorf("left are %q, want %q", got, want)
	}
}
