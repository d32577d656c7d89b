package lists

import (
	"slices"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/pack"
	"nightjar/repo/record"
)

const (
	treeType   = pack.WholeTree
	recipeType = pack.RecipeFor + pack.WholeContent
)

func TestSet(t *testing.T) {
	whole, part, other := index.ObjectID{1}, index.ObjectID{2}, index.ObjectID{3}
	condemned := New(map[index.ObjectID]List{{8}: {Fate: Condemned, Packs: []index.ObjectID{whole}, Blobs: []record.Blobs{
		{Pack: part, Recipes: record.Keys{{9}, {5}, {5}}, Trees: record.Keys{{7}, {5}}},
	}}})
	dropped := New(map[index.ObjectID]List{{9}: {Fate: Dropped, Packs: []index.ObjectID{whole}, Blobs: []record.Blobs{{Pack: part, Recipes: record.Keys{{5}}}}}})
	both := condemned.And(dropped)
	for _, c := range []struct {
		pack index.ObjectID
		key  chunk.Key
		typ  pack.Type
		want Fate // of both
	}{
		{whole, chunk.Key{1}, pack.WholeContent, Condemned | Dropped},
		{whole, chunk.Key{1}, pack.SignatureOf + pack.WholeContent, Condemned | Dropped},
		{part, chunk.Key{5}, recipeType, Condemned | Dropped},
		{part, chunk.Key{5}, pack.RecipeFor + pack.WholeTree, Condemned | Dropped},
		{part, chunk.Key{5}, treeType, Condemned},
		{part, chunk.Key{5}, pack.SignatureOf + pack.WholeContent, 0},
		{part, chunk.Key{7}, pack.WholeList, Condemned},
		{part, chunk.Key{7}, recipeType, 0},
		{part, chunk.Key{9}, recipeType, Condemned},
		{part, chunk.Key{6}, recipeType, 0},
		{other, chunk.Key{5}, recipeType, 0},
	} {
		for set, of := range map[*Set]Fate{nil: 0, New(nil): 0, condemned: Condemned, dropped: Dropped, both: Condemned | Dropped} {
			if got := set.Blob(c.pack, c.key, c.typ); got != c.want&of {
				t.Errorf("%v of %v in %v is %b, want %b", c.typ, c.key[0], c.pack[0], got, c.want&of)
			}
		}
	}
	if both.Pack(whole) != Condemned|Dropped || both.Pack(part) != 0 || !both.Touches(part) || both.Touches(other) || both.Empty() || len(both.Lists()) != 2 {
		t.Errorf("packs: %b, %b", both.Pack(whole), both.Pack(part))
	}
	lost := New(map[index.ObjectID]List{{1}: {Fate: Lost, Packs: []index.ObjectID{whole}}})
	if both.Damaged() || !lost.Damaged() || !both.And(lost).Damaged() || New(map[index.ObjectID]List{{1}: {Fate: Lost}}).Damaged() {
		t.Error("what is lost and what prune takes are not told apart")
	}
	var none *Set
	if none.Damaged() || !none.Empty() || !New(nil).Empty() || none.Touches(whole) || none.Pack(whole) != 0 || len(none.And(nil).Lists()) != 0 {
		t.Error("nothing is something")
	}
}

// A dropped list that came too late, or was stored again, is avoided by writers and not believed by readers.
func TestVoid(t *testing.T) {
	view, grace := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC), 7*24*time.Hour
	b, err := record.Encode(&record.Dropped{Packs: []index.ObjectID{{1}}, Blobs: []record.Blobs{{Pack: index.ObjectID{2}, Recipes: record.Keys{{1}}}}, View: view})
	if err != nil {
		t.Fatal(err)
	}
	for late, want := range map[time.Duration]Fate{grace / 2: Dropped, grace/2 + 1: Condemned} {
		l, err := Parse(record.DroppedKind, b, view.Add(late), grace)
		if err != nil {
			t.Fatal(err)
		}
		s := New(map[index.ObjectID]List{{9}: l})
		if s.Pack(index.ObjectID{1}) != want || s.Blob(index.ObjectID{2}, chunk.Key{1}, recipeType) != want {
			t.Errorf("after %s: %b", late, s.Pack(index.ObjectID{1}))
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range []any{
		&record.Condemned{Packs: []index.ObjectID{{1}}, Blobs: []record.Blobs{{Pack: index.ObjectID{2}, Recipes: record.Keys{{1}}, Trees: record.Keys{{1}}}}},
		&record.Dropped{Packs: []index.ObjectID{{1}, {1}}, Condemned: index.ObjectID{4}},
		&record.Lost{Packs: []index.ObjectID{{1}}, Blobs: []record.Blobs{{Pack: index.ObjectID{2}, Chunks: record.Keys{{1}}}}, Chunks: []record.LostChunk{{ID: chunk.ID{1}}}, Objects: []index.ObjectID{{7}}},
	} {
		b, err := record.Encode(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for kind, fate := range map[string]Fate{record.CondemnedKind: Condemned, record.DroppedKind: Dropped, record.LostKind: Lost} {
			l, err := Parse(kind, b, time.Time{}, 0)
			if err != nil {
				continue
			}
			if kind == record.DroppedKind && l.Fate == Condemned { // void
				fate = Condemned
			}
			s := New(map[index.ObjectID]List{{1}: l})
			for _, id := range l.Packs {
				if s.Pack(id) != fate {
					t.Fatalf("pack %v is %b", id, s.Pack(id))
				}
			}
			for _, p := range l.Blobs {
				for _, key := range p.Recipes {
					if s.Blob(p.Pack, key, recipeType) != fate {
						t.Fatalf("recipe %x is not found", key)
					}
				}
				for _, id := range l.Chunks {
					if !s.Chunk(id) {
						t.Fatalf("chunk %v is not found", id)
					}
				}
				for _, id := range l.Objects {
					if !s.Object(id) {
						t.Fatalf("object %v is not found", id)
					}
				}
				for _, key := range slices.Concat(p.Trees, p.Chunks) {
					if s.Blob(p.Pack, key, treeType) != fate {
						t.Fatalf("tree %x is not found", key)
					}
				}
			}
		}
		if _, err := Parse(record.ForgetKind, b, time.Time{}, 0); err == nil {
			t.Fatal("another record is a list")
		}
	})
}
