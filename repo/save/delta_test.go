package save_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

// A night is what a file held, and where its chunks are.
type night struct {
	data     []byte
	contents tree.Contents
	sent     *save.Sent
	page     int // bytes of the file's pages; 0: it has none
	fine     bool
}

// save backs up a file in chunks of a fixed size, beside what it was.
func (n *night) save(t testing.TB, r *repo.Repository, data []byte, size int) *night {
	t.Helper()
	return n.saveLate(t, r, data, size, func(int) bool { return false })
}

// saveLate is save of chunks of which some come after all others, as the number of each says.
func (n *night) saveLate(t testing.TB, r *repo.Repository, data []byte, size int, late func(i int) bool) *night {
	t.Helper()
	next := &night{data: bytes.Clone(data), sent: new(save.Sent)}
	_, err := save.Write(t.Context(), r, next.sent, func(ctx context.Context, w *save.Writer) (*repo.Record, error) {
		s, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		var was *save.Past
		if n != nil {
			next.page, next.fine = n.page, n.fine
			was = w.Past([]tree.Contents{n.contents}, nil)
			defer was.Close()
		}
		pieces := slices.Collect(slices.Chunk(data, size))
		next.contents.Items = make([]tree.Item, len(pieces))
		for _, turn := range []bool{false, true} {
			for i, piece := range pieces {
				if late(i) != turn {
					continue
				}
				id, err := s.ContentAt(piece, save.Place{Offset: int64(i * size), Page: next.page, Fine: next.fine}, was)
				if err != nil {
					return nil, err
				}
				next.contents.Items[i] = tree.Item{ID: id, Length: int64(len(piece))}
			}
		}
		a := &repo.Record{Host: "db1", Job: "job"}
		a.Root.ID, err = s.Tree(fmt.Appendf(nil, "tree %v", next.contents))
		return a, err
	})
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// restored fails unless the night's file comes back.
func (n *night) restored(t testing.TB, rd *repo.Reader) {
	t.Helper()
	var ids []chunk.ID
	for _, item := range n.contents.Items {
		ids = append(ids, item.ID)
	}
	data, errs, err := repotest.FetchAll(t.Context(), rd, ids)
	if err != nil {
		t.Fatal(err)
	}
	for i := range errs {
		if errs[i] != nil {
			t.Fatalf("chunk %d: %v", i, errs[i])
		}
	}
	if !bytes.Equal(bytes.Join(data, nil), n.data) {
		t.Fatal("other content came back")
	}
}

// edit changes data as files change: pages written in place, bytes put in, taken out and appended, parts moved.
func edit(r *rand.Rand, data []byte) []byte {
	data = bytes.Clone(data)
	fresh := func(n int) []byte { return repotest.Noise(int(r.Uint32()), n) }
	for range 1 + r.IntN(4) {
		at := r.IntN(len(data))
		switch r.IntN(6) {
		case 0, 1, 2:
			copy(data[at:], fresh(1+r.IntN(300)))
		case 3:
			data = slices.Insert(data, at, fresh(1+r.IntN(2000))...)
		case 4:
			data = slices.Delete(data, at, min(len(data), at+r.IntN(2000)))
		case 5:
			data = append(data, fresh(r.IntN(3000))...)
		}
	}
	if r.IntN(8) == 0 {
		at := r.IntN(len(data))
		data = slices.Concat(data[at:], data[:at])
	}
	return data
}

// Every night restores, now and later, and costs about what changed.
func TestNights(t *testing.T) {
	p := repotest.NewPlace(t)
	random := rand.New(rand.NewPCG(1, 2))
	data := repotest.Noise(5, 3<<20)
	var nights []*night
	var last *night
	for i := range 25 {
		r := p.Open(repotest.HostKey()) // a cache that is empty each night
		last = last.save(t, r, data, 300_000)
		nights = append(nights, last)
		if sent := last.sent.Bytes.Load(); i > 0 && last.sent.Deltas.Load() > 0 && sent > 600_000 {
			t.Errorf("night %d sent %d bytes, %d of them literal", i, sent, last.sent.Literals.Load())
		}
		data = edit(random, data)
	}
	rd := p.Reader()
	deltas := uint64(0)
	for _, n := range nights {
		n.restored(t, rd)
		deltas += n.sent.Deltas.Load()
	}
	if deltas < 50 {
		t.Errorf("only %d chunks were stored as recipes", deltas)
	}
	// Depth is one: what recipes lean on is whole.
	for _, n := range nights {
		for _, item := range n.contents.Items {
			recipes, err := rd.Sources(t.Context(), item.ID)
			if err != nil {
				t.Fatal(err)
			}
			for _, sources := range recipes {
				for _, id := range sources {
					if at, err := rd.Locations(t.Context(), id); err != nil || len(at) == 0 {
						t.Fatalf("source %v is not whole: %v", id, err)
					}
				}
			}
		}
	}
}

// A page changed every night costs a page every night, and now and then a chunk that is stored whole again.
func TestSamePages(t *testing.T) {
	p := repotest.NewPlace(t)
	data := repotest.Noise(5, 2<<20)
	r := p.Open(repotest.HostKey())
	var last *night
	total := uint64(0)
	for i := range 90 { // not so many that a chunk becomes whole again
		last = last.save(t, r, data, 500_000)
		if i > 1 { // noise has no signatures before it changes
			total += last.sent.Bytes.Load()
		}
		for at := range 4 {
			copy(data[at*500_000+(i*7919)%490_000:], repotest.Noise(1000*i+at, 200))
		}
	}
	if total > 7<<18 || last.sent.Deltas.Load() == 0 {
		t.Errorf("88 nights sent %d bytes", total)
	}
	rd := p.Reader()
	last.restored(t, rd)
	last.bounded(t, rd)
}

// bounded fails if a recipe has cost more than one and a half times its chunk since that was whole.
func (n *night) bounded(t testing.TB, rd *repo.Reader) {
	t.Helper()
	for _, item := range n.contents.Items {
		recipes, err := rd.Sources(t.Context(), item.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, sources := range recipes {
			if cost := len(sources) * (64 + 35*len(sources)) / 2; cost > int(item.Length)*3/2 {
				t.Errorf("a chunk of %d bytes has %d sources", item.Length, len(sources))
			}
		}
	}
}

// All chunks of a file change every night. They become whole again, but not in one night.
func TestWholeAgain(t *testing.T) {
	const chunks, size, nights = 80, 16 << 10, 45
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	random := rand.New(rand.NewPCG(3, 4))
	data := repotest.Noise(7, chunks*size)
	var last *night
	total, paid := 0, uint64(0)
	for i := range nights {
		last = last.save(t, r, data, size)
		for at := range chunks {
			copy(data[at*size+random.IntN(size-100):], repotest.Noise(int(random.Uint32()), 100))
		}
		if i < 2 { // noise has no signatures before it changes
			continue
		}
		whole := int(last.sent.ChunksNew.Load() - last.sent.Deltas.Load())
		total += whole
		paid += last.sent.Literals.Load() + last.sent.Metadata.Load()
		if whole > chunks/4 {
			t.Errorf("night %d: %d of %d chunks are whole again", i, whole, chunks)
		}
		if i%10 == 0 {
			last.bounded(t, p.Reader())
		}
	}
	last.restored(t, p.Reader())
	if total < chunks/2 || uint64(total*size) > 2*paid {
		t.Errorf("in %d nights %d of %d chunks became whole again, for %d bytes of literals and recipes", nights, total, chunks, paid)
	}
}

// Trees that change are recipes, too.
func TestTreesAlike(t *testing.T) {
	p := repotest.NewPlace(t)
	encoded := repotest.Noise(1, 60_000)
	var was []tree.Item
	trees := map[chunk.ID][]byte{}
	for i := range 30 {
		var sent save.Sent
		host := p.Open(repotest.HostKey())
		_, err := save.Write(t.Context(), host, &sent, func(_ context.Context, w *save.Writer) (*repo.Record, error) {
			s, err := w.NewSaver()
			if err != nil {
				return nil, err
			}
			a := &repo.Record{Host: "db1", Job: "job"}
			a.Root.ID, err = s.TreeLike(encoded, was)
			return a, err
		})
		if err != nil {
			t.Fatal(err)
		}
		r := p.Unlocked()
		rd := repotest.Must(r.NewReader(t.Context()))
		id := chunk.NewNamer(r.Secret(), chunk.Metadata).ID(encoded)
		trees[id], was = bytes.Clone(encoded), []tree.Item{{ID: id, Length: int64(len(encoded))}}
		for id, want := range trees {
			if got, err := rd.Metadata(t.Context(), id); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("night %d: tree %v: %d bytes, %v", i, id, len(got), err)
			}
		}
		if n := sent.Metadata.Load(); i == 1 && n > 1000 {
			t.Errorf("%d bytes of metadata for a change of 20", n)
		}
		copy(encoded[(i*1999)%59_000:], repotest.Noise(i, 20))
	}
}

// A run that dies after it has stored content, but no signatures, costs later nights nothing: the next run that reads a chunk signs it.
func TestSignedLate(t *testing.T) {
	p := repotest.NewPlace(t)
	text := []byte(fmt.Sprintf("%x", repotest.Noise(5, 1<<20)))
	opaque := repotest.Noise(6, 1<<20)
	data := slices.Concat(text, opaque)
	died := errors.New("the power failed")
	r := p.Open(repotest.HostKey())
	_, err := save.Write(t.Context(), r, new(save.Sent), func(_ context.Context, w *save.Writer) (*repo.Record, error) {
		s, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		for piece := range slices.Chunk(data, 1<<20) {
			if _, err := s.Content(piece); err != nil {
				return nil, err
			}
		}
		return nil, died
	})
	if !errors.Is(err, died) {
		t.Fatal(err)
	}
	again := (*night)(nil).save(t, r, append(data, text...), 1<<20) // one chunk of it twice
	if sent := again.sent; sent.ChunksNew.Load() != 0 || sent.Metadata.Load() < 2*28<<10 || sent.Metadata.Load() > 2*30<<10 {
		t.Errorf("%d chunks and %d bytes of metadata", sent.ChunksNew.Load(), sent.Metadata.Load())
	}
	last := again.save(t, r, again.data, 1<<20)
	if n := last.sent.Metadata.Load(); n > 1000 {
		t.Errorf("%d bytes of metadata, though all is signed that should be", n)
	}
	copy(data[1000:], "changed")
	if last = last.save(t, r, data, 1<<20); last.sent.Deltas.Load() != 1 {
		t.Errorf("%d deltas", last.sent.Deltas.Load())
	}
	last.restored(t, p.Reader())
}

// So it is with literals: what a run that died sent of a change is not sent again with the next one.
func TestLiteralSignedLate(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	data := []byte(fmt.Sprintf("%x", repotest.Noise(5, 1<<18)))
	first := (*night)(nil).save(t, r, data, 1<<20)
	copy(data[1000:], repotest.Noise(7, 20_000))
	died := errors.New("the power failed")
	_, err := save.Write(t.Context(), r, new(save.Sent), func(_ context.Context, w *save.Writer) (*repo.Record, error) {
		s, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		was := w.Past([]tree.Contents{first.contents}, nil)
		defer was.Close()
		if _, err := s.ContentAt(data, save.Place{}, was); err != nil {
			return nil, err
		}
		return nil, errors.Join(w.Flush(), died)
	})
	if !errors.Is(err, died) {
		t.Fatal(err)
	}
	second := first.save(t, r, data, 1<<20)
	if sent := second.sent; sent.Deltas.Load() != 1 || sent.Frames.Load() != 0 {
		t.Errorf("%d deltas, %d bytes of content", sent.Deltas.Load(), sent.Frames.Load())
	}
	copy(data[10_000:], "changed")
	third := second.save(t, r, data, 1<<20)
	if n := third.sent.Literals.Load(); n > 2048 {
		t.Errorf("%d bytes of a change of seven", n)
	}
	third.restored(t, p.Reader())
}

// What a run has stored itself is on its way to be signed, though its content is indexed already.
func TestSignedOnce(t *testing.T) {
	p := repotest.NewPlace(t)
	data := []byte(fmt.Sprintf("%x", repotest.Noise(5, 1<<19)))
	sent := new(save.Sent)
	r := p.Open(repotest.HostKey())
	_, err := save.Write(t.Context(), r, sent, func(ctx context.Context, w *save.Writer) (*repo.Record, error) {
		s, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		for range 3 {
			if _, err := s.Content(data); err != nil {
				return nil, err
			}
			if err := w.Flush(); err != nil {
				return nil, err
			}
			if err := w.WriteIndex(ctx); err != nil {
				return nil, err
			}
		}
		a := &repo.Record{Host: "db1", Job: "job"}
		a.Root.ID, err = s.Tree([]byte("tree"))
		return a, err
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := sent.Metadata.Load(); n > 30<<10 {
		t.Errorf("%d bytes of metadata for a megabyte", n)
	}
}
