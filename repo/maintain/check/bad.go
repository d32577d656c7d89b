package check

import (
	"errors"
	"io"
	"slices"

	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/pack"
	"nightjar/repo/store"
)

// A BadPack is one of which not all can be had.
type BadPack struct {
	Pack   *index.Pack
	All    bool         // it is missing, or not to be trusted
	Frames map[int]bool // else: damaged
}

func (b *BadPack) spoilt(frame int) bool { return b != nil && (b.All || b.Frames[frame]) }

// isBad reports whether a pack was given up as a whole.
func (c *checker) isBad(id index.ObjectID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bad[id] != nil && c.bad[id].All
}

// giveUp notes that nothing of a pack can be had.
func (c *checker) giveUp(p *index.Pack, f Finding) {
	c.mu.Lock()
	c.bad[p.ID] = &BadPack{Pack: p, All: true}
	if f.What == Missing || errors.Is(f.Err, store.ErrNotExist) {
		c.missed = append(c.missed, missed{p, f})
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	if c.lost.Pack(p.ID)&(lists.Lost|lists.Condemned) != 0 { // an archive that needs it will say so
		f.What = Lost
	}
	c.found(f)
}

// givenUp reports whether repair gave up a pack, or some of it.
func (c *checker) givenUp(p *index.Pack) bool {
	if c.lost.Object(p.ID) || c.lost.Pack(p.ID)&lists.Lost != 0 {
		return true
	}
	return c.lost.Touches(p.ID) && slices.ContainsFunc(p.Directory.Frames, func(f pack.Frame) bool {
		return slices.ContainsFunc(f.Blobs, func(b pack.Blob) bool { return c.lost.Blob(p.ID, b.Key, b.Type)&lists.Lost != 0 })
	})
}

// spoilt notes that some frames of a pack cannot be had, or none but the pack as such is not what it was.
func (c *checker) spoilt(p *index.Pack, name string, frames []int, err error) {
	b := &BadPack{Pack: p, Frames: map[int]bool{}}
	known := c.lost.Pack(p.ID)&lists.Lost != 0 || c.lost.Object(p.ID)
	for _, n := range frames {
		b.Frames[n] = true
		for _, blob := range p.Directory.Frames[n].Blobs {
			known = known && (blob.Type >= pack.SignatureOf || c.lost.Blob(p.ID, blob.Key, blob.Type)&lists.Lost != 0)
		}
	}
	c.mu.Lock()
	before := c.bad[p.ID]
	if before == nil || len(before.Frames) > len(frames) { // else somebody says less well what is where
		c.bad[p.ID] = b
	}
	c.mu.Unlock()
	if before != nil {
		return
	}
	f := Finding{What: Damaged, Object: name, Err: err}
	if known {
		f.What = Lost
	}
	c.found(f)
}

// IsGone reports whether an error says that bytes are lost, and not only out of reach now: who may not read them, or has to wait for them, must not give them up.
func IsGone(err error) bool {
	if errors.Is(err, store.ErrUnread) { // one place of several may be
		return false
	}
	for _, is := range []error{crypto.ErrIntegrity, store.ErrNotExist, store.ErrTooLarge, io.ErrUnexpectedEOF} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}
