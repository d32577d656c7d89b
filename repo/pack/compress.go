package pack

import (
	"fmt"
	"math/bits"
	"slices"

	"github.com/klauspost/compress"
	"github.com/klauspost/compress/zstd"

	"nightjar/chunk"
)

// Class says how content compresses. Blobs of one class share frames: mixed frames can be worse than none.
type Class int

// The classes.
const (
	Opaque Class = iota // does not compress
	Text
	Binary
	Classes = iota // how many there are
)

const probe = 4 << 10

// ClassOf judges data by 4 KiB from its middle.
func ClassOf(data []byte) Class {
	if len(data) > probe {
		at := (len(data) - probe) / 2
		data = data[at : at+probe]
	}
	if len(data) >= 64 && compress.Estimate(data) < 0.12 {
		return Opaque
	}
	control := 0
	for _, c := range data {
		if c < 0x20 && c != '\n' && c != '\t' && c != '\r' {
			control++
		}
	}
	if control*64 > len(data) {
		return Binary
	}
	return Text
}

// A Level says how much work compression may be.
type Level int

// The levels.
const (
	Default Level = iota // work where it pays
	Fastest
	Better
)

var levelNames = [...]string{Default: "default", Fastest: "fastest", Better: "better"}

// String returns the level's name.
func (l Level) String() string { return levelNames[l] }

// MarshalText returns what String does.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText parses a level's name.
func (l *Level) UnmarshalText(name []byte) error {
	n := slices.Index(levelNames[:], string(name))
	if n < 0 {
		return fmt.Errorf("unknown level %q: the levels are fastest, default and better", name)
	}
	*l = Level(n)
	return nil
}

// What a level does about each class. On source code and logs the default of zstd costs 15% more time than its fastest for 7% fewer bytes; on programs and
// database pages 50% to 75% more time for 1% to 5%.
var levels = [...][Classes]zstd.EncoderLevel{
	Default: {Opaque: zstd.SpeedFastest, Text: zstd.SpeedDefault, Binary: zstd.SpeedFastest},
	Fastest: {Opaque: zstd.SpeedFastest, Text: zstd.SpeedFastest, Binary: zstd.SpeedFastest},
	Better:  {Opaque: zstd.SpeedFastest, Text: zstd.SpeedBetterCompression, Binary: zstd.SpeedBetterCompression},
}

// A Compressor makes zstd frames. It is for one goroutine.
type Compressor struct{ encoders [Classes]*zstd.Encoder }

// NewCompressor returns a Compressor of the level.
func NewCompressor(l Level) (*Compressor, error) {
	c := &Compressor{}
	made := map[zstd.EncoderLevel]*zstd.Encoder{}
	for class, level := range levels[l] {
		if made[level] == nil {
			e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
				zstd.WithWindowSize(4<<20), zstd.WithLowerEncoderMem(true))
			if err != nil {
				return nil, fmt.Errorf("make compressor: %w", err)
			}
			made[level] = e
		}
		c.encoders[class] = made[level]
	}
	return c, nil
}

// Append appends data to dst as one zstd frame.
func (c *Compressor) Append(dst, data []byte, class Class) []byte {
	return c.encoders[class].EncodeAll(data, dst)
}

// A Decompressor undoes frames and records. It is for one goroutine.
type Decompressor struct {
	frames, records *zstd.Decoder
}

// NewDecompressor returns a Decompressor.
func NewDecompressor() (*Decompressor, error) {
	var decoders [2]*zstd.Decoder
	for i, limit := range []uint64{chunk.MaxSize, MaxRecord} {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(limit), zstd.WithDecoderMaxWindow(MaxRecord),
			zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return nil, fmt.Errorf("make decompressor: %w", err)
		}
		decoders[i] = d
	}
	return &Decompressor{frames: decoders[0], records: decoders[1]}, nil
}

// Frame decompresses one frame to exactly plain bytes, using buf's memory when it is large enough. Without a buf it takes no more than that.
func (d *Decompressor) Frame(buf, frame []byte, plain int) ([]byte, error) {
	if plain < 0 || plain > chunk.MaxSize {
		return nil, fmt.Errorf("decompress frame: %d bytes are out of bounds", plain)
	}
	switch {
	case buf == nil:
		buf = make([]byte, 0, max(plain, 1))
	case cap(buf) < plain || cap(buf) == 0:
		// A power of two, so that buffers which are used again fit the next frame too.
		buf = make([]byte, 0, 1<<bits.Len(uint(plain)))
	}
	err := oneFrame(frame)
	var out []byte
	if err == nil {
		out, err = d.frames.DecodeAll(frame, buf[:0:max(plain, 1)])
	}
	if err != nil {
		return nil, fmt.Errorf("decompress frame: %w", err)
	}
	if len(out) != plain {
		return nil, fmt.Errorf("decompress frame: %d bytes, not %d", len(out), plain)
	}
	return buf[:plain], nil // where the cap limit made it decompress to
}

// unsized is how many bytes a record may have that does not say of itself how long it is, as short ones do not.
const unsized = 64 << 10

// Record returns the content of a record that has at most so many bytes decompressed. It takes as much memory as the record says of itself, or little.
// There is one frame, one of padding after it, and nothing else.
func (d *Decompressor) Record(record []byte, most int) ([]byte, error) {
	n, h, err := frameLength(record)
	if err == nil {
		err = padded(record[n:], 0)
	}
	if err != nil {
		return nil, fmt.Errorf("decompress record: %w", err)
	}
	size := min(most, unsized)
	if h.HasFCS {
		if h.FrameContentSize > uint64(min(most, MaxRecord)) {
			return nil, fmt.Errorf("decompress record: %d bytes are more than its kind may have", h.FrameContentSize)
		}
		size = int(h.FrameContentSize)
	}
	out, err := d.records.DecodeAll(record[:n], make([]byte, 0, max(size, 1)))
	if err != nil {
		return nil, fmt.Errorf("decompress record: %w", err)
	}
	return out, nil
}

// AppendRecord appends content to dst as a record: one zstd frame, padded to the next Padmé size.
func (c *Compressor) AppendRecord(dst, content []byte) []byte {
	at := len(dst)
	dst = c.Append(dst, content, Text)
	return pad(dst, at+Padme(len(dst)-at+skipHeader), 0)
}
