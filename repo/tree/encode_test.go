package tree

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"nightjar/chunk"
)

func TestRoundTrip(t *testing.T) {
	want := sampleNodes()
	got, err := Decode(encodeOne(t, want))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

// TestBytes holds an encoding written by hand after the format's description.
func TestBytes(t *testing.T) {
	id := testID(1)
	want := bytes.Join([][]byte{
		{0, 2, 0, 0}, []byte("\x04root\x00"), {0xe8, 7, 0x64, 0, 0}, {3},
		[]byte("\x01d"), {0xed, 0x83, 1}, {0, 0}, {3, 1}, {0, 0}, {5}, {2}, {0}, {0}, {0, 0},
		[]byte("\x01f"), {0xa4, 0x83, 2}, {1, 1}, {4, 0}, {0, 0}, {6}, {2, 0xac, 2}, {12},
		{1, 5, 1}, []byte("\x01a\x01v"), {0, 2, 5 << 1}, id[:], {7<<1 | 1},
		[]byte("\x01l"), {0xff, 0xc3, 2}, {0, 0}, {0, 0}, {0, 0}, {7}, {1}, {0}, {0}, []byte("\x02.."),
	}, nil)
	root := Owner{User: "root"}
	nodes := []Node{
		{Name: "d", Mode: Directory | 0o755, Owner: root, Mtime: Time{-2, 1}, Inode: 5, Links: 2},
		{Name: "f", Mode: Regular | 0o644, Flags: Unsettled, Owner: Owner{UID: 1000, GID: 100}, Mtime: Time{2, 0}, Inode: 6,
			Links: 2, Device: 300, Size: 12, Xattrs: []Xattr{{"a", []byte("v")}},
			Contents: Contents{Items: []Item{{ID: id, Length: 5}, {Length: 7, Hole: true}}}},
		{Name: "l", Mode: Symlink | 0o777, Owner: root, Inode: 7, Links: 1, Target: ".."},
	}
	if got := encodeOne(t, nodes); !bytes.Equal(got, want) {
		t.Errorf("encoded\n%x, want\n%x", got, want)
	}
	got, err := Decode(want)
	if err != nil || !reflect.DeepEqual(got, nodes) {
		t.Errorf("decoded %+v, %v", got, err)
	}
}

// TestLeftOut shows that what a type has no use for is neither encoded nor an error.
func TestLeftOut(t *testing.T) {
	c := Contents{Items: []Item{{ID: testID(1), Length: 1}}}
	nodes := []Node{{Name: "a", Mode: Directory, Links: 2, Device: 7, Size: 4096, Target: "x", Major: 1, Contents: c},
		{Name: "b", Mode: FIFO, Links: 1, Device: 7, Size: 4096, Target: "x", Minor: 1, Contents: c}}
	got, err := Decode(encodeOne(t, nodes))
	want := []Node{{Name: "a", Mode: Directory, Links: 2, Contents: c}, {Name: "b", Mode: FIFO, Links: 1}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %+v, %v", got, err)
	}
}

func TestEncoderRefuses(t *testing.T) {
	solid := func(n int64) Contents { return Contents{Items: []Item{{ID: testID(1), Length: n}}} }
	long, hole := solid(5000), Contents{Items: []Item{{Length: 5000, Hole: true}}}
	short := solid(InlineXattrs)
	node := Node{Name: "n", Mode: Regular, Links: 1}
	for _, tt := range []struct {
		problem string
		change  func(n *Node)
	}{
		{"does not follow", func(n *Node) { n.Name = "m" }},
		{"does not follow", func(n *Node) { n.Name = "a" }},
		{"slash", func(n *Node) { n.Name = "n/" }},
		{"NUL", func(n *Node) { n.Name = "n\x00" }},
		{"4097 bytes", func(n *Node) { n.Name = strings.Repeat("n", 4097) }},
		{"16 bits", func(n *Node) { n.Mode |= 1 << 16 }},
		{"no known type", func(n *Node) { n.Mode = 0o644 }},
		{"flags", func(n *Node) { n.Flags = 3 }},
		{"nanoseconds", func(n *Node) { n.Ctime.Nsec = 1e9 }},
		{"owner's name", func(n *Node) { n.Owner.Group = strings.Repeat("g", 257) }},
		{"size 1, but contents of 0", func(n *Node) { n.Size = 1 }},
		{"no items at level 1", func(n *Node) { n.Contents.Level = 1 }},
		{"level 9", func(n *Node) { n.Contents = solid(1); n.Contents.Level, n.Size = 9, 1 }},
		{"hole at level", func(n *Node) { n.Contents = hole; n.Contents.Level, n.Size = 1, 5000 }},
		{"hole with an id", func(n *Node) {
			n.Contents, n.Size = Contents{Items: []Item{{ID: testID(1), Length: 1, Hole: true}}}, 1
		}},
		{"item of length 0", func(n *Node) { n.Contents = solid(0) }},
		{"item of length -1", func(n *Node) { n.Contents = solid(-1) }},
		{"63 bits", func(n *Node) {
			n.Contents = Contents{Items: []Item{{Length: math.MaxInt64, Hole: true}, {Length: 1, ID: testID(1)}}}
		}},
		{"chunk of", func(n *Node) { n.Contents = solid(chunk.MaxSize + 1); n.Size = chunk.MaxSize + 1 }},
		{"256 items", func(n *Node) { n.Contents = Contents{Items: randomItems(257)} }},
		{"hole outside", func(n *Node) { n.Mode = Directory; n.Contents = hole }},
		{"target of", func(n *Node) { n.Mode = Symlink; n.Target = strings.Repeat("t", 4097) }},
		{"both inline", func(n *Node) { n.Xattrs, n.XattrContents = []Xattr{{"a", nil}}, &long }},
		{"hole outside", func(n *Node) { n.XattrContents = &hole }},
		{"4096 bytes, not", func(n *Node) { n.XattrContents = &short }},
		{"attributes inline", func(n *Node) { n.Xattrs = []Xattr{{"a", make([]byte, InlineXattrs)}} }},
		{"does not follow", func(n *Node) { n.Xattrs = []Xattr{{"b", nil}, {"a", nil}} }},
	} {
		s := blobs{}
		e := NewEncoder(testKey, s.put)
		first, n := node, node
		first.Name, n.Name = "m", "n"
		if err := e.Add(&first); err != nil {
			t.Fatal(err)
		}
		tt.change(&n)
		err := e.Add(&n)
		if err == nil || !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("want %q, got %v", tt.problem, err)
		}
		good := node
		good.Name = "z"
		if again := e.Add(&good); again != err {
			t.Errorf("%s: Add after an error: %v", tt.problem, again)
		}
		if items, again := e.Finish(); again != err || items != nil || len(s) > 0 {
			t.Errorf("%s: Finish after an error: %v, %v", tt.problem, items, again)
		}
		e.Reset()
		if err := e.Add(&good); err != nil {
			t.Errorf("%s: Add after Reset: %v", tt.problem, err)
		}
	}
}

func TestEncoderReuse(t *testing.T) {
	s := blobs{}
	e := NewEncoder(testKey, s.put)
	if items, err := e.Finish(); err != nil || items != nil {
		t.Fatalf("empty directory: %v, %v", items, err)
	}
	var first []Item
	for range 3 {
		for _, n := range sampleNodes() {
			if err := e.Add(&n); err != nil {
				t.Fatal(err)
			}
		}
		items, err := e.Finish()
		if err != nil || len(items) != 1 || first != nil && !reflect.DeepEqual(items, first) {
			t.Fatalf("items %v, %v", items, err)
		}
		first = items
		if want := encodeOne(t, sampleNodes()); !bytes.Equal(s[items[0].ID], want) || items[0].Length != int64(len(want)) {
			t.Fatal("not the same tree")
		}
	}
}

func TestEmitFails(t *testing.T) {
	full := errors.New("disk full")
	e := NewEncoder(testKey, func([]byte) (chunk.ID, error) { return chunk.ID{}, full })
	n := fileNode(1)
	if err := e.Add(&n); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := e.Finish(); !errors.Is(err, full) {
			t.Fatal(err)
		}
	}
}

// changes to a directory at one entry. They return what takes its place.
var changes = map[string]func(n Node) *Node{
	"change": func(n Node) *Node { n.Ctime.Sec += 1 << 40; return &n },
	"remove": func(n Node) *Node { return nil },
	"rename": func(n Node) *Node { n.Name += "-"; return &n },
}

func unchanged(i int) *Node { n := fileNode(i); return &n }

// TestCut shows that one change to a large directory costs a tree or two, whatever its place, and that trees have about
// the length that they should.
func TestCut(t *testing.T) {
	t.Parallel()
	const n, places = 10_000, 8
	nodes := make([]Node, n)
	for i := range nodes {
		nodes[i] = fileNode(i)
	}
	old := blobs{}
	encodeDir(t, old, n, func(i int) *Node { return &nodes[i] })
	changed, total := 0, 0
	for name, change := range changes {
		for p := range places {
			at := (n - 1) * p / (places - 1)
			now := blobs{}
			encodeDir(t, now, n, func(i int) *Node {
				if i == at {
					return change(nodes[i])
				}
				return &nodes[i]
			})
			m := now.missing(old)
			if m < 1 || m > 4 {
				t.Errorf("%s at %d: %d new trees", name, at, m)
			}
			changed, total = changed+1, total+m
		}
	}
	if mean := float64(total) / float64(changed); mean > 2 {
		t.Errorf("%.2f new trees a change", mean)
	}
}

// TestMillion does it for the size that was promised.
func TestMillion(t *testing.T) {
	t.Parallel()
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	node := fileNode(0)
	next := func(i int) *Node {
		node.Name, node.Inode = "file-"+strconv.Itoa(10_000_000+i), uint64(i)
		return &node
	}
	old, now := blobs{}, blobs{}
	items := encodeDir(t, old, n, next)
	var sum, small int64
	for i, it := range items {
		sum += it.Length
		if it.Length < cutMin && i < len(items)-1 || it.Length > cutMax {
			t.Errorf("tree of %d bytes", it.Length)
		}
		if it.Length < 2*cutMin {
			small++
		}
	}
	if mean := sum / int64(len(items)); mean < 48<<10 || mean > 64<<10 {
		t.Errorf("trees of %d bytes on average", mean)
	}
	if small > int64(len(items))/2 {
		t.Errorf("%d of %d trees are small", small, len(items))
	}
	// From where the trees are the same again they stay so; a tenth of the way shows it.
	encodeDir(t, now, n/10, func(i int) *Node {
		if i == n/20 {
			return changes["rename"](fileNode(i))
		}
		return next(i)
	})
	if m := now.missing(old); m < 2 || m > 4 { // one is that of the early end
		t.Errorf("%d new trees", m)
	}
}

// TestCutLarge has entries as large as they can be, and owners that fill the table.
func TestCutLarge(t *testing.T) {
	s := blobs{}
	items := randomItems(InlineItems)
	size := uint64(Contents{Items: items}.Size())
	var want []Node
	c := contentsOf(t, s, encodeDir(t, s, 200, func(i int) *Node {
		n := fileNode(i)
		n.Name += strings.Repeat("x", MaxName-len(n.Name))
		n.Owner = Owner{uint32(i), 1<<32 - 1, strings.Repeat("u", MaxOwner), strings.Repeat("g", MaxOwner)}
		n.Xattrs = []Xattr{{"user.x", make([]byte, InlineXattrs-20)}}
		n.Size, n.Contents.Items = size, items
		want = append(want, n)
		return &n
	}))
	for _, it := range c.Items {
		if it.Length > cutMax {
			t.Errorf("tree of %d bytes", it.Length)
		}
	}
	i := 0
	for node, err := range Nodes(c, s.get) {
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(*node, want[i]) {
			t.Fatalf("entry %d differs", i)
		}
		i++
	}
	if i != len(want) {
		t.Errorf("%d entries", i)
	}
}

// TestCutMany has an owner for each entry, so that indexes grow and a forced cut changes them.
func TestCutMany(t *testing.T) {
	s := blobs{}
	i := 0
	c := Contents{Items: encodeDir(t, s, 20_000, func(i int) *Node {
		n := fileNode(i)
		n.Owner.UID = uint32(i)
		return &n
	})}
	for node, err := range Nodes(c, s.get) {
		if err != nil {
			t.Fatal(err)
		}
		want := fileNode(i)
		if want.Owner.UID = uint32(i); !reflect.DeepEqual(*node, want) {
			t.Fatalf("entry %d is %+v", i, node)
		}
		i++
	}
	if i != 20_000 {
		t.Errorf("%d entries", i)
	}
}

func TestCutDependsOnKey(t *testing.T) {
	a, b := blobs{}, blobs{}
	encodeDir(t, a, 20_000, unchanged)
	e := NewEncoder([]byte("another key"), b.put)
	for i := range 20_000 {
		if err := e.Add(unchanged(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Finish(); err != nil {
		t.Fatal(err)
	}
	if m := b.missing(a); m < len(b)*9/10 {
		t.Errorf("only %d of %d trees differ", m, len(b))
	}
}

func TestValidName(t *testing.T) {
	for _, name := range []string{"a", "...", " ", "\xff", "\n", strings.Repeat("x", MaxName)} {
		if err := ValidName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{"", ".", "..", "/", "a/b", "a\x00", strings.Repeat("x", MaxName+1)} {
		if ValidName(name) == nil {
			t.Errorf("%.10q is valid", name)
		}
	}
}

func TestTime(t *testing.T) {
	for _, want := range []Time{{}, {1, 2}, {-1, 999_999_999}, {1 << 40, 0}, {-1 << 40, 1}} {
		if got := TimeOf(want.Time()); got != want {
			t.Errorf("%v came back as %v", want, got)
		}
	}
	now := time.Now()
	if got := TimeOf(now).Time(); !got.Equal(now) {
		t.Errorf("%v came back as %v", now, got)
	}
}

func TestUvarintLen(t *testing.T) {
	for _, n := range []int{0, 1, 127, 128, 1<<14 - 1, 1 << 14, 65536, math.MaxInt} {
		if got, want := uvarintLen(n), len(binary.AppendUvarint(nil, uint64(n))); got != want {
			t.Errorf("uvarintLen(%d) = %d, want %d", n, got, want)
		}
	}
}
