package repotest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/save"
)

// How chunks come into frames, in bytes. doc/format.md, section 5.
const (
	OwnFrame     = 512 << 10 // chunks from this size on have frames of their own
	SharedFrame  = 1 << 20
	LiteralFrame = 512 << 10
)

// Noise returns bytes that do not compress, the same for the same seed.
func Noise(seed, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b) // which never fails
	return b
}

// Some returns chunks of mixed sizes and classes.
func Some(seed, n int) (chunks [][]byte) {
	for i := range n {
		var b []byte
		switch i % 3 {
		case 0:
			b = Noise(seed*1000+i, 1000+100*i)
		case 1:
			b = fmt.Appendf(nil, "text %d/%d: %s", seed, i, strings.Repeat("all work and no play\n", 50+i))
		default:
			b = append(bytes.Repeat([]byte{0, 1, 2, byte(i), byte(seed)}, 300), Noise(seed*1000+i, 16)...)
		}
		chunks = append(chunks, b)
	}
	return chunks
}

// A written is what a run saved.
type Written struct {
	Archive *repo.Archive
	Sent    *save.Sent
	Content map[chunk.ID][]byte
	Trees   map[chunk.ID][]byte
}

// Write runs a backup of chunks and one tree for each group, with a step after each group.
func Write(ctx context.Context, r *repo.Repository, groups [][][]byte, step func(*save.Writer) error) (Written, error) {
	out := Written{Sent: new(save.Sent), Content: map[chunk.ID][]byte{}, Trees: map[chunk.ID][]byte{}}
	var err error
	out.Archive, err = save.Write(ctx, r, out.Sent, func(ctx context.Context, w *save.Writer) (*repo.Record, error) {
		s, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		a := &repo.Record{Host: "db1", Job: "job", Program: "test"}
		for i, chunks := range groups {
			tree := fmt.Appendf(nil, "tree %d of", i)
			for _, data := range chunks {
				id, err := s.Content(data)
				if err != nil {
					return nil, err
				}
				out.Content[id] = data
				tree = append(tree, id[:]...)
			}
			if a.Root.ID, err = s.Tree(tree); err != nil {
				return nil, err
			}
			out.Trees[a.Root.ID] = tree
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

func MustWrite(t testing.TB, r *repo.Repository, groups ...[][]byte) Written {
	t.Helper()
	out, err := Write(t.Context(), r, groups, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// FetchAll returns what Fetch delivers, by place.
func FetchAll(ctx context.Context, rd *repo.Reader, ids []chunk.ID) (data [][]byte, errs []error, err error) {
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

// WantRestored fails unless all of it comes back.
func WantRestored(t testing.TB, rd *repo.Reader, all ...Written) {
	t.Helper()
	for _, w := range all {
		ids := make([]chunk.ID, 0, len(w.Content))
		for id := range w.Content {
			ids = append(ids, id)
		}
		data, errs, err := FetchAll(t.Context(), rd, ids)
		if err != nil {
			t.Fatal(err)
		}
		for i, id := range ids {
			if errs[i] != nil || !bytes.Equal(data[i], w.Content[id]) {
				t.Fatalf("chunk %v: %d bytes instead of %d, %v", id, len(data[i]), len(w.Content[id]), errs[i])
			}
		}
		for id, want := range w.Trees {
			if got, err := rd.Metadata(t.Context(), id); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("tree %v: %q, %v", id, got, err)
			}
		}
	}
}

func ThreeGroups() [][][]byte { return [][][]byte{Some(1, 6), Some(2, 6), Some(3, 6)} }

func (p *Place) PerMinute(w *save.Writer) error {
	err := w.Flush()
	p.Clock.Move(61 * time.Second)
	return err
}

func Flipped(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 1
	return b
}
