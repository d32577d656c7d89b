package index

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"runtime"
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
			Owner: "web1", Extra: []byte("later"),
			Time: time.Date(2026, 3, 1, 2, 3, 4, 5, time.UTC),
			Packs: []Pack{{
				ID: id(1), Size: 65536, Session: []byte("session"), Proof: Proof{0xd1},
				Directory: pack.Directory{Kind: pack.Content, Owner: "web1", Frames: []pack.Frame{
					{Stored: 500, Plain: 1010, Blobs: []pack.Blob{{Key: key(0x11), Type: pack.WholeContent, Length: 1000}, {Key: key(0x12), Type: pack.WholeContent, Length: 10}}},
					{Stored: 20, Plain: 0, Blobs: []pack.Blob{{Key: key(0x13), Type: pack.WholeContent}}},
				}},
				Hashes: [][32]byte{id(0xa1), id(0xa2)},
			}},
		}, {
			Extra: []byte{},
			Packs: []Pack{{
				ID: id(2), Size: 300, Session: []byte{},
				Directory: pack.Directory{Kind: pack.Metadata, Frames: []pack.Frame{
					{Stored: 50, Plain: 100, Blobs: []pack.Blob{{Key: key(0x11), Type: pack.SignatureOf + pack.WholeContent, Length: 100}}},
				}},
				Hashes: [][32]byte{id(0xa3)},
			}, {
				ID: id(3), Size: 52, Session: []byte{},
				Directory: pack.Directory{Kind: pack.Metadata, Frames: []pack.Frame{}}, Hashes: [][32]byte{},
			}},
		}},
	}
}

func TestObjectRoundTrip(t *testing.T) {
	empty := &Object{Replaces: []ObjectID{}, Runs: []Run{{Packs: []Pack{}, Extra: []byte{}}}}
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
	o := &Object{Time: time.Unix(0, 3), Replaces: []ObjectID{{0xee}}, Runs: []Run{{Owner: "h", Begin: time.Unix(0, 2), Time: time.Unix(0, 1), Extra: []byte{9}, Packs: []Pack{{
		ID: ObjectID{0xdd}, Size: 300, Session: []byte("ab"), Proof: Proof{0xaa},
		Directory: pack.Directory{Kind: pack.Content, Owner: "h", Frames: []pack.Frame{{Stored: 9, Plain: 5, Blobs: []pack.Blob{{Key: chunk.Key{0xcc}, Type: 1, Length: 5}}}}},
		Hashes:    [][32]byte{{0xbb}},
	}}}}}
	zeros := strings.Repeat("00", 31)
	want := "4e4a4930" + // NJI0
		"06" + // time, zig-zag
		"01" + "ee" + zeros + // replaces
		"01" + // runs
		"0168" + "04" + "02" + "0109" + // owner, begin, time and what is to come
		"01" + // packs
		"dd" + zeros + "ac02" + "026162" + "aa" + zeros[:30] + // id, size, session, proof
		"1a" + "0001" + "0168" + "01" + "090501" + "cc" + strings.Repeat("00", 15) + "01" + "05" + // directory
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
		"many packs":         []byte("NJI0\x00\x00\x01\x00\x00\x00\x00" + huge + strings.Repeat("\x00", 400)),
		"hash missing":       alter(func(o *Object) { p(o).Hashes = p(o).Hashes[:1] }),
		"hash too many":      alter(func(o *Object) { p(o).Hashes = append(p(o).Hashes, [32]byte{}) }),
		"session too long":   alter(func(o *Object) { p(o).Session = make([]byte, MaxSession+1) }),
		"object too large":   alter(func(o *Object) { p(o).Size = MaxSize + 1 }),
		"frames beyond size": alter(func(o *Object) { p(o).Size = int64(len(p(o).Session)+52) + 519 }),
		"another's pack":     alter(func(o *Object) { p(o).Directory.Owner = "web2" }),
		"owner too long":     alter(func(o *Object) { o.Runs[1].Owner = strings.Repeat("x", 256) }),
		"extra too long":     alter(func(o *Object) { o.Runs[1].Extra = make([]byte, maxExtra+1) }),
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
	})
}

// What is parsed takes memory in proportion to what it is parsed from, whatever that claims.
func TestParseObjectMemory(t *testing.T) {
	many := func(n int, pack Pack) *Object {
		o := &Object{Runs: []Run{{Packs: make([]Pack, n)}}}
		for i := range o.Runs[0].Packs {
			o.Runs[0].Packs[i] = pack
		}
		return o
	}
	empty := Pack{Size: 52, Directory: pack.Directory{Kind: pack.Content}}
	frames, blobs := empty, empty
	frames.Directory.Frames, frames.Hashes = make([]pack.Frame, 60_000), make([][32]byte, 60_000)
	for i := range frames.Directory.Frames {
		frames.Directory.Frames[i].Stored = 1
	}
	frames.Size += 60_000
	blobs.Directory.Frames, blobs.Hashes = []pack.Frame{{Stored: 1, Blobs: make([]pack.Blob, 60_000)}}, make([][32]byte, 1)
	for i := range blobs.Directory.Frames[0].Blobs {
		blobs.Directory.Frames[0].Blobs[i].Type = pack.WholeContent
	}
	blobs.Size++
	for name, o := range map[string]*Object{
		"runs": {Runs: make([]Run, MaxRuns)}, "packs": many(300_000, empty), "frames": many(8, frames), "blobs": many(15, blobs),
		"replaces": {Replaces: make([]ObjectID, maxReplaces), Runs: make([]Run, 1)},
	} {
		b := o.Append(nil)
		for _, part := range [][]byte{b, b[:len(b)-1]} { // one of them is no object
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := ParseObject(part)
			runtime.ReadMemStats(&after)
			if (err == nil) != (len(part) == len(b)) {
				t.Fatalf("%s: %v", name, err)
			}
			if took := after.TotalAlloc - before.TotalAlloc; took > 4*uint64(len(b))+8<<20 {
				t.Errorf("%s: %d bytes took %d", name, len(b), took)
			}
		}
	}
	if _, err := ParseObject(append(someObject().Append(nil), make([]byte, MaxObject)...)); err == nil {
		t.Error("an object past the bound is parsed")
	}
}
