package read_test

import (
	"bytes"
	"io"
	"sync"
	"testing"

	"nightjar/backup/backuptest"
	"nightjar/backup/read"
	"nightjar/repo/tree"
)

const each = 2 * mib

// many opens readers of 2 MiB each, and returns what each holds.
func many(t *testing.T, c *chunks, b *read.Budget, n int) (readers []io.ReadCloser, want [][]byte) {
	t.Helper()
	all := make([]tree.Contents, n)
	want = make([][]byte, n)
	for i := range n {
		all[i], want[i] = c.some(byte(i), mib/2, mib, 1, mib/2-1)
	}
	for _, contents := range all {
		readers = append(readers, read.Open(t.Context(), c, contents, b))
	}
	return readers, want
}

// However many readers are open, and whichever is read first, each is read to its end, within the budget.
func TestOrders(t *testing.T) {
	const n, size = 16, 8 * mib
	for name, order := range map[string]func(readers []io.ReadCloser, done func(i int, all []byte)){
		"last first": func(readers []io.ReadCloser, done func(int, []byte)) {
			for i := n - 1; i >= 0; i-- {
				done(i, drain(t, readers[i]))
			}
		},
		"last first, and then the rest": func(readers []io.ReadCloser, done func(int, []byte)) {
			begun := make([][]byte, n)
			for i := n - 1; i >= 0; i-- {
				begun[i] = make([]byte, mib+3)
				_, err := io.ReadFull(readers[i], begun[i])
				must(t, err)
			}
			for i := n - 1; i >= 0; i-- {
				done(i, append(begun[i], drain(t, readers[i])...))
			}
		},
		"all": func(readers []io.ReadCloser, done func(int, []byte)) {
			var work sync.WaitGroup
			defer work.Wait()
			for i := range n {
				work.Go(func() { done(i, drain(t, readers[i])) })
			}
		},
		"by turns": func(readers []io.ReadCloser, done func(int, []byte)) {
			got := make([]bytes.Buffer, n)
			for range each/300_000 + 1 {
				for i := range n {
					_, err := io.CopyN(&got[i], readers[i], 300_000)
					if err != nil && err != io.EOF {
						t.Fatal(err)
					}
				}
			}
			for i := range n {
				done(i, append(got[i].Bytes(), drain(t, readers[i])...))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newChunks()
			b := read.NewBudget(size)
			readers, want := many(t, c, b, n)
			order(readers, func(i int, all []byte) {
				if !bytes.Equal(all, want[i]) {
					t.Errorf("reader %d: %d bytes", i, len(all))
				}
			})
			idle(t, b)
			t.Logf("%.2f times the content fetched", float64(c.fetched.Load())/(n*each))
		})
	}
}

// What a consumer has waited for is not taken from it before it has read, however many others wait.
func TestAllWait(t *testing.T) {
	const n = 64
	c := newChunks()
	b := read.NewBudget(8 * mib)
	var made []tree.Contents
	var readers []io.ReadCloser
	var want [][]byte
	for i := range n {
		lengths := []int{mib, mib / 3, mib / 2}
		if i%16 == 0 {
			lengths = append(lengths, 8*mib)
		}
		contents, all := c.some(byte(i), lengths...)
		made, want = append(made, contents), append(want, all)
	}
	for _, contents := range made {
		readers = append(readers, read.Open(t.Context(), c, contents, b))
	}
	var work sync.WaitGroup
	for i := range n {
		work.Go(func() {
			if got := drain(t, readers[i]); !bytes.Equal(got, want[i]) {
				t.Errorf("reader %d: %d bytes", i, len(got))
			}
		})
	}
	work.Wait()
	idle(t, b)
	t.Logf("%d bytes fetched", c.fetched.Load())
}

// Consumers that stop for ever, in the middle of a chunk or before, stop nobody else. Memory stays within the budget and what fetches take.
func TestStoppedConsumers(t *testing.T) {
	const n, size = 32, 8 * mib
	c := newChunks()
	b := read.NewBudget(size)
	readers, want := many(t, c, b, n)
	for i, r := range readers[1:] {
		_, err := io.ReadFull(r, make([]byte, i*10_000))
		must(t, err)
	}
	most := backuptest.Peak(func() {
		if got := drain(t, readers[0]); !bytes.Equal(got, want[0]) {
			t.Errorf("%d bytes", len(got))
		}
	})
	if most > size+read.Beside+16*mib {
		t.Errorf("%d bytes of memory", most)
	}
	for _, r := range readers {
		must(t, r.Close())
	}
	idle(t, b)
}

// While nobody reads, a reader fetches what it may and no more; readers that come later get their share.
func TestAhead(t *testing.T) {
	c := newChunks()
	var lengths []int
	for range 40 {
		lengths = append(lengths, mib)
	}
	contents, want := c.some(1, lengths...)
	b := read.NewBudget(64 * mib)
	one := read.Open(t.Context(), c, contents, b)
	settle := func(r io.ReadCloser) {
		t.Helper()
		if held := read.Settle(r, read.Ahead); held > read.Ahead {
			t.Errorf("%d bytes ahead", held)
		}
	}
	settle(one)
	other := read.Open(t.Context(), c, contents, b)
	settle(other)
	for _, r := range []io.ReadCloser{other, one} {
		if got := drain(t, r); !bytes.Equal(got, want) {
			t.Errorf("%d bytes", len(got))
		}
	}
	if n := c.fetched.Load(); n != 80*mib {
		t.Errorf("%d bytes fetched", n)
	}
	idle(t, b)
}
