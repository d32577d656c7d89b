package read_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"nightjar/backup/read"
	"nightjar/chunk"
	"nightjar/repo/tree"
)

// chunks are a Source in memory, which delivers in any order and from several goroutines.
type chunks struct {
	content map[chunk.ID][]byte
	broken  map[chunk.ID]error
	down    error         // with which Fetch ends, once it has delivered the first
	held    chan struct{} // Fetch waits for it to be closed; nil: it does not
	fetched atomic.Int64  // bytes
	calls   atomic.Int64
}

func newChunks() *chunks {
	return &chunks{content: map[chunk.ID][]byte{}, broken: map[chunk.ID]error{}}
}

// add returns an item of n bytes.
func (c *chunks) add(data []byte) tree.Item {
	id := chunk.ID(sha256.Sum256(data))
	c.content[id] = data
	return tree.Item{ID: id, Length: int64(len(data))}
}

func (c *chunks) Fetcher(context.Context) func(chunk.ID) ([]byte, error) {
	return func(id chunk.ID) ([]byte, error) {
		if err := c.broken[id]; err != nil {
			return nil, err
		}
		return c.content[id], nil
	}
}

func (c *chunks) Fetch(ctx context.Context, ids []chunk.ID, deliver func(int, []byte, error) error) error {
	c.calls.Add(1)
	if c.held != nil {
		select {
		case <-c.held:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	var group sync.WaitGroup
	failed := make(chan error, len(ids))
	for n, i := range rand.Perm(len(ids)) {
		if c.down != nil && i > 0 {
			continue
		}
		one := func() {
			data, err := append([]byte(nil), c.content[ids[i]]...), c.broken[ids[i]]
			if err != nil {
				data = nil
			}
			c.fetched.Add(int64(len(data)))
			failed <- deliver(i, data, err)
			clear(data)
		}
		if n%2 == 0 {
			group.Go(one)
		} else {
			one()
		}
	}
	group.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return err
		}
	}
	return c.down
}

// some returns contents of chunks of these lengths, holes where they are negative, and what they hold.
func (c *chunks) some(seed byte, lengths ...int) (tree.Contents, []byte) {
	random := rand.NewChaCha8([32]byte{seed})
	var all []byte
	var contents tree.Contents
	for _, n := range lengths {
		if n < 0 {
			contents.Items = append(contents.Items, tree.Item{Hole: true, Length: int64(-n)})
			all = append(all, make([]byte, -n)...)
			continue
		}
		data := make([]byte, n)
		_, _ = random.Read(data)
		contents.Items = append(contents.Items, c.add(data))
		all = append(all, data...)
	}
	return contents, all
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// idle checks that a budget is whole again.
func idle(t *testing.T, b *read.Budget) {
	t.Helper()
	if err := b.Idle(); err != nil {
		t.Error(err)
	}
}

// drain reads all there is.
func drain(t *testing.T, r io.ReadCloser) []byte {
	t.Helper()
	all, err := io.ReadAll(r)
	must(t, errors.Join(err, r.Close()))
	return all
}
