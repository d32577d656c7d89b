package lookup

import (
	"cmp"
	"fmt"
	"slices"

	"nightjar/chunk"
	"nightjar/repo/index"
)

// A segment is a number of sources with all their packs and entries: the memory, or one file. No source is in it by halves.
type segment struct {
	name    string // of the file; "" for the memory
	sources []source
	packs   int
	table
}

// A table holds a segment's packs and entries.
type table interface {
	find(s *scratch) error                       // sets s.found to the entries of s.key
	record(number uint32) ([]byte, error)        // a copy
	walk() func() (e *entry, ok bool, err error) // all entries by key; e is good until the next call
	close() error
}

// scratch is what a lookup works with.
type scratch struct {
	key   chunk.Key
	page  [pageSize]byte
	found []entry
}

// A source is an index object in a segment.
type source struct {
	Source
	replaces []index.ObjectID
	runs     []RunTimes
	entries  int64
	bare     bool // its packs were left out, since another source replaced it
	state    state
}

type state byte

const (
	ignored  state = iota // gone from the repository, or known from another segment
	live                  // counts
	replaced              // another source stands for it
)

// A brokenError says which segment cannot be used any more.
type brokenError struct {
	segment string
	cause   error
}

func (e *brokenError) Error() string {
	return fmt.Sprintf("read local index file %s: %v", e.segment, e.cause)
}

func (e *brokenError) Is(target error) bool { return target == ErrBroken }

func (e *brokenError) Unwrap() error { return e.cause }

// weight is what a segment costs that is not waste, in entries.
func (g *segment) weight() int64 {
	var n int64
	for i := range g.sources {
		switch s := &g.sources[i]; s.state {
		case live:
			n += s.entries + 1
		case replaced:
			n++
		}
	}
	return n
}

func (g *segment) entries() int64 {
	var n int64
	for i := range g.sources {
		n += g.sources[i].entries
	}
	return n
}

// load returns a pack's table.
func (g *segment) load(number uint32) (*packTable, error) {
	record, err := g.record(number)
	if err != nil {
		return nil, err
	}
	from, ok := sourceOf(record, number)
	if !ok || int(from) >= len(g.sources) {
		return nil, &brokenError{g.name, errChecksum}
	}
	t, ok := parseRecord(record, g.sources[from].Origin)
	if !ok {
		return nil, &brokenError{g.name, errMalformed}
	}
	return t, nil
}

// byAge orders files: what has most is the oldest. The name decides between equals, so that two processes agree.
func byAge(a, b *segment) int {
	return cmp.Or(cmp.Compare(b.entries(), a.entries()), cmp.Compare(a.name, b.name))
}

// resolve works out the state of every source; x.mu is held. A source counts in the first segment that has all of it.
func (x *Index) resolve() {
	slices.SortFunc(x.segments[1:], byAge)
	clear(x.replaced)
	clear(x.known)
	for _, g := range x.segments {
		for i := range g.sources {
			s := &g.sources[i]
			if x.gone[s.Object] {
				continue
			}
			for _, id := range s.replaces {
				if id != s.Object && !s.Late {
					x.replaced[signed{id, s.Signer}] = true
				}
			}
		}
	}
	seen := map[Source]bool{}
	for _, bare := range []bool{false, true} {
		for _, g := range x.segments {
			for i := range g.sources {
				s := &g.sources[i]
				if s.bare != bare {
					continue
				}
				s.state = ignored
				switch {
				case x.gone[s.Object] || seen[s.Source]:
					continue
				case x.replaced[signed{s.Object, s.Signer}]:
					s.state = replaced
				case !bare:
					s.state = live
				default:
					continue // what replaced it is gone: it has to be added again
				}
				seen[s.Source], x.known[s.Object] = true, true
			}
		}
	}
}
