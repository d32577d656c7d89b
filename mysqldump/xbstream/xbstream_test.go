package xbstream

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
)

// What a writer puts into a stream.
type chunks []byte

func (c chunks) head(flags byte, kind byte, path string) chunks {
	c = append(append(c, magic...), flags, kind)
	return append(binary.LittleEndian.AppendUint32(c, uint32(len(path))), path...)
}

func (c chunks) tail(offset uint64, sum uint32, data string) chunks {
	c = binary.LittleEndian.AppendUint64(c, uint64(len(data)))
	c = binary.LittleEndian.AppendUint64(c, offset)
	return append(binary.LittleEndian.AppendUint32(c, sum), data...)
}

func (c chunks) data(path string, offset uint64, data string) chunks {
	return c.head(0, payload, path).tail(offset, crc32.ChecksumIEEE([]byte(data)), data)
}

func (c chunks) holes(path string, offset uint64, data string, parts ...uint32) chunks {
	c = binary.LittleEndian.AppendUint32(c.head(0, sparse, path), uint32(len(parts)/2))
	var m []byte
	for _, n := range parts {
		m = binary.LittleEndian.AppendUint32(m, n)
	}
	c = binary.LittleEndian.AppendUint64(c, uint64(len(data)))
	c = binary.LittleEndian.AppendUint64(c, offset)
	c = binary.LittleEndian.AppendUint32(c, crc32.ChecksumIEEE(append(m[:len(m):len(m)], data...)))
	return append(append(c, m...), data...)
}

func (c chunks) renamed(path, to string) chunks {
	return append(binary.LittleEndian.AppendUint32(c.head(0, rename, path), uint32(len(to))), to...)
}

func (c chunks) end(path string) chunks { return c.head(0, end, path) }

// A folder takes files in memory.
type folder struct {
	files   map[string]string // closed
	aborted int
}

type memory struct {
	bytes.Buffer
	in   *folder
	name string
}

func (m *memory) Close() error { m.in.files[m.name] = m.String(); return nil }
func (m *memory) Abort()       { m.in.aborted++ }

func (f *folder) Rename(from, to string) error {
	f.files[to] = f.files[from]
	return f.Remove(from)
}

func (f *folder) Remove(name string) error {
	if _, there := f.files[name]; !there {
		return errors.New("it is not there")
	}
	delete(f.files, name)
	return nil
}

func (f *folder) Open(name string) (File, error) {
	if _, err := Clean(name); err != nil || strings.HasPrefix(name, "../") {
		return nil, fmt.Errorf("opened as %q", name)
	}
	return &memory{in: f, name: name}, nil
}

func read(r io.Reader) (*folder, error) {
	f := &folder{files: map[string]string{}}
	return f, Read(r, f)
}

// sample has interleaved files, an empty one, holes at both ends, and a chunk that is to be passed over.
func sample() (chunks, map[string]string) {
	c := chunks{}.data("a/b.ibd", 0, "one").data("./c", 0, "1").data("a/b.ibd", 3, "two").holes("s", 0, "xyz", 2, 2, 3, 1, 4, 0).
		head(ignorable, 'Z', "later").tail(7, 0, "whatever").end("c").data("a/b.ibd", 6, "").end("empty").holes("s", 12, "!", 0, 1).end("a/b.ibd").
		end("old").renamed("old", "new").renamed("never", "new").data("gone", 0, "x").end("gone").head(0, drop, "gone").head(0, drop, "gone").
		head(again, payload, "c").tail(0, crc32.ChecksumIEEE([]byte("2")), "2").end("c").end("s") // until then the stream is seen to be cut off
	return c, map[string]string{"a/b.ibd": "onetwo", "c": "2", "new": "", "s": "\x00\x00xy\x00\x00\x00z\x00\x00\x00\x00!", "empty": ""}
}

func TestRead(t *testing.T) {
	c, want := sample()
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(c), "by bytes": iotest.OneByteReader(bytes.NewReader(c)), "by halves": iotest.HalfReader(bytes.NewReader(c))} {
		got, err := read(r)
		if err != nil || !maps.Equal(got.files, want) || got.aborted > 0 {
			t.Errorf("%s: %q, %v, aborted: %d", name, got.files, err, got.aborted)
		}
	}
	if got, err := read(strings.NewReader("")); err != nil || len(got.files) > 0 {
		t.Errorf("an empty stream: %v, %v", got.files, err)
	}
	broken := errors.New("the network is gone")
	if got, err := read(io.MultiReader(bytes.NewReader(c[:60]), iotest.ErrReader(broken))); !errors.Is(err, broken) || got.aborted == 0 {
		t.Errorf("a reader that fails: %v, aborted: %d", err, got.aborted)
	}
}

// Long payload, which goes to a file as a reader, is checked as what is short.
func TestLong(t *testing.T) {
	text := strings.Repeat("0123456789abcdef", 3*long/16)
	c := chunks{}.data("a", 0, "x").data("b", 0, text).data("a", 1, text).end("b").end("a")
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(c), "by halves": iotest.HalfReader(bytes.NewReader(c)), "by bytes": iotest.OneByteReader(bytes.NewReader(c))} {
		if got, err := read(r); err != nil || got.files["a"] != "x"+text || got.files["b"] != text {
			t.Errorf("%s: %v, %d and %d bytes", name, err, len(got.files["a"]), len(got.files["b"]))
		}
	}
	if got, err := read(bytes.NewReader(c[:len(c)-len(text)/2])); !errors.Is(err, ErrTruncated) || len(got.files) > 0 || got.aborted != 2 {
		t.Errorf("cut off: %v, %d closed, %d aborted", err, len(got.files), got.aborted)
	}
	flipped := bytes.Clone(c)
	flipped[len(flipped)-len(text)/2] ^= 1
	if got, err := read(bytes.NewReader(flipped)); !errors.Is(err, ErrFormat) || got.files["a"] != "" {
		t.Errorf("a bit flipped: %v", err)
	}
	if err := Read(bytes.NewReader(c), lazy{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a file that takes half of it: %v", err)
	}
}

// lazy has files that do not take what they are handed as a reader.
type lazy struct{ *folder }

func (lazy) Open(string) (File, error) { return &idle{memory{in: new(folder)}}, nil }

type idle struct{ memory }

func (*idle) ReadFrom(io.Reader) (int64, error) { return 0, nil }

// Wherever a stream is cut off, and whatever bit of its content flips, no file is closed that is not whole.
func TestDamage(t *testing.T) {
	c, want := sample()
	for n := 1; n < len(c); n++ {
		got, err := read(bytes.NewReader(c[:n]))
		if !errors.Is(err, ErrTruncated) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
		same(t, fmt.Sprintf("cut after %d bytes", n), got, want)
	}
	for i := range len(c) * 8 {
		flipped := bytes.Clone(c)
		flipped[i/8] ^= 1 << (i % 8)
		got, err := bounded(flipped)
		if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTruncated) && !errors.Is(err, errMuch) {
			t.Errorf("bit %d flipped: %v", i, err)
		}
		if err == nil && len(got.files) == len(want) && !maps.Equal(got.files, want) && maps.EqualFunc(got.files, want, func(_, _ string) bool { return true }) {
			t.Errorf("bit %d flipped: %q", i, got.files)
		}
	}
}

// same reports files that are closed and not as they were.
func same(t *testing.T, what string, got *folder, want map[string]string) {
	for name, text := range got.files {
		if text != want[name] && name != "gone" && name != "old" && name != "c" { // these change
			t.Errorf("%s: file %q has %q", what, name, text)
		}
	}
}

func TestHostile(t *testing.T) {
	long := strings.Repeat("x", maxPath)
	many := chunks{}
	for i := range maxOpen + 1 {
		many = many.data(fmt.Sprint(i), 0, "x")
	}
	big := binary.LittleEndian.AppendUint64(chunks{}.head(0, payload, "a"), math.MaxUint64)
	for name, c := range map[string]chunks{
		"absolute": chunks{}.data("/etc/passwd", 0, "x"), "above": chunks{}.data("../x", 0, "x"), "renamed above": chunks{}.end("a").renamed("a", "../b"), "renamed while open": chunks{}.data("a", 0, "x").renamed("a", "b"),
		"dropped while open": chunks{}.data("a", 0, "x").head(0, drop, "a"), "above later": chunks{}.data("a/../../x", 0, "x"),
		"NUL": chunks{}.data("a\x00b", 0, "x"), "no name": chunks{}.data("", 0, "x"), "itself": chunks{}.data("a/..", 0, "x"), "long": chunks{}.data(long, 0, "x"),
		"a gap": chunks{}.data("a", 0, "x").data("a", 2, "y"), "back": chunks{}.data("a", 0, "x").data("a", 0, "y"), "not from the begin": chunks{}.data("a", 1, "x"),
		"twice": chunks{}.data("a", 0, "x").end("a").data("a", 0, "x"), "ended twice": chunks{}.end("a").end("./a"), "checksum": chunks{}.head(0, payload, "a").tail(0, 1, "x"),
		"unknown type": chunks{}.head(0, 'Z', "a").tail(0, 0, ""), "no map": chunks{}.holes("a", 0, ""), "map of less": chunks{}.holes("a", 0, "xy", 0, 1), "map of more": chunks{}.holes("a", 0, "x", 0, 2),
		"holes without end": chunks{}.holes("a", 0, "", math.MaxUint32, 0), "many files": many, "huge": append(binary.LittleEndian.AppendUint64(big, 0), 0, 0, 0, 0),
		"a large map": binary.LittleEndian.AppendUint32(chunks{}.head(0, sparse, "a"), math.MaxUint32), "no magic": chunks("XBSTCK02\x00E\x01\x00\x00\x00a"), "text": chunks("mariadb-backup: error"),
	} {
		if got, err := read(bytes.NewReader(c)); !errors.Is(err, ErrFormat) || name != "twice" && name != "ended twice" && name != "renamed above" && len(got.files) > 0 {
			t.Errorf("%s: %v, %q", name, err, got.files)
		}
	}
	if got, err := read(bytes.NewReader(chunks{}.data("a", 0, "x"))); !errors.Is(err, ErrTruncated) || got.aborted != 1 {
		t.Errorf("a file without an end: %v, aborted: %d", err, got.aborted)
	}
}

func FuzzRead(f *testing.F) {
	if seeds, _ := filepath.Glob("testdata/fuzz/FuzzRead/*"); len(seeds) == 0 {
		f.Fatal("there is no corpus")
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		_, err := bounded(stream)
		if err != nil && !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTruncated) && !errors.Is(err, errMuch) {
			t.Error(err)
		}
	})
}

var errMuch = errors.New("more than a test needs")

// bounded reads a stream whose holes may be large.
func bounded(stream []byte) (*folder, error) {
	written := 0
	f := &folder{files: map[string]string{}}
	return f, Read(bytes.NewReader(stream), little{f, &written})
}

type little struct {
	*folder
	written *int
}

func (l little) Open(name string) (File, error) {
	m, err := l.folder.Open(name)
	return counted{m, l.written}, err
}

// counted bounds what a map of holes may write.
type counted struct {
	File
	n *int
}

func (c counted) Write(b []byte) (int, error) {
	if *c.n += len(b); *c.n > 64<<10 {
		return 0, errMuch
	}
	return c.File.Write(b)
}

// TestCorpus keeps the streams that fuzzing begins with.
func TestCorpus(t *testing.T) {
	c, _ := sample()
	for name, stream := range map[string]chunks{"sample": c, "payload": chunks{}.data("a/b.ibd", 0, "one").data("a/b.ibd", 3, "two").end("a/b.ibd"), "holes": chunks{}.holes("s", 0, "xyz", 2, 2, 3, 1).end("s"), "above": chunks{}.data("../x", 0, "x")} {
		want := fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", []byte(stream))
		path := filepath.Join("testdata", "fuzz", "FuzzRead", name)
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s is not %s (%v)", path, want, err)
		}
	}
}
