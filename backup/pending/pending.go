// Package pending holds the end of each content that is being written: what no chunk boundary has come after yet.
//
// That is up to 8 MiB for each, whatever is in it, and dozens may be open. So all of them share one budget of memory;
// past it, a Buffer puts what it has into a scratch file that has no name, and gets it back when the chunk is complete.
//
// The invariant: however little memory there is, a Buffer gives back what was put in. The package knows no boundaries
// and saves nothing.
package pending

import (
	"fmt"
	"os"
	"sync"

	"nightjar/chunk"
	"nightjar/internal/tempdir"
)

// Piece is how many bytes a Buffer takes at once, and how many it may always have in memory.
const Piece = 64 << 10

// large is the size of buffers that are used again, in bytes: most chunks fit in.
const large = 2 << 20

// Memory is what the Buffers of one run share. It is safe for concurrent use.
type Memory struct {
	temp  tempdir.Dir
	limit int
	spare sync.Pool // of *[]byte, each of large bytes

	mu    sync.Mutex
	used  int
	file  *os.File // nil until something overflows
	free  []int64  // places in the file, of chunk.MaxSize bytes each, that were given back
	slots int64    // places that there are
}

// New returns Memory of so many bytes, which overflows into temp. Close it.
func New(temp tempdir.Dir, limit int) *Memory { return &Memory{temp: temp, limit: limit} }

// Close gives up the scratch file. No Buffer may be in use.
func (m *Memory) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file != nil {
		_ = m.file.Close() // of what nobody wants any more
		m.file = nil
	}
}

// grow accounts for n more bytes, if no more than part of the limit, in percent, is used then.
func (m *Memory) grow(n, part int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used+n > m.limit/100*part {
		return false
	}
	m.used += n
	return true
}

// add accounts for n more bytes, whatever the limit says.
func (m *Memory) add(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.used += n
}

// memory returns an empty slice with room for n bytes.
func (m *Memory) memory(n int) []byte {
	if n <= large/2 || n > large {
		return make([]byte, 0, n)
	}
	if b, ok := m.spare.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, large)
}

// Reuse takes back the memory of a chunk that nobody needs any more.
func (m *Memory) Reuse(chunk []byte) {
	if cap(chunk) == large {
		m.spare.Put(&chunk)
	}
}

// Copy returns a copy of data for whoever calls Reuse.
func (m *Memory) Copy(data []byte) []byte { return append(m.memory(len(data)), data...) }

// place returns a place in the scratch file.
func (m *Memory) place() (file *os.File, at int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.file == nil {
		if m.file, err = m.temp.Create("nightjar-"); err != nil {
			return nil, 0, err
		}
	}
	if n := len(m.free); n > 0 {
		at = m.free[n-1]
		m.free = m.free[:n-1]
		return m.file, at, nil
	}
	at = m.slots * chunk.MaxSize
	m.slots++
	return m.file, at, nil
}

func (m *Memory) giveBack(at int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.free = append(m.free, at)
}

// A Buffer holds the end of one content, at most chunk.MaxSize bytes and a Piece. It is for one goroutine.
type Buffer struct {
	m     *Memory
	data  []byte
	again bool // a chunk was taken: the next will be as large

	file  *os.File // nil: nothing is in the scratch file
	at    int64
	spilt int // bytes there, which stand before data
}

// NewBuffer returns an empty Buffer. Release it.
func (m *Memory) NewBuffer() Buffer { return Buffer{m: m} }

// Len returns how many bytes are in the Buffer.
func (b *Buffer) Len() int { return b.spilt + len(b.data) }

// Memory returns those of the bytes that are in memory: all but the first, if something was in the way. It is good
// until the next call.
func (b *Buffer) Memory() []byte { return b.data }

// Space returns free memory for n bytes or more, n being at most a Piece. What is put there counts when Add is told.
func (b *Buffer) Space(n int) ([]byte, error) {
	if cap(b.data)-len(b.data) >= n {
		return b.data[len(b.data):cap(b.data)], nil
	}
	want := max(2*cap(b.data), len(b.data)+n)
	if want > large/2 {
		want = max(want, large)
	}
	switch {
	case cap(b.data) == 0 && b.again && b.m.grow(large, 50):
		b.data = b.m.memory(large)
	case b.m.grow(want-cap(b.data), 100):
		old := b.data
		b.data = append(b.m.memory(want), old...)
		b.m.Reuse(old)
	case len(b.data) < Piece: // it may always have as much
		want = min(want, 2*Piece)
		b.m.add(want - cap(b.data))
		b.data = append(make([]byte, 0, want), b.data...)
	default:
		if err := b.spill(); err != nil {
			return nil, err
		}
	}
	return b.data[len(b.data):cap(b.data)], nil
}

// Add says that n more bytes were put where Space said.
func (b *Buffer) Add(n int) { b.data = b.data[:len(b.data)+n] }

// spill puts what is in memory into the scratch file.
func (b *Buffer) spill() (err error) {
	if b.file == nil {
		if b.file, b.at, err = b.m.place(); err != nil {
			return fmt.Errorf("make room in memory: %w", err)
		}
	}
	if _, err := b.file.WriteAt(b.data, b.at+int64(b.spilt)); err != nil {
		return fmt.Errorf("make room in memory: %w", err)
	}
	b.spilt += len(b.data)
	b.data = b.data[:0]
	return nil
}

// Take removes the first n bytes and returns them, for whoever calls Reuse. Bytes that are left must be in memory.
func (b *Buffer) Take(n int) ([]byte, error) {
	b.again = b.again || n > Piece
	if b.spilt > 0 {
		taken := b.m.memory(n)[:b.spilt]
		if _, err := b.file.ReadAt(taken, b.at); err != nil {
			return nil, fmt.Errorf("read back what was in the way: %w", err)
		}
		taken = append(taken, b.data[:n-b.spilt]...)
		b.data = b.data[:copy(b.data, b.data[n-b.spilt:])]
		b.empty()
		return taken, nil
	}
	taken, rest := b.data[:n], b.data[n:]
	b.m.add(-cap(b.data))
	b.data = nil
	if len(rest) == 0 {
		return taken, nil
	}
	free, err := b.Space(len(rest))
	if err != nil {
		return nil, err
	}
	b.Add(copy(free, rest))
	return taken, nil
}

// empty gives back the place in the scratch file.
func (b *Buffer) empty() {
	if b.file != nil {
		b.m.giveBack(b.at)
		b.file, b.spilt = nil, 0
	}
}

// Release gives up what is in the Buffer, and leaves it empty.
func (b *Buffer) Release() {
	b.empty()
	b.m.add(-cap(b.data))
	b.m.Reuse(b.data)
	b.data = nil
}
