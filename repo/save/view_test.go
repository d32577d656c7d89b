package save_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	numbers "math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/internal/tempdir"
	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
	"nightjar/repo/store/storetest"
	"nightjar/repo/tree"
)

// packIDs returns the packs of a kind that are stored.
func packIDs(p *repotest.Place, kind pack.Kind) (ids []index.ObjectID) {
	p.T.Helper()
	for _, name := range p.Names(kind.String() + "/") {
		sum, ok := store.SumOf(name)
		if !ok {
			p.T.Fatal(name)
		}
		ids = append(ids, sum)
	}
	return ids
}

// list stores a list of prune and returns its name.
func list(p *repotest.Place, r *repo.Repository, kind string, packs []index.ObjectID, blobs ...record.Blobs) string {
	p.T.Helper()
	var v any = &record.Condemned{Packs: packs, Blobs: blobs, View: p.Clock.Now()}
	if kind == record.DroppedKind {
		v = &record.Dropped{Packs: packs, Blobs: blobs, View: p.Clock.Now()}
	}
	info, err := r.PutRecord(p.T.Context(), kind, repotest.Must(record.Encode(v)))
	if err != nil {
		p.T.Fatal(err)
	}
	return info.Name
}

// warnings collects what is warned of.
func warnings(into *[]error) func(*repo.Options) {
	return func(o *repo.Options) { o.Warn = func(err error) { *into = append(*into, err) } }
}

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

// hostileLists are what a list must not be.
func hostileLists(p *repotest.Place, r *repo.Repository) map[string]func() {
	put := func(content string) func() {
		return func() { repotest.Must(r.PutRecord(p.T.Context(), record.CondemnedKind, []byte(content))) }
	}
	return map[string]func(){
		"nothing":          put(""),
		"no JSON":          put("\x00\x01"),
		"of a later kind":  put(`{"version":1}`),
		"half a key":       put(`{"version":0,"blobs":[{"pack":"` + strings.Repeat("00", 32) + `","recipes":"AAAA"}]}`),
		"without end":      put(`{"version":0,"packs":[` + strings.Repeat(`"`+strings.Repeat("00", 32)+`",`, record.MaxSize/67) + `"` + strings.Repeat("00", 32) + `"]}`),
		"a million spaces": put(`{"version":0}` + strings.Repeat(" ", record.MaxSize)),
		"no message": func() {
			sum := sha256.Sum256([]byte("garbage"))
			p.Put(sealed.Name("condemned", sum), []byte("garbage"))
		},
		"rotten": func() {
			name := list(p, r, record.CondemnedKind, nil)
			p.Put(name, repotest.Flipped(p.Get(name), 300))
		},
	}
}

// A list that cannot be read stops a backup, which might refer to what it names. Who reads is warned.
func TestUnreadableList(t *testing.T) {
	for what := range hostileLists(repotest.NewPlace(t), nil) {
		t.Run(what, func(t *testing.T) {
			p := repotest.NewPlace(t)
			var warned []error
			r := p.Open(repotest.HostKey(), warnings(&warned))
			saved := repotest.MustWrite(t, r, repotest.Some(1, 3))
			hostileLists(p, r)[what]()
			before := repotest.Everything(t, p.Memory)
			_, err := repotest.Write(t.Context(), r, [][][]byte{repotest.Some(2, 3)}, nil)
			repotest.WantError(t, err, nil, p.Names("condemned/")[0])
			repotest.WantSame(t, p.Memory, before)
			if len(warned) != 0 {
				t.Errorf("warned of %v", warned)
			}
			rd := p.Reader(warnings(&warned))
			if len(warned) != 1 {
				t.Fatalf("warned of %v", warned)
			}
			repotest.WantError(t, warned[0], nil, p.Names("condemned/")[0])
			repotest.WantRestored(t, rd, saved)
			p.Delete(p.Names("condemned/")[0])
			repotest.MustWrite(t, r, repotest.Some(2, 3))
		})
	}
}

// Lists are read once, condemned before dropped, both before the index.
func TestListsAreReadInOrder(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	repotest.MustWrite(t, r, repotest.Some(1, 3))
	list(p, r, record.CondemnedKind, []index.ObjectID{{1}})
	list(p, r, record.DroppedKind, []index.ObjectID{{2}})
	var calls []string
	p.Faulty.Before = []storetest.Hook{func(c storetest.Call) error {
		if c.Op == storetest.List || c.Op == storetest.Get {
			calls = append(calls, fmt.Sprint(c.Op, " ", strings.SplitAfter(c.Name, "/")[0]))
		}
		return nil
	}}
	for _, want := range [][]string{
		{"list condemned/", "get condemned/", "list dropped/", "get dropped/", "list lost/", "list index/"},
		{"list condemned/", "list dropped/", "list lost/", "list index/"},
	} {
		calls = nil
		if err := r.SyncIndex(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(calls, want) {
			t.Errorf("calls %q, want %q", calls, want)
		}
	}
	p.Faulty.Before = nil
	p.Delete(p.Names("condemned/")[0])
	if err := r.SyncIndex(t.Context()); err != nil || r.Lists().Touches(index.ObjectID{1}) || !r.Lists().Touches(index.ObjectID{2}) {
		t.Errorf("a list that has ended is not forgotten, or another is: %v", err)
	}
}

// step runs the functions, one after each group.
func step(all ...func(w *save.Writer) error) func(*save.Writer) error {
	return func(w *save.Writer) error {
		f := all[0]
		all = all[1:]
		return f(w)
	}
}

func nothing(*save.Writer) error { return nil }

// A run that pauses for more than half of the grace takes a new view, says that it lives, and has the grace from then on.
func TestNewView(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	known := repotest.MustWrite(t, r, repotest.Some(1, 6))
	begun := p.Clock.Now()
	grace := r.Keys().Grace(repotest.Noon)
	pause := func(w *save.Writer) error { p.Clock.Move(grace*3/5 + time.Minute); return nil }
	indexes := len(p.Names("index/"))
	saved, err := repotest.Write(t.Context(), r, repotest.ThreeGroups(), step(pause, func(w *save.Writer) error {
		if n := len(p.Names("index/")) - indexes; n != 1 {
			t.Errorf("%d signs of life after the first pause", n)
		}
		return errors.Join(w.Flush(), pause(w))
	}, pause))
	if err != nil {
		t.Fatal(err)
	}
	if views := saved.Archive.Views; len(views) != 4 || !views[0].Equal(begun) || !saved.Archive.Counts() {
		t.Errorf("views %v", views)
	}
	runs := map[time.Time]time.Time{} // by their begin, when the newest index object was stored
	packs := 0
	err = r.IndexObjects(t.Context(), func(x sealed.IndexRecord) error {
		for _, run := range x.Object.Runs {
			packs += len(run.Packs)
			if at := run.Begin.UTC(); x.Time.After(runs[at]) {
				runs[at] = x.Time
			}
		}
		return x.Err
	})
	if err != nil || len(runs) != 1 && len(runs) != 2 || !runs[begun.UTC()].Equal(p.Clock.Now()) {
		t.Errorf("runs %v, %v", runs, err)
	}
	if all := len(packIDs(p, pack.Content)) + len(packIDs(p, pack.Metadata)); packs != all {
		t.Errorf("%d packs are indexed, %d stored", packs, all)
	}
	repotest.WantRestored(t, p.Reader(), known, saved)
}

// What the run refers to is condemned meanwhile: its view stays the last, so it has to be done within the grace of that.
func TestReferenceIsCondemned(t *testing.T) {
	for what, condemn := range map[string]func(p *repotest.Place, before, sent []index.ObjectID){
		"a known chunk": func(p *repotest.Place, before, _ []index.ObjectID) {
			list(p, p.Open(repotest.HostKey()), record.CondemnedKind, before)
		},
		"what was sent": func(p *repotest.Place, _, sent []index.ObjectID) {
			list(p, p.Open(repotest.HostKey()), record.CondemnedKind, sent)
		},
		"dropped": func(p *repotest.Place, before, _ []index.ObjectID) {
			list(p, p.Open(repotest.HostKey()), record.DroppedKind, before)
		},
		"its index is gone": func(p *repotest.Place, _, _ []index.ObjectID) {
			p.Delete(p.Names("index/")[0])
		},
	} {
		for _, late := range []bool{false, true} {
			p := repotest.NewPlace(t)
			var warned []error
			r := p.Open(repotest.HostKey(), warnings(&warned))
			grace := r.Keys().Grace(repotest.Noon)
			repotest.MustWrite(t, r, repotest.Some(1, 6))
			before := packIDs(p, pack.Content)
			saved, err := repotest.Write(t.Context(), r, repotest.ThreeGroups(), step(nothing, func(w *save.Writer) error {
				if err := w.Flush(); err != nil {
					return err
				}
				sent := slices.DeleteFunc(packIDs(p, pack.Content), func(id index.ObjectID) bool { return slices.Contains(before, id) })
				p.Clock.Move(grace/2 + time.Hour)
				condemn(p, before, sent)
				return nil
			}, func(w *save.Writer) error {
				if late {
					p.Clock.Move(grace / 2)
				}
				return nil
			}))
			if len(warned) == 0 || !strings.Contains(warned[0].Error(), "prune is about to take what the run refers to") {
				t.Errorf("%s: warned of %v", what, warned)
			}
			if late {
				repotest.WantError(t, err, nil, "grace")
				if n := len(p.Names("archive/")); n != 1 {
					t.Errorf("%s: %d archives", what, n)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", what, err)
			} else if len(saved.Archive.Views) != 1 || !saved.Archive.Counts() {
				t.Errorf("%s: views %v", what, saved.Archive.Views)
			}
		}
	}
}

// What a recipe of the run copies from counts as referred to.
func TestBaseIsCondemnedLater(t *testing.T) {
	for _, condemned := range []bool{false, true} {
		p := repotest.NewPlace(t)
		var warned []error
		r := p.Open(repotest.HostKey(), warnings(&warned))
		data := fmt.Appendf(nil, "%x", repotest.Noise(5, 1<<19))
		first := (*night)(nil).save(t, r, data, 1<<20)
		base := packIDs(p, pack.Content)
		var sent save.Sent
		a, err := save.Write(t.Context(), r, &sent, func(_ context.Context, w *save.Writer) (*repo.Record, error) {
			s, err := w.NewSaver()
			if err != nil {
				return nil, err
			}
			was := w.Past([]tree.Contents{first.contents}, nil)
			defer was.Close()
			copy(data[1000:], "changed")
			if _, err := s.ContentAt(data, 0, was); err != nil {
				return nil, err
			}
			if condemned {
				list(p, r, record.CondemnedKind, base)
			}
			p.Clock.Move(r.Keys().Grace(repotest.Noon)/2 + time.Hour)
			a := &repo.Record{Host: "db1"}
			a.Root.ID, err = s.Tree([]byte("tree"))
			return a, err
		})
		if err != nil || sent.Deltas.Load() != 1 {
			t.Fatalf("%d deltas, %v", sent.Deltas.Load(), err)
		}
		if (len(a.Views) == 1) != condemned || len(warned) == 0 == condemned {
			t.Errorf("views %v, warned of %v", a.Views, warned)
		}
	}
}

// What is condemned in a new view is not referred to from then on, whether that view counts or not.
func TestLaterLookupsAvoid(t *testing.T) {
	for what, n := range map[string]int{"the view counts": 2, "it does not": 1} {
		p := repotest.NewPlace(t)
		var warned []error
		r := p.Open(repotest.HostKey(), warnings(&warned))
		repotest.MustWrite(t, r, repotest.Some(1, 6))
		one := packIDs(p, pack.Content)
		repotest.MustWrite(t, r, repotest.Some(2, 6))
		groups := [][][]byte{repotest.Some(3, 6), repotest.Some(2, 6)}
		condemned := slices.DeleteFunc(packIDs(p, pack.Content), func(id index.ObjectID) bool { return slices.Contains(one, id) })
		if n == 1 {
			groups[0] = repotest.Some(1, 6)
			condemned = append(condemned, one...)
		}
		saved, err := repotest.Write(t.Context(), r, groups, step(func(w *save.Writer) error {
			list(p, r, record.CondemnedKind, condemned)
			p.Clock.Move(r.Keys().Grace(repotest.Noon)/2 + time.Hour)
			return nil
		}, nothing))
		if err != nil {
			t.Fatal(err)
		}
		if known := saved.Sent.ChunksKnown.Load(); int(known) != 6*(2-n) || len(saved.Archive.Views) != n {
			t.Errorf("%s: %d chunks known, views %v, warned of %v", what, known, saved.Archive.Views, warned)
		}
	}
}

// An unreadable list in a later view does not end a run that was well: its first view stays the last.
func TestUnreadableListLater(t *testing.T) {
	p := repotest.NewPlace(t)
	var warned []error
	r := p.Open(repotest.HostKey(), warnings(&warned))
	saved, err := repotest.Write(t.Context(), r, repotest.ThreeGroups(), step(func(w *save.Writer) error {
		hostileLists(p, r)["no message"]()
		p.Clock.Move(r.Keys().Grace(repotest.Noon)/2 + time.Hour)
		return nil
	}, nothing, nothing))
	if err != nil || len(saved.Archive.Views) != 1 || len(warned) != 1 {
		t.Fatalf("%v, warned of %v", err, warned)
	}
	repotest.WantError(t, warned[0], nil, p.Names("condemned/")[0])
	repotest.WantRestored(t, p.Reader(), saved)
}

// With more than fits in memory, what a run refers to lies in the temp directory, and is verified from there. Without one, a run has the
// grace of its first view.
func TestReferencesSpill(t *testing.T) {
	temp, err := tempdir.New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []tempdir.Dir{temp, {}} {
		elsewhere := t.TempDir()
		t.Setenv("TMPDIR", elsewhere)
		p := repotest.NewPlace(t)
		var warned []error
		r := p.Open(repotest.HostKey(), warnings(&warned), func(o *repo.Options) { o.Temp = dir })
		known := repotest.MustWrite(t, r, repotest.Some(1, 6))
		views := 0
		_, err := save.Write(t.Context(), r, new(save.Sent), func(ctx context.Context, w *save.Writer) (*repo.Record, error) {
			s, err := w.NewSaver()
			if err != nil {
				return nil, err
			}
			for range 12_000 {
				for id := range known.Content {
					if ok, err := w.Has(id); !ok || err != nil {
						return nil, fmt.Errorf("%v is unknown: %w", id, err)
					}
				}
			}
			p.Clock.Move(r.Keys().Grace(repotest.Noon)/2 + time.Hour)
			a := &repo.Record{Host: "db1"}
			a.Root.ID, err = s.Tree([]byte("tree"))
			views = len(w.Views())
			return a, err
		})
		if err != nil {
			t.Fatal(err)
		}
		if dir != (tempdir.Dir{}) && (views != 2 || len(warned) != 0) || dir == (tempdir.Dir{}) && (views != 1 || len(warned) != 1) {
			t.Errorf("in %q: %d views, warned of %v", dir.Path(), views, warned)
		}
		for _, path := range []string{elsewhere, temp.Path()} {
			if entries, err := os.ReadDir(path); err != nil || len(entries) > 0 {
				t.Errorf("%s holds %v, %v", path, entries, err)
			}
		}
	}
}

// An index object that the store dates late is written again; the late one counts for nobody who writes, and one warning tells of it.
func TestLateIndex(t *testing.T) {
	p := repotest.NewPlace(t)
	skews := 1
	p.Faulty.Before = []storetest.Hook{func(c storetest.Call) error {
		if c.Op == storetest.Put && strings.HasPrefix(c.Name, "index/") && skews > 0 {
			skews--
			p.Clock.Move(sealed.MaxSkew + time.Second)
		}
		return nil
	}}
	saved := repotest.MustWrite(t, p.Open(repotest.HostKey()), repotest.Some(1, 6))
	var late, timely []string
	err := p.Open(repotest.HostKey()).IndexObjects(t.Context(), func(x sealed.IndexRecord) error {
		if x.Late {
			late = append(late, x.Name)
		} else {
			timely = append(timely, x.Name)
		}
		return x.Err
	})
	if err != nil || len(late) != 1 || len(timely) != 1 {
		t.Fatalf("late %q, timely %q: %v", late, timely, err)
	}
	p.Delete(timely[0])
	var warned []error
	cache := t.TempDir()
	r := p.Unlocked(warnings(&warned), func(o *repo.Options) { o.IndexDir = cache })
	if err := r.SetHost(repotest.HostKey()); err != nil {
		t.Fatal(err)
	}
	repotest.WantRestored(t, repotest.Must(r.NewReader(t.Context())), saved)
	if err := r.SyncIndex(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := repotest.MustWrite(t, r, repotest.Some(1, 6))
	if n := again.Sent.ChunksNew.Load(); n != 6 {
		t.Errorf("a backup builds on a late index object: %d chunks new", n)
	}
	if len(warned) != 1 {
		t.Errorf("warned of %v", warned)
	}

	// A store that never agrees fails the run.
	skews = 99
	_, err = repotest.Write(t.Context(), r, [][][]byte{repotest.Some(2, 6)}, nil)
	repotest.WantError(t, err, nil, "again and again")
	skews = 0
	if n := repotest.MustWrite(t, r, repotest.Some(2, 6)).Sent.ChunksNew.Load(); n != 6 {
		t.Errorf("a backup builds on its own late index object: %d chunks new", n)
	}
}

// An archive that the store dates more than the grace after the last view does not count, until somebody verifies it.
func TestArchiveAfterGrace(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	first := repotest.MustWrite(t, r, repotest.Some(1, 3))
	grace := r.Keys().Grace(repotest.Noon)
	p.Faulty.Before = []storetest.Hook{func(c storetest.Call) error {
		if c.Op == storetest.Put && strings.HasPrefix(c.Name, "archive/") {
			p.Clock.Move(2 * time.Minute)
		}
		return nil
	}}
	_, err := repotest.Write(t.Context(), r, [][][]byte{repotest.Some(2, 3)}, func(w *save.Writer) error {
		hostileLists(p, r)["no message"]() // so that no other view counts
		p.Clock.Move(grace - time.Minute)
		return nil
	})
	repotest.WantError(t, err, nil, "does not count")
	p.Faulty.Before = nil
	all := repotest.Archives(t, r)
	if len(all) != 2 || !all[1].Is(repo.Late) || all[1].Counts() || all[1].Displaces() {
		t.Fatalf("archives %+v", all)
	}
	if a, err := repo.Find(all, "latest"); err != nil || a.ID != first.Archive.ID {
		t.Errorf("latest is %v, %v", a, err)
	}
	if a, err := repo.Find(all, all[1].ID); err != nil || a.ID != all[1].ID {
		t.Errorf("it is not found by its id: %v", err)
	}
	id := repotest.Must(index.ParseObjectID(all[1].ID))
	repotest.Must(r.PutRecord(t.Context(), record.VerifiedKind, repotest.Must(record.Encode(&record.Verified{Archives: []index.ObjectID{id}}))))
	all = repotest.Archives(t, r)
	if !all[1].Is(repo.Late) || !all[1].Counts() || !all[1].Displaces() || all[0].Is(repo.Verified) {
		t.Errorf("archives %+v", all)
	}
	if a, err := repo.Find(all, "latest"); err != nil || a.ID != all[1].ID {
		t.Errorf("latest is %v, %v", a, err)
	}
}

// An archive that says that it is older than its predecessor displaces nothing, whichever of them is asked for.
func TestBackdatedArchive(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	first := repotest.MustWrite(t, r, repotest.Some(1, 3))
	p.Clock.Move(time.Hour)
	second := repotest.MustWrite(t, r, repotest.Some(2, 3))
	p.Clock.Move(-30 * time.Minute) // a store whose clock was put right
	_, err := save.Write(t.Context(), r, new(save.Sent), func(context.Context, *save.Writer) (*repo.Record, error) {
		return &repo.Record{Host: "db1", Job: "job", Root: first.Archive.Root, Predecessor: second.Archive.ID}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all := repotest.Archives(t, r)
	if len(all) != 3 || !all[1].Counts() || all[1].Displaces() || !all[2].Displaces() {
		t.Fatalf("archives %+v", all)
	}
	if a, err := repo.Find(repo.Selection{At: second.Archive.Time.Add(-time.Minute)}.Select(all), "latest"); err != nil || a.ID != first.Archive.ID {
		t.Errorf("latest is %v, %v", a, err)
	}
}

// Another form of what a host has signed, which takes no key to make, takes no place of others.
func TestRepeatedArchive(t *testing.T) {
	p := repotest.NewPlace(t)
	r := p.Open(repotest.HostKey())
	first := repotest.MustWrite(t, r, repotest.Some(1, 3)).Archive
	other := repotest.Must(store.ReadAll(t.Context(), p.Memory, "archive/"+first.ID, 0))
	p.Clock.Move(time.Minute)
	invertPoint(other)
	p.Put(repotest.Named("archive", other), other)
	all := repotest.Archives(t, r)
	if len(all) != 2 || all[0].Is(repo.Repeated) == all[1].Is(repo.Repeated) {
		t.Fatalf("archives %+v", all)
	}
	for _, a := range all {
		if !a.Counts() || a.Displaces() != (a.ID == first.ID) {
			t.Errorf("%s, stored %s: counts %v, displaces %v", a.ID, a.Stored, a.Counts(), a.Displaces())
		}
	}
	if a, err := repo.Find(all, "latest"); err != nil || a.ID != first.ID {
		t.Errorf("latest is %v, %v", a, err)
	}
}

// invertPoint puts 1/u in the place of the coordinate u of a session-key packet's point. The two points differ by one of order two, which X25519 takes off.
func invertPoint(object []byte) {
	point := object[2+1+8+1+3:][:32]
	prime := new(numbers.Int).Sub(new(numbers.Int).Lsh(numbers.NewInt(1), 255), numbers.NewInt(19))
	slices.Reverse(point) // little-endian
	new(numbers.Int).ModInverse(new(numbers.Int).SetBytes(point), prime).FillBytes(point)
	slices.Reverse(point)
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
