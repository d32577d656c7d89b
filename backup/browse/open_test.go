package browse_test

import (
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"nightjar/backup/backuptest"
	"nightjar/backup/browse"
	"nightjar/backup/read"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
	"nightjar/repo/tree"
)

// Entries of one row each lie in shared frames: readers of them, one after another, read each frame once.
func TestSmallEntries(t *testing.T) {
	var gets atomic.Int64
	count := func(c storetest.Call) error {
		if c.Op == storetest.Get && strings.HasPrefix(c.Name, "content/") {
			gets.Add(1)
		}
		return nil
	}
	s := backuptest.NewOn(t, &storetest.Faulty{Store: store.NewMemory(nil), Before: []storetest.Hook{count}})
	n := 1000
	for i := range n {
		s.Write(fmt.Sprintf("%05d", i), fmt.Sprintf("row %d\n", i))
	}
	s.Save()
	rd, b, i := s.Reader(), read.NewBudget(0), 0
	must(t, browse.List(t.Context(), rd, s.Last, s.Src, false, func(_ string, n *tree.Node) error {
		from := read.Open(t.Context(), rd, n.Contents, b)
		if got := whole(t, from); got != fmt.Sprintf("row %d\n", i) {
			t.Fatalf("entry %d: %q", i, got)
		}
		i++
		return nil
	}))
	if i != n || gets.Load() > 8 {
		t.Errorf("%d entries, %d requests", i, gets.Load())
	}
}

// A file of some nights, most of it stored as deltas, is read back as cheaply as a restore reads it.
func TestNights(t *testing.T) {
	s := backuptest.New(t)
	content := backuptest.Random(10 << 20)
	for night := range 3 {
		for at := night * 1000; at < len(content); at += 200_000 {
			copy(content[at:], fmt.Sprint("night ", night, at))
		}
		s.Write("table", string(content))
		backuptest.Age()
		s.Save()
	}
	reads := func(f func()) uint64 {
		before := s.Reader().Reads().Bytes
		f()
		return s.Reader().Reads().Bytes - before
	}
	restored := reads(func() { s.Restore(); s.Log.None(t) })
	var got string
	back := reads(func() {
		from, err := browse.Open(t.Context(), s.Reader(), s.Last, s.Path("table"), nil)
		must(t, err)
		got = whole(t, from)
	})
	if got != string(content) {
		t.Error("it is other content")
	}
	if back > restored+restored/10 {
		t.Errorf("read %d bytes, a restore %d", back, restored)
	}
	t.Logf("read %d bytes, a restore %d", back, restored)
}

func whole(t *testing.T, r io.ReadCloser) string {
	t.Helper()
	all, err := io.ReadAll(r)
	must(t, err)
	must(t, r.Close())
	return string(all)
}
