package index

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"nightjar/repo/pack"
)

func objectID(n int) ObjectID {
	return sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

// packsOf makes n packs of web1's, of a frame each.
func packsOf(r *rand.Rand, n int) []Pack {
	packs := make([]Pack, n)
	for i := range packs {
		p := &packs[i]
		*p = Pack{Size: 1 << 20, Session: []byte("session"), Hashes: make([][32]byte, 1)}
		binary.LittleEndian.PutUint64(p.ID[:], r.Uint64())
		binary.LittleEndian.PutUint64(p.Hashes[0][:], r.Uint64())
		frame := pack.Frame{Stored: 1 + r.IntN(1000)}
		for range 1 + r.IntN(5) {
			b := pack.Blob{Type: pack.WholeContent, Length: r.IntN(100)}
			binary.LittleEndian.PutUint64(b.Key[:], r.Uint64())
			frame.Plain += b.Length
			frame.Blobs = append(frame.Blobs, b)
		}
		p.Directory = pack.Directory{Kind: pack.Content, Owner: "web1", Frames: []pack.Frame{frame}}
	}
	return packs
}

// partsOf makes objects of runs with and without a time, a few without packs, some of whose packs are in several.
func partsOf(r *rand.Rand, n int) []Stored {
	var parts []Stored
	var seen []Run
	for i := range n {
		p := Stored{ID: objectID(i), Time: time.Unix(100+int64(r.IntN(20)), 0).UTC()}
		for range r.IntN(3) {
			p.Replaces = append(p.Replaces, objectID(1000+r.IntN(10)))
		}
		p.Runs = []Run{{Owner: "web1", Packs: packsOf(r, min(r.IntN(100), 4))}}
		for range r.IntN(3) {
			run := Run{Owner: "web1", Time: time.Unix(1+int64(r.IntN(100)), 0).UTC(), Packs: packsOf(r, min(r.IntN(40), 3))}
			p.Runs, seen = append(p.Runs, run), append(seen, run)
		}
		if len(seen) > 0 && r.IntN(2) == 0 { // what two processes have merged
			p.Runs = append(p.Runs, seen[r.IntN(len(seen))])
		}
		parts = append(parts, p)
	}
	return parts
}

func TestJoin(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 1))
		parts := partsOf(r, 1+r.IntN(8))
		skipped := map[ObjectID]bool{}
		firsts := map[ObjectID]time.Time{} // of each pack that stays
		content := map[ObjectID]Pack{}
		order := map[ObjectID][2]int{}
		times := map[int64]bool{} // of runs, with packs or without
		for i, part := range parts {
			place := 0
			for _, run := range part.Runs {
				at := run.Time
				if at.IsZero() {
					at = part.Time
				}
				times[at.UnixNano()] = true
				for _, p := range run.Packs {
					if r.IntN(10) == 0 {
						skipped[p.ID] = true
					}
					if before, ok := firsts[p.ID]; !ok || at.Before(before) {
						firsts[p.ID], order[p.ID] = at, [2]int{i, place}
					}
					content[p.ID] = p
					place++
				}
			}
		}
		joined := Join(parts, func(id ObjectID) bool { return skipped[id] })
		parsed, err := ParseObject(joined.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			for _, id := range append(part.Replaces, part.ID) {
				if !slices.Contains(parsed.Replaces, id) {
					t.Fatalf("seed %d: it does not stand for %v", seed, id)
				}
			}
		}
		var last time.Time
		found := map[ObjectID]bool{}
		for i, run := range parsed.Runs {
			if run.Time.Before(last) {
				t.Fatalf("seed %d: run %d of %d is before the one before it", seed, i, len(parsed.Runs))
			}
			delete(times, run.Time.UnixNano())
			last = run.Time
			var before *Pack
			for j := range run.Packs {
				p := &run.Packs[j]
				want := content[p.ID]
				if found[p.ID] || skipped[p.ID] || !firsts[p.ID].Equal(run.Time) || !reflect.DeepEqual(p.Directory, want.Directory) || !reflect.DeepEqual(p.Hashes, want.Hashes) {
					t.Fatalf("seed %d: pack %v is there twice, was to be left out, or is not what it was", seed, p.ID)
				}
				if before != nil && order[before.ID][0] == order[p.ID][0] && order[before.ID][1] > order[p.ID][1] {
					t.Fatalf("seed %d: packs of one object changed their order", seed)
				}
				found[p.ID], before = true, p
			}
		}
		if len(times) > 0 {
			t.Fatalf("seed %d: runs of %v are lost", seed, times)
		}
		for id := range firsts {
			if !found[id] && !skipped[id] {
				t.Fatalf("seed %d: pack %v is lost", seed, id)
			}
		}
	}
}

// What was joined once is joined again: it says the same, and stands for all.
func TestJoinAgain(t *testing.T) {
	parts := partsOf(rand.New(rand.NewPCG(1, 1)), 9)
	at := time.Unix(1000, 0).UTC()
	first := Join(parts[:5], nil)
	twice := Join([]Stored{{ID: objectID(50), Time: at, Object: first}, {ID: objectID(51), Time: at, Object: first}}, nil)
	again := Join(append(parts[5:], Stored{ID: objectID(52), Time: at, Object: twice}), nil)
	if len(twice.Runs) != len(first.Runs) {
		t.Errorf("%d runs joined twice are %d", len(first.Runs), len(twice.Runs))
	}
	once := Join(parts, nil)
	if want, got := packsByID(once), packsByID(again); !reflect.DeepEqual(want, got) {
		t.Errorf("packs are\n%+v, want\n%+v", got, want)
	}
	for _, id := range append(once.Replaces, objectID(50), objectID(51), objectID(52)) {
		if !slices.Contains(again.Replaces, id) {
			t.Errorf("it does not stand for %v", id)
		}
	}
}

func packsByID(o Object) map[ObjectID][]Pack {
	packs := map[ObjectID][]Pack{}
	for _, run := range o.Runs {
		for _, p := range run.Packs {
			packs[p.ID] = append(packs[p.ID], p)
		}
	}
	return packs
}
