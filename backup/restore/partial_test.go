package restore_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"nightjar/backup/backuptest"
	"nightjar/backup/restore"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
)

// A file of which a part is lost is kept, however long its name: shortened by whole characters, so that NAME.damaged fits, and told with its own.
func TestPartialLongNames(t *testing.T) {
	f := &storetest.Faulty{Store: store.NewMemory(nil)}
	s := backuptest.NewOn(t, f)
	long := strings.Repeat("n", 253)
	names := []string{long + "aa", long + "ab", strings.Repeat("é", 127) + "x"}
	alike := string(backuptest.Random(20 << 20)) // that all begin with, in two packs, of which one is lost
	var lost string
	var mu sync.Mutex
	f.Before = []storetest.Hook{func(c storetest.Call) error {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case !strings.Contains(c.Name, "content"):
		case c.Op == storetest.Put && lost == "":
			lost = c.Name
		case c.Op == storetest.Get && c.Name == lost:
			return fs.ErrNotExist
		}
		return nil
	}}
	for _, name := range names {
		s.Write(name, alike+name)
	}
	s.Save()
	target, st := s.Restore(func(o *restore.Options) { o.Partial = true })
	there, err := os.ReadDir(target)
	must(t, err)
	kept := map[string]bool{}
	for _, e := range there {
		kept[e.Name()] = true
	}
	for _, name := range []string{strings.Repeat("n", 247) + ".damaged", strings.Repeat("n", 246) + ".damaged1", strings.Repeat("é", 123) + ".damaged"} {
		if !kept[name] {
			t.Errorf("%q is not kept: %v", name, kept)
		}
	}
	if len(there) != len(names) || st.Problems != uint64(len(names)) {
		t.Errorf("%d kept, %+v", len(there), st)
	}
	for _, name := range names {
		if err := s.Log.All[filepath.Join(s.Src, name)]; err == nil || !strings.Contains(err.Error(), ".damaged") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
