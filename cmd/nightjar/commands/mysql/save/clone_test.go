package save

import (
	"strings"
	"sync/atomic"
	"testing"

	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/internal/watch"
)

// How far a clone is stands in the line until the first file is saved.
func TestCloneMeter(t *testing.T) {
	t.Parallel()
	x, saved, expected := new(cloner), new(watch.Progress), new(atomic.Uint64)
	m := x.meter(progress.Saved(saved, expected))
	look := func(when string, clones bool, current, total int64) {
		t.Helper()
		if text := m.Text(); strings.Contains(text, "clones") != clones || m.Current() != current || m.Total() != total {
			t.Errorf("%s: %q, %d of %d", when, text, m.Current(), m.Total())
		}
	}
	expected.Store(7 << 30)
	look("before", false, 0, 7<<30)
	x.cloned(1<<20, 4<<20)
	look("while it clones", true, 1<<20, 4<<20)
	x.cloned(4<<20, 4<<20)
	saved.Bytes.Add(5)
	look("while files are saved", false, 5, 7<<30)
}
