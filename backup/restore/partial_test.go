package restore_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/backup"
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
	names := []string{long + "aa", long + "ab", strings.Repeat("é", 127) + "x", strings.Repeat("m", 247), "short"}
	alike := string(backuptest.Random(4 << 20)) // that all begin with, and of which a part is lost
	for _, name := range names {
		s.Write(name, alike+string(backuptest.Random(2<<20)))
	}
	s.Save(func(o *backup.Options) { o.Workers = 1 })
	f.After = []storetest.Hook{func(c storetest.Call) error {
		if at := 2<<20 - c.Offset; c.Op == storetest.Get && strings.Contains(c.Name, "content") && at >= 0 && at < int64(len(c.Data)) {
			c.Data[at] ^= 1
		}
		return nil
	}}
	target, st := s.Restore(func(o *restore.Options) { o.Partial = true })
	there, err := os.ReadDir(target)
	must(t, err)
	kept := map[string]bool{}
	for _, e := range there {
		kept[e.Name()] = true
	}
	for _, name := range []string{strings.Repeat("n", 247) + ".damaged", strings.Repeat("n", 246) + ".damaged1", strings.Repeat("é", 123) + ".damaged", strings.Repeat("m", 247) + ".damaged", "short.damaged"} {
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
