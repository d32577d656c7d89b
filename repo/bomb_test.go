package repo_test

import (
	"runtime"
	"strings"
	"testing"

	"nightjar/repo/repotest"
)

// Archives that a host has made large out of little cost little, and stop nobody: they are no archives.
func TestArchiveBombs(t *testing.T) {
	p := repotest.NewPlace(t)
	saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 5))
	r := p.Open(repotest.HostKey())
	head := `{"version":0,"host":"db1"`
	for i, text := range []string{
		head + `,"paths":[` + strings.Repeat(`"",`, 20<<20) + `""]}`,
		head + `,"job":"` + strings.Repeat("x", 60<<20) + `"}`,
		head + strings.Repeat(" ", 60<<20) + "}",
		head + `,"paths":[` + strings.Repeat(`"",`, 1<<20) + `""]}`,
		head + `,"views":` + strings.Repeat(`[`, 3<<20) + `}`,
		head + `,"unknown":[` + strings.Repeat(`{},`, 1<<20) + `{}]}`,
	} {
		if _, err := r.PutRecord(t.Context(), "archive", []byte(text)); err != nil {
			t.Fatal(i, err)
		}
	}
	r = p.Open(repotest.HostKey())
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	damaged := 0
	all, err := r.Archives(t.Context(), func(string, error) { damaged++ })
	runtime.ReadMemStats(&after)
	if err != nil || len(all) != 1 || damaged != 6 {
		t.Errorf("%d archives, %d damaged, %v", len(all), damaged, err)
	}
	if took := after.TotalAlloc - before.TotalAlloc; took > 128<<20 {
		t.Errorf("took %d bytes", took)
	}
	repotest.WantRestored(t, p.Reader(), saved)
}
