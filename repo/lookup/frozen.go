package lookup

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/pack"
)

// A Frozen is the local index as it stood at one moment, with a number for each entry, pack, source and origin, so that whoever looks at all of it
// keeps a bit, or some bytes, of each. It holds about fifty bytes for each pack and none for each entry.
//
// What the Index learns later is not in it. It reads the Index's files: after those were merged or dropped, it fails with ErrBroken and has to be made again.
type Frozen struct {
	x       *Index
	parts   []frozenPart
	packs   []FrozenPack // by their ids
	sources []FrozenSource
	origins []Origin
	entries int64
}

// A FrozenPack is a pack as some index object that counts names it. One that is said to be of another kind or size is another pack.
type FrozenPack struct {
	ID   index.ObjectID
	Size int32 // bytes of the object
	Kind pack.Kind
}

// A FrozenSource is an index object that is known.
type FrozenSource struct {
	Source
	By       int  // number of the origin
	Replaced bool // others stand for it: none of its entries and packs are here
	Replaces []index.ObjectID
	Runs     []RunTimes

	ignored bool
}

// A Sighting is a pack in an index object.
type Sighting struct {
	Pack, Source, Run int // numbers; that of the run is within the source
}

// A Place is one entry: where a chunk lies, in one form.
type Place struct {
	Entry  int64
	Pack   int
	Origin int // number
	Type   pack.Type
	Length int // bytes of the blob

	part, frame, offset int
	record              uint32
}

// Frame returns the number of the frame in the pack.
func (p *Place) Frame() int { return p.frame }

// frozenPart is what is frozen of a segment.
type frozenPart struct {
	*segment
	first, entries int64
	source         int        // number of the first
	live           []bool     // of each source
	records        []Sighting // of each; without a pack those of sources that do not count
}

const noPack = -1

// Freeze returns what the Index knows now.
func (x *Index) Freeze() (*Frozen, error) {
	f, err := x.freeze()
	if err != nil {
		var broken *brokenError
		if errors.As(err, &broken) {
			x.drop(broken.segment)
		}
		return nil, fmt.Errorf("freeze local index: %w", err)
	}
	return f, nil
}

func (x *Index) freeze() (*Frozen, error) {
	x.change.Lock()
	defer x.change.Unlock()
	x.mu.RLock()
	defer x.mu.RUnlock()
	if len(x.segments) == 0 {
		return nil, fs.ErrClosed
	}
	f := &Frozen{x: x}
	origin := map[Origin]int{}
	for _, g := range x.segments {
		p := frozenPart{segment: g, first: f.entries, entries: g.held(), source: len(f.sources), live: make([]bool, len(g.sources))}
		f.entries += p.entries
		for i := range g.sources {
			s := &g.sources[i]
			by, ok := origin[s.Origin]
			if !ok {
				by = len(f.origins)
				origin[s.Origin], f.origins = by, append(f.origins, s.Origin)
			}
			p.live[i] = s.state == live
			// An ignored one is known from elsewhere, or gone; it keeps its number.
			f.sources = append(f.sources, FrozenSource{Source: s.Source, By: by, Replaced: s.state == replaced, Replaces: s.replaces, Runs: s.runs, ignored: s.state == ignored})
		}
		f.parts = append(f.parts, p)
	}
	return f, f.numberPacks()
}

// numberPacks reads all records once.
func (f *Frozen) numberPacks() error {
	type record struct {
		FrozenPack
		*Sighting
	}
	var all []record
	for i := range f.parts {
		p := &f.parts[i]
		p.records = make([]Sighting, p.packs)
		for n := range p.records {
			b, err := p.record(uint32(n))
			if err != nil {
				return err
			}
			from, ok := sourceOf(b, uint32(n))
			if !ok || int(from) >= len(p.live) {
				return &brokenError{p.name, fmt.Errorf("pack %d: %w", n, errChecksum)}
			}
			head, run, ok := parseHead(b)
			if !ok || p.live[from] && run >= len(p.sources[from].runs) {
				return &brokenError{p.name, fmt.Errorf("pack %d: %w", n, errMalformed)}
			}
			p.records[n] = Sighting{Pack: noPack, Source: p.source + int(from), Run: run}
			if p.live[from] {
				all = append(all, record{head, &p.records[n]})
			}
		}
	}
	slices.SortFunc(all, func(a, b record) int {
		return cmp.Or(slices.Compare(a.ID[:], b.ID[:]), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Size, b.Size), cmp.Compare(a.Source, b.Source))
	})
	for _, r := range all {
		if n := len(f.packs); n == 0 || f.packs[n-1] != r.FrozenPack {
			f.packs = append(f.packs, r.FrozenPack)
		}
		r.Pack = len(f.packs) - 1
	}
	f.packs = slices.Clip(f.packs)
	return nil
}

// Entries returns a number above those of all entries.
func (f *Frozen) Entries() int64 { return f.entries }

// Packs returns all packs, in order of their ids; a pack's number is its place there. Do not change it.
func (f *Frozen) Packs() []FrozenPack { return f.packs }

// Numbers returns the numbers of a pack, from first up to the one before end: as many as there are things said of it.
func (f *Frozen) Numbers(id index.ObjectID) (first, end int) {
	first, _ = slices.BinarySearchFunc(f.packs, id, func(p FrozenPack, id index.ObjectID) int { return slices.Compare(p.ID[:], id[:]) })
	for end = first; end < len(f.packs) && f.packs[end].ID == id; end++ {
	}
	return first, end
}

// Origins returns whose word there is, by their numbers.
func (f *Frozen) Origins() []Origin { return f.origins }

// Sources iterates over the index objects that are known, with their numbers.
func (f *Frozen) Sources() iter.Seq2[int, *FrozenSource] {
	return func(yield func(int, *FrozenSource) bool) {
		for i := range f.sources {
			if s := &f.sources[i]; !s.ignored && !yield(i, s) {
				return
			}
		}
	}
}

// Sightings iterates over what the index objects that count name: a pack comes as often as it is named.
func (f *Frozen) Sightings() iter.Seq[Sighting] {
	return func(yield func(Sighting) bool) {
		for i := range f.parts {
			for _, s := range f.parts[i].records {
				if s.Pack != noPack && !yield(s) {
					return
				}
			}
		}
	}
}

// Places appends all places of a chunk, in all its forms, to dst.
func (f *Frozen) Places(key chunk.Key, dst []Place) ([]Place, error) {
	s := f.x.scratch.Get().(*scratch)
	defer f.x.scratch.Put(s)
	s.key = key
	f.x.mu.RLock()
	defer f.x.mu.RUnlock()
	for i := range f.parts {
		if err := f.parts[i].find(s); err != nil {
			return dst, fmt.Errorf("look up in frozen index: %w", err)
		}
		for j := range s.found {
			place, ok, err := f.place(i, &s.found[j])
			if err != nil {
				return dst, fmt.Errorf("look up in frozen index: %w", err)
			}
			if ok {
				dst = append(dst, place)
			}
		}
	}
	return dst, nil
}

// place makes a Place of an entry, if it counts.
func (f *Frozen) place(part int, e *entry) (Place, bool, error) {
	p := &f.parts[part]
	if e.number >= p.entries { // it came later
		return Place{}, false, nil
	}
	if int(e.source) >= len(p.live) || int(e.pack) >= len(p.records) {
		return Place{}, false, &brokenError{p.name, errParts}
	}
	r := &p.records[e.pack]
	if !p.live[e.source] || r.Pack == noPack {
		return Place{}, false, nil
	}
	return Place{Entry: p.first + e.number, Pack: r.Pack, Origin: f.sources[p.source+int(e.source)].By, Type: e.typ, Length: int(e.length),
		part: part, record: e.pack, frame: int(e.frame), offset: int(e.offset)}, true, nil
}

// Location returns what must be known to read a place.
func (f *Frozen) Location(p *Place) (Location, error) {
	f.x.mu.RLock()
	defer f.x.mu.RUnlock()
	g := f.parts[p.part].segment
	t, err := f.x.tables.get(g, p.record)
	if err == nil && (p.frame >= len(t.frames) || p.offset+p.Length > t.frames[p.frame].plain) {
		err = &brokenError{g.name, errParts}
	}
	if err != nil {
		return Location{}, fmt.Errorf("look up in frozen index: %w", err)
	}
	fr := &t.frames[p.frame]
	return Location{Pack: &t.info, Frame: p.frame, FrameOffset: fr.offset, Stored: fr.stored, Plain: fr.plain, Hash: fr.hash,
		Type: p.Type, Offset: p.offset, Length: p.Length}, nil
}

// All calls visit for every entry that counts, file by file and within each in order of the keys.
func (f *Frozen) All(visit func(key chunk.Key, p *Place) error) error {
	for i := range f.parts {
		next := f.walk(i)
		for {
			e, ok, err := next()
			if err != nil {
				return fmt.Errorf("read frozen index: %w", err)
			}
			if !ok {
				break
			}
			place, ok, err := f.place(i, e)
			if err != nil {
				return fmt.Errorf("read frozen index: %w", err)
			}
			if !ok {
				continue
			}
			if err := visit(e.key, &place); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *Frozen) walk(part int) func() (*entry, bool, error) {
	f.x.mu.RLock()
	defer f.x.mu.RUnlock()
	return f.parts[part].walk()
}

// held returns the number of entries that the segment's table has, those of sources that do not count included; x.mu is held.
func (g *segment) held() int64 {
	switch t := g.table.(type) {
	case *memory:
		return int64(len(t.entries))
	case *file:
		return int64(t.entries)
	}
	return 0
}
