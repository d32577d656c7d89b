package progress

import (
	"context"
	"sync/atomic"

	"nightjar/backup"
	"nightjar/internal/watch"
)

// Expect returns how many bytes a backup will save, 0 as long as that is not known: as many as last time, or else, with count, as are counted beside the first one.
func Expect(ctx context.Context, o backup.Options, count bool) *atomic.Uint64 {
	expected := new(atomic.Uint64)
	switch {
	case o.Previous != nil:
		expected.Store(o.Previous.Statistics["bytes"])
	case count:
		go func() {
			var total watch.Progress
			if backup.Measure(ctx, o, &total) == nil {
				expected.Store(total.Bytes.Load())
			}
		}()
	}
	return expected
}
