package tree

import (
	"bytes"
	"encoding/binary"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// bytesOf joins hand-made parts of an encoding.
func bytesOf(all ...any) []byte {
	var b []byte
	for _, p := range all {
		switch p := p.(type) {
		case int:
			b = append(b, byte(p))
		case string:
			b = append(b, p...)
		case []byte:
			b = append(b, p...)
		}
	}
	return b
}

// The parts of an entry of mode 0 and with owner 0, up to its extended attributes.
var (
	regular = bytesOf(0x80, 0x80, 2)
	dir     = bytesOf(0x80, 0x80, 1)
	fifo    = bytesOf(0x80, 0x20)
	times   = bytesOf(0, 0, 0, 0)
	owners  = bytesOf(1, 0, 0, 0, 0)
)

func TestDecodeRefuses(t *testing.T) {
	huge := bytesOf(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1)
	id := make([]byte, 32)
	plain := bytesOf(1, "f", fifo, 0, 0, times, 0, 1, 0, 0)
	file := func(parts ...any) []byte {
		return bytesOf(0, owners, 1, 1, "f", regular, 0, 0, times, 0, 1, bytesOf(parts...))
	}
	folder := func(parts ...any) []byte {
		return bytesOf(0, owners, 1, 1, "f", dir, 0, 0, times, 0, 1, 0, bytesOf(parts...))
	}
	if _, err := Decode(bytesOf(0, owners, 1, plain)); err != nil {
		t.Fatalf("plain entry: %v", err)
	}
	if _, err := Decode(file(5, 0, 0, 1, 5<<1, id)); err != nil {
		t.Fatalf("plain file: %v", err)
	}
	for _, tt := range []struct {
		problem string
		tree    []byte
	}{
		{"truncated", nil},
		{"unknown version 1", bytesOf(1, owners, 1, plain)},
		{"no entries", bytesOf(0, 0, 0)},
		{"1 bytes too many", bytesOf(0, owners, 1, plain, 0)},
		{"more than 65536", bytesOf(0, huge)},
		{"more than 65536", bytesOf(0, 0x81, 0x80, 4)},
		{"truncated", bytesOf(0, 0x80, 0x80, 4)},
		{"64 bits", bytesOf(0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2)},
		{"64 bits", bytesOf(0, bytes.Repeat([]byte{0x80}, 20))},
		{"shortest", bytesOf(0, 0x81, 0, owners[1:], 1, plain)},
		{"more than 9223372036854775807", bytesOf(0, owners, huge, plain)},
		{"truncated", bytesOf(0, owners, 2, plain)},
		{"more than 4294967295", bytesOf(0, 1, 0x80, 0x80, 0x80, 0x80, 0x10, 0, 0, 0, 1, plain)},
		{"more than 256", bytesOf(0, 1, 0, 0, 0x81, 2, make([]byte, 300))},
		{"listed twice", bytesOf(0, 2, owners[1:], owners[1:], 1, plain)},
		{"owner without", bytesOf(0, 2, owners[1:], 1, 0, 0, 0, 1, plain)},
		{"owner 0 out of order", bytesOf(0, 0, 1, plain)},
		{"owner 1 out of order", bytesOf(0, owners, 1, 1, "f", fifo, 0, 1, times, 0, 1, 0, 0)},
		{"owner 1 out of order", bytesOf(0, 2, owners[1:], 1, 0, 0, 0, 1, 1, "f", fifo, 0, 1, times, 0, 1, 0, 0)},
		{"does not follow", bytesOf(0, owners, 2, plain, plain)},
		{"does not follow", bytesOf(0, owners, 2, plain, 1, "e", plain[2:])},
		{"empty name", bytesOf(0, owners, 1, 0, plain[2:], 0)},
		{"reserved", bytesOf(0, owners, 1, 1, ".", plain[2:])},
		{"reserved", bytesOf(0, owners, 1, 2, "..", plain[2:])},
		{"slash", bytesOf(0, owners, 1, 3, "a/b", plain[2:])},
		{"NUL", bytesOf(0, owners, 1, 2, "a\x00", plain[2:])},
		{"more than 4096", bytesOf(0, owners, 1, 0x81, 0x20, make([]byte, 5000))},
		{"truncated", bytesOf(0, owners, 1, 0x80, 0x20, make([]byte, 4000))},
		{"no known type", bytesOf(0, owners, 1, 1, "f", 0, 0, 0, times, 0, 1, 0, 0, 0)},
		{"no known type", bytesOf(0, owners, 1, 1, "f", 0x80, 0xe0, 3, 0, 0, times, 0, 1, 0, 0)},
		{"more than 65535", bytesOf(0, owners, 1, 1, "f", 0x80, 0x80, 6, 0, 0, times, 0, 1, 0, 0)},
		{"unknown flags", bytesOf(0, owners, 1, 1, "f", fifo, 2, 0, times, 0, 1, 0, 0)},
		{"more than 999999999", bytesOf(0, owners, 1, 1, "f", fifo, 0, 0, 0, 0x80, 0x94, 0xeb, 0xdc, 3, 0, 0, 0, 1, 0, 0)},
		{"no regular file", bytesOf(0, owners, 1, 1, "f", fifo, 0, 0, times, 0, 1, 7, 0)},
		{"more than 2", bytesOf(0, owners, 1, 1, "f", fifo, 0, 0, times, 0, 1, 0, 3)},
		{"size 1, but", file(1, 0, 0, 0)},
		{"size 4, but", file(4, 0, 0, 1, 5<<1, id)},
		{"more than 9223372036854775807", file(huge, 0, 0, 0)},
		{"more than 8", file(5, 0, 9, 1, 5<<1, id)},
		{"no items at level 1", file(0, 0, 1, 0)},
		{"hole at level 1", file(5, 0, 1, 1, 5<<1|1)},
		{"length 0", file(0, 0, 0, 1, 0, id)},
		{"length 0", file(0, 0, 0, 1, 1)},
		{"chunk of", file(0x81, 0x80, 0x80, 4, 0, 0, 1, 0x82, 0x80, 0x80, 8, id)},
		{"63 bits", file(0, 0, 0, 2, huge, 1<<1, id)},
		{"two holes", file(2, 0, 0, 2, 1<<1|1, 1<<1|1)},
		{"truncated", file(5, 0, 0, 1, 5<<1, id[1:])},
		{"truncated", file(5, 0, 0, 0x80, 0x80, 4, 5<<1, id)},
		{"more than 65536", file(5, 0, 0, 0x81, 0x80, 4)},
		{"hole outside", folder(0, 0, 1, 5<<1|1)},
		{"truncated", folder(1, 5, 1, 1, "a", 9, 0, 0)},
		{"attributes: at byte 1: none", folder(1, 1, 0, 0, 0)},
		{"1 bytes too many", folder(1, 5, 1, 1, "a", 0, 0, 0, 0)},
		{"more than 4096", folder(1, 0x81, 0x20, make([]byte, 5000))},
		{"not 4097 to", folder(2, 0, 1, 5<<1, id, 0, 0)},
		{"hole outside", folder(2, 0, 1, 0x81, 0x80, 2, 0, 0)},
		{"not 4097 to", folder(2, 1, 1, 0x82, 0x80, 0x80, 0x10, id, 0, 0)},
		{"more than 4096", bytesOf(0, owners, 1, 1, "f", 0x80, 0xc0, 2, 0, 0, times, 0, 1, 0, 0, 0x81, 0x20, make([]byte, 5000))},
		{"more than 1048576", make([]byte, MaxTree+1)},
	} {
		nodes, err := Decode(tt.tree)
		if err == nil || !strings.Contains(err.Error(), tt.problem) || nodes != nil {
			t.Errorf("%.40x: want %q, got %v, %v", tt.tree, tt.problem, nodes, err)
		}
	}
}

// TestDecodeDamaged cuts a tree short everywhere, and flips every bit: what still decodes is the encoding of what it decodes to.
func TestDecodeDamaged(t *testing.T) {
	tree := encodeOne(t, sampleNodes())
	for i := range tree {
		if _, err := Decode(tree[:i]); err == nil {
			t.Errorf("decodes %d of %d bytes", i, len(tree))
		}
	}
	decoded := 0
	for i := range 8 * len(tree) {
		b := bytes.Clone(tree)
		b[i/8] ^= 1 << (i % 8)
		nodes, err := Decode(b)
		if err != nil {
			continue
		}
		decoded++
		if got := encodeOne(t, nodes); !bytes.Equal(got, b) {
			t.Fatalf("bit %d: %x decodes and encodes to %x", i, b, got)
		}
	}
	if decoded == 0 || decoded == 8*len(tree) {
		t.Errorf("%d of %d decode", decoded, 8*len(tree))
	}
}

// TestDecodeKeeps shows that nodes do not change with the bytes that they came from, or with each other.
func TestDecodeKeeps(t *testing.T) {
	want := sampleNodes()
	tree := encodeOne(t, want)
	got, err := Decode(tree)
	if err != nil {
		t.Fatal(err)
	}
	clear(tree)
	for i := range got {
		_ = append(got[i].Contents.Items, Item{Length: 1})
		_ = append(got[i].Xattrs, Xattr{Name: "x"})
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("nodes changed")
	}
}

// TestDecodeMemory bounds what hostile trees cost: many of the shortest entries, and many of the shortest items.
func TestDecodeMemory(t *testing.T) {
	// One file of as many items as there may be, a hole and a chunk of a byte each in turn.
	const pairs = 30_000
	n := binary.AppendUvarint(nil, 2*pairs)
	items := bytesOf(0, owners, 1, 1, "a", regular, 0, 0, times, 0, 1, n, 0, 0, n, bytes.Repeat(bytesOf(1<<1|1, 1<<1, make([]byte, 32)), pairs))
	for name, tree := range map[string][]byte{
		"entries": bytesOf(0, owners, 0x90, 0xc2, 4, make([]byte, MaxTree-9)), // 74,000
		"items":   items,
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(tree)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; got < uint64(len(tree)) || got > 24*uint64(len(tree)) || (err == nil) != (name == "items") {
			t.Errorf("%s: %d bytes allocated for %d, %v", name, got, len(tree), err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(encodeOne(f, sampleNodes()))
	for _, n := range sampleNodes() {
		f.Add(encodeOne(f, []Node{n}))
	}
	f.Add([]byte{0, 0, 0})
	f.Fuzz(func(t *testing.T, tree []byte) {
		nodes, err := Decode(tree)
		if err != nil {
			if nodes != nil {
				t.Fatal("nodes beside an error")
			}
			return
		}
		if got := encodeOne(t, nodes); !bytes.Equal(got, tree) {
			t.Fatalf("%x decodes and encodes to %x", tree, got)
		}
	})
}

func TestXattrs(t *testing.T) {
	want := []Xattr{{"security.selinux", []byte("x\x00")}, {"user.a", []byte{}}, {"user.big", make([]byte, 100_000)}}
	b, err := EncodeXattrs(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeXattrs(b)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, %v", got, err)
	}
	if b, err := EncodeXattrs(nil); len(b) > 0 || err != nil {
		t.Errorf("none encode to %x, %v", b, err)
	}
	for problem, xattrs := range map[string][]Xattr{
		"without a name":      {{Name: ""}},
		"of 256 bytes":        {{Name: strings.Repeat("n", 256)}},
		"NUL":                 {{Name: "a\x00"}},
		`"a" does not follow`: {{Name: "a"}, {Name: "a"}},
		"more than 65536":     make([]Xattr, 65537),
		"more than 16777216":  {{Name: "a", Value: make([]byte, MaxXattrs)}},
	} {
		if _, err := EncodeXattrs(xattrs); err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("want %q, got %v", problem, err)
		}
	}
	for problem, b := range map[string][]byte{
		"none":                   {0},
		"truncated":              {},
		"at byte 3: truncated":   bytesOf(0x80, 0x80, 4, make([]byte, 100)),
		"at byte 4: truncated":   bytesOf(1, 1, "a", 9, "bc"),
		"without a name":         bytesOf(1, 0, 1, "b"),
		"more than 255":          bytesOf(1, 0x80, 2, make([]byte, 300)),
		"NUL":                    bytesOf(1, 1, 0, 0),
		`"a" does not follow "b`: bytesOf(2, 1, "b", 0, 1, "a", 0),
		"too many":               bytesOf(1, 1, "a", 0, 0),
		"more than 16777216":     make([]byte, MaxXattrs+1),
	} {
		if xattrs, err := DecodeXattrs(b); err == nil || !strings.Contains(err.Error(), problem) || xattrs != nil {
			t.Errorf("%.20x: want %q, got %v", b, problem, err)
		}
	}
}

func FuzzDecodeXattrs(f *testing.F) {
	f.Add(bytesOf(1, 1, "a", 0))
	f.Add(bytesOf(2, 2, "ab", 3, "xyz", 3, "abc", 0))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		xattrs, err := DecodeXattrs(b)
		if err != nil {
			return
		}
		if got, err := EncodeXattrs(xattrs); err != nil || !bytes.Equal(got, b) {
			t.Fatalf("%x decodes and encodes to %x, %v", b, got, err)
		}
	})
}

func TestACLNames(t *testing.T) {
	want := []AccountName{{ID: 7, Name: "lp"}, {ID: 1<<32 - 1, Name: strings.Repeat("u", MaxOwner)}, {Group: true, ID: 0, Name: "root"}, {Group: true, ID: 7, Name: "lp"}}
	got, err := DecodeACLNames(EncodeACLNames(want))
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for what, b := range map[string][]byte{
		"nothing": nil, "none": bytesOf(0), "another kind": bytesOf(1, 4, 1, 1, "a"), "no name": bytesOf(1, 2, 1, 0, 0), "twice": bytesOf(2, 2, 1, 1, "a", 2, 1, 1, "b"),
		"groups first": bytesOf(2, 8, 1, 1, "a", 2, 1, 1, "b"), "too long": bytesOf(1, 2, 1, 0x81, 2, strings.Repeat("a", MaxOwner+1)),
		"33 bits": bytesOf(1, 2, 0x80, 0x80, 0x80, 0x80, 0x10, 1, "a"), "left over": bytesOf(1, 2, 1, 1, "a", 0), "truncated": bytesOf(1, 2, 1, 5, "a"), "many": bytesOf(0x80, 0x80, 4, 2, 1, 1, "a"),
	} {
		if got, err := DecodeACLNames(b); err == nil {
			t.Errorf("%s: %v", what, got)
		}
	}
}

func TestBirthAndChattr(t *testing.T) {
	for _, want := range []Time{{}, {Sec: -1 << 62, Nsec: 999_999_999}, {Sec: 1_700_000_000, Nsec: 1}} {
		n := Node{Xattrs: []Xattr{{Name: BirthTime, Value: EncodeBirth(want)}, {Name: Chattr, Value: []byte("i\x00aZ\xffa")}, {Name: Reserved + "rows", Value: []byte("1")}}}
		if got, ok := n.Birth(); !ok || got != want {
			t.Errorf("%v, %v", got, ok)
		}
		if n.Chattr() != "Zai" || len(n.Notes()) != 1 {
			t.Errorf("%q, %v", n.Chattr(), n.Notes())
		}
	}
	for what, b := range map[string][]byte{"nothing": nil, "truncated": bytesOf(2), "left over": bytesOf(2, 0, 0), "a second": bytesOf(2, 0x80, 0x94, 0xeb, 0xdc, 3), "long form": bytesOf(0x82, 0, 0)} {
		if got, err := DecodeBirth(b); err == nil {
			t.Errorf("%s: %v", what, got)
		}
	}
	for _, name := range []string{"acl", "birth", "chattr"} {
		if _, err := Note(name); err == nil {
			t.Errorf("a note may be called %s", name)
		}
	}
}

func FuzzDecodeBirth(f *testing.F) {
	f.Add(EncodeBirth(Time{Sec: 1_700_000_000, Nsec: 5}))
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if at, err := DecodeBirth(b); err == nil && !bytes.Equal(EncodeBirth(at), b) {
			t.Fatalf("%x decodes and encodes to %x", b, EncodeBirth(at))
		}
	})
}

func FuzzDecodeACLNames(f *testing.F) {
	f.Add(EncodeACLNames([]AccountName{{ID: 1000, Name: "alice"}, {Group: true, ID: 4, Name: "adm"}}))
	f.Add([]byte{0})
	f.Fuzz(func(t *testing.T, b []byte) {
		names, err := DecodeACLNames(b)
		if err != nil {
			return
		}
		if got := EncodeACLNames(names); !bytes.Equal(got, b) {
			t.Fatalf("%x decodes and encodes to %x", b, got)
		}
	})
}
