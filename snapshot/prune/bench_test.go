package prune_test

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"nightjar/snapshot/ec2test"
	"nightjar/snapshot/prune"
)

// BenchmarkPrune plans and prunes 500 sets of two snapshots among 100,000 of the account, with the server in the same process.
func BenchmarkPrune(b *testing.B) {
	s, c := newServer(b)
	r := s.Region("us-east-1")
	for range 99_000 {
		r.AddSnapshot(ec2test.Snapshot{Started: time.Now()})
	}
	for i := range 500 {
		add(b, r, fmt.Sprint("s", i), "db", i)
	}
	o := options()
	o.Policy.Each = map[string]int{"daily": 100}
	for b.Loop() {
		phase := func(name string, f func() error) {
			before, begin := c.Calls(), time.Now()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			allocated := m.TotalAlloc
			if err := f(); err != nil {
				b.Fatal(err)
			}
			runtime.ReadMemStats(&m)
			calls := uint64(0)
			for op, n := range c.Calls() {
				calls += n - before[op]
			}
			b.Logf("%s: %d calls, %s, %d MB allocated by client and server", name, calls, time.Since(begin).Round(time.Millisecond), (m.TotalAlloc-allocated)>>20)
		}
		var p *prune.Plan
		phase("plan", func() (err error) { p, err = prune.Look(b.Context(), c, o); return err })
		phase("delete", func() error {
			done, err := p.Delete(b.Context(), c)
			b.Logf("sets deleted: %d of %d", done.Sets, len(p.Decisions))
			return err
		})
		phase("quota", func() error { _, err := prune.Measure(b.Context(), c); return err })
	}
}
