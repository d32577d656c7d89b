package repo_test

import (
	"fmt"
	"nightjar/repo"
	"nightjar/repo/repotest"
	"runtime"
	"strings"
	"testing"
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

// What people say of an archive is tried before a run begins.
func TestArchiveFits(t *testing.T) {
	for name, a := range map[string]*repo.Archive{
		"many paths": {Paths: make([]repo.Text, repo.ArchiveBounds.Values)}, "long paths": {Paths: []repo.Text{repo.Text(strings.Repeat("x", repo.ArchiveBounds.Bytes))}},
		"labels that differ in case": {Labels: repo.Labels{"a": "", "A": ""}},
	} {
		if a.Fits() == nil {
			t.Errorf("%s fit", name)
		}
	}
	a := &repo.Archive{Labels: repo.Labels{"a": "A", "b": "\xff"}}
	for i := range 100_000 {
		a.Paths = append(a.Paths, repo.Text(fmt.Sprint("/srv/", i)))
	}
	if err := a.Fits(); err != nil {
		t.Error(err)
	}
}
