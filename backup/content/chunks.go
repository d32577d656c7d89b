package content

import (
	"context"
	"fmt"
	"sync/atomic"

	"nightjar/backup/pending"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

// A part of a content stands in its order until it can be listed.
type part struct {
	item tree.Item
	done chan struct{} // nil: it is
}

// Statistics say what became of a content so far.
type Statistics struct {
	Bytes                   uint64 // of the content, holes and what is the predecessor's included
	BytesSame               uint64 // of them, those that Same has taken
	BytesNew                uint64 // of new chunks
	ChunksNew, ChunksKnown  uint64
	ChunksDelta, BytesDelta uint64 // of the new chunks, those stored as what changed, and their bytes
	BytesLiteral            uint64 // what of those was stored, before compression
}

type counts struct {
	bytes, same, new, chunksNew, chunksKnown, deltas, deltaBytes, literal atomic.Uint64
}

// Statistics may be called at any time, from any goroutine. What is still in memory is counted in Bytes only.
func (c *Content) Statistics() Statistics {
	n := &c.counts
	return Statistics{
		Bytes: n.bytes.Load(), BytesSame: n.same.Load(), BytesNew: n.new.Load(), ChunksNew: n.chunksNew.Load(), ChunksKnown: n.chunksKnown.Load(),
		ChunksDelta: n.deltas.Load(), BytesDelta: n.deltaBytes.Load(), BytesLiteral: n.literal.Load(),
	}
}

// grown looks for chunk boundaries in n more bytes.
func (c *Content) grown(n int) error {
	c.looked = min(c.looked, len(c.buf.Memory())) // 0, if that was put out of the way
	c.buf.Add(n)
	c.counts.bytes.Add(uint64(n))
	for {
		if c.splitter == nil {
			if c.buf.Len() <= c.shared.o.Rule.Min && c.buf.Len() < pending.Piece {
				return nil // one that is small needs no look
			}
			c.splitter = c.shared.splitter()
		}
		in := c.buf.Memory()
		end := c.splitter.Next(in[c.looked:])
		if end < 0 {
			c.looked = len(in)
			return nil
		}
		if err := c.send(c.buf.Len() - len(in) + c.looked + end); err != nil {
			return err
		}
		c.looked = 0
	}
}

// send has a chunk saved that is the first n bytes of the buffer, by whoever is free, while the content goes on.
func (c *Content) send(n int) error {
	if err := c.shared.depart(n); err != nil {
		return err
	}
	data, err := c.buf.Take(n)
	if err != nil {
		c.shared.arrive(n)
		return err
	}
	return c.dispatch(data)
}

// dispatch has a chunk saved for which there is room among those that are on their way.
func (c *Content) dispatch(data []byte) error {
	p := &part{item: tree.Item{Length: int64(len(data))}, done: make(chan struct{})}
	c.sent = append(c.sent, p)
	at, was := c.stands(), c.past()
	c.offset += int64(len(data))
	go func() {
		defer close(p.done)
		defer c.shared.arrive(len(data))
		defer c.shared.memory.Reuse(data)
		c.save(p, data, at, was)
	}()
	return c.collect(false)
}

// save saves a chunk; if it cannot, the run fails.
func (c *Content) save(p *part, data []byte, at save.Place, was *save.Past) {
	err := c.shared.savers.use(func(s *save.Saver) (err error) {
		if p.item.ID, err = s.ContentAt(data, at, was); err == nil {
			c.count(s.Last(), len(data))
		}
		return err
	})
	if err != nil {
		c.shared.o.Fail(fmt.Errorf("save %q: %w", c.place.Path, err))
		return
	}
	c.shared.o.Read(len(data))
}

func (c *Content) count(o save.Outcome, length int) {
	n := &c.counts
	if o.Known {
		n.chunksKnown.Add(1)
		return
	}
	n.chunksNew.Add(1)
	n.new.Add(uint64(length))
	if o.Delta {
		n.deltas.Add(1)
		n.deltaBytes.Add(uint64(length))
		n.literal.Add(uint64(o.Literal))
	}
}

// collect lists what has been saved, in order: all of it, or as much as needs no waiting.
func (c *Content) collect(all bool) error {
	for len(c.sent) > 0 {
		p := c.sent[0]
		if p.done != nil {
			select {
			case <-p.done:
			default:
				if !all {
					return nil
				}
				select {
				case <-p.done:
				case <-c.shared.ctx.Done():
				}
			}
		}
		if cause := context.Cause(c.shared.ctx); cause != nil {
			return cause
		}
		if err := c.list.Add(p.item); err != nil {
			return err
		}
		c.sent = c.sent[1:]
	}
	return nil
}

// flush ends the chunk that is in the buffer, and saves it here and now.
func (c *Content) flush() error {
	n := c.buf.Len()
	c.shared.giveBack(c.splitter)
	c.splitter, c.looked = nil, 0
	if n == 0 {
		return nil
	}
	if n > pending.Piece { // of more there may be too many at the same time
		if err := c.shared.depart(n); err != nil {
			return err
		}
		defer c.shared.arrive(n)
	}
	data, err := c.buf.Take(n)
	if err != nil {
		return err
	}
	defer c.shared.memory.Reuse(data)
	p := &part{item: tree.Item{Length: int64(n)}}
	c.sent = append(c.sent, p)
	c.save(p, data, c.stands(), c.past())
	c.offset += int64(n)
	return c.collect(false)
}

// stands returns where the next chunk does.
func (c *Content) stands() save.Place {
	return save.Place{Offset: c.offset, Page: c.hint.Page, Fine: c.hint.Fine}
}

// past returns what the content was before, to compare with; nil: nothing is known.
func (c *Content) past() *save.Past {
	if c.asked {
		return c.was
	}
	c.asked = true
	held := contentsOf(c.base())
	var like []tree.Contents
	if len(held) == 0 && c.hint.Like != "" {
		like = contentsOf(c.shared.o.Before(c.hint.Like))
	}
	if len(held)+len(like) > 0 {
		c.was = c.shared.o.Writer.Past(held, like)
	}
	return c.was
}

// base returns what the content was in the predecessor; nil: nothing.
func (c *Content) base() *tree.Node {
	if c.hint.Base != "" {
		return c.shared.o.Before(c.hint.Base)
	}
	return c.shared.o.Before(c.place.Path)
}

// contentsOf returns a file's contents, if it has any.
func contentsOf(n *tree.Node) []tree.Contents {
	if n == nil || !n.IsRegular() || len(n.Contents.Items) == 0 {
		return nil
	}
	return []tree.Contents{n.Contents}
}
