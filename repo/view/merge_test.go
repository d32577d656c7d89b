package view

import (
	"math/rand/v2"
	"testing"
	"time"

	"nightjar/repo/index"
)

// Whatever sizes and ages: few objects are left, none is rewritten often, and no object is too large.
func TestDueIndexes(t *testing.T) {
	const steps = 2000
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 9))
		type object struct {
			listedIndex
			rewritten int // times, what has been most often
		}
		all := map[index.ObjectID]object{}
		now, most, rewritten := noon, 0, 0
		name := func() (id index.ObjectID) {
			for i := range 4 {
				id[i] = byte(r.Uint32())
			}
			return id
		}
		for range steps {
			now = now.Add(time.Hour)
			size := int64(1024)
			switch seed % 3 {
			case 1:
				size += r.Int64N(1 << r.IntN(22))
			case 2:
				size += r.Int64N(mergeSmall)
			}
			id := name()
			all[id] = object{listedIndex{id, size, now}, 0}
			var list []listedIndex
			small := 0
			for _, o := range all {
				list = append(list, o.listedIndex)
				if o.size <= mergeSmall && now.Sub(o.time) >= mergeAge {
					small++
				}
			}
			most = max(most, small)
			due := dueIndexes(list, now)
			if len(due) == 0 {
				continue
			}
			o := object{listedIndex{name(), 0, now}, 0}
			for _, l := range due {
				if l.size > mergeSmall || now.Sub(l.time) < mergeAge {
					t.Fatalf("%d bytes of %v are due at %v", l.size, l.time, now)
				}
				o.size += l.size
				o.rewritten = max(o.rewritten, all[l.id].rewritten+1)
				delete(all, l.id)
			}
			if o.size > mergeMost || len(due) < mergeFrom {
				t.Fatalf("%d objects of %d bytes are due", len(due), o.size)
			}
			all[o.id] = o
			rewritten = max(rewritten, o.rewritten)
		}
		// From mergeFrom objects on, each that is not due is larger than all before together.
		if most > mergeFrom+11 || rewritten > 11 {
			t.Errorf("seed %d: up to %d small objects, rewritten up to %d times", seed, most, rewritten)
		}
	}
}
