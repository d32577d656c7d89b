// Package pack is the codec of what sealed messages hold: of packs, and of the records beside them.
//
// A pack is zstd frames one after another, then their directory and padding in zstd's skippable frames: so any
// zstd program prints the content of a decrypted pack. A frame holds one large blob or many small ones. A record is one
// zstd frame and padding.
//
// The package neither encrypts nor authenticates: what it is given to parse has been authenticated, and is checked all the same.
package pack

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"

	"nightjar/chunk"
	"nightjar/internal/wire"
)

// Limits of the format.
const (
	MaxPlain   = 32 << 20        // plaintext of a pack, padding included
	FullPlain  = 16<<20 + 64<<10 // the same of the packs that are made
	MaxFrames  = 1<<16 - 1       // in a pack
	MaxBlobs   = 1<<16 - 1       // in a frame
	MaxOwner   = 255             // bytes of a host's name
	MaxRecord  = 64 << 20        // a record, decompressed
	fullRound  = 64 << 10
	maxStored  = chunk.MaxSize + 1<<10
	dirVersion = 0

	magicDirectory = 0x184D2A5D
	magicPadding   = 0x184D2A5E
	skipHeader     = 8
	trailerSize    = 8
	trailerMagic   = "NJP0"
)

// Kind says what a pack is for; the two are sealed to different keys.
type Kind byte

// The kinds of packs.
const (
	Content  Kind = 1 // bytes of files
	Metadata Kind = 2 // trees, lists, recipes, signatures
)

// String returns the folder that packs of the kind lie in.
func (k Kind) String() string {
	switch k {
	case Content:
		return "content"
	case Metadata:
		return "metadata"
	}
	return fmt.Sprintf("kind(%d)", byte(k))
}

// Type says what a blob is.
type Type byte

// The types of blobs.
const (
	WholeContent Type = 0x01
	WholeTree    Type = 0x02
	WholeList    Type = 0x03
	RecipeFor    Type = 0x10 // added to what it rebuilds
	SignatureOf  Type = 0x20 // added to what it describes
)

func (t Type) in(k Kind) bool {
	switch t {
	case WholeContent:
		return k == Content
	case WholeTree, WholeList, RecipeFor + WholeContent, RecipeFor + WholeTree, SignatureOf + WholeContent:
		return k == Metadata
	}
	return false
}

// A Blob is one chunk's place in a frame: blobs lie one after another.
type Blob struct {
	Key    chunk.Key
	Type   Type
	Length int // bytes
}

// A Frame is one zstd frame of a pack: frames lie one after another.
type Frame struct {
	Stored int // bytes of the zstd frame
	Plain  int // bytes it decompresses to
	Blobs  []Blob
}

// A Directory says what a pack holds.
type Directory struct {
	Kind   Kind
	Owner  string // name of the host whose pack it is: it has signed the pack, or the root did for it
	Frames []Frame
}

// Append appends the directory's encoding to b.
func (d *Directory) Append(b []byte) []byte {
	b = append(b, dirVersion, byte(d.Kind))
	b = append(binary.AppendUvarint(b, uint64(len(d.Owner))), d.Owner...)
	b = binary.AppendUvarint(b, uint64(len(d.Frames)))
	for _, f := range d.Frames {
		b = binary.AppendUvarint(b, uint64(f.Stored))
		b = binary.AppendUvarint(b, uint64(f.Plain))
		b = binary.AppendUvarint(b, uint64(len(f.Blobs)))
		for _, blob := range f.Blobs {
			b = append(b, blob.Key[:]...)
			b = append(b, byte(blob.Type))
			b = binary.AppendUvarint(b, uint64(blob.Length))
		}
	}
	return b
}

// minFrame and minBlob are how many bytes they take in the directory at least.
const (
	minFrame = 1 + 1 + 1
	minBlob  = 16 + 1 + 1
)

var errLengths = errors.New("lengths do not add up")

// ParseDirectory parses what Append made, and nothing else.
func ParseDirectory(b []byte) (Directory, error) {
	d, err := parseDirectory(b)
	if err != nil {
		return Directory{}, fmt.Errorf("parse pack directory: %w", err)
	}
	return d, nil
}

func parseDirectory(b []byte) (d Directory, err error) {
	r := wire.NewReader(b)
	r.Version(dirVersion)
	d.Kind = Kind(r.Byte())
	if r.Err() == nil && d.Kind != Content && d.Kind != Metadata {
		r.Fail(fmt.Errorf("unknown kind %d", byte(d.Kind)))
	}
	d.Owner = string(r.Sized(MaxOwner))
	d.Frames = make([]Frame, r.Count(MaxFrames, minFrame))
	total := 0
	for i := range d.Frames {
		f := &d.Frames[i]
		f.parse(&r, d.Kind)
		if total += f.Stored; total > MaxPlain {
			r.Fail(errLengths)
		}
		if r.Err() != nil {
			break
		}
	}
	return d, r.End()
}

// parse reads a frame of a pack of a kind.
func (f *Frame) parse(r *wire.Reader[[]byte], kind Kind) {
	f.Stored, f.Plain = r.Int(maxStored), r.Int(chunk.MaxSize)
	f.Blobs = make([]Blob, r.Count(MaxBlobs, minBlob))
	sum := 0
	for i := range f.Blobs {
		blob := &f.Blobs[i]
		r.Into(blob.Key[:])
		blob.Type, blob.Length = Type(r.Byte()), r.Int(chunk.MaxSize)
		if !blob.Type.in(kind) {
			r.Fail(fmt.Errorf("blob type %#x in a %v pack", byte(blob.Type), kind))
			return
		}
		sum += blob.Length
	}
	if sum != f.Plain || f.Stored == 0 {
		r.Fail(errLengths)
	}
}

// Tail appends the directory and padding frames to buf, whose last bytes are the directory's frames. A full pack is padded to a multiple of
// 64 KiB, another to the next Padmé size.
func (d *Directory) Tail(buf []byte, full bool) []byte {
	at := 0
	for _, f := range d.Frames {
		at += f.Stored
	}
	before := len(buf) - at
	mark := len(buf)
	buf = appendSkipHeader(buf, magicDirectory, 0)
	buf = d.Append(buf)
	binary.LittleEndian.PutUint32(buf[mark+4:], uint32(len(buf)-mark-skipHeader))
	size := len(buf) - before + skipHeader + trailerSize
	if full {
		size = (size + fullRound - 1) / fullRound * fullRound
	} else {
		size = Padme(size)
	}
	buf = pad(buf, before+size-trailerSize, trailerSize)
	buf = binary.LittleEndian.AppendUint32(buf, uint32(at))
	return append(buf, trailerMagic...)
}

// TailSize returns at most how many bytes Tail appends to a pack that is not padded yet, with one more frame of the given number of blobs.
func (d *Directory) TailSize(blobs int) int {
	n := 2*skipHeader + trailerSize + 16 + 2 + len(d.Owner)
	for _, f := range d.Frames {
		n += 12 + (minBlob+3)*len(f.Blobs)
	}
	return n + 12 + (minBlob+3)*blobs
}

// Parse returns the directory of a pack's plaintext.
func Parse(plain []byte) (Directory, error) {
	if len(plain) < 2*skipHeader+trailerSize || len(plain) > MaxPlain || string(plain[len(plain)-4:]) != trailerMagic {
		return Directory{}, errors.New("parse pack: no trailer")
	}
	at := int(binary.LittleEndian.Uint32(plain[len(plain)-trailerSize:]))
	if at > len(plain)-2*skipHeader-trailerSize || binary.LittleEndian.Uint32(plain[at:]) != magicDirectory {
		return Directory{}, errors.New("parse pack: the trailer does not point at a directory")
	}
	n := int(binary.LittleEndian.Uint32(plain[at+4:]))
	body := plain[at+skipHeader:]
	if n < 0 || n > len(body)-skipHeader-trailerSize {
		return Directory{}, errors.New("parse pack: the directory is longer than the pack")
	}
	d, err := ParseDirectory(body[:n])
	if err != nil {
		return Directory{}, err
	}
	stored := 0
	for _, f := range d.Frames {
		stored += f.Stored
	}
	if stored != at {
		return Directory{}, errors.New("parse pack: its parts do not add up")
	}
	if err := padded(body[n:], trailerSize); err != nil {
		return Directory{}, fmt.Errorf("parse pack: %w", err)
	}
	return d, nil
}

// Padme returns the padded size for a length: at most 12% more, and only O(log log n) different bits tell about n
// (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", 2019, section 4).
func Padme(n int) int {
	if n < 2 {
		return n
	}
	e := bits.Len(uint(n)) - 1
	last := e - bits.Len(uint(e))
	mask := 1<<max(last, 0) - 1
	return (n + mask) &^ mask
}

// pad appends a padding frame so that the result is size bytes long, and declares extra more bytes that the caller appends.
func pad(b []byte, size, extra int) []byte {
	b = appendSkipHeader(b, magicPadding, size-len(b)-skipHeader+extra)
	return append(b, make([]byte, size-len(b))...)
}

func appendSkipHeader(b []byte, magic uint32, n int) []byte {
	b = binary.LittleEndian.AppendUint32(b, magic)
	return binary.LittleEndian.AppendUint32(b, uint32(n))
}

var errMalformed = errors.New("malformed")
