package lookup

import (
	"bytes"
	"cmp"
	"slices"

	"nightjar/chunk"
	"nightjar/repo/index"
)

// memory is the table of what has not been written to a file.
type memory struct {
	packs   [][]byte // records
	entries []entry
	next    []int32 // of each entry: an earlier one with the same key, or -1
	heads   map[chunk.Key]int32
}

func newMemory() *segment { return &segment{table: &memory{heads: map[chunk.Key]int32{}}} }

// add absorbs a source, which the caller has checked.
func (m *memory) add(number uint32, runs []index.Run) {
	for i := range runs {
		packs := runs[i].Packs
		for j := range packs {
			p := &packs[j]
			record := appendRecord(nil, i, p)
			renumber(record, uint32(len(m.packs)), number)
			for k, f := range p.Directory.Frames {
				offset := 0
				for _, b := range f.Blobs {
					m.insert(entry{key: b.Key, pack: uint32(len(m.packs)), source: number, typ: b.Type,
						frame: uint16(k), offset: uint32(offset), length: uint32(b.Length)})
					offset += b.Length
				}
			}
			m.packs = append(m.packs, record)
		}
	}
}

func (m *memory) insert(e entry) {
	earlier, ok := m.heads[e.key]
	if !ok {
		earlier = -1
	}
	m.heads[e.key] = int32(len(m.entries))
	e.number = int64(len(m.entries))
	m.next = append(m.next, earlier)
	m.entries = append(m.entries, e)
}

func (m *memory) find(s *scratch) error {
	s.found = s.found[:0]
	i, ok := m.heads[s.key]
	if !ok {
		return nil
	}
	for ; i >= 0; i = m.next[i] {
		s.found = append(s.found, m.entries[i])
	}
	return nil
}

func (m *memory) record(number uint32) ([]byte, error) { return bytes.Clone(m.packs[number]), nil }

func (m *memory) walk() func() (*entry, bool, error) {
	type place struct { // sorted instead of the entries, which readers use, and with a prefix, which is all that most comparisons need
		prefix uint64
		index  int32
	}
	order := make([]place, len(m.entries))
	for i := range m.entries {
		order[i] = place{prefixOf(&m.entries[i].key), int32(i)}
	}
	slices.SortFunc(order, func(a, b place) int {
		if c := cmp.Compare(a.prefix, b.prefix); c != 0 {
			return c
		}
		return compareKeys(&m.entries[a.index].key, &m.entries[b.index].key)
	})
	return func() (*entry, bool, error) {
		if len(order) == 0 {
			return nil, false, nil
		}
		e := &m.entries[order[0].index]
		order = order[1:]
		return e, true, nil
	}
}

func (m *memory) close() error { return nil }
