package repo_test

import (
	"slices"
	"strings"
	"sync"
	"testing"

	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/repotest"
	"nightjar/repo/store/storetest"
)

// A sync reads what is new, once, and nothing else; a run's own index objects are not read again.
func TestSyncRequests(t *testing.T) {
	p := repotest.NewPlace(t)
	p.Enroll("db2", repotest.SecondKey(), keyring.Backup)
	dir := t.TempDir()
	cached := func(o *repo.Options) { o.IndexDir = dir }
	var mu sync.Mutex
	read := map[string]int{}
	lists := 0
	p.Faulty.After = []storetest.Hook{func(c storetest.Call) error {
		mu.Lock()
		defer mu.Unlock()
		if c.Op == storetest.Get && strings.HasPrefix(c.Name, "index/") {
			read[c.Name]++
		}
		if c.Op == storetest.List && c.Name == "index/" {
			lists++
		}
		return nil
	}}
	wantRead := func(r *repo.Repository, want ...string) {
		t.Helper()
		clear(read)
		lists = 0
		if err := r.SyncIndex(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, name := range want {
			if read[name] != 1 {
				t.Errorf("%s was read %d times", name, read[name])
			}
		}
		if len(read) != len(want) || lists != 1 {
			t.Errorf("read %v in %d lists, want %q", read, lists, want)
		}
	}
	r := p.Open(repotest.HostKey(), cached)
	if _, err := repotest.Write(t.Context(), r, repotest.ThreeGroups(), p.PerMinute); err != nil {
		t.Fatal(err)
	}
	r.Close()
	first := p.Names("index/")
	if len(first) < 3 {
		t.Fatalf("%d index objects", len(first))
	}
	r = p.Open(repotest.HostKey(), cached)
	wantRead(r)
	repotest.MustWrite(t, p.Open(repotest.SecondKey()), repotest.Some(4, 3))
	var added []string
	for _, name := range p.Names("index/") {
		if !slices.Contains(first, name) {
			added = append(added, name)
		}
	}
	wantRead(r, added...)
	wantRead(r)
	r.Close()
	wantRead(p.Open(repotest.HostKey(), cached))
	wantRead(p.Open(repotest.HostKey()), p.Names("index/")...)
}
