package pack

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// skippable returns a frame that zstd passes over.
func skippable(magic uint32, content ...byte) []byte {
	return append(appendSkipHeader(nil, magic, len(content)), content...)
}

// hostileRecords are what zstd decompresses, but no record.
func hostileRecords(t testing.TB) map[string][]byte {
	c, err := NewCompressor(Default)
	if err != nil {
		t.Fatal(err)
	}
	frame, empty, padding := c.Append(nil, text(300), Text), c.Append(nil, nil, Text), skippable(magicPadding, 0, 0, 0)
	long := slices.Concat(frame, skippable(magicPadding, make([]byte, 200<<10)...))
	long[len(long)-70_000] = 1
	return map[string][]byte{
		"nothing":                    {},
		"no padding":                 frame,
		"padding alone":              padding,
		"padding first":              slices.Concat(padding, frame, padding),
		"two frames":                 slices.Concat(frame, frame, padding),
		"an empty frame first":       slices.Concat(empty, frame, padding),
		"an empty frame after":       slices.Concat(frame, empty, padding),
		"two paddings":               slices.Concat(frame, padding, padding),
		"a frame after the padding":  slices.Concat(frame, padding, frame),
		"a foreign frame first":      slices.Concat(skippable(0x184D2A50, 1, 2), frame, padding),
		"a foreign frame between":    slices.Concat(frame, skippable(0x184D2A50), padding),
		"a foreign frame after":      slices.Concat(frame, padding, skippable(0x184D2A5F, 9)),
		"a foreign frame as padding": slices.Concat(frame, skippable(0x184D2A50, 0, 0)),
		"a directory as padding":     slices.Concat(frame, skippable(magicDirectory, 0, 0)),
		"padding that says a thing":  slices.Concat(frame, skippable(magicPadding, 0, 1, 0)),
		"padding that ends with 1":   slices.Concat(frame, skippable(magicPadding, 0, 0, 1)),
		"much padding with a 1":      long,
		"padding cut off":            slices.Concat(frame, padding[:len(padding)-1]),
		"padding's head cut off":     slices.Concat(frame, padding[:7]),
		"a byte after the padding":   slices.Concat(frame, padding, []byte{0}),
		"a byte between":             slices.Concat(frame, []byte{0}, padding),
		"an endless padding":         slices.Concat(frame, binary.LittleEndian.AppendUint32(nil, magicPadding), []byte{0xff, 0xff, 0xff, 0xff}),
	}
}

func TestRecordRefuses(t *testing.T) {
	d, err := NewDecompressor()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range hostileRecords(t) {
		if out, err := d.Record(b, MaxRecord); err == nil {
			t.Errorf("%s: a record of %d bytes", name, len(out))
		}
	}
	c, _ := NewCompressor(Default)
	record := c.AppendRecord(nil, text(5000))
	for n := range record {
		if _, err := d.Record(record[:n], MaxRecord); err == nil {
			t.Fatalf("a record cut to %d bytes of %d", n, len(record))
		}
	}
}

func TestFrameRefuses(t *testing.T) {
	c, _ := NewCompressor(Default)
	d, _ := NewDecompressor()
	whole, half, empty := c.Append(nil, text(600), Text), c.Append(nil, text(300), Text), c.Append(nil, nil, Text)
	for name, b := range map[string][]byte{
		"two halves":     slices.Concat(half, half),
		"an empty one":   slices.Concat(whole, empty),
		"padding":        slices.Concat(whole, skippable(magicPadding, 0)),
		"foreign before": slices.Concat(skippable(0x184D2A50, 1), whole),
		"a byte more":    slices.Concat(whole, []byte{0}),
		"a byte less":    whole[:len(whole)-1],
	} {
		if _, err := d.Frame(nil, b, 600); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// What any encoder makes of content is one frame, wherever its blocks end.
func TestFrameLength(t *testing.T) {
	for _, level := range []zstd.EncoderLevel{zstd.SpeedFastest, zstd.SpeedDefault, zstd.SpeedBestCompression} {
		for _, sum := range []bool{false, true} {
			for _, single := range []bool{false, true} {
				e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderCRC(sum), zstd.WithSingleSegment(single))
				if err != nil {
					t.Fatal(err)
				}
				for _, data := range [][]byte{{}, {1}, text(100), noise(1000), make([]byte, 1<<20), noise(300_000), slices.Concat(text(400_000), noise(200_000), make([]byte, 300_000))} {
					frame := e.EncodeAll(data, nil)
					if len(frame) == 0 {
						continue // of nothing, unless it is asked to, this encoder makes nothing
					}
					if n, _, err := frameLength(append(bytes.Clone(frame), "more"...)); err != nil || n != len(frame) {
						t.Fatalf("%d bytes, level %v: %d, want %d: %v", len(data), level, n, len(frame), err)
					}
					for _, n := range []int{0, 1, 3, 4, 5, len(frame) / 2, len(frame) - 1} {
						if _, _, err := frameLength(frame[:min(n, len(frame)-1)]); err == nil {
							t.Fatalf("%d of %d bytes are a frame", n, len(frame))
						}
					}
				}
			}
		}
	}
}

// Padding of a pack holds nothing.
func TestPackPadding(t *testing.T) {
	plain, d := build(t, true, 0, [][]byte{text(100)})
	after := d.Frames[0].Stored + skipHeader + len(d.Append(nil)) + skipHeader
	for at := after; at < len(plain)-trailerSize; at += 997 {
		plain[at] = 1
		if _, err := Parse(plain); err == nil {
			t.Fatalf("a byte at %d of the padding is accepted", at-after)
		}
		plain[at] = 0
	}
	if _, err := Parse(plain); err != nil {
		t.Fatal(err)
	}
}

func FuzzFrameLength(f *testing.F) {
	c, _ := NewCompressor(Default)
	f.Add(c.Append(nil, text(1000), Text))
	f.Add(c.AppendRecord(nil, noise(3000)))
	for _, b := range hostileRecords(f) {
		if len(b) < 10_000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, _, err := frameLength(b); err == nil && (n < 5 || n > len(b)) {
			t.Fatalf("a frame of %d bytes in %d", n, len(b))
		}
	})
}
