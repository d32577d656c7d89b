package take_test

import (
	"testing"

	"nightjar/snapshot/take"
)

// BenchmarkEBSTake takes sets of 24 volumes, each from a new server, and tells the calls of one.
func BenchmarkEBSTake(b *testing.B) {
	for range b.N {
		b.StopTimer()
		r := open(b, 24)
		b.StartTimer()
		p, err := take.Choose(b.Context(), r.c, take.Choice{Instance: r.instance})
		if err != nil {
			b.Fatal(err)
		}
		got, err := take.Take(b.Context(), r.c, p, options())
		if err != nil || len(got.Problems) > 0 || len(got.Set.Snapshots) != 24 {
			b.Fatal(err, got.Problems)
		}
		calls := 0
		for _, n := range r.c.Calls() {
			calls += int(n)
		}
		b.ReportMetric(float64(calls), "calls/set")
		b.ReportMetric(float64(got.Called.Microseconds())/1000, "ms/CreateSnapshots")
	}
}
