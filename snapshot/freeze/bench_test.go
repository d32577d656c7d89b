package freeze_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"nightjar/snapshot/freeze"
)

// call is for how long the call takes that is made while all is frozen.
const call = 200 * time.Millisecond

const rounds = 20

// BenchmarkEBSFreeze measures for how much longer than the call that it is for a file system is frozen, without writers, as under a database's lock;
// under writers like a database's: pages of 16 KiB, each written back before the next one; and under writers that write nothing back.
func BenchmarkEBSFreeze(b *testing.B) {
	needRoot(b)
	for _, kind := range []string{"ext4", "xfs"} {
		for name, writers := range map[string]int{"locked": 0, "database": 4, "buffered": 4} {
			b.Run(kind+"/"+name, func(b *testing.B) {
				mount := newFS(b, kind)
				stop := make(chan struct{})
				var all sync.WaitGroup
				for i := range writers {
					all.Go(func() { load(b, filepath.Join(mount, fmt.Sprint(i)), name == "database", stop) })
				}
				defer all.Wait()
				defer close(stop)
				f := prepare(b, options(b), mount)
				var worst, sum, freezing time.Duration
				runs := 0
				for b.Loop() {
					for range rounds {
						<-time.After(call) // so that there is something to write back
						must(b, f.Sync(b.Context()))
						must(b, f.Freeze(b.Context()))
						begin := time.Now()
						<-time.After(call)
						took := time.Since(begin)
						var r freeze.Report
						r, err := f.Thaw()
						must(b, err)
						over := r.Frozen - took
						worst, sum, freezing, runs = max(worst, over), sum+over, max(freezing, r.Freezing), runs+1
					}
				}
				b.ReportMetric(float64(sum.Microseconds())/1000/float64(runs), "ms-over-call")
				b.ReportMetric(float64(worst.Microseconds())/1000, "worst-ms-over-call")
				begin := time.Now()
				run(b, "sync", "-f", mount)
				b.ReportMetric(float64(time.Since(begin).Microseconds())/1000, "ms-of-one-sync")
				b.ReportMetric(float64(freezing.Microseconds())/1000, "worst-ms-until-frozen")
				must(b, f.Close())
			})
		}
	}
}

// load writes pages here and there in a file of 32 MiB.
func load(b *testing.B, path string, durable bool, stop chan struct{}) {
	f, err := os.Create(path)
	page := make([]byte, 16<<10)
	for n := int64(0); err == nil; n++ {
		select {
		case <-stop:
			_ = f.Close()
			return
		default:
		}
		if _, err = f.WriteAt(page, n*37%2048*int64(len(page))); err == nil && durable {
			err = f.Sync()
		}
	}
	b.Error(err)
}
