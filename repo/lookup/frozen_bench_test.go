package lookup

import (
	"flag"
	"runtime"
	"testing"

	"nightjar/chunk"
)

var marked = flag.Int("marked", 10, "millions of entries that BenchmarkFrozen looks at")

// BenchmarkFrozen is what prune does with a large index: it is frozen, looked up in, marked, and gone through. go test -run - -bench Frozen -benchtime 1x -marked 100
func BenchmarkFrozen(b *testing.B) {
	x, err := Open(b.TempDir(), Options{FlushAt: 2 * benchBlobs})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { x.Close() })
	entries := *marked * 1_000_000
	for first := 0; first < entries; first += benchBlobs {
		add(b, x, first, "A", benchObject(first, min(benchBlobs, entries-first)))
		flush(b, x)
	}
	held := func() float64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	const looks = 1_000_000
	for b.Loop() {
		before := held()
		f, err := x.Freeze()
		if err != nil {
			b.Fatal(err)
		}
		frozen := held()
		var sets [6]Marks
		for i := range sets {
			sets[i] = NewMarks(f.Entries())
		}
		var places []Place
		start := b.Elapsed()
		for i := range looks {
			if places, err = f.Places(benchKey(i*7919%entries), places[:0]); len(places) != 1 || err != nil {
				b.Fatal(places, err)
			}
			sets[0].Set(places[0].Entry)
		}
		looked := b.Elapsed()
		n := 0
		if err := f.All(func(_ chunk.Key, p *Place) error {
			if sets[0].Has(p.Entry) {
				n++
			}
			return nil
		}); err != nil || n == 0 || n > looks {
			b.Fatal(n, err)
		}
		b.ReportMetric(before, "MiB-index")
		b.ReportMetric(frozen-before, "MiB-frozen")
		b.ReportMetric(held()-frozen, "MiB-marks")
		b.ReportMetric(float64((looked-start).Nanoseconds())/looks, "ns/look-up")
		b.ReportMetric(float64((b.Elapsed()-looked).Nanoseconds())/float64(f.Entries()), "ns/visit")
		b.ReportMetric(float64(len(f.Packs())), "packs")
		runtime.KeepAlive(sets)
	}
}
