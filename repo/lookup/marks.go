package lookup

// Marks are a set of a Frozen's entries: one bit each, so that a hundred million of them take 12.5 MB.
type Marks []uint64

// NewMarks returns an empty set for n entries.
func NewMarks(n int64) Marks { return make(Marks, (n+63)/64) }

// Has reports whether an entry is in the set.
func (m Marks) Has(entry int64) bool { return m[entry/64]>>(entry%64)&1 != 0 }

// Set puts an entry into the set, and reports whether it was not there before.
func (m Marks) Set(entry int64) bool {
	fresh := !m.Has(entry)
	m[entry/64] |= 1 << (entry % 64)
	return fresh
}

// Unset unmarks an entry.
func (m Marks) Unset(entry int64) { m[entry/64] &^= 1 << (entry % 64) }
