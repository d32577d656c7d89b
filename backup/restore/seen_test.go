package restore

import (
	"runtime"
	"testing"

	"nightjar/backup/local"
	"nightjar/repo/tree"
)

// What is remembered of a directory takes little, however many entries it has.
func TestSeenIsSmall(t *testing.T) {
	for what, tt := range map[string]struct{ spread, entries, most uint64 }{
		"side by side": {1, 2_000_000, 12 << 20}, "one in ten": {10, 2_000_000, 12 << 20}, "all over": {1<<40 + 77, 10_000_000, 64 << 20},
	} {
		spread := tt.spread
		heap := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		before := heap()
		s := newSeen(1)
		for i := range tt.entries {
			s.add(nil, "", "", local.FileID{Device: 1, Inode: i * spread})
		}
		if used := heap() - before; used > tt.most {
			t.Errorf("%s: %d MiB", what, used>>20)
		}
		if !s.taken(nil, "", &tree.Node{Device: 1, Inode: 1000 * spread}) || s.taken(nil, "", &tree.Node{Device: 1, Inode: 1000*spread + 10_000_000_000}) || s.taken(nil, "", &tree.Node{Device: 2, Inode: 1000 * spread}) {
			t.Errorf("%s: does not know what it has seen", what)
		}
		runtime.KeepAlive(s)
	}
}
