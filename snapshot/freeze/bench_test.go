package freeze_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"nightjar/snapshot/freeze"
)

// call is for how long the call takes that is made while all is frozen.
const call = 200 * time.Millisecond

const rounds = 20

// BenchmarkEBSFreeze measures for how much longer than the call that it is for file systems are frozen, one or three of them: without writers, as
// under a database's lock; under writers like a database's on each: pages of 16 KiB, each written back before the next one; under such that write
// 20 MB/s and nothing back; and under such that write all that they can.
func BenchmarkEBSFreeze(b *testing.B) {
	needRoot(b)
	loads := []struct {
		name    string
		writers int // on each file system
		durable bool
		pause   time.Duration // after each page
	}{{"locked", 0, false, 0}, {"database", 4, true, 0}, {"buffered", 4, false, 3 * time.Millisecond}, {"flood", 4, false, 0}}
	for _, kind := range []string{"ext4", "xfs"} {
		for _, l := range loads {
			for _, systems := range []int{1, 3} {
				b.Run(fmt.Sprintf("%s/%s/%d", kind, l.name, systems), func(b *testing.B) {
					stop := make(chan struct{})
					var mounts []string
					var all sync.WaitGroup
					for range systems {
						mounts = append(mounts, newFS(b, kind))
					}
					for _, mount := range mounts {
						for i := range l.writers {
							all.Go(func() { load(b, filepath.Join(mount, fmt.Sprint(i)), l.durable, l.pause, stop) })
						}
					}
					defer all.Wait()
					defer close(stop)
					measure(b, prepare(b, options(b), mounts...))
				})
			}
		}
	}
}

// measure freezes again and again.
func measure(b *testing.B, f *freeze.Freeze) {
	var over, freezing []time.Duration
	for b.Loop() {
		for range rounds {
			<-time.After(call) // so that there is something to write back
			must(b, f.Sync(b.Context()))
			must(b, f.Freeze(b.Context()))
			begin := time.Now()
			<-time.After(call)
			took := time.Since(begin)
			r, err := f.Thaw()
			must(b, err)
			over, freezing = append(over, r.Frozen-took), append(freezing, r.Freezing)
		}
	}
	for name, of := range map[string][]time.Duration{"over-call": over, "until-frozen": freezing} {
		slices.Sort(of)
		b.ReportMetric(float64(of[len(of)/2].Microseconds())/1000, "median-ms-"+name)
		b.ReportMetric(float64(of[len(of)-1].Microseconds())/1000, "worst-ms-"+name)
	}
	must(b, f.Close())
}

// load writes pages here and there in a file of 32 MiB.
func load(b *testing.B, path string, durable bool, pause time.Duration, stop chan struct{}) {
	f, err := os.Create(path)
	page := make([]byte, 16<<10)
	for n := int64(0); err == nil; n++ {
		select {
		case <-stop:
			_ = f.Close()
			return
		case <-time.After(pause):
		}
		if _, err = f.WriteAt(page, n*37%2048*int64(len(page))); err == nil && durable {
			err = f.Sync()
		}
	}
	b.Error(err)
}
