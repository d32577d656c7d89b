// Package proctest stops processes for tests.
package proctest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const limit = time.Minute // until a process that was told to stop has

// Stop stops a process where it is, and returns once all its threads stand: the signal alone reaches them one by one, so that some still work.
func Stop(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatalf("stop process %d: %v", pid, err)
	}
	for deadline := time.Now().Add(limit); ; time.Sleep(time.Millisecond) {
		stands, err := stands(pid)
		switch {
		case err != nil:
			t.Fatalf("see process %d stop: %v", pid, err)
		case stands:
			return
		case time.Now().After(deadline):
			t.Fatalf("process %d does not stop", pid)
		}
	}
}

// stands reports whether all threads of a process are stopped.
func stands(pid int) (bool, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) == 0 {
		return false, fmt.Errorf("it has no threads (%v)", err)
	}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // the thread has ended
		}
		if state := stateOf(string(text)); state != "T" && state != "t" && state != "Z" && state != "X" {
			return false, nil
		}
	}
	return true, nil
}

func stateOf(status string) (state string) {
	for line := range strings.Lines(status) {
		if _, err := fmt.Sscanf(line, "State: %s", &state); err == nil {
			return state
		}
	}
	return ""
}
