package pack

import (
	"fmt"
	"math/bits"

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

// A Compressor makes zstd frames. It is for one goroutine.
type Compressor struct {
	normal, fast *zstd.Encoder
}

// NewCompressor returns a Compressor.
func NewCompressor() (*Compressor, error) {
	var encoders [2]*zstd.Encoder
	for i, level := range []zstd.EncoderLevel{zstd.SpeedDefault, zstd.SpeedFastest} {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithWindowSize(4<<20), zstd.WithLowerEncoderMem(true))
		if err != nil {
			return nil, fmt.Errorf("make compressor: %w", err)
		}
		encoders[i] = e
	}
	return &Compressor{normal: encoders[0], fast: encoders[1]}, nil
}

// Append appends data to dst as one zstd frame.
func (c *Compressor) Append(dst, data []byte, class Class) []byte {
	if class == Opaque {
		return c.fast.EncodeAll(data, dst)
	}
	return c.normal.EncodeAll(data, dst)
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
			zstd.WithDecodeAllCapLimit(i == 0))
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
	out, err := d.frames.DecodeAll(frame, buf[:0:max(plain, 1)])
	if err != nil {
		return nil, fmt.Errorf("decompress frame: %w", err)
	}
	if len(out) != plain {
		return nil, fmt.Errorf("decompress frame: %d bytes, not %d", len(out), plain)
	}
	return buf[:plain], nil // where the cap limit made it decompress to
}

// Record returns the content of a record.
func (d *Decompressor) Record(record []byte) ([]byte, error) {
	out, err := d.records.DecodeAll(record, nil)
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
