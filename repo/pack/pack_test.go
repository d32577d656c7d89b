package pack

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os/exec"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"nightjar/chunk"
)

func noise(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

func text(n int) []byte { return []byte(strings.Repeat("all work and no play ", n/21+1))[:n] }

// build makes a pack's plaintext with a frame for each list of blobs, with something before it.
func build(t testing.TB, full bool, before int, frames ...[][]byte) (plain []byte, d Directory) {
	t.Helper()
	c, err := NewCompressor(Default)
	if err != nil {
		t.Fatal(err)
	}
	d.Kind = Content
	buf := make([]byte, before)
	for _, blobs := range frames {
		f := Frame{}
		data := bytes.Join(blobs, nil)
		for i, b := range blobs {
			f.Blobs = append(f.Blobs, Blob{Key: chunk.Key{byte(i), byte(len(b))}, Type: WholeContent, Length: len(b)})
		}
		f.Plain = len(data)
		was := len(buf)
		buf = c.Append(buf, data, ClassOf(data))
		f.Stored = len(buf) - was
		d.Frames = append(d.Frames, f)
	}
	size := d.TailSize(0)
	was := len(buf)
	buf = d.Tail(buf, full)
	if !full && len(buf)-was > size+(was-before+size)/8 {
		t.Fatalf("tail of %d bytes, announced as %d", len(buf)-was, size)
	}
	return buf[before:], d
}

func TestPack(t *testing.T) {
	blobs := [][][]byte{{text(10), noise(20), {}}, {noise(3 << 20)}, {text(600 << 10), text(100)}}
	for _, full := range []bool{false, true} {
		plain, d := build(t, full, 77, blobs...)
		if full && len(plain)%(64<<10) != 0 || !full && len(plain) != Padme(len(plain)) {
			t.Errorf("full %v: padded to %d", full, len(plain))
		}
		got, err := Parse(plain)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, d) {
			t.Fatalf("parsed %+v, want %+v", got, d)
		}
		dec, err := NewDecompressor()
		if err != nil {
			t.Fatal(err)
		}
		offset := 0
		for i, f := range got.Frames {
			data, err := dec.Frame(nil, plain[offset:offset+f.Stored], f.Plain)
			if err != nil || !bytes.Equal(data, bytes.Join(blobs[i], nil)) {
				t.Fatalf("frame %d: %v", i, err)
			}
			offset += f.Stored
		}
	}
}

// Anybody's zstd prints a pack's content.
func TestZstdProgram(t *testing.T) {
	blobs := [][][]byte{{text(1000)}, {noise(100), text(5)}}
	plain, _ := build(t, true, 0, blobs...)
	cmd := exec.Command("zstd", "-d", "-q", "-c")
	cmd.Stdin = bytes.NewReader(plain)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if want := append(text(1000), append(noise(100), text(5)...)...); !bytes.Equal(out, want) {
		t.Fatalf("zstd printed %d bytes, want %d", len(out), len(want))
	}
}

func TestRecord(t *testing.T) {
	c, _ := NewCompressor(Default)
	d, _ := NewDecompressor()
	for _, n := range []int{0, 1, 100, 70_000, 3 << 20} {
		r := c.AppendRecord([]byte("before"), text(n))[6:]
		if len(r) != Padme(len(r)) {
			t.Errorf("record of %d bytes: padded to %d", n, len(r))
		}
		if got, err := d.Record(r, n); err != nil || !bytes.Equal(got, text(n)) {
			t.Fatalf("record of %d bytes: %d bytes, %v", n, len(got), err)
		}
		if n > 1 {
			if _, err := d.Record(r, n-1); err == nil {
				t.Errorf("record of %d bytes passes for one of less", n)
			}
		}
	}
}

func TestBombs(t *testing.T) {
	c, _ := NewCompressor(Default)
	d, _ := NewDecompressor()
	long := c.AppendRecord(nil, make([]byte, 1<<20))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, r := range [][]byte{long, append(c.Append(nil, make([]byte, 10), Text), long...)} {
		if _, err := d.Record(r, 1<<20-1); err == nil {
			t.Error("a record of more than it may have is read")
		}
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 256<<10 {
		t.Errorf("refusing a record took %d bytes", took)
	}
	if _, err := d.Record(c.Append(nil, make([]byte, MaxRecord+1), Text), 2*MaxRecord); err == nil {
		t.Error("a record past the bound is decompressed")
	}
	bomb := c.Append(nil, make([]byte, chunk.MaxSize), Text)
	for _, plain := range []int{0, 1, 1000, chunk.MaxSize - 1, chunk.MaxSize + 1, -1} {
		if _, err := d.Frame(nil, bomb, plain); err == nil {
			t.Errorf("a frame of %d bytes passes as %d", chunk.MaxSize, plain)
		}
	}
	if out, err := d.Frame(nil, bomb, chunk.MaxSize); err != nil || len(out) != chunk.MaxSize {
		t.Errorf("largest frame: %v", err)
	}
}

func TestPadme(t *testing.T) {
	for n, want := range map[int]int{0: 0, 1: 1, 9: 10, 10: 10, 1000: 1024, 1 << 20: 1 << 20, 1<<20 + 1: 1<<20 + 1<<15, 5_000_000: 5_111_808 /* 39 * 2^17 */} {
		if got := Padme(n); got != want {
			t.Errorf("Padme(%d) = %d, want %d", n, got, want)
		}
	}
	for n := range 100_000 {
		if p := Padme(n); p < n || Padme(p) != p || p > n+n/8+1 {
			t.Fatalf("Padme(%d) = %d", n, p)
		}
	}
}

func TestClassOf(t *testing.T) {
	table := make([]byte, 8<<10)
	for i := 0; i < len(table); i += 16 {
		binary.LittleEndian.PutUint64(table[i:], uint64(i)*7)
		copy(table[i+8:], "row")
	}
	for name, c := range map[string]struct {
		data []byte
		want Class
	}{
		"empty": {nil, Text}, "text": {text(100_000), Text}, "noise": {noise(100_000), Opaque}, "table": {table, Binary},
		"latin-1": {bytes.Repeat([]byte("na\xefve caf\xe9 \n"), 100), Text},
	} {
		if got := ClassOf(c.data); got != c.want {
			t.Errorf("%s is of class %d, want %d", name, got, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	plain, d := build(t, false, 0, [][]byte{text(100), noise(50)})
	for n := range plain {
		if _, err := Parse(plain[:n]); err == nil {
			t.Fatalf("a pack cut to %d bytes parses", n)
		}
	}
	if _, err := Parse(append(bytes.Clone(plain), 0)); err == nil {
		t.Error("a longer pack parses")
	}
	enc := d.Append(nil)
	for name, bad := range map[string][]byte{
		"empty":            {},
		"version":          append([]byte{1}, enc[1:]...),
		"kind":             append([]byte{0, 9}, enc[2:]...),
		"type in kind":     append([]byte{0, byte(Metadata)}, enc[2:]...),
		"trailing":         append(bytes.Clone(enc), 0),
		"huge owner":       {0, 1, 0xff, 0x01, 1},
		"huge frame count": {0, 1, 0, 0xff, 0xff, 0x03},
		"huge blob count":  {0, 1, 0, 1, 5, 5, 0xff, 0xff, 0x03},
		"overlong varint":  {0, 1, 0, 0x80, 0x00},
		"sum":              {0, 1, 0, 1, 5, 5, 0},
		"empty frame":      {0, 1, 1, 0, 0, 0},
	} {
		if got, err := ParseDirectory(bad); err == nil {
			t.Errorf("%s: parsed as %+v", name, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	plain, d := build(f, false, 0, [][]byte{text(100), noise(50)}, [][]byte{{}})
	f.Add(plain)
	f.Add(d.Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := Parse(b); err == nil && len(d.Frames) > MaxFrames {
			t.Fatal("out of bounds")
		}
		d, err := ParseDirectory(b)
		if err == nil && !bytes.Equal(d.Append(nil), b) {
			t.Fatalf("%x is not canonical", b)
		}
	})
}

func FuzzDecompress(f *testing.F) {
	c, _ := NewCompressor(Default)
	f.Add(c.Append(nil, text(1000), Text), 1000)
	f.Add(c.AppendRecord(nil, noise(10)), 10)
	for _, b := range hostileRecords(f) {
		f.Add(b[:min(len(b), 10_000)], 600)
	}
	d, _ := NewDecompressor()
	f.Fuzz(func(t *testing.T, b []byte, plain int) {
		if out, err := d.Frame(nil, b, plain); err == nil && len(out) != plain {
			t.Fatalf("%d bytes, want %d", len(out), plain)
		}
		if out, err := d.Record(b, MaxRecord); err == nil && len(out) > MaxRecord {
			t.Fatalf("%d bytes", len(out))
		}
	})
}
