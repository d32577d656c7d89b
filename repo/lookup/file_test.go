package lookup

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightjar/chunk"
	"nightjar/repo/index"
	"nightjar/repo/pack"
)

// written returns the only file of a folder.
func written(t testing.TB, dir string) (name string, content []byte) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("the folder holds %q, %v, want one file", names, err)
	}
	content, err = os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Base(names[0]), content
}

// sample writes a file of a few pages, and returns what it should say of its chunks.
func sample(t testing.TB) (name string, content []byte, want map[chunk.Key][]Location) {
	t.Helper()
	dir := t.TempDir()
	x := openIn(t, dir)
	want = map[chunk.Key][]Location{}
	for n := range 3 {
		obj := objectOf(random(uint64(n)), contentOf(n*40, 60)) // some chunks lie in two packs
		if n == 2 {
			obj.Replaces = []index.ObjectID{objectID(99)}
		}
		locate(want, obj, "A")
		add(t, x, n, "A", obj)
	}
	flush(t, x)
	name, content = written(t, dir)
	return name, content, want
}

// with returns an index of one file's bytes, in no folder of its own.
func with(t testing.TB, name string, content []byte) (*Index, error) {
	t.Helper()
	g, err := readFile(bytes.NewReader(content), name, int64(len(content)))
	if err != nil {
		return nil, err
	}
	x, err := Open("", Options{})
	if err != nil {
		t.Fatal(err)
	}
	x.segments = append(x.segments, g)
	x.resolve()
	return x, nil
}

func TestFlippedBits(t *testing.T) {
	name, content, want := sample(t)
	keys := []chunk.Key{}
	for n := range 150 { // 140 of them are there
		keys = append(keys, chunkKey(n))
	}
	r := random(7)
	refused, failed, harmless := 0, 0, 0
	for at := 0; at < len(content); at++ {
		if at == headerSize {
			at = pageSize // nothing lies between
		}
		bad := bytes.Clone(content)
		bad[at] ^= 1 << r.IntN(8)
		x, err := with(t, name, bad)
		if err != nil {
			wantBroken(t, err)
			refused++
			continue
		}
		broken := false
		for i := range 20 {
			key := keys[(at+i*7)%len(keys)]
			n, ok, err := x.Has(key, pack.WholeContent, nil)
			switch {
			case err != nil:
				wantBroken(t, err)
				broken = true
			case ok && !slices.ContainsFunc(want[key], func(l Location) bool { return l.Length == n }):
				t.Fatalf("byte %d: has %x with length %d", at, key, n)
			case !ok && len(want[key]) > 0 && !broken:
				t.Fatalf("byte %d: %x is not known any more", at, key)
			}
			found, err := x.Lookup(key, nil)
			switch {
			case err != nil:
				wantBroken(t, err)
				broken = true
			case !same(found, want[key]) && !(broken && len(found) == 0):
				t.Fatalf("byte %d: found %+v, want %+v", at, found, want[key])
			}
		}
		if broken {
			failed++
			if len(x.Sources()) > 0 {
				t.Fatalf("byte %d: a broken file still counts", at)
			}
		} else {
			harmless++
		}
	}
	t.Logf("of %d flips %d were found when the file was opened, %d in lookups, %d not touched", len(content), refused, failed, harmless)
	if refused < headerSize || failed < len(content)/4 {
		t.Error("too few of them were found")
	}
}

// Whole blocks may end up in each other's place: their checksums are right.
func TestMisplacedBlocks(t *testing.T) {
	name, content, want := sample(t)
	var h header
	if err := h.parse(content[:headerSize], uint64(len(content))); err != nil {
		t.Fatal(err)
	}
	for what, change := range map[string]func(b []byte){
		"page":    func(b []byte) { copy(b[h.pagesAt:], content[h.pagesAt+pageSize:][:pageSize]) },
		"offsets": func(b []byte) { copy(b[h.offsetsAt:], content[h.offsetsAt+8:][:16]) },
	} {
		bad := bytes.Clone(content)
		change(bad)
		failed := false
		for key := range want {
			x, err := with(t, name, bad)
			if err != nil {
				t.Fatal(err)
			}
			found, err := x.Lookup(key, nil)
			if err != nil {
				wantBroken(t, err)
				failed = true
			} else if !same(found, want[key]) {
				t.Fatalf("%s: found %+v, want %+v", what, found, want[key])
			}
		}
		if !failed {
			t.Errorf("%s: nobody noticed", what)
		}
	}
}

// A merge must not launder a flipped bit.
func TestMergeOfFlippedBits(t *testing.T) {
	name, content, want := sample(t)
	dir := t.TempDir()
	r := random(8)
	for at := pageSize; at < len(content); at += 61 {
		bad := bytes.Clone(content)
		bad[at] ^= 1 << r.IntN(8)
		if err := os.WriteFile(filepath.Join(dir, name), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		warned := 0
		x, err := Open(dir, Options{Warn: func(err error) { wantBroken(t, err); warned++ }})
		if err != nil {
			t.Fatal(err)
		}
		add(t, x, 50, "A", objectOf(r, contentOf(1000, 5)))
		flush(t, x)
		if x.Close(); warned != 1 {
			t.Fatalf("byte %d: %d warnings", at, warned)
		}
		x = openIn(t, dir)
		if got := len(x.Sources()); got != 1 {
			t.Fatalf("byte %d: %d sources are left, want the new one", at, got)
		}
		for key := range want {
			if _, ok, err := x.Has(key, pack.WholeContent, nil); ok || err != nil {
				t.Fatalf("byte %d: has %x: %v, %v", at, key, ok, err)
			}
		}
		x.Close()
		left, _ := written(t, dir)
		if err := os.Remove(filepath.Join(dir, left)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTruncatedFiles(t *testing.T) {
	name, content, _ := sample(t)
	dir := t.TempDir()
	for n := 0; n < len(content); n += 97 {
		torn := append(bytes.Clone(content[:n]), make([]byte, (n%2)*(len(content)-n))...) // cut short, or zeros
		if err := os.WriteFile(filepath.Join(dir, name), torn, 0o600); err != nil {
			t.Fatal(err)
		}
		var warning error
		x, err := Open(dir, Options{Warn: func(err error) { warning = err }})
		if err != nil {
			t.Fatal(err)
		}
		wantBroken(t, warning)
		if _, err := os.Stat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) || len(x.Sources()) > 0 {
			t.Fatalf("%d bytes: the torn file was not dropped", n)
		}
		x.Close()
	}
}

func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"notes.txt": "keep me", "other.njx": "not ours", ".tmp-dead": "left by a killed writer"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder.njx"), 0o700); err != nil {
		t.Fatal(err)
	}
	busy, err := os.Create(filepath.Join(dir, ".tmp-busy"))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if err := lock(busy); err != nil {
		t.Fatal(err)
	}
	var warnings []string
	x, err := Open(dir, Options{Warn: func(err error) { warnings = append(warnings, err.Error()) }})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{".tmp-busy", "folder.njx", "notes.txt"}; !slices.Equal(names, want) {
		t.Errorf("left are %q, want %q", names, want)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "other.njx") {
		t.Errorf("warned %q, want one warning of other.njx", warnings)
	}
}

func TestSearch(t *testing.T) {
	r := random(3)
	for _, spread := range []func() uint64{
		r.Uint64,
		func() uint64 { return r.Uint64N(50) },
		func() uint64 { return math.MaxUint64 - r.Uint64N(50) },
		func() uint64 { return r.Uint64() >> r.IntN(64) },
	} {
		for n := range 60 {
			f := &file{firsts: make([]uint64, n)}
			for i := range f.firsts {
				f.firsts[i] = spread()
			}
			slices.Sort(f.firsts)
			for _, v := range append(slices.Clone(f.firsts), 0, 1, 25, math.MaxUint64, spread(), spread()) {
				for _, v := range []uint64{v - 1, v, v + 1} {
					if want, _ := slices.BinarySearch(f.firsts, v); f.search(v) != want {
						t.Fatalf("%d is at %d of %d, want %d", v, f.search(v), f.firsts, want)
					}
				}
			}
		}
	}
}

// Chunks whose keys are equal, or begin alike, may fill many pages: a hostile signer chooses keys as it likes.
func TestUnevenKeys(t *testing.T) {
	dir := t.TempDir()
	x := openIn(t, dir)
	want := map[chunk.Key][]Location{}
	for n := range 8 {
		obj := objectOf(random(uint64(n)), contentOf(0, 100))
		for _, p := range obj.Runs[0].Packs {
			for _, f := range p.Directory.Frames {
				for i := range f.Blobs {
					f.Blobs[i].Key = chunk.Key{9, 9, 9, 9, 9, 9, 9, 9, byte(i % 3 * n)}
				}
			}
		}
		locate(want, obj, "A")
		add(t, x, n, "A", obj)
	}
	flush(t, x)
	for key, locations := range want {
		if found, err := x.Lookup(key, nil); err != nil || !same(found, locations) {
			t.Errorf("%x: found %d, %v, want %d", key, len(found), err, len(locations))
		}
	}
	for _, key := range []chunk.Key{{}, {9, 9, 9, 9, 9, 9, 9, 9, 255}, {255}} {
		if _, ok, err := x.Has(key, pack.WholeContent, nil); ok || err != nil {
			t.Errorf("%x: %v, %v", key, ok, err)
		}
	}
}

// reseal makes the checksums of a file right again as far as it can, so that what they guard is tested by itself.
func reseal(b []byte) []byte {
	b = bytes.Clone(b)
	if len(b) < pageSize {
		return b
	}
	binary.LittleEndian.PutUint32(b[headerSize-4:], checksum(b[:headerSize-4]))
	var h header
	if h.parse(b[:headerSize], uint64(len(b))) != nil {
		return b
	}
	le := binary.LittleEndian
	le.PutUint32(b[headerSize-12:], checksum(b[h.firstsAt:h.sourcesAt]))
	le.PutUint32(b[headerSize-8:], checksum(b[h.sourcesAt:h.end]))
	le.PutUint32(b[headerSize-4:], checksum(b[:headerSize-4]))
	for at := h.pagesAt; at < h.offsetsAt; at += pageSize {
		le.PutUint32(b[at+pageSize-8:], uint32((at-h.pagesAt)/pageSize))
		le.PutUint32(b[at+pageSize-4:], checksum(b[at:at+pageSize-4]))
	}
	for n := range uint64(h.packs) {
		at, end := le.Uint64(b[h.offsetsAt+8*n:]), le.Uint64(b[h.offsetsAt+8*n+8:])
		if at >= pageSize && at < end && end <= h.pagesAt && end-at >= minRecord {
			le.PutUint32(b[at:], uint32(n))
			le.PutUint32(b[end-4:], checksum(b[at:end-4]))
		}
	}
	return b
}

func FuzzOpenFile(f *testing.F) {
	name, content, _ := sample(f)
	if !bytes.Equal(reseal(content), content) {
		f.Fatal("resealing a good file changes it")
	}
	f.Add([]byte{}, false)
	f.Add(content, false)
	for _, at := range []int{4, 8, 16, 24, 60, pageSize, pageSize + 45, len(content) / 2, len(content) - 200, len(content) - 1} {
		bad := bytes.Clone(content)
		bad[at] ^= 0x41
		f.Add(bad, true)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte, seal bool) {
		if seal {
			b = reseal(b)
		}
		x, err := with(t, name, b)
		if err != nil {
			wantBroken(t, err)
			return
		}
		g := x.segments[1]
		for next := g.walk(); ; {
			e, ok, err := next()
			if err != nil || !ok {
				break
			}
			for _, key := range []chunk.Key{e.key, {e.key[0]}} {
				if _, _, err := x.Has(key, e.typ, nil); err != nil {
					wantBroken(t, err)
				}
				if _, err := x.Lookup(key, nil); err != nil {
					wantBroken(t, err)
				}
			}
		}
		inputs, sources := choose([]*segment{g})
		made, err := merge(dir, inputs, sources)
		if err != nil {
			wantBroken(t, err)
			return
		}
		made.close()
		if err := os.Remove(filepath.Join(dir, made.name)); err != nil {
			t.Error(err)
		}
	})
}
