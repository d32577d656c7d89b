package mirror_test

import (
	"fmt"
	"testing"
	"time"

	"nightjar/snapshot/mirror"
)

// BenchmarkCopy copies 1,000 snapshots: 50 sets of 20 volumes. Each copy takes two looks of the test server.
func BenchmarkCopy(b *testing.B) {
	w := newWorld(b)
	var volumes []string
	for i := range 20 {
		volumes = append(volumes, fmt.Sprint("vol-", i+1))
	}
	for i := range 50 {
		w.set(b, fmt.Sprint("s", i), i, "completed", volumes...)
	}
	for b.Loop() {
		begin := time.Now()
		r, err := mirror.Run(b.Context(), w.from, w.to, w.o)
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("%d copied in %s, calls: %v", r.Completed, time.Since(begin).Round(time.Millisecond), w.from.Calls())
	}
}
