package lookup

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/pack"
)

func numbered(domain string, n int) [32]byte {
	return sha256.Sum256(binary.LittleEndian.AppendUint64([]byte(domain), uint64(n)))
}

func objectID(n int) index.ObjectID { return numbered("object", n) }

func chunkKey(n int) chunk.Key {
	id := numbered("chunk", n)
	return chunk.Key(id[:16])
}

// blob is what the tests know of a stored blob.
type blob struct {
	chunk int
	typ   pack.Type
}

// objectOf makes an index object of packs with frames of a few of the blobs each.
func objectOf(r *rand.Rand, blobs []blob) *index.Object {
	o := &index.Object{Runs: []index.Run{{Owner: "web1"}}}
	for len(blobs) > 0 {
		p := index.Pack{Size: 1 << 20, Session: []byte("session"), Directory: pack.Directory{Kind: pack.Content}}
		binary.LittleEndian.PutUint64(p.ID[:], r.Uint64())
		for frames := 1 + r.IntN(3); frames > 0 && len(blobs) > 0; frames-- {
			f := pack.Frame{Stored: 1 + r.IntN(1000)}
			n := min(1+r.IntN(30), len(blobs))
			for _, b := range blobs[:n] {
				length := r.IntN(100)
				f.Plain += length
				f.Blobs = append(f.Blobs, pack.Blob{Key: chunkKey(b.chunk), Type: b.typ, Length: length})
			}
			blobs = blobs[n:]
			p.Directory.Frames = append(p.Directory.Frames, f)
			var hash [32]byte
			binary.LittleEndian.PutUint64(hash[:], r.Uint64())
			p.Hashes = append(p.Hashes, hash)
		}
		run := &o.Runs[r.IntN(len(o.Runs))]
		p.Directory.Owner = run.Owner
		run.Packs = append(run.Packs, p)
	}
	return o
}

// contentOf gives n blobs of content from the given number on.
func contentOf(first, n int) []blob {
	var blobs []blob
	for i := range n {
		blobs = append(blobs, blob{first + i, pack.WholeContent})
	}
	return blobs
}

// locate works out what an index should say of each chunk from an object itself.
func locate(into map[chunk.Key][]Location, obj *index.Object, signer string) {
	for _, run := range obj.Runs {
		for _, p := range run.Packs {
			info := &PackInfo{ID: p.ID, Kind: p.Directory.Kind, Size: p.Size, Session: p.Session, Proof: p.Proof, Origin: Origin{Signer: signer, Owner: run.Owner}}
			var frameOffset int64
			for i, f := range p.Directory.Frames {
				offset := 0
				for _, b := range f.Blobs {
					into[b.Key] = append(into[b.Key], Location{Pack: info, Frame: i, FrameOffset: frameOffset, Stored: f.Stored,
						Plain: f.Plain, Hash: p.Hashes[i], Type: b.Type, Offset: offset, Length: b.Length})
					offset += b.Length
				}
				frameOffset += int64(f.Stored)
			}
		}
	}
}

// flat is a Location and all of its pack, comparable.
type flat struct {
	Location
	id      index.ObjectID
	kind    pack.Kind
	size    int64
	session string
	proof   index.Proof
	origin  Origin
}

func flatten(l Location) flat {
	p := l.Pack
	l.Pack = nil
	return flat{l, p.ID, p.Kind, p.Size, string(p.Session), p.Proof, p.Origin}
}

// same reports whether two lists hold the same locations, in whatever order.
func same(a, b []Location) bool {
	count := map[flat]int{}
	for _, l := range a {
		count[flatten(l)]++
	}
	for _, l := range b {
		if count[flatten(l)]--; count[flatten(l)] < 0 {
			return false
		}
	}
	return len(a) == len(b)
}

// openIn opens an index that must have nothing to complain about, with small tiers.
func openIn(t testing.TB, dir string) *Index {
	t.Helper()
	x, err := Open(dir, Options{Warn: func(err error) { t.Errorf("warned: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	x.floor = 100
	return x
}

func add(t testing.TB, x *Index, number int, signer string, obj *index.Object) {
	t.Helper()
	if err := x.Add(Source{objectID(number), Origin{Signer: signer}}, obj); err != nil {
		t.Fatal(err)
	}
}

func flush(t testing.TB, x *Index) {
	t.Helper()
	if err := x.Flush(); err != nil {
		t.Fatal(err)
	}
}

func random(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

func wantBroken(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, ErrBroken) {
		t.Errorf("got error %v, want one that is ErrBroken", err)
	}
}
