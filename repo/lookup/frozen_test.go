package lookup

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/repo/index"
)

// compareFrozen compares a Frozen with the Index that it was made of.
func compareFrozen(t *testing.T, m *model, x *Index, chunks int) {
	t.Helper()
	f, err := x.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	seen := NewMarks(f.Entries())
	found := map[chunk.Key][]Location{}
	err = f.All(func(key chunk.Key, p *Place) error {
		at, err := f.Location(p)
		if !seen.Set(p.Entry) || f.Packs()[p.Pack].ID != at.Pack.ID || f.Origins()[p.Origin] != at.Pack.Origin {
			t.Errorf("entry %d of chunk %x: %+v", p.Entry, key, p)
		}
		found[key] = append(found[key], at)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for c := range chunks {
		key := chunkKey(c)
		want, err := x.Lookup(key, nil)
		if err != nil {
			t.Fatal(err)
		}
		places, err := f.Places(key, nil)
		if err != nil || len(places) != len(want) || !same(found[key], want) {
			t.Fatalf("chunk %d: %d places and %d in all, %v, want %d", c, len(places), len(found[key]), err, len(want))
		}
		for i := range places {
			if !seen.Has(places[i].Entry) {
				t.Fatalf("chunk %d: place %d was never visited", c, places[i].Entry)
			}
		}
	}
	sightings := map[string]int{}
	for s := range f.Sightings() {
		from := f.sources[s.Source]
		sightings[fmt.Sprint(from.Object, f.Packs()[s.Pack].ID, from.Runs[s.Run])]++
	}
	for _, n := range m.live() {
		for i, run := range m.objects[n].Runs {
			for _, p := range run.Packs {
				sightings[fmt.Sprint(objectID(n), p.ID, runTimes(m.objects[n].Runs, m.objects[n].Time)[i])]--
				if at, end := f.Numbers(p.ID); end != at+1 || f.Packs()[at].ID != p.ID || f.Packs()[at].Kind != p.Directory.Kind || int64(f.Packs()[at].Size) != p.Size {
					t.Fatalf("pack %v is number %d to %d", p.ID, at, end)
				}
			}
		}
	}
	for s, n := range sightings {
		if n != 0 {
			t.Fatalf("%s is seen %d times too often", s, n)
		}
	}
}

func TestFrozen(t *testing.T) {
	x := openIn(t, t.TempDir())
	m := &model{map[int]*index.Object{}, map[int]string{}, map[int]bool{}}
	r := random(9)
	for range 60 {
		m.store(r, 300)
		m.catchUp(t, x)
		if r.IntN(4) == 0 {
			flush(t, x)
		}
		if n := r.IntN(len(m.objects)); r.IntN(8) == 0 {
			m.gone[n] = true
			m.catchUp(t, x)
		}
	}
	compareFrozen(t, m, x, 300)
}

// What a Frozen says does not change, and what it cannot say any more it does not leave out.
func TestFrozenStays(t *testing.T) {
	x := openIn(t, t.TempDir())
	r := random(3)
	add(t, x, 1, "A", objectOf(r, contentOf(0, 50)))
	flush(t, x)
	add(t, x, 2, "A", objectOf(r, contentOf(50, 50)))
	f, err := x.Freeze()
	if err != nil {
		t.Fatal(err)
	}
	count := func() (n int, err error) {
		err = f.All(func(chunk.Key, *Place) error { n++; return nil })
		return n, err
	}
	add(t, x, 3, "A", objectOf(r, contentOf(0, 200)))
	if err := x.Retain(func(s Source) bool { return s.Object != objectID(1) }); err != nil {
		t.Fatal(err)
	}
	if n, err := count(); n != 100 || err != nil {
		t.Errorf("%d entries, %v, want 100", n, err)
	}
	for c, want := range map[int]int{0: 1, 60: 1, 150: 0} {
		if places, err := f.Places(chunkKey(c), nil); len(places) != want || err != nil {
			t.Errorf("chunk %d is at %d places, %v, want %d", c, len(places), err, want)
		}
	}
	flush(t, x) // drops the file in which nothing counts now
	_, err = count()
	wantBroken(t, err)
	_, err = f.Places(chunkKey(0), nil)
	wantBroken(t, err)
}

// The times of runs outlive files, merges, and that another object stands for theirs.
func TestFrozenRuns(t *testing.T) {
	at := func(hour int) time.Time { return time.Date(2026, 1, 1, hour, 0, 0, 0, time.UTC) }
	dir := t.TempDir()
	x := openIn(t, dir)
	r := random(5)
	a, b := objectOf(r, contentOf(0, 10)), objectOf(r, contentOf(10, 10))
	a.Time, a.Runs[0].Begin = at(2), at(1)
	a.Runs = append(a.Runs, index.Run{Owner: "web1", Begin: at(3), Time: at(4)}) // a sign of life
	b.Time, b.Replaces = at(9), []index.ObjectID{objectID(1)}
	b.Runs[0].Begin, b.Runs[0].Time = at(5), at(6)
	add(t, x, 1, "A", a)
	flush(t, x)
	add(t, x, 2, "A", b)
	flush(t, x)
	x.Close()
	f, err := openIn(t, dir).Freeze()
	if err != nil {
		t.Fatal(err)
	}
	got := map[index.ObjectID]*FrozenSource{}
	for _, s := range f.Sources() {
		if s.Owner == "web1" {
			got[s.Object] = s
		}
	}
	one, two := got[objectID(1)], got[objectID(2)]
	if one == nil || !one.Replaced || !slices.Equal(one.Runs, []RunTimes{{at(1), at(2)}, {at(3), at(4)}}) {
		t.Errorf("of the first object %+v", one)
	}
	if two == nil || two.Replaced || !slices.Equal(two.Replaces, []index.ObjectID{objectID(1)}) || !slices.Equal(two.Runs, []RunTimes{{at(5), at(6)}}) {
		t.Errorf("of the second object %+v", two)
	}
}

func TestMarks(t *testing.T) {
	m := NewMarks(130)
	if !m.Set(0) || !m.Set(129) || m.Set(129) || m.Has(64) || !m.Has(129) {
		t.Errorf("marks %x", m)
	}
	if !m.Set(64) || !m.Has(0) || !m.Has(64) || m.Has(65) || len(m) != 3 {
		t.Errorf("marks %x", m)
	}
}
