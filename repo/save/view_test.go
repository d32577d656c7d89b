package save_test

import (
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
			if _, err := s.ContentAt(data, save.Place{}, was); err != nil {
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

// invertPoint puts 1/u in the place of the coordinate u of a session-key packet's point. The two points differ by one of order two, which X25519 takes off.
func invertPoint(object []byte) {
	point := object[2+1+8+1+3:][:32]
	prime := new(numbers.Int).Sub(new(numbers.Int).Lsh(numbers.NewInt(1), 255), numbers.NewInt(19))
	slices.Reverse(point) // little-endian
	new(numbers.Int).ModInverse(new(numbers.Int).SetBytes(point), prime).FillBytes(point)
	slices.Reverse(point)
}
