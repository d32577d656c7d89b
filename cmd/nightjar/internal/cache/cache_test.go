package cache

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// use makes a cache of one repository with so many bytes in it.
func use(t *testing.T, folder, repository string, at time.Time, size int) {
	t.Helper()
	own, err := Use(folder, repository, at)
	must(t, err)
	for _, f := range []string{own.Indexes, own.Blocks, own.Records} {
		must(t, os.Mkdir(f, 0o700))
	}
	must(t, os.WriteFile(filepath.Join(own.Indexes, "run"), make([]byte, size), 0o600))
	must(t, os.Chtimes(filepath.Dir(own.Indexes), at, at)) // the folders were made after the use
}

func TestList(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "cache")
	if all, err := List(folder); err != nil || len(all) != 0 {
		t.Fatalf("a missing folder lists %v, %v", all, err)
	}
	older, newer := strings.Repeat("a", 32), strings.Repeat("b", 32)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	use(t, folder, older, at, 10)
	use(t, folder, newer, at.Add(time.Hour), 300)
	must(t, os.Mkdir(filepath.Join(folder, "photos"), 0o700))                                 // named by no repository
	must(t, os.WriteFile(filepath.Join(folder, strings.Repeat("c", 32)), []byte("x"), 0o600)) // no folder
	all, err := List(folder)
	must(t, err)
	if len(all) != 2 || all[0].Repository != newer || all[0].Bytes != 300 || all[1].Repository != older || all[1].Bytes != 10 || !all[1].Used.Equal(at) {
		t.Errorf("listed %+v", all)
	}
	// Used again, the older one is the newer.
	_, err = Use(folder, older, at.Add(2*time.Hour))
	must(t, err)
	all, err = List(folder)
	must(t, err)
	if all[0].Repository != older {
		t.Errorf("listed %+v after a use", all)
	}
}

// What is in a cache's folder and no cache is not this package's to delete.
func TestRemove(t *testing.T) {
	folder := t.TempDir()
	use(t, folder, strings.Repeat("a", 32), time.Now(), 10)
	use(t, folder, strings.Repeat("b", 32), time.Now(), 10)
	foreign := filepath.Join(folder, strings.Repeat("a", 32), "key.asc")
	must(t, os.WriteFile(foreign, []byte("secret"), 0o600))
	all, err := List(folder)
	must(t, err)
	for i := range all {
		must(t, all[i].Remove())
	}
	if _, err := os.Stat(foreign); err != nil {
		t.Error(err)
	}
	all, err = List(folder)
	must(t, err)
	if len(all) != 1 || all[0].Bytes != 0 {
		t.Errorf("left %+v", all)
	}
}

func TestUseTags(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "cache")
	use(t, folder, strings.Repeat("a", 32), time.Now(), 1)
	tag := filepath.Join(folder, "CACHEDIR.TAG")
	b, err := os.ReadFile(tag)
	must(t, err)
	if !strings.HasPrefix(string(b), "Signature: 8a477f597d28d172789f06886806bc55") { // bford.info/cachedir
		t.Errorf("tagged with %q", b)
	}
	must(t, os.WriteFile(tag, []byte("mine"), 0o600))
	_, err = Use(folder, strings.Repeat("a", 32), time.Now())
	must(t, err)
	if b, err := os.ReadFile(tag); string(b) != "mine" {
		t.Errorf("the tag that was there is %q now, %v", b, err)
	}
	// A folder that cannot be made is for who uses it to find.
	if _, err := Use(filepath.Join(tag, "cache"), strings.Repeat("a", 32), time.Now()); err != nil {
		t.Error(err)
	}
}
