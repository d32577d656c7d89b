package index

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
	"nightjar/repo/pack"
)

// someObject has all that an object can have.
func someObject() *Object {
	key := func(b byte) chunk.Key { return chunk.Key(bytes.Repeat([]byte{b}, 16)) }
	id := func(b byte) ObjectID { return ObjectID(bytes.Repeat([]byte{b}, 32)) }
	return &Object{
		Replaces: []ObjectID{id(0xe1), id(0xe2)},
		Runs: []Run{{
			Time: time.Date(2026, 3, 1, 2, 3, 4, 5, time.UTC),
			Packs: []Pack{{
				ID: id(1), Size: 65536, Session: []byte("session"), Stream: 100, Data: 145,
				Directory: pack.Directory{Kind: pack.Content, Frames: []pack.Frame{
					{Stored: 500, Plain: 1010, Blobs: []pack.Blob{{Key: key(0x11), Type: pack.WholeContent, Length: 1000}, {Key: key(0x12), Type: pack.WholeContent, Length: 10}}},
					{Stored: 20, Plain: 0, Blobs: []pack.Blob{{Key: key(0x13), Type: pack.WholeContent}}},
				}},
				Hashes: [][32]byte{id(0xa1), id(0xa2)},
			}},
		}, {
			Packs: []Pack{{
				ID: id(2), Size: 300, Session: []byte{}, Stream: 100, Data: 145,
				Directory: pack.Directory{Kind: pack.Metadata, Frames: []pack.Frame{
					{Stored: 50, Plain: 100, Blobs: []pack.Blob{{Key: key(0x11), Type: pack.SignatureOf + pack.WholeContent, Length: 100}}},
				}},
				Hashes: [][32]byte{id(0xa3)},
			}, {
				ID: id(3), Size: 145, Session: []byte{}, Stream: 100, Data: 145,
				Directory: pack.Directory{Kind: pack.Metadata, Frames: []pack.Frame{}}, Hashes: [][32]byte{},
			}},
		}},
	}
}

func TestObjectRoundTrip(t *testing.T) {
	empty := &Object{Replaces: []ObjectID{}, Runs: []Run{{Packs: []Pack{}}}}
	rsa := someObject()
	rsa.Runs[0].Packs[0].Session = make([]byte, 3+1+8+1+2+1024) // of a key of 8,192 bits
	for _, want := range []*Object{someObject(), empty, rsa} {
		b := want.Append(nil)
		got, err := ParseObject(b)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(&got, want) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if again := got.Append([]byte("x")); string(again) != "x"+string(b) {
			t.Error("parse then append gives other bytes")
		}
	}
}

// The bytes are those of doc/format.md, section 6.
func TestObjectBytes(t *testing.T) {
	o := &Object{Time: time.Unix(0, 3), Replaces: []ObjectID{{0xee}}, Runs: []Run{{Begin: time.Unix(0, 2), Time: time.Unix(0, 1), Packs: []Pack{{
		ID: ObjectID{0xdd}, Size: 300, Session: []byte("ab"), Stream: 2, Data: 40,
		Directory: pack.Directory{Kind: pack.Content, Frames: []pack.Frame{{Stored: 9, Plain: 5, Blobs: []pack.Blob{{Key: chunk.Key{0xcc}, Type: 1, Length: 5}}}}},
		Hashes:    [][32]byte{{0xbb}},
	}}}}}
	zeros := strings.Repeat("00", 31)
	want := "4e4a4930" + // NJI0
		"06" + // time, zig-zag
		"01" + "ee" + zeros + // replaces
		"01" + // runs
		"04" + "02" + // begin and time
		"01" + // packs
		"dd" + zeros + "ac02" + "026162" + "02" + "28" + // id, size, session, stream, data
		"18" + "0001" + "01" + "090501" + "cc" + strings.Repeat("00", 15) + "01" + "05" + // directory
		"bb" + zeros
	if got := hex.EncodeToString(o.Append(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestParseObjectRefuses(t *testing.T) {
	good := someObject().Append(nil)
	for n := range good {
		if _, err := ParseObject(good[:n]); err == nil {
			t.Fatalf("the first %d bytes of %d were accepted", n, len(good))
		}
	}
	alter := func(change func(o *Object)) []byte {
		o := someObject()
		change(o)
		return o.Append(nil)
	}
	p := func(o *Object) *Pack { return &o.Runs[0].Packs[0] }
	const huge = "\xff\xff\xff\xff\x0f"
	for name, b := range map[string][]byte{
		"trailing byte":      append(bytes.Clone(good), 0),
		"another magic":      append([]byte("NJI1"), good[4:]...),
		"no runs":            []byte("NJI0\x00\x00"),
		"long uvarint":       []byte("NJI0\x80\x00\x01\x00\x00"),
		"long varint":        []byte("NJI0\x00\x01\x80\x00\x00"),
		"many replaced":      []byte("NJI0" + huge),
		"many runs":          append([]byte("NJI0\x00\x81\x80\x04"), make([]byte, 2<<17)...),
		"many packs":         []byte("NJI0\x00\x01\x00" + huge + strings.Repeat("\x00", 400)),
		"hash missing":       alter(func(o *Object) { p(o).Hashes = p(o).Hashes[:1] }),
		"hash too many":      alter(func(o *Object) { p(o).Hashes = append(p(o).Hashes, [32]byte{}) }),
		"session too long":   alter(func(o *Object) { p(o).Session = make([]byte, MaxSession+1) }),
		"object too large":   alter(func(o *Object) { p(o).Size = MaxSize + 1 }),
		"frames beyond size": alter(func(o *Object) { p(o).Size = int64(p(o).Data) + 519 }),
		"data before stream": alter(func(o *Object) { p(o).Stream = p(o).Data + 1 }),
		"span before stream": alter(func(o *Object) { p(o).Stream = p(o).Data - 31 }),
		"lengths of blobs":   alter(func(o *Object) { p(o).Directory.Frames[0].Blobs[0].Length++ }),
		"type in wrong kind": alter(func(o *Object) { p(o).Directory.Kind = pack.Metadata }),
	} {
		if _, err := ParseObject(b); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func FuzzParseObject(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("NJI0\x00\x01\x00\x00"))
	f.Add(someObject().Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := ParseObject(b)
		if err != nil {
			return
		}
		if again := o.Append(nil); !bytes.Equal(again, b) {
			t.Errorf("%x became %x", b, again)
		}
		x, err := Open("", Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Add(Source{Signer: "S"}, &o); err != nil {
			t.Errorf("parsed, but not added: %v", err)
		}
		for _, r := range o.Runs {
			for _, p := range r.Packs {
				for _, fr := range p.Directory.Frames {
					for _, blob := range fr.Blobs {
						if n, ok, err := x.Has(blob.Key, blob.Type, nil); err != nil || !ok || n > chunk.MaxSize {
							t.Fatalf("blob %x was added, but has %d, %v, %v", blob.Key, n, ok, err)
						}
					}
				}
			}
		}
	})
}
