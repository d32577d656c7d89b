// Package read hands out the content of archived files as io.ReadClosers: in order, while what follows is fetched.
//
// Readers share a Budget of memory. A reader that is read fetches up to 16 MiB ahead, while it may; one whose consumer waits always gets memory, if need be that of
// readers that are not read, which fetch again what they gave back. So no order in which consumers read can bring them to a halt, and none needs more than the Budget.
//
// The invariant: a byte is handed out when its chunk is there and authenticated, after all bytes before it.
//
// The package opens no archive and finds no path: backup/browse does.
package read

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"time"

	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo/tree"
)

// Ahead is how many bytes a reader fetches at most before they are read.
const Ahead = 16 << 20

const (
	batchBytes  = Ahead / 4 // fetched together
	batchPieces = 1024
	queueMax    = 8 // batches, of which those of holes take no memory
)

// A Source has chunks and lists; a *repo.Reader is one.
type Source interface {
	// Fetch delivers chunks of content as repo.Reader's does.
	Fetch(ctx context.Context, ids []chunk.ID, deliver func(i int, data []byte, err error) error) error
	// Fetcher returns what fetches lists.
	Fetcher(ctx context.Context) func(chunk.ID) ([]byte, error)
}

// Open returns a reader of contents, which begins to fetch at once. It ends with ctx. A nil Budget is one of Ahead for this reader alone.
func Open(ctx context.Context, from Source, c tree.Contents, b *Budget) io.ReadCloser {
	if b == nil {
		b = NewBudget(Ahead)
	}
	r := &reader{from: from, budget: b, changed: sync.NewCond(&b.mu)}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	r.stop = context.AfterFunc(r.ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		r.changed.Broadcast()
	})
	b.join(r)
	r.work.Go(func() { r.plan(c) })
	return r
}

// A reader is one content being read. What is not set by Open is guarded by budget.mu.
type reader struct {
	from    Source
	budget  *Budget
	ctx     context.Context
	cancel  context.CancelCauseFunc
	stop    func() bool
	work    sync.WaitGroup
	changed *sync.Cond

	queue   []*batch  // in order; the first is being read
	planned bool      // all of the content is or was in queue
	planErr error     // why that is not all
	held    int64     // bytes of memory
	waiting uint64    // the number of the consumer's wait; 0: it does not wait
	last    time.Time // when it was read
	pinned  bool      // the first batch is being copied from
	closed  bool
	err     error // for all further reads
}

// A batch is neighbouring pieces that are fetched together.
type batch struct {
	pieces []piece
	size   int64 // bytes of its chunks
	state  state
	begun  bool   // it had memory once
	data   []byte // of chunks, one after another; while it is fetched, whoever fetches writes it
	whole  int    // so many of its pieces can be read
	err    error  // why not all

	next int   // piece to read
	from int64 // bytes of it that were read
}

type state int

const (
	wanted state = iota // it has no memory
	fetching
	ready
)

// A piece is a chunk or, with a zero id, a hole.
type piece struct {
	id     chunk.ID
	hole   bool
	length int64
	at     int64 // in the batch's data
}

// plan cuts the content into batches.
func (r *reader) plan(c tree.Contents) {
	x := &batch{}
	err := tree.Walk(c, r.from.Fetcher(r.ctx), func(item tree.Item) error {
		size := item.Length
		if item.Hole {
			size = 0
		}
		if len(x.pieces) > 0 && x.size+size > r.budget.batch() || len(x.pieces) == batchPieces {
			if err := r.enqueue(x); err != nil {
				return err
			}
			x = &batch{}
		}
		x.pieces = append(x.pieces, piece{item.ID, item.Hole, item.Length, x.size})
		x.size += size
		return nil
	})
	if len(x.pieces) > 0 {
		if failed := r.enqueue(x); err == nil {
			err = failed
		}
	}
	r.budget.mu.Lock()
	defer r.budget.mu.Unlock()
	r.planned, r.planErr = true, err
	r.changed.Broadcast()
}

// enqueue adds a batch, and returns when it has been given memory, so that plans are not far ahead.
func (r *reader) enqueue(x *batch) error {
	r.budget.mu.Lock()
	defer r.budget.mu.Unlock()
	r.queue = append(r.queue, x)
	r.changed.Broadcast()
	r.budget.schedule()
	for !x.begun || len(r.queue) >= queueMax {
		if r.ctx.Err() != nil {
			return context.Cause(r.ctx)
		}
		r.changed.Wait()
	}
	return nil
}

// fetch fills a batch, which has been given memory.
func (r *reader) fetch(x *batch) {
	var ids []chunk.ID
	var of []int // their pieces
	for i, p := range x.pieces {
		if !p.hole {
			ids, of = append(ids, p.id), append(of, i)
		}
	}
	reasons := make([]error, len(ids))
	there := make([]bool, len(ids))
	err := r.from.Fetch(r.ctx, ids, func(i int, content []byte, err error) error {
		p := x.pieces[of[i]]
		if err == nil && int64(len(content)) != p.length {
			err = fmt.Errorf("chunk %v has %d bytes, not %d: %w", p.id, len(content), p.length, crypto.ErrIntegrity)
		}
		if reasons[i] = err; err == nil {
			copy(x.data[p.at:], content)
			there[i] = true
		}
		return nil // what comes before it can be read
	})
	r.budget.mu.Lock()
	defer r.budget.mu.Unlock()
	x.whole, x.err, x.state = len(x.pieces), nil, ready
	for i := range ids {
		if there[i] {
			continue
		}
		if x.whole, x.err = of[i], reasons[i]; x.err == nil {
			x.err = err
		}
		break
	}
	r.budget.fetched(r, x)
}

// Read reads what comes next: at most to the end of a chunk.
func (r *reader) Read(b []byte) (int, error) {
	m := &r.budget.mu
	m.Lock()
	defer m.Unlock()
	x, err := r.head()
	if err != nil || len(b) == 0 {
		return 0, err
	}
	p, data := x.pieces[x.next], x.data
	n := int(min(int64(len(b)), p.length-x.from))
	r.pinned = true
	m.Unlock()
	if p.hole {
		clear(b[:n])
	} else {
		copy(b[:n], data[p.at+x.from:])
	}
	m.Lock()
	r.pinned = false
	if x.from += int64(n); x.from == p.length {
		x.next, x.from = x.next+1, 0
	}
	if x.next == len(x.pieces) && !r.closed {
		r.pop()
	}
	return n, nil
}

// head returns the batch that is to be read, once it is there, or the error with which the content ends.
func (r *reader) head() (*batch, error) {
	for r.err == nil {
		switch {
		case r.closed:
			return nil, fs.ErrClosed
		case r.ctx.Err() != nil:
			r.err = context.Cause(r.ctx)
		case len(r.queue) == 0 && r.planned:
			if r.err = r.planErr; r.err == nil {
				r.err = io.EOF
			}
		case len(r.queue) > 0 && r.queue[0].state == ready:
			x := r.queue[0]
			if x.next < x.whole {
				r.budget.read(r)
				return x, nil
			}
			r.err = x.err
		default:
			r.budget.wait(r)
		}
	}
	if r.err != io.EOF {
		r.cancel(r.err)
	}
	r.waiting = 0
	r.drop()
	return nil, r.err
}

// pop gives up the first batch.
func (r *reader) pop() {
	r.budget.release(r, r.queue[0])
	r.queue[0] = nil
	r.queue = r.queue[1:]
	r.changed.Broadcast()
	r.budget.schedule()
}

// drop gives up all that is not on its way.
func (r *reader) drop() {
	for _, x := range r.queue {
		r.budget.release(r, x)
	}
	r.budget.schedule()
}

// Close ends the reader, a Read that waits, and what it fetches, and gives all memory back.
func (r *reader) Close() error {
	m := &r.budget.mu
	r.cancel(fs.ErrClosed)
	m.Lock()
	r.closed = true
	r.changed.Broadcast()
	m.Unlock()
	r.stop()
	r.work.Wait()
	m.Lock()
	defer m.Unlock()
	r.drop()
	r.queue = nil
	r.budget.leave(r)
	return nil
}
