package blocks

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"
)

// A File takes a volume from its beginning to its end.
type File interface {
	// Block appends a block. It keeps nothing of data.
	Block(data []byte) error
	// Same appends the next n bytes as the file before has them, which is of the base. It returns how many it could take; if those are all that
	// there are, an error beside them says only that they are too few.
	Same(n int64) (int64, error)
	// Hole appends n zeros.
	Hole(n int64) error
	// Again appends a block as an earlier run has read it, and reports whether it could: see Store.Survey.
	Again(index int32) (bool, error)
}

// A Survey says what is to be read of a snapshot.
type Survey struct {
	Snapshot string
	Base     string // a snapshot of the volume that the file before holds; empty: none
	Lost     error  // why the Base that was asked for is of no use; nil: it is, or none was asked for
	GiB      int64  // of the volume
	Blocks   int    // to be read
	Again    int    // that an earlier run has read
	Cleared  int    // that hold something in the Base, and nothing any more
	pages    uint64
	has      func(index int32) bool
}

// Bytes are those of the volume.
func (v *Survey) Bytes() int64 { return v.GiB << 30 }

// Calls are those that Save will make, if all goes well.
func (v *Survey) Calls() Calls { return Calls{Lists: v.pages, Reads: uint64(v.Blocks)} }

// Survey counts what is to be read of a snapshot, beside a base if there is one. A base that is gone, or is not of the same volume, is given up:
// everything is read then, and Lost says why. Blocks for which has reports true, whenever it is asked, are not read: the file takes them by Again, as
// far as it can. A nil has knows none.
func (s *Store) Survey(ctx context.Context, snapshot, base string, has func(index int32) bool) (*Survey, error) {
	if has == nil {
		has = func(int32) bool { return false }
	}
	v, err := s.survey(ctx, snapshot, base, has)
	if base == "" || err == nil || !gone(err) {
		return v, err
	}
	whole, failed := s.survey(ctx, snapshot, "", has)
	if failed != nil {
		return nil, failed
	}
	whole.Lost = err
	return whole, nil
}

func (s *Store) survey(ctx context.Context, snapshot, base string, has func(int32) bool) (*Survey, error) {
	v := &Survey{Snapshot: snapshot, Base: base, has: has}
	before := s.lists.Load()
	l := listing{s, snapshot, base}
	var err error
	v.GiB, err = l.each(ctx, func(e entry) error {
		switch {
		case e.token == "":
			v.Cleared++
		case has(e.index):
			v.Again++
		default:
			v.Blocks++
		}
		return nil
	})
	v.pages = s.lists.Load() - before
	return v, err
}

// A part of a volume comes in its order: a block, or a gap before one.
type part struct {
	entry
	gap   int64 // bytes; 0: it is a block
	again bool  // the file has it from an earlier run
	data  []byte
	done  chan struct{}
	err   error
}

// A saver saves one volume.
type saver struct {
	reader
	survey  *Survey
	file    File
	room    chan struct{} // a place for each block on its way
	buffers sync.Pool
	rest    *listing // of all blocks, for what is not the same as before
	listed  page     // of rest
	at      int64    // where the file ends
}

// Save reads what a Survey says, and hands the whole volume to a file. A block of zeros is a hole. An error of the file that is not Same's, and of
// EBS after all attempts, ends it.
func (s *Store) Save(ctx context.Context, v *Survey, f File) error {
	x := &saver{reader: reader{store: s, listing: listing{s, v.Snapshot, ""}}, survey: v, file: f, room: make(chan struct{}, s.ahead)}
	x.buffers.New = func() any { b := make([]byte, Size); return &b }
	g, ctx := errgroup.WithContext(ctx)
	parts := make(chan *part, s.ahead)
	g.Go(func() error {
		defer close(parts)
		return x.plan(ctx, parts)
	})
	g.Go(func() error {
		for {
			select {
			case p, ok := <-parts:
				if !ok {
					return nil
				}
				if err := x.take(ctx, p); err != nil {
					return err
				}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
	err := g.Wait()
	for p := range parts { // what nobody came to: its reading has ended with ctx
		if p.gap == 0 {
			<-p.done
			x.release(p)
		}
	}
	if err == nil && x.at != v.Bytes() {
		err = fmt.Errorf("save %s: %w: blocks of %d bytes, of %d", v.Snapshot, ErrAnswer, x.at, v.Bytes())
	}
	return err
}

// plan lists what is to come, and begins to read it.
func (x *saver) plan(ctx context.Context, parts chan<- *part) error {
	next := int64(0)
	send := func(p *part) error {
		select {
		case parts <- p:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	list := listing{x.store, x.survey.Snapshot, x.survey.Base}
	gib, err := list.each(ctx, func(e entry) error {
		at := int64(e.index) * Size
		if at > next {
			if err := send(&part{gap: at - next}); err != nil {
				return err
			}
		}
		next = at + Size
		p := &part{entry: e, done: make(chan struct{})}
		p.again = e.token != "" && x.survey.has(e.index)
		if e.token == "" || p.again {
			close(p.done)
			return send(p)
		}
		select {
		case x.room <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		go func() {
			defer close(p.done)
			buf := x.buffers.Get().(*[]byte)
			if p.err = x.read(ctx, e, *buf); p.err == nil {
				p.data = *buf
				return // its place is given back when it is taken
			}
			x.buffers.Put(buf)
			<-x.room
		}()
		if err := send(p); err != nil {
			<-p.done
			x.release(p)
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	if gib != x.survey.GiB {
		return fmt.Errorf("list blocks of %s: %w: volumes of %d and %d GiB", x.survey.Snapshot, ErrAnswer, x.survey.GiB, gib)
	}
	if end := x.survey.Bytes(); end > next {
		return send(&part{gap: end - next})
	}
	return nil
}

// release gives back the memory of a block.
func (x *saver) release(p *part) {
	if p.data != nil {
		x.buffers.Put(&p.data)
		<-x.room
	}
}

// take appends a part to the file.
func (x *saver) take(ctx context.Context, p *part) error {
	switch {
	case p.gap > 0 && x.survey.Base == "":
		return x.hole(p.gap)
	case p.gap > 0:
		return x.same(ctx, x.at+p.gap)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		<-p.done
	}
	defer x.release(p)
	switch {
	case p.err != nil:
		return p.err
	case p.token == "":
		return x.hole(Size)
	case p.again:
		return x.again(ctx, p.entry)
	}
	return x.block(p.data)
}

// again appends what an earlier run has read, or reads it.
func (x *saver) again(ctx context.Context, e entry) error {
	ok, err := x.file.Again(e.index)
	if err != nil {
		return err
	}
	if ok {
		x.at += Size
		return nil
	}
	buf := x.buffers.Get().(*[]byte)
	defer x.buffers.Put(buf)
	if err := x.read(ctx, e, *buf); err != nil {
		return err
	}
	return x.block(*buf)
}

func (x *saver) hole(n int64) error {
	x.at += n
	return x.file.Hole(n)
}

func (x *saver) block(data []byte) error {
	if isZero(data) {
		return x.hole(Size)
	}
	x.at += Size
	return x.file.Block(data)
}

// same appends what has not changed, up to an offset. What the file before does not have is read.
func (x *saver) same(ctx context.Context, end int64) error {
	for x.at < end {
		n, err := x.file.Same(end - x.at)
		if n < 0 || n > end-x.at || n%Size != 0 {
			return fmt.Errorf("save %s: the file before has %d bytes at %d, which are no blocks", x.survey.Snapshot, n, x.at)
		}
		if x.at += n; x.at == end && err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := x.anew(ctx, end); err != nil {
			return err
		}
	}
	return nil
}

// anew reads the next block that the snapshot has, and what is before it is a hole; or all up to an offset is.
func (x *saver) anew(ctx context.Context, end int64) error {
	e, ok, err := x.listedFrom(ctx, int32(x.at/Size))
	if err != nil {
		return err
	}
	if at := int64(e.index) * Size; !ok || at >= end {
		return x.hole(end - x.at)
	} else if at > x.at {
		if err := x.hole(at - x.at); err != nil {
			return err
		}
	}
	return x.again(ctx, e)
}

// listedFrom returns the first block that the snapshot has from one on. Blocks ascend.
func (x *saver) listedFrom(ctx context.Context, index int32) (entry, bool, error) {
	if x.rest == nil {
		x.rest = &listing{x.store, x.survey.Snapshot, ""}
		x.listed.next = "more"
	}
	for range emptyMax {
		for len(x.listed.entries) > 0 && x.listed.entries[0].index < index {
			x.listed.entries = x.listed.entries[1:]
		}
		if len(x.listed.entries) > 0 {
			return x.listed.entries[0], true, nil
		}
		if x.listed.next == "" {
			return entry{}, false, nil
		}
		var err error
		if x.listed, err = x.rest.page(ctx, index, "", pageMin); err != nil {
			return entry{}, false, err
		}
		if len(x.listed.entries) == 0 && x.listed.next != "" {
			return entry{}, false, fmt.Errorf("list blocks of %s: %w: a page without blocks", x.survey.Snapshot, ErrAnswer)
		}
	}
	return entry{}, false, fmt.Errorf("list blocks of %s: %w: its pages have no end", x.survey.Snapshot, ErrAnswer)
}
