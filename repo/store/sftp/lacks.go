package sftp

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"nightjar/repo/store"
)

// What a server may lack. Those with an @ it announces.
const (
	fsync       = "fsync@openssh.com"
	fsyncFolder = "fsync of folders"
	hardlink    = "hardlink@openssh.com"
	posixRename = "posix-rename@openssh.com"
	chmod       = "chmod"
)

// lost says what is lost by each.
var lost = map[string]string{
	fsync:       "what was stored just before it loses power may be gone",
	fsyncFolder: "what was stored just before it loses power may be without its name",
	hardlink:    "of two who store different objects under one name in the same moment, one may be overwritten, unless it refuses to rename to a name that is taken",
	posixRename: "an object that is put back is missing for a moment",
	chmod:       "others may read the objects, as far as its umask lets them",
}

// lacking is what a Store knows of its server.
type lacking struct {
	learned func([]string)

	mu   sync.Mutex
	now  map[string]bool
	seen map[string]bool // by this Store
}

func (l *lacking) begin(o store.Opening) {
	l.now, l.seen, l.learned = map[string]bool{}, map[string]bool{}, o.Learned
	for _, what := range o.Lacks {
		l.now[what] = true
	}
	if l.learned == nil {
		l.learned = func([]string) {}
	}
}

func (l *lacking) tell() { l.learned(slices.Sorted(maps.Keys(l.now))) }

// lacks tells of what the server does not do, unless that is known.
func (s *Store) lacks(what string) {
	l := &s.lacking
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[what] = true
	if l.now[what] {
		return
	}
	l.now[what] = true
	s.warn(fmt.Errorf("the server of %s does not do %s: %s", s.at, what, lost[what]))
	l.tell()
}

// does forgets that the server did not do that, so that it is told if it comes to that again.
func (s *Store) does(what string) {
	l := &s.lacking
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now[what] && !l.seen[what] {
		delete(l.now, what)
		l.tell()
	}
}

// Probe implements store.Prober.
func (s *Store) Probe(ctx context.Context) error {
	return s.do(ctx, func(c *conn) error {
		for _, what := range []string{fsync, hardlink, posixRename} {
			if _, has := c.HasExtension(what); !has {
				s.lacks(what)
			}
		}
		return nil
	})
}
