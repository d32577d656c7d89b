package save_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"nightjar/chunk"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
	"nightjar/repo/tree"
)

// What is condemned or dropped is not known to a backup, whole packs or parts of them; what is stored again in its place is.
func TestCondemnedIsStoredAnew(t *testing.T) {
	for _, kind := range []string{record.CondemnedKind, record.DroppedKind} {
		p := repotest.NewPlace(t)
		r := p.Open(repotest.HostKey())
		first := repotest.MustWrite(t, r, repotest.Some(1, 6))
		repotest.MustWrite(t, r, repotest.Some(2, 6))
		var of1 []index.ObjectID
		for id := range first.Content {
			for _, at := range repotest.Must(r.Reader().Locations(t.Context(), id)) {
				of1 = append(of1, at.Pack.ID)
			}
		}
		name := list(p, r, kind, of1[:1])
		again := repotest.MustWrite(t, r, repotest.Some(1, 6), repotest.Some(2, 6))
		if n, k := again.Sent.ChunksNew.Load(), again.Sent.ChunksKnown.Load(); n != 6 || k != 6 {
			t.Errorf("%s: %d chunks new, %d known", kind, n, k)
		}
		// Another process, with an empty cache, and then one for which the list has ended.
		third := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 6), repotest.Some(2, 6))
		p.Delete(name)
		fourth := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 6), repotest.Some(2, 6))
		if n := third.Sent.ChunksNew.Load() + fourth.Sent.ChunksNew.Load(); n != 0 {
			t.Errorf("%s: %d chunks are stored once more", kind, n)
		}
		repotest.WantRestored(t, p.Reader(), again, third)

		// Trees by their keys, in a pack that stays.
		root := again.Archive.Root.ID
		at := repotest.Must(r.Reader().Locations(t.Context(), root, pack.WholeTree))
		if len(at) == 0 {
			t.Fatal("the root is not found")
		}
		for _, l := range at {
			list(p, r, kind, nil, record.Blobs{Pack: l.Pack.ID, Recipes: record.Keys{root.Key()}}) // of other blobs
		}
		if n := repotest.MustWrite(t, r, repotest.Some(1, 6), repotest.Some(2, 6)).Sent.Metadata.Load(); n != 0 {
			t.Errorf("%s: %d bytes of metadata are stored anew for a list of recipes", kind, n)
		}
		for _, l := range at {
			list(p, r, kind, nil, record.Blobs{Pack: l.Pack.ID, Trees: record.Keys{root.Key()}})
		}
		if n := repotest.MustWrite(t, r, repotest.Some(1, 6), repotest.Some(2, 6)).Sent.Metadata.Load(); n == 0 {
			t.Errorf("%s: a tree that is named is reused", kind)
		}
	}
}

// Nothing is copied from what is condemned, and no recipe that is condemned is continued.
func TestDeltaAvoidsCondemned(t *testing.T) {
	data := fmt.Appendf(nil, "%x", repotest.Noise(5, 1<<19))
	for what, condemn := range map[string]func(p *repotest.Place, r *repo.Repository, old, second []index.ObjectID, key chunk.Key){
		"nothing": func(*repotest.Place, *repo.Repository, []index.ObjectID, []index.ObjectID, chunk.Key) {},
		"the base": func(p *repotest.Place, r *repo.Repository, old, _ []index.ObjectID, _ chunk.Key) {
			list(p, r, record.CondemnedKind, old)
		},
		"all signatures": func(p *repotest.Place, r *repo.Repository, _, second []index.ObjectID, _ chunk.Key) {
			list(p, r, record.CondemnedKind, packIDs(p, pack.Metadata))
		},
		"the recipe": func(p *repotest.Place, r *repo.Repository, _, _ []index.ObjectID, key chunk.Key) {
			for _, id := range packIDs(p, pack.Metadata) {
				list(p, r, record.CondemnedKind, nil, record.Blobs{Pack: id, Recipes: record.Keys{key}})
			}
		},
	} {
		p := repotest.NewPlace(t)
		r := p.Open(repotest.HostKey())
		first := (*night)(nil).save(t, r, data, 1<<20)
		old := packIDs(p, pack.Content)
		changed := bytes.Clone(data)
		copy(changed[1000:], "changed")
		second := first.save(t, r, changed, 1<<20)
		if second.sent.Deltas.Load() != 1 {
			t.Fatalf("%d deltas", second.sent.Deltas.Load())
		}
		condemn(p, r, old, packIDs(p, pack.Content), second.contents.Items[0].ID.Key())
		copy(changed[300_000:], "changed as well")
		third := second.save(t, p.Open(repotest.HostKey()), changed, 1<<20)
		if deltas := third.sent.Deltas.Load(); deltas != 0 != (what == "nothing") {
			t.Errorf("%s condemned: %d deltas", what, deltas)
		}
		rd := p.Reader()
		third.restored(t, rd)
		sources, err := rd.Sources(t.Context(), third.contents.Items[0].ID)
		if err != nil || (len(sources) > 0) != (what == "nothing") {
			t.Errorf("%s condemned: sources %v, %v", what, sources, err)
		}
	}
}

// A tree that resembles a condemned one is not made of it.
func TestTreesAvoidCondemned(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	encoded := repotest.Noise(1, 60_000)
	save := func(like []tree.Item) (chunk.ID, uint64) {
		var sent save.Sent
		a, err := save.Write(t.Context(), r, &sent, func(_ context.Context, w *save.Writer) (*repo.Record, error) {
			s, err := w.NewSaver()
			if err != nil {
				return nil, err
			}
			a := &repo.Record{Host: "db1", Job: "job"}
			a.Root.ID, err = s.TreeLike(encoded, like)
			return a, err
		})
		if err != nil {
			t.Fatal(err)
		}
		return a.Root.ID, sent.Metadata.Load()
	}
	id, _ := save(nil)
	like := []tree.Item{{ID: id, Length: int64(len(encoded))}}
	encoded[30_000] ^= 1
	if _, n := save(like); n > 1000 {
		t.Fatalf("%d bytes for a change of one", n)
	}
	list(p, r, record.CondemnedKind, packIDs(p, pack.Metadata))
	encoded[40_000] ^= 1
	if _, n := save(like); n < 60_000 {
		t.Errorf("%d bytes: the rest is of a condemned tree", n)
	}
}

// What is dropped is not tried, and is missing by name if nobody else has it.
func TestReaderSubtractsDropped(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	saved := repotest.MustWrite(t, r, repotest.Some(1, 6))
	dropped := packIDs(p, pack.Content)
	copied := p.Open(repotest.HostKey())
	list(p, r, record.CondemnedKind, dropped)
	repotest.WantRestored(t, p.Reader(), saved) // condemned is not gone
	again := repotest.MustWrite(t, copied, repotest.Some(1, 6))
	list(p, r, record.DroppedKind, dropped)
	for _, name := range p.Names("content/") {
		if sum, _ := store.SumOf(name); slices.Contains(dropped, index.ObjectID(sum)) {
			p.Delete(name)
		}
	}
	p.Faulty.Before = []storetest.Hook{func(c storetest.Call) error {
		if sum, ok := store.SumOf(c.Name); ok && slices.Contains(dropped, index.ObjectID(sum)) {
			t.Errorf("%v of %s, which is dropped", c.Op, c.Name)
		}
		return nil
	}}
	rd := p.Reader()
	repotest.WantRestored(t, rd, again)
	if at, err := rd.Locations(t.Context(), again.Archive.Root.ID, pack.WholeTree, pack.RecipeFor+pack.WholeTree); err != nil || len(at) != 1 {
		t.Errorf("the root is at %d places, %v", len(at), err)
	}
	var last []index.ObjectID
	for id := range again.Content {
		last = append(last, repotest.Must(rd.Locations(t.Context(), id))[0].Pack.ID)
	}
	list(p, r, record.DroppedKind, last)
	rd = p.Reader()
	for id := range again.Content {
		if at, err := rd.Locations(t.Context(), id); err != nil || len(at) != 0 {
			t.Errorf("chunk %v is at %d places, %v", id, len(at), err)
		}
		_, errs, err := repotest.FetchAll(t.Context(), rd, []chunk.ID{id})
		if err != nil {
			t.Fatal(err)
		}
		repotest.WantError(t, errs[0], repo.ErrMissing, id.String())
	}
}

// All that contents name counts as referred to: holes do not, and of long ones the lists.
func TestHolds(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	saved := repotest.MustWrite(t, r, repotest.Some(1, 3))
	_, err := save.Write(t.Context(), r, new(save.Sent), func(_ context.Context, w *save.Writer) (*repo.Record, error) {
		c := tree.Contents{Items: []tree.Item{{Length: 5, Hole: true}}}
		for id := range saved.Content {
			c.Items = append(c.Items, tree.Item{ID: id, Length: 1})
		}
		if ok, err := w.Holds(c); !ok || err != nil {
			t.Errorf("what is stored is not held: %v", err)
		}
		c.Level = 1
		if ok, err := w.Holds(c); ok || err != nil {
			t.Errorf("chunks count as lists: %v", err)
		}
		return nil, repotest.ErrFault
	})
	repotest.WantError(t, err, repotest.ErrFault, "")
}

// A tree that was dropped while its pack stays is no tree any more, but serves as what another is put together of.
func TestDroppedTreeIsASource(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	var first, second chunk.ID
	text := func(n int) []byte {
		var b []byte
		for i := range 400 {
			b = fmt.Appendf(b, "entry %d of a folder, as it was written in night %d\n", i, n*(i/390))
		}
		return b
	}
	night := func(made func(*save.Saver) (chunk.ID, error)) {
		t.Helper()
		if _, err := save.Write(t.Context(), r, new(save.Sent), func(_ context.Context, w *save.Writer) (*repo.Record, error) {
			s, err := w.NewSaver()
			if err != nil {
				return nil, err
			}
			id, err := made(s)
			return &repo.Record{Host: "db1", Job: "job", Root: repo.Root{ID: id, Length: 1}}, err
		}); err != nil {
			t.Fatal(err)
		}
	}
	night(func(s *save.Saver) (id chunk.ID, err error) {
		first, err = s.Tree(text(1))
		return first, err
	})
	night(func(s *save.Saver) (id chunk.ID, err error) {
		second, err = s.TreeLike(text(2), []tree.Item{{ID: first, Length: int64(len(text(1)))}})
		return second, err
	})
	all, err := r.View().Lookup(t.Context(), second.Key())
	if err != nil || len(all) != 1 || all[0].Type != pack.RecipeFor+pack.WholeTree {
		t.Fatalf("the second tree is stored as %+v, %v", all, err)
	}
	if all, err = r.View().Lookup(t.Context(), first.Key()); err != nil || len(all) != 1 {
		t.Fatal(all, err)
	}
	list(p, r, record.DroppedKind, nil, record.Blobs{Pack: all[0].Pack.ID, Trees: record.Keys{first.Key()}})
	rd, err := r.NewReader(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rd.Metadata(t.Context(), first); !errors.Is(err, repo.ErrMissing) {
		t.Errorf("the dropped tree: %v", err)
	}
	if b, err := rd.Metadata(t.Context(), second); err != nil || !bytes.Equal(b, text(2)) {
		t.Errorf("the tree that is made of it: %v", err)
	}
	// So who copies what it needs takes both packs along.
	anywhere := func(index.ObjectID) bool { return true }
	if packs, err := rd.Places(t.Context(), second, pack.Metadata, anywhere); err != nil || !slices.Contains(packs, all[0].Pack.ID) {
		t.Errorf("it can be read from packs %v, %v", packs, err)
	}
	if packs, err := rd.Places(t.Context(), first, pack.Metadata, anywhere); !errors.Is(err, repo.ErrMissing) {
		t.Errorf("the dropped tree can be read from packs %v, %v", packs, err)
	}
}
