package repo_test

import (
	"nightjar/repo/repotest"
	"testing"
)

// What comes from the store is counted once and again, what this machine keeps is not.
func TestReads(t *testing.T) {
	p := repotest.NewPlace(t)
	saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), big())
	rd := p.Reader()
	if got := rd.Reads(); got.Bytes > 1<<20 {
		t.Errorf("%+v before anything was asked for", got)
	}
	repotest.WantRestored(t, rd, saved)
	once := rd.Reads()
	stored := uint64(0)
	for _, kind := range []string{"content/", "metadata/"} {
		for _, name := range p.Names(kind) {
			stored += uint64(len(p.Get(name)))
		}
	}
	if once.Bytes < stored/2 || once.Bytes > stored || once.Again > 100 {
		t.Errorf("%+v of %d bytes", once, stored)
	}
	repotest.WantRestored(t, rd, repotest.Written{Content: saved.Content})
	twice := rd.Reads()
	if more := twice.Bytes - once.Bytes; more < once.Bytes/2 || twice.Again-once.Again != more {
		t.Errorf("%+v, then %+v", once, twice)
	}
}
