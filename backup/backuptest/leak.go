package backuptest

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// held counts what a run may leak.
func held(t testing.TB) (fds, goroutines int) {
	t.Helper()
	names, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, name := range names {
		if to, _ := os.Readlink("/proc/self/fd/" + name.Name()); !strings.HasSuffix(to, ".njx") { // the local index is the repository's
			fds++
		}
	}
	return fds, runtime.NumGoroutine()
}

// NoLeak runs f and checks that it leaves no descriptor and no goroutine behind.
func NoLeak(t testing.TB, f func()) {
	t.Helper()
	fds, goroutines := held(t)
	f()
	var nowFds, now int
	for range 100 { // some are on their way out
		if nowFds, now = held(t); nowFds <= fds && now <= goroutines {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	var open []string
	for i := range nowFds + 10 {
		if to, err := os.Readlink(fmt.Sprint("/proc/self/fd/", i)); err == nil {
			open = append(open, to)
		}
	}
	stacks := make([]byte, 64<<10)
	t.Errorf("left behind: %d descriptors, of %q, %d goroutines of\n%s", nowFds-fds, open, now-goroutines, stacks[:runtime.Stack(stacks, true)])
}
