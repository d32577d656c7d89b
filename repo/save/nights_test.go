package save_test

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"
	"testing"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/fetch"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
	"nightjar/repo/tree"
)

// pages are noise that compresses somewhat, so that it is signed the first night.
func pages(seed, n int) []byte {
	data := repotest.Noise(seed, n)
	for i := range data {
		data[i] &= 0x3f
	}
	return data
}

// Restoring a file of many nights reads what it is made of once, and hardly more than the file of the first night; and it keeps little of each night at a time.
func TestReadsOfManyNights(t *testing.T) {
	p := repotest.NewPlace(t)
	const page, size, nights = 16 << 10, 32 << 20, 20
	random := rand.New(rand.NewPCG(7, 8))
	data := pages(5, size)
	r := p.Open(repotest.HostKey())
	first := (*night)(nil).save(t, r, data, 1<<20)
	last := first
	changed := uint64(0)
	for range nights - 1 {
		for range size / page / 32 {
			at := random.IntN(size/page) * page
			copy(data[at:], repotest.Noise(int(random.Uint32()), 60))
			copy(data[at+random.IntN(page-1000):], repotest.Noise(int(random.Uint32()), 1000))
		}
		last = last.save(t, r, data, 1<<20)
		changed += last.sent.Literals.Load()
	}
	reads := func(n *night) repo.Reads {
		r := p.Unlocked()
		if err := r.SyncIndex(t.Context()); err != nil {
			t.Fatal(err)
		}
		rd := fetch.New(r.Objects, r.View(), fetch.Options{Connections: 4, Cache: nights * repotest.LiteralFrame / 2})
		n.restored(t, rd)
		return rd.Reads()
	}
	one, all := reads(first), reads(last)
	if all.Again > changed/20 {
		t.Errorf("of %d bytes %d were read again, and %d changed", all.Bytes, all.Again, changed)
	}
	if all.Bytes > one.Bytes+changed*5/4 {
		t.Errorf("%d bytes were read for the last night, %d for the first, and %d changed between", all.Bytes, one.Bytes, changed)
	}
}

// Of a file that changes in its place, what has not changed is found there, whatever else in it looks like it, and in whatever order its chunks come.
func TestChangesInPlace(t *testing.T) {
	const size, n = 1 << 18, 40
	nothing, extents := make([]byte, size), repotest.Noise(3, size) // the same one after another, as in files that grow ahead of what is in them
	for name, filler := range map[string][]byte{"zeros": nothing, "copies": extents} {
		for late, is := range map[string]func(int) bool{
			"none": func(int) bool { return false }, "the first": func(i int) bool { return i < 5 }, "each third": func(i int) bool { return i%3 == 0 },
		} {
			t.Run(name+", late "+late, func(t *testing.T) {
				r := repotest.NewPlace(t).Open(repotest.HostKey())
				data := pages(5, n*size)
				for i := 5; i < n; i++ {
					if i < 20 || i > 35 {
						copy(data[i*size:], filler)
					} else {
						copy(data[i*size+2000:], nothing[:size/3]) // pages have free space
					}
				}
				first := (*night)(nil).save(t, r, data, size)
				changed := 0
				for i := range n {
					if i < 5 || i >= 20 && i <= 35 {
						copy(data[i*size+1000:], repotest.Noise(100+i, 100))
						changed++
					}
				}
				sent := first.saveLate(t, r, data, size, is).sent
				if new, deltas, literals := sent.ChunksNew.Load(), sent.Deltas.Load(), sent.Literals.Load(); new != uint64(changed) || deltas != new || literals > 2*512*new {
					t.Errorf("of %d chunks that changed %d are new and %d stored as what changed, of %d bytes", changed, new, deltas, literals)
				}
			})
		}
	}
}

// However many workers save a file, the literals of a night lie in its order.
func TestLiteralsOfSeveralSavers(t *testing.T) {
	p := repotest.NewPlace(t)
	data := pages(5, 8<<20)
	r := p.Open(repotest.HostKey())
	first := (*night)(nil).save(t, r, data, 1<<18)
	for at := 0; at < len(data); at += 8 << 10 {
		copy(data[at:], repotest.Noise(at, 2000))
	}
	second := &night{data: data, sent: new(save.Sent)}
	_, err := save.Write(t.Context(), r, second.sent, func(_ context.Context, w *save.Writer) (*repo.Record, error) {
		a := &repo.Record{Host: "db1", Job: "job"}
		was := w.Past([]tree.Contents{first.contents}, nil)
		defer was.Close()
		var savers []*save.Saver
		for range 4 {
			savers = append(savers, repotest.Must(w.NewSaver()))
		}
		for i, piece := range slices.Collect(slices.Chunk(data, 1<<18)) {
			id, err := savers[i%len(savers)].ContentAt(piece, save.Place{Offset: int64(i) << 18}, was)
			if err != nil {
				return nil, err
			}
			second.contents.Items = append(second.contents.Items, tree.Item{ID: id, Length: int64(len(piece))})
		}
		var err error
		a.Root.ID, err = savers[0].Tree([]byte("tree of the second night"))
		return a, err
	})
	if err != nil {
		t.Fatal(err)
	}
	rd := p.Reader()
	second.restored(t, rd)
	type frameID struct {
		pack  index.ObjectID
		frame int
	}
	var frames []frameID // in the order of the file, each once
	for _, item := range second.contents.Items {
		at, err := rd.Locations(t.Context(), item.ID, pack.RecipeFor+pack.WholeContent)
		if err != nil || len(at) != 1 {
			t.Fatalf("chunk has %d recipes: %v", len(at), err)
		}
		recipe, err := rd.RecipeAt(t.Context(), at[0])
		if err != nil {
			t.Fatal(err)
		}
		if at, err = rd.Locations(t.Context(), recipe.Literal.ID, pack.WholeContent); err != nil || len(at) != 1 {
			t.Fatalf("literal is in %d places: %v", len(at), err)
		}
		if f := (frameID{at[0].Pack.ID, at[0].Frame}); len(frames) == 0 || frames[len(frames)-1] != f {
			frames = append(frames, f)
		}
	}
	if most := int(second.sent.Literals.Load())/(repotest.LiteralFrame*3/4) + 1; len(frames) > most {
		t.Errorf("%d bytes of literals: going through the file, one goes from frame to frame %d times", second.sent.Literals.Load(), len(frames))
	}
}

// Recipes of all sizes are made side by side, and one that lies spoils nothing but what it makes.
func TestRecipesOfAllSizes(t *testing.T) {
	p := repotest.NewPlace(t)
	source := repotest.Noise(1, 1<<20)
	var ids []chunk.ID
	want := map[chunk.ID][]byte{}
	host := p.Open(repotest.HostKey())
	_, err := save.Write(t.Context(), host, new(save.Sent), func(_ context.Context, w *save.Writer) (*repo.Record, error) {
		s, err := w.NewSaver()
		if err != nil {
			return nil, err
		}
		whole, err := s.Content(source)
		if err != nil {
			return nil, err
		}
		for i, length := range []int{1, 1 << 20, 1 << 20, 1 << 20, 8 << 20, 8 << 20, 100, 8 << 20, 8 << 20, 1 << 20, 0, 3 << 20, 5 << 20, 8 << 20, 1} {
			r := &delta.Recipe{Length: length, Sources: []delta.Source{{ID: whole, Length: len(source)}}}
			data := []byte{}
			for len(data) < length {
				n := min(length-len(data), len(source)-1000-i)
				r.Copies = append(r.Copies, delta.Copy{Source: 1, Offset: 1000 + i, Length: n})
				data = append(data, source[1000+i:][:n]...)
			}
			id := s.ID(data)
			if want[id] = data; i%4 == 2 && length > 0 {
				r.Sources[0].Length += 1 << 20 // it lies
				want[id] = nil
			}
			ids = append(ids, id)
			if err := s.Recipe(pack.WholeContent, id, r); err != nil {
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
	ids = append(ids, ids...)
	data, errs, err := repotest.FetchAll(t.Context(), p.Reader(), ids)
	if err != nil {
		t.Fatal(err)
	}
	for i, id := range ids {
		if want := want[id]; want == nil {
			repotest.WantError(t, errs[i], crypto.ErrIntegrity, "rebuild chunk")
		} else if errs[i] != nil || !bytes.Equal(data[i], want) {
			t.Errorf("chunk %d: %d bytes of %d, %v", i, len(data[i]), len(want), errs[i])
		}
	}
}
