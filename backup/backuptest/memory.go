package backuptest

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Peak runs f and returns how many bytes of memory it needed on top of what was there.
func Peak(f func()) uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	before := m.HeapAlloc
	var most uint64
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for !stop.Load() {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	f()
	stop.Store(true)
	<-done
	return max(most, before) - before
}
