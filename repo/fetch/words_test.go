package fetch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/lookup"
	"nightjar/repo/pack"
	"nightjar/repo/sealed"
)

// lie returns what could be said of a pack, so that it adds up, and is not so.
func lie(r *rand.Rand, p index.Pack) index.Pack {
	p.Session, p.Hashes = slices.Clone(p.Session), slices.Clone(p.Hashes)
	frames := make([]pack.Frame, len(p.Directory.Frames))
	for i, f := range p.Directory.Frames {
		f.Blobs = slices.Clone(f.Blobs)
		frames[i] = f
	}
	p.Directory.Frames = frames
	for range 1 + r.IntN(3) {
		f := &p.Directory.Frames[r.IntN(len(p.Directory.Frames))]
		switch r.IntN(7) {
		case 0:
			p.Session[r.IntN(len(p.Session))] ^= 1
		case 1:
			p.Size += int64(r.IntN(100_000))
		case 2:
			p.Hashes[r.IntN(len(p.Hashes))][0] ^= 1
		case 3:
			f.Stored = 1 + r.IntN(f.Stored)
		case 4: // what a frame holds is shorter
			n := r.IntN(f.Blobs[0].Length + 1)
			f.Blobs[0].Length -= n
			f.Plain -= n
		case 5: // or longer
			n := r.IntN(100)
			f.Blobs[0].Length += n
			f.Plain += n
		case 6:
			p.Session = p.Session[:r.IntN(len(p.Session)+1)]
			if len(p.Session) == 0 {
				p.Session = []byte{1}
			}
		}
	}
	return p
}

// Whatever else is said of a pack, in the same name or another, what one statement says rightly is delivered, and read by no other.
func TestWrongWords(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		p := newPlace(t)
		content := map[chunk.ID][]byte{}
		frames := [][]blob{{whole(noise(3000)), whole(noise(50))}, {whole(noise(70_000))}, {whole(noise(100))}}
		_, ids := p.save(pack.Content, frames...)
		for i, b := range slices.Concat(frames...) {
			content[ids[i]] = b.data
		}
		tree := noise(2000)
		_, trees := p.save(pack.Metadata, []blob{{typ: pack.WholeTree, data: tree}, {typ: pack.WholeTree, data: noise(10)}})
		var said []index.Pack
		if err := p.objects.IndexObjects(t.Context(), func(x sealed.IndexRecord) error {
			for _, q := range x.Object.Runs[0].Packs {
				for range 6 {
					said = append(said, lie(r, q))
				}
			}
			return x.Err
		}); err != nil {
			t.Fatal(err)
		}
		must(p.local.PutIndex(t.Context(), noon, &index.Object{Runs: index.RunsOf(said)}))
		for range 3 { // with what is kept, too
			p.want(content)
			if got, err := p.Metadata(t.Context(), trees[0]); err != nil || string(got) != string(tree) {
				t.Fatalf("seed %d: a tree comes as %d bytes: %v", seed, len(got), err)
			}
		}
	}
}

// A Reader of one host's packs takes nothing from another's, says that there is such, and names whose word was wrong.
func TestFor(t *testing.T) {
	p := newPlace(t)
	data := noise(500)
	_, ids := p.save(pack.Content, []blob{whole(data)})
	own := p.For(func(o *lookup.Origin) bool { return o.Owner == "db1" && !o.Late })
	other := p.For(func(o *lookup.Origin) bool { return o.Owner == "db2" })
	read := func(rd *Reader) (got []byte, failed error) {
		t.Helper()
		if err := rd.Fetch(t.Context(), ids, func(_ int, data []byte, err error) error {
			got, failed = slices.Clone(data), err
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return got, failed
	}
	if got, err := read(own); err != nil || string(got) != string(data) {
		t.Errorf("its own: %d bytes, %v", len(got), err)
	}
	if got, err := read(other); got != nil || !errors.Is(err, ErrForeign) || !strings.Contains(fmt.Sprint(err), `"db1"`) {
		t.Errorf("another's: %d bytes, %v", len(got), err)
	}
	// db2 says that the pack is its own, with all that can be known of it.
	var said []index.Pack
	if err := p.objects.IndexObjects(t.Context(), func(x sealed.IndexRecord) error {
		said = append(said, x.Object.Runs[0].Packs...)
		return x.Err
	}); err != nil {
		t.Fatal(err)
	}
	for i := range said {
		said[i].Directory.Owner = "db2"
	}
	if err := p.local.AddUnlisted(said); err != nil {
		t.Fatal(err)
	}
	if got, err := read(own); err != nil || string(got) != string(data) { // which has just been read
		t.Errorf("its own again: %d bytes, %v", len(got), err)
	}
	if got, err := read(other); got != nil || err == nil || !strings.Contains(err.Error(), `nothing proves that it is a pack of host "db2"`) {
		t.Errorf("claimed: %d bytes, %v", len(got), err)
	}
	if _, err := other.Metadata(t.Context(), chunk.ID{9}); !errors.Is(err, ErrMissing) {
		t.Errorf("what is nowhere: %v", err)
	}
}
