package torture

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Bounds of what a damaged object may cost to look at, beyond what a whole one costs.
const (
	mayAllocate = 128 << 20
	mayTake     = time.Minute
)

// TestFlips flips single bits of all objects, and cuts them off. A check finds each and names the object, or every archive comes back
// whole; and no restore writes a wrong byte, hangs, or allocates without bound.
func TestFlips(t *testing.T) {
	v := newVault(t, 100)
	names, objects := v.objects()
	ctx := context.Background()
	_, usual := measure(func() verdict {
		j := v.judge(ctx, v.store, v.pin, "whole repository")
		if len(j.faults) > 0 || j.restored != len(v.archives) || j.problems > 0 {
			t.Fatalf("a whole repository: %+v", j)
		}
		return j
	})
	r := random(t, 2)
	harmless := map[string]int{}
	full := rounds(10_000, 60)
	var most uint64
	for round := range full {
		name := names[round%len(names)]
		data := bytes.Clone(objects[name])
		what := ""
		if r.IntN(4) == 0 {
			n := r.IntN(len(data))
			data, what = data[:n], fmt.Sprintf("%s cut at %d of %d bytes", name, n, len(data))
		} else {
			bit := r.IntN(8 * len(data))
			data[bit/8] ^= 1 << (bit % 8)
			what = fmt.Sprintf("%s with bit %d of %d flipped", name, bit, 8*len(data))
		}
		ctx, cancel := context.WithTimeout(ctx, mayTake)
		j, allocated := measure(func() verdict {
			return v.judge(ctx, &spoiltStore{Store: v.store, name: name, data: data}, v.pin, what)
		})
		if ctx.Err() != nil {
			t.Fatalf("%s: no end in %v", what, mayTake)
		}
		cancel()
		most = max(most, allocated)
		if allocated > usual+mayAllocate {
			t.Fatalf("%s: %d bytes allocated, usually %d", what, allocated, usual)
		}
		switch {
		case len(j.faults) == 0 && j.restored == len(v.archives) && j.problems == 0:
			kind, _, _ := strings.Cut(name, "/")
			harmless[kind]++
		case !strings.Contains(strings.Join(j.faults, "\n"), name):
			t.Fatalf("%s: a check does not name it: %+v", what, j)
		}
	}
	survived(t, full, fmt.Sprintf("bits flipped and objects cut off, of %d objects; harmless: %v; allocated %d MiB at most, %d MiB when nothing is wrong",
		len(names), harmless, most>>20, usual>>20))
}

// measure tells how many bytes were allocated meanwhile.
func measure(f func() verdict) (verdict, uint64) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	v := f()
	runtime.ReadMemStats(&after)
	return v, after.TotalAlloc - before.TotalAlloc
}
