package pending

import (
	"bytes"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"nightjar/chunk"
	"nightjar/internal/tempdir"
)

func temp(t *testing.T) tempdir.Dir {
	t.Helper()
	dir, err := tempdir.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func put(t *testing.T, b *Buffer, data []byte) {
	t.Helper()
	for len(data) > 0 {
		n := min(len(data), Piece)
		free, err := b.Space(n)
		if err != nil {
			t.Fatal(err)
		}
		b.Add(copy(free, data[:n]))
		data = data[n:]
	}
}

// However little memory there is, what comes out is what was put in, and all memory is given back.
func TestBuffers(t *testing.T) {
	for _, limit := range []int{0, 300 << 10, 5 << 20, 1 << 30} {
		m := New(temp(t), limit)
		var g sync.WaitGroup
		for i := range 8 {
			g.Go(func() {
				bytesOf := rand.NewChaCha8([32]byte{byte(limit >> 20), byte(i)})
				r := rand.New(bytesOf)
				b := m.NewBuffer()
				for range 6 {
					data := make([]byte, 1+r.IntN(1<<(10+r.IntN(13))))
					_, _ = bytesOf.Read(data) // which returns no error
					put(t, &b, data)
					if b.Len() != len(data) {
						t.Errorf("%d bytes of %d", b.Len(), len(data))
					}
					first := max(1, len(data)-r.IntN(1+min(len(b.Memory()), Piece))) // what is left is in memory
					for _, n := range []int{first, len(data) - first} {
						got, err := b.Take(n)
						if err != nil || !bytes.Equal(got, data[:n]) {
							t.Errorf("%d bytes came out as others, %v", n, err)
						}
						data = data[n:]
						m.Reuse(got)
					}
				}
				put(t, &b, make([]byte, 3*Piece))
				b.Release()
				b.Release()
			})
		}
		g.Wait()
		if m.used != 0 || len(m.free) != int(m.slots) {
			t.Errorf("limit %d: %d bytes are in use, %d of %d places are free", limit, m.used, len(m.free), m.slots)
		}
		if spilt := m.slots > 0; spilt != (limit < 1<<20) && limit != 5<<20 {
			t.Errorf("limit %d: %d places in the scratch file", limit, m.slots)
		}
		m.Close()
	}
}

// Of many Buffers that are full, little more than the limit is in memory.
func TestLimit(t *testing.T) {
	m := New(temp(t), 4<<20)
	defer m.Close()
	all := make([]Buffer, 64)
	for i := range all {
		all[i] = m.NewBuffer()
	}
	data := make([]byte, Piece)
	for range chunk.MaxSize / Piece / 4 {
		for i := range all {
			put(t, &all[i], data)
		}
	}
	held := 0
	for i := range all {
		held += cap(all[i].data)
	}
	if held != m.used || held > m.limit+len(all)*2*Piece {
		t.Errorf("%d bytes are held, %d counted, of %d", held, m.used, m.limit)
	}
}

// Without a temp directory, or with one that is gone, that is an error, and nothing is written elsewhere.
func TestNowhereToSpill(t *testing.T) {
	elsewhere := t.TempDir()
	t.Setenv("TMPDIR", elsewhere)
	gone := temp(t)
	if err := os.Remove(gone.Path()); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []tempdir.Dir{{}, gone} {
		b := New(dir, 0).NewBuffer()
		put(t, &b, make([]byte, Piece))
		if free, err := b.Space(1); err == nil {
			b.Add(len(free))
			if _, err = b.Space(1); err == nil {
				t.Error("there is room where there is none")
			}
		}
	}
	if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
		t.Errorf("it was written elsewhere: %v, %v", entries, err)
	}
}
