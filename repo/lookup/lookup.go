package lookup

import (
	"errors"
	"fmt"
	"io/fs"

	"nightjar/chunk"
	"nightjar/repo/pack"
)

// Has reports whether a chunk is stored in the form typ, by an origin that accept (nil: any) accepts, and the length of that
// blob. It may be called often.
func (x *Index) Has(key chunk.Key, typ pack.Type, accept func(*Origin) bool) (length int, ok bool, err error) {
	s := x.scratch.Get().(*scratch)
	defer x.scratch.Put(s)
	x.mu.RLock()
	s.key = key
	length, ok, err = x.has(s, typ, accept)
	x.mu.RUnlock()
	return length, ok, x.failed(err)
}

func (x *Index) has(s *scratch, typ pack.Type, accept func(*Origin) bool) (int, bool, error) {
	if len(x.segments) == 0 {
		return 0, false, fs.ErrClosed
	}
	for _, g := range x.segments {
		if err := g.find(s); err != nil {
			return 0, false, err
		}
		for i := range s.found {
			e := &s.found[i]
			if int(e.source) >= len(g.sources) {
				return 0, false, &brokenError{g.name, errParts}
			}
			from := &g.sources[e.source]
			if e.typ == typ && from.state == live && (accept == nil || accept(&from.Origin)) {
				return int(e.length), true, nil
			}
		}
	}
	return 0, false, nil
}

// Lookup appends all places where a chunk lies, in all its forms, to dst.
func (x *Index) Lookup(key chunk.Key, dst []Location) ([]Location, error) {
	s := x.scratch.Get().(*scratch)
	defer x.scratch.Put(s)
	x.mu.RLock()
	s.key = key
	found, err := x.lookup(s, dst)
	x.mu.RUnlock()
	if err != nil {
		return dst, x.failed(err)
	}
	return found, nil
}

func (x *Index) lookup(s *scratch, dst []Location) ([]Location, error) {
	if len(x.segments) == 0 {
		return nil, fs.ErrClosed
	}
	for _, g := range x.segments {
		if err := g.find(s); err != nil {
			return nil, err
		}
		for i := range s.found {
			e := &s.found[i]
			if int(e.source) >= len(g.sources) {
				return nil, &brokenError{g.name, errParts}
			}
			if g.sources[e.source].state != live {
				continue
			}
			t, err := x.tables.get(g, e.pack)
			if err != nil {
				return nil, err
			}
			if int(e.frame) >= len(t.frames) || int(e.offset+e.length) > t.frames[e.frame].plain {
				return nil, &brokenError{g.name, errParts}
			}
			f := &t.frames[e.frame]
			dst = append(dst, Location{Pack: &t.info, Frame: int(e.frame), FrameOffset: f.offset, Stored: f.stored, Plain: f.plain, Hash: f.hash,
				Type: e.typ, Offset: int(e.offset), Length: int(e.length)})
		}
	}
	return dst, nil
}

// failed drops the file that err found broken.
func (x *Index) failed(err error) error {
	if err == nil {
		return nil
	}
	var broken *brokenError
	if errors.As(err, &broken) {
		x.drop(broken.segment)
	}
	return fmt.Errorf("look up in local index: %w", err)
}
