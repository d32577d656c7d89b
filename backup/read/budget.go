package read

import (
	"slices"
	"sync"
	"time"

	"nightjar/chunk"
)

// fetchesAtOnce is how many batches of all readers are fetched at the same time. Beside the Budget each takes as much again, at most, while its chunks are put together.
const fetchesAtOnce = 4

// patience is how long a reader may leave what was fetched unread while others need the memory.
const patience = 20 * time.Millisecond

// A Budget is memory that readers share. It is safe for concurrent use.
type Budget struct {
	size int64

	mu       sync.Mutex
	used     int64    // by batches
	spare    [][]byte // memory that was used; with used it is at most size
	spared   int64    // bytes of it
	fetching int
	readers  []*reader // that are open
	waits    uint64    // counted
	later    *time.Timer
}

// NewBudget returns a Budget of so many bytes. Less than the largest chunk, 8 MiB, is as much as that.
func NewBudget(size int64) *Budget { return &Budget{size: max(size, chunk.MaxSize)} }

func (b *Budget) join(r *reader) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r.last = time.Now()
	b.readers = append(b.readers, r)
}

func (b *Budget) leave(r *reader) {
	if i := slices.Index(b.readers, r); i >= 0 {
		b.readers = slices.Delete(b.readers, i, i+1)
	}
	if len(b.readers) == 0 {
		b.spare, b.spared = nil, 0
		if b.later != nil {
			b.later.Stop()
		}
	}
	b.schedule() // the others' shares are larger now
}

// share is how much one reader may fetch ahead.
func (b *Budget) share() int64 { return min(Ahead, b.size/int64(max(len(b.readers), 1))) }

// batch is how much is fetched together, but for single chunks that are larger.
func (b *Budget) batch() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return min(batchBytes, b.share()/4)
}

// read notes that a reader is read.
func (b *Budget) read(r *reader) { r.last, r.waiting = time.Now(), 0 }

// wait has the consumer of a reader wait for a change.
func (b *Budget) wait(r *reader) {
	if r.waiting == 0 {
		b.waits++
		r.waiting = b.waits
		b.schedule()
	}
	r.changed.Wait()
}

// schedule gives memory to batches: first to those for which consumers wait, by how long they do, then to those further ahead.
func (b *Budget) schedule() {
	for b.fetching < fetchesAtOnce {
		r := b.longest()
		if r == nil {
			break
		}
		x := r.queue[0]
		for b.used+x.size > b.size {
			if !b.reclaim() {
				return // what is being fetched will do
			}
		}
		b.start(r, x)
	}
	for _, r := range b.readers {
		for _, x := range r.queue {
			if x.state != wanted {
				continue
			}
			if b.fetching >= fetchesAtOnce && x.size > 0 || b.used+x.size > b.size || r.held > 0 && r.held+x.size > b.share() || r.ctx.Err() != nil {
				break
			}
			b.start(r, x)
		}
	}
}

// longest returns the reader whose consumer waits longest for a batch that has no memory.
func (b *Budget) longest() (longest *reader) {
	for _, r := range b.readers {
		if r.waiting > 0 && len(r.queue) > 0 && r.queue[0].state == wanted && r.ctx.Err() == nil && (longest == nil || r.waiting < longest.waiting) {
			longest = r
		}
	}
	return longest
}

// reclaim takes memory back from the reader that was not read for longest, from its end: its consumer notices only that it waits longer. If all were read lately, most
// are about to give memory back themselves; then schedule is called again later. What a consumer has waited for, or copies from, stays until it has read of it.
func (b *Budget) reclaim() bool {
	var from *reader
	var what *batch
	awaited := false
	for _, r := range b.readers {
		if from != nil && from.last.Before(r.last) {
			continue
		}
		for i, x := range slices.Backward(r.queue) {
			if x.state != ready || x.size == 0 {
				continue
			}
			if i == 0 && (r.pinned || r.waiting > 0) {
				awaited = true
				continue
			}
			from, what = r, x
			break
		}
	}
	if what == nil {
		if awaited {
			b.again(patience)
		}
		return false
	}
	if rest := patience - time.Since(from.last); rest > 0 {
		b.again(rest)
		return false
	}
	b.release(from, what)
	return true
}

// again has schedule called once more.
func (b *Budget) again(after time.Duration) {
	if b.later != nil {
		b.later.Stop()
	}
	b.later = time.AfterFunc(after, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.schedule()
	})
}

// start gives memory to a batch, and fetches it.
func (b *Budget) start(r *reader, x *batch) {
	x.begun = true
	if x.state = fetching; x.size == 0 {
		x.state, x.whole = ready, len(x.pieces)
		r.changed.Broadcast()
		return
	}
	x.data = b.memory(x.size)
	b.used, r.held = b.used+int64(cap(x.data)), r.held+int64(cap(x.data))
	b.fetching++
	r.changed.Broadcast()
	r.work.Go(func() { r.fetch(x) })
}

// fetched notes that a fetch has ended.
func (b *Budget) fetched(r *reader, x *batch) {
	if b.fetching--; r.ctx.Err() != nil {
		b.release(r, x)
	}
	r.changed.Broadcast()
	b.schedule()
}

// release takes the memory of a batch that is there.
func (b *Budget) release(r *reader, x *batch) {
	if x.state != ready {
		return
	}
	size := int64(cap(x.data))
	b.used, r.held = b.used-size, r.held-size
	if size >= batchBytes/2 && b.used+b.spared+size <= b.size {
		b.spare, b.spared = append(b.spare, x.data), b.spared+size
	}
	x.data, x.state = nil, wanted
}

// memory returns memory for a batch that is to be filled as a whole.
func (b *Budget) memory(size int64) []byte {
	for i, m := range b.spare {
		if int64(cap(m)) >= size && int64(cap(m)) <= 2*size {
			b.spare, b.spared = slices.Delete(b.spare, i, i+1), b.spared-int64(cap(m))
			return m[:size]
		}
	}
	if b.used+b.spared+size > b.size {
		b.spare, b.spared = nil, 0
	}
	return make([]byte, size)
}
