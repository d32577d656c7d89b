package repo

import "testing"

// What comes from the store is counted once and again, what this machine keeps is not.
func TestReads(t *testing.T) {
	p := newPlace(t)
	saved := mustWrite(t, p.open(hostKey()), big())
	rd := p.reader()
	if got := rd.Reads(); got.Bytes > 1<<20 {
		t.Errorf("%+v before anything was asked for", got)
	}
	wantRestored(t, rd, saved)
	once := rd.Reads()
	stored := uint64(0)
	for _, kind := range []string{"content/", "metadata/"} {
		for _, name := range p.names(kind) {
			stored += uint64(len(p.get(name)))
		}
	}
	if once.Bytes < stored/2 || once.Bytes > stored || once.Again > 100 {
		t.Errorf("%+v of %d bytes", once, stored)
	}
	wantRestored(t, rd, written{content: saved.content})
	twice := rd.Reads()
	if more := twice.Bytes - once.Bytes; more < once.Bytes/2 || twice.Again-once.Again != more {
		t.Errorf("%+v, then %+v", once, twice)
	}
}
