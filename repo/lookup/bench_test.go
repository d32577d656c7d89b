package lookup

import (
	"encoding/binary"
	"fmt"
	"testing"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/pack"
)

// A million blobs in packs like those of a tree of files: 16 frames of 64 blobs each.
const benchBlobs = 1 << 20

func benchObject(first, n int) *index.Object {
	obj := &index.Object{Runs: make([]index.Run, 1)}
	for n > 0 {
		p := index.Pack{ID: objectID(first), Size: 16 << 20, Session: make([]byte, 270),
			Directory: pack.Directory{Kind: pack.Content}, Hashes: make([][32]byte, 16)}
		for range 16 {
			f := pack.Frame{Stored: 1 << 19, Plain: 64 << 14}
			for range 64 {
				f.Blobs = append(f.Blobs, pack.Blob{Key: benchKey(first), Type: pack.WholeContent, Length: 1 << 14})
				first, n = first+1, n-1
			}
			p.Directory.Frames = append(p.Directory.Frames, f)
		}
		obj.Runs[0].Packs = append(obj.Runs[0].Packs, p)
	}
	return obj
}

// benchKey spreads numbers like hashes: the finalizer of SplitMix64.
func benchKey(n int) (k chunk.Key) {
	z := uint64(n) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	binary.BigEndian.PutUint64(k[:], z^z>>31)
	return k
}

func benchIndex(b *testing.B, files int) *Index {
	x, err := Open(b.TempDir(), Options{FlushAt: 2 * benchBlobs})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { x.Close() })
	for n, rest := 0, benchBlobs; n < files; n++ {
		size := rest // each file much larger than the next, so that none is merged
		if n < files-1 {
			size = (rest * 7 / 8) &^ 1023
		}
		add(b, x, n, "A", benchObject(benchBlobs-rest, size))
		flush(b, x)
		rest -= size
	}
	if got := len(x.segments) - 1; got != files {
		b.Fatalf("%d files, want %d", got, files)
	}
	return x
}

func BenchmarkHas(b *testing.B) {
	trusted := func(*Origin) bool { return true }
	for _, files := range []int{1, 3} {
		x := benchIndex(b, files)
		for _, known := range []bool{true, false} {
			b.Run(fmt.Sprintf("files=%d/known=%v", files, known), func(b *testing.B) {
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					n += 7919
					i := n % benchBlobs
					if !known {
						i += benchBlobs
					}
					if _, ok, err := x.Has(benchKey(i), pack.WholeContent, trusted); ok != known || err != nil {
						b.Fatal(i, ok, err)
					}
				}
			})
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	x := benchIndex(b, 1)
	var found []Location
	n := 0
	for b.Loop() {
		n += 7919
		var err error
		if found, err = x.Lookup(benchKey(n%benchBlobs), found[:0]); len(found) != 1 || err != nil {
			b.Fatal(found, err)
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	obj := benchObject(0, benchBlobs)
	for b.Loop() {
		x, err := Open("", Options{})
		if err != nil {
			b.Fatal(err)
		}
		add(b, x, 0, "A", obj)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchBlobs, "ns/entry")
}

func BenchmarkFlush(b *testing.B) {
	obj := benchObject(0, benchBlobs)
	var size int64
	for b.Loop() {
		b.StopTimer()
		x, err := Open(b.TempDir(), Options{FlushAt: 2 * benchBlobs})
		if err != nil {
			b.Fatal(err)
		}
		add(b, x, 0, "A", obj)
		b.StartTimer()
		flush(b, x)
		size = int64(x.segments[1].table.(*file).end)
		x.Close()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchBlobs, "ns/entry")
	b.ReportMetric(float64(size)/benchBlobs, "bytes/entry")
}

func BenchmarkMerge(b *testing.B) {
	x := benchIndex(b, 3)
	inputs, sources := choose(x.segments[1:])
	for b.Loop() {
		g, err := merge(x.dir, inputs, sources)
		if err != nil {
			b.Fatal(err)
		}
		g.close()
		x.remove(g.name)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/benchBlobs, "ns/entry")
}

func BenchmarkParseObject(b *testing.B) {
	encoded := benchObject(0, 1<<16).Append(nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := index.ParseObject(encoded); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N<<16), "ns/entry")
}
