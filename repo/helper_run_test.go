package repo

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"nightjar/chunk"
)

// How chunks come into frames, in bytes. doc/format.md, section 5.
const (
	ownFrame     = 512 << 10 // chunks from this size on have frames of their own
	sharedFrame  = 1 << 20
	literalFrame = 512 << 10
)

// noise returns bytes that do not compress, the same for the same seed.
func noise(seed, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b) // which never fails
	return b
}

// some returns chunks of mixed sizes and classes.
func some(seed, n int) (chunks [][]byte) {
	for i := range n {
		var b []byte
		switch i % 3 {
		case 0:
			b = noise(seed*1000+i, 1000+100*i)
		case 1:
			b = fmt.Appendf(nil, "text %d/%d: %s", seed, i, strings.Repeat("all work and no play\n", 50+i))
		default:
			b = append(bytes.Repeat([]byte{0, 1, 2, byte(i), byte(seed)}, 300), noise(seed*1000+i, 16)...)
		}
		chunks = append(chunks, b)
	}
	return chunks
}

// A written is what a run saved.
type written struct {
	archive *Archive
	sent    *Sent
	content map[chunk.ID][]byte
	trees   map[chunk.ID][]byte
}

// write runs a backup of chunks and one tree for each group, with a step after each group.
func write(ctx context.Context, r *Repository, groups [][][]byte, step func(*Writer) error) (written, error) {
	out := written{sent: new(Sent), content: map[chunk.ID][]byte{}, trees: map[chunk.ID][]byte{}}
	var err error
	out.archive, err = r.Write(ctx, out.sent, func(ctx context.Context, w *Writer) (*Archive, error) {
		s, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		a := &Archive{Host: "db1", Job: "job", Program: "test"}
		for i, chunks := range groups {
			tree := fmt.Appendf(nil, "tree %d of", i)
			for _, data := range chunks {
				id, err := s.Content(data)
				if err != nil {
					return nil, err
				}
				out.content[id] = data
				tree = append(tree, id[:]...)
			}
			if a.Root.ID, err = s.Tree(tree); err != nil {
				return nil, err
			}
			out.trees[a.Root.ID] = tree
			if step != nil {
				if err := step(w); err != nil {
					return nil, err
				}
			}
		}
		return a, ctx.Err()
	})
	return out, err
}

func mustWrite(t testing.TB, r *Repository, groups ...[][]byte) written {
	t.Helper()
	out, err := write(t.Context(), r, groups, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// fetchAll returns what Fetch delivers, by place.
func fetchAll(ctx context.Context, rd *Reader, ids []chunk.ID) (data [][]byte, errs []error, err error) {
	data, errs = make([][]byte, len(ids)), make([]error, len(ids))
	count := make([]int, len(ids))
	var mu sync.Mutex
	err = rd.Fetch(ctx, ids, func(i int, b []byte, err error) error {
		mu.Lock()
		defer mu.Unlock()
		data[i], errs[i] = bytes.Clone(b), err
		if count[i]++; count[i] > 1 {
			return fmt.Errorf("place %d delivered %d times", i, count[i])
		}
		return nil
	})
	for i, n := range count {
		if err == nil && n != 1 {
			return nil, nil, fmt.Errorf("place %d delivered %d times", i, n)
		}
	}
	return data, errs, err
}

// wantRestored fails unless all of it comes back.
func wantRestored(t testing.TB, rd *Reader, all ...written) {
	t.Helper()
	for _, w := range all {
		ids := make([]chunk.ID, 0, len(w.content))
		for id := range w.content {
			ids = append(ids, id)
		}
		data, errs, err := fetchAll(t.Context(), rd, ids)
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			if errs[i] != nil || !bytes.Equal(data[i], w.content[id]) {
				t.Fatalf("chunk %v: %d bytes instead of %d, %v", id, len(data[i]), len(w.content[id]), errs[i])
			}
		}
		for id, want := range w.trees {
			if got, err := rd.Metadata(t.Context(), id); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("tree %v: %q, %v", id, got, err)
			}
		}
	}
}
