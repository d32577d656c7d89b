package walk

import "nightjar/chunk"

// seenMost bounds what a Seen remembers: what is more is walked again, and nothing else is wrong with that.
const seenMost = 1 << 22

// A Seen is a set of uses. The zero value is empty.
type Seen struct{ all map[seen]struct{} }

type seen struct {
	key   chunk.Key
	kind  uint8
	level int8
	trees bool
}

func seenOf(u Use) seen { return seen{u.ID.Key(), uint8(u.Kind), int8(u.Level), u.Trees} }

// Has reports whether a use is in the set.
func (s *Seen) Has(u Use) bool {
	_, ok := s.all[seenOf(u)]
	return ok
}

// Add puts a use into the set, if there is room, and reports whether it was not there.
func (s *Seen) Add(u Use) bool {
	of := seenOf(u)
	if _, ok := s.all[of]; ok {
		return false
	}
	if s.all == nil {
		s.all = map[seen]struct{}{}
	}
	if len(s.all) < seenMost {
		s.all[of] = struct{}{}
	}
	return true
}

// Clear empties the set.
func (s *Seen) Clear() { clear(s.all) }
