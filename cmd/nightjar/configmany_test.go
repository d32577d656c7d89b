package main

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"nightjar/cmd/nightjar/commands/config"
	"nightjar/job/jobfile"
)

// TestLookedAtIsForgotten wants nothing to stay of command lines that were looked at: a file of thousands of jobs would fill the memory.
func TestLookedAtIsForgotten(t *testing.T) {
	const jobs = 100
	var text strings.Builder
	for i := range jobs {
		fmt.Fprintf(&text, "[files.j%d]\npaths = [\"/etc\"]\nkeep.daily = 7\n", i)
	}
	f, err := jobfile.Parse("/x.toml", []byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	a := newApp()
	a.StateDir = t.TempDir()
	look := func() uint64 {
		if found := config.LookAtJobs(context.Background(), a, bareCommand, f, nil); len(found) > 0 {
			t.Fatal(found)
		}
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	first := look()
	if again := look(); again > first && again-first > jobs<<10 {
		t.Errorf("%d bytes stay of looking at %d jobs", again-first, jobs)
	}
}
