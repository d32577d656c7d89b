package hot

import (
	"context"
	"io"
	"sync"

	"golang.org/x/sync/semaphore"

	"nightjar/mysqldump/xbstream"
)

const (
	queueMemory = 8 << 20   // bytes of all files that are on their way from the stream into the tree
	pieceSize   = 256 << 10 // as pieces are used again
	maxEnding   = 8         // files of which all was read, and whose last chunks are being saved
)

// A queue hands what is read of files to goroutines, one a file: so the stream is read on while files are cut and saved.
type queue struct {
	room   *semaphore.Weighted
	pieces sync.Pool // of *[]byte
	open   sync.WaitGroup
	ending chan struct{}

	mu  sync.Mutex
	err error // the first; final
}

func newQueue() *queue {
	q := &queue{room: semaphore.NewWeighted(queueMemory), ending: make(chan struct{}, maxEnding)}
	q.pieces.New = func() any { b := make([]byte, pieceSize); return &b }
	return q
}

// piece waits for room, and returns memory for a piece.
func (q *queue) piece() *[]byte {
	_ = q.room.Acquire(context.Background(), pieceSize) // goroutines go on to take what is there, whatever fails
	return q.pieces.Get().(*[]byte)
}

// back takes back the memory of a piece.
func (q *queue) back(p *[]byte) {
	*p = (*p)[:pieceSize]
	q.pieces.Put(p)
	q.room.Release(pieceSize)
}

// wait returns once all files that were closed are in the tree.
func (q *queue) wait() error {
	q.open.Wait()
	return q.failed()
}

func (q *queue) failed() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.err
}

func (q *queue) fail(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err == nil {
		q.err = err
	}
}

// queued is a file whose writes and whose end a goroutine does. What fails there is an error of whatever comes next.
type queued struct {
	q     *queue
	to    xbstream.File
	parts chan *[]byte
	whole bool          // set before parts is closed
	done  chan struct{} // closed when the goroutine has ended
}

func (q *queue) file(to xbstream.File) *queued {
	f := &queued{q: q, to: to, parts: make(chan *[]byte, queueMemory/pieceSize), done: make(chan struct{})}
	q.open.Add(1)
	go f.run()
	return f
}

func (f *queued) run() {
	defer close(f.done)
	defer f.q.open.Done()
	for p := range f.parts {
		if f.q.failed() == nil {
			if _, err := f.to.Write(*p); err != nil {
				f.q.fail(err)
			}
		}
		f.q.back(p)
	}
	if f.whole {
		defer func() { <-f.q.ending }()
	}
	if !f.whole || f.q.failed() != nil {
		f.to.Abort()
	} else if err := f.to.Close(); err != nil {
		f.q.fail(err)
		f.to.Abort()
	}
}

func (f *queued) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		if err := f.q.failed(); err != nil {
			return len(b) - len(rest), err
		}
		p := f.q.piece()
		n := copy(*p, rest)
		*p = (*p)[:n]
		f.parts <- p
		rest = rest[n:]
	}
	return len(b), nil
}

// ReadFrom is Write for what is long: it is read to where the goroutine takes it.
func (f *queued) ReadFrom(r io.Reader) (n int64, err error) {
	for err == nil {
		if err := f.q.failed(); err != nil {
			return n, err
		}
		p, k := f.q.piece(), 0
		k, err = io.ReadFull(r, *p)
		n += int64(k)
		if k == 0 {
			f.q.back(p)
			continue
		}
		*p = (*p)[:k]
		f.parts <- p
	}
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	return n, err
}

// Close does not wait until the file is in the tree, and never fails: queue.wait does both.
func (f *queued) Close() error {
	f.q.ending <- struct{}{}
	f.whole = true
	close(f.parts)
	return nil
}

func (f *queued) Abort() {
	close(f.parts)
	<-f.done
}
