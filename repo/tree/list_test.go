package tree

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"nightjar/chunk"
)

// collect returns all items of level 0.
func collect(tb testing.TB, c Contents, s blobs) []Item {
	tb.Helper()
	var items []Item
	err := Walk(c, s.get, func(it Item) error {
		items = append(items, it)
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return items
}

func TestLister(t *testing.T) {
	t.Parallel()
	all := randomItems(110_000)
	for i := range all {
		if i%8 == 1 {
			all[i] = Item{Length: int64(i) << 10, Hole: true}
		}
	}
	for _, n := range []int{0, 1, 63, 64, 255, 256, 257, 1024, 1025, 30_000, 110_000} {
		s, want := blobs{}, all[:n]
		c := contentsOf(t, s, want)
		if len(c.Items) > InlineItems {
			t.Errorf("%d items: %d inline", n, len(c.Items))
		}
		if (c.Level == 0) != (n <= InlineItems) || n == 110_000 && c.Level != 2 {
			t.Errorf("%d items: level %d", n, c.Level)
		}
		if n <= InlineItems && len(s) > 0 {
			t.Errorf("%d items: %d lists", n, len(s))
		}
		if got := (Contents{Items: want}).Size(); c.Size() != got {
			t.Errorf("%d items: size %d, not %d", n, c.Size(), got)
		}
		if got := collect(t, c, s); !slices.Equal(got, want) {
			t.Errorf("%d items: %d came back, or others", n, len(got))
		}
	}
}

// TestListCut shows that one change to a long stream of items costs a list of each level or two.
func TestListCut(t *testing.T) {
	t.Parallel()
	items := randomItems(30_000)
	old := blobs{}
	contentsOf(t, old, items)
	count := 0
	for id, b := range old {
		list, err := DecodeList(b)
		if err != nil || listID(list) != id {
			t.Fatal("list does not come back", err)
		}
		if len(list) > listMax {
			t.Errorf("list of %d items", len(list))
		}
		if len(list) < listMin {
			count++
		}
	}
	if count > 2 { // the last of each level
		t.Errorf("%d lists are short", count)
	}
	if mean := 30_000 / len(old); mean < 250 || mean > 380 {
		t.Errorf("%d items a list on average", mean)
	}
	fresh, total, changes := Item{ID: testID(1), Length: 1}, 0, 0
	for at := 0; at < len(items); at += 4_999 {
		rest := items[min(at+1, len(items)):]
		for name, changed := range map[string][][]Item{
			"change": {items[:at], {fresh}, rest},
			"insert": {items[:at+1], {fresh}, rest},
			"remove": {items[:at], rest},
		} {
			now := blobs{}
			var all []Item
			for _, part := range changed {
				all = append(all, part...)
			}
			contentsOf(t, now, all)
			m := now.missing(old)
			if m < 1 || m > 6 {
				t.Errorf("%s at %d: %d new lists", name, at, m)
			}
			total, changes = total+m, changes+1
		}
	}
	if mean := float64(total) / float64(changes); mean > 3 {
		t.Errorf("%.2f new lists a change", mean)
	}
}

// listID names a list as blobs does.
func listID(list []Item) chunk.ID {
	id, _ := blobs{}.put(EncodeList(list))
	return id
}

// TestListForcedCut has no id to cut at: these end in no zero byte, and holes never are one.
func TestListForcedCut(t *testing.T) {
	items := make([]Item, 5000)
	id := chunk.ID{31: 1}
	for i := range items {
		items[i] = Item{Length: int64(i) + 1, Hole: i%2 == 0}
		if !items[i].Hole {
			items[i].ID = id
		}
	}
	s := blobs{}
	c := contentsOf(t, s, items)
	if c.Level != 1 || len(c.Items) != 5 {
		t.Fatalf("level %d, %d lists", c.Level, len(c.Items))
	}
	if got := collect(t, c, s); !reflect.DeepEqual(got, items) {
		t.Error("other items came back")
	}
}

func TestListerReuse(t *testing.T) {
	s, items := blobs{}, randomItems(3000)
	l := NewLister(s.put)
	var results []Contents
	for _, n := range []int{3000, 3, 3000, 0, 3} {
		for _, it := range items[:n] {
			if err := l.Add(it); err != nil {
				t.Fatal(err)
			}
		}
		c, err := l.Finish()
		if err != nil {
			t.Fatal(err)
		}
		results = append(results, c)
	}
	if !reflect.DeepEqual(results[0], results[2]) || !reflect.DeepEqual(results[1], results[4]) || !reflect.DeepEqual(results[3], Contents{}) {
		t.Error("results differ")
	}
	if !reflect.DeepEqual(results[1].Items, items[:3]) {
		t.Error("an earlier result changed")
	}
}

func TestListerRefuses(t *testing.T) {
	for problem, item := range map[string]Item{
		"length 0":       {ID: testID(1)},
		"length -1":      {ID: testID(1), Length: -1},
		"hole with":      {ID: testID(1), Length: 1, Hole: true},
		"chunk of":       {ID: testID(1), Length: chunk.MaxSize + 1},
		"over 63 bits":   {Length: math.MaxInt64, Hole: true},
		"over 63 bits\n": {Length: math.MaxInt64 - 4, Hole: true},
	} {
		l := NewLister(blobs{}.put)
		if err := l.Add(Item{ID: testID(2), Length: 5}); err != nil {
			t.Fatal(err)
		}
		err := l.Add(item)
		if err == nil || !strings.Contains(err.Error(), strings.TrimSpace(problem)) {
			t.Fatalf("want %q, got %v", problem, err)
		}
		if again := l.Add(Item{ID: testID(2), Length: 5}); again != err {
			t.Errorf("Add after an error: %v", again)
		}
		if _, again := l.Finish(); again != err {
			t.Errorf("Finish after an error: %v", again)
		}
		l.Reset()
		if c, err := l.Finish(); err != nil || c.Size() != 0 {
			t.Errorf("after Reset: %v, %v", c, err)
		}
	}
	full := errors.New("disk full")
	l := NewLister(func([]byte) (chunk.ID, error) { return chunk.ID{}, full })
	for _, it := range randomItems(300) {
		if err := l.Add(it); err != nil && !errors.Is(err, full) {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := l.Finish(); !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
	}
}

func TestDecodeListRefuses(t *testing.T) {
	id := make([]byte, 32)
	for _, tt := range []struct {
		problem string
		list    []byte
	}{
		{"truncated", nil},
		{"unknown version 2", bytesOf(2, 1, 2, id)},
		{"no items", bytesOf(0, 0)},
		{"truncated", bytesOf(0, 1)},
		{"truncated", bytesOf(0, 0x80, 0x80, 4, 2, id)},
		{"more than 65536", bytesOf(0, 0x81, 0x80, 4, 2, id)},
		{"truncated", bytesOf(0, 1, 2, id[1:])},
		{"1 bytes too many", bytesOf(0, 1, 2, id, 0)},
		{"length 0", bytesOf(0, 1, 0, id)},
		{"length 0", bytesOf(0, 1, 1)},
		{"shortest", bytesOf(0, 1, 0x82, 0, id)},
		{"63 bits", bytesOf(0, 2, bytes.Repeat([]byte{0xff}, 9), 1, 1<<1, id)},
		{"two holes", bytesOf(0, 2, 3, 3)},
		{"chunk of", bytesOf(0, 2, 3, 0x80, 0x80, 0x80, 0x10, id)},
	} {
		items, err := DecodeList(tt.list)
		if err == nil || !strings.Contains(err.Error(), tt.problem) || items != nil {
			t.Errorf("%x: want %q, got %v", tt.list, tt.problem, err)
		}
	}
}

func FuzzDecodeList(f *testing.F) {
	f.Add(EncodeList(randomItems(2)))
	f.Add(EncodeList([]Item{{Length: 1, Hole: true}, {Length: 1 << 60, Hole: true}, {Length: 1}}))
	f.Add([]byte{0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		items, err := DecodeList(b)
		if err != nil {
			return
		}
		if got := EncodeList(items); !bytes.Equal(got, b) {
			t.Fatalf("%x decodes and encodes to %x", b, got)
		}
	})
}

func TestWalkRefuses(t *testing.T) {
	s := blobs{}
	list := func(items ...Item) chunk.ID {
		id, _ := s.put(EncodeList(items))
		return id
	}
	leaf := Item{ID: testID(1), Length: 10}
	inner := Item{ID: list(leaf), Length: 10}
	bad, _ := s.put([]byte{1})
	for _, tt := range []struct {
		problem string
		c       Contents
	}{
		{"level 9", Contents{Level: 9, Items: []Item{inner}}},
		{"level -1", Contents{Level: -1, Items: []Item{inner}}},
		{"no items", Contents{Level: 1}},
		{"missing", Contents{Level: 1, Items: []Item{leaf}}},
		{"missing", Contents{Level: 2, Items: []Item{inner}}},
		{"items of 10 bytes, not 11", Contents{Level: 1, Items: []Item{{ID: inner.ID, Length: 11}}}},
		{"items of 10 bytes, not 9", Contents{Level: 2, Items: []Item{{ID: list(Item{ID: inner.ID, Length: 9}), Length: 9}}}},
		{"hole at level 1", Contents{Level: 2, Items: []Item{{ID: list(Item{Length: 5, Hole: true}), Length: 5}}}},
		{"hole at level 1", Contents{Level: 1, Items: []Item{{Length: 5, Hole: true}}}},
		{"chunk of", Contents{Level: 1, Items: []Item{{ID: list(Item{ID: testID(1), Length: 1 << 40}), Length: 1 << 40}}}},
		{"unknown version", Contents{Level: 1, Items: []Item{{ID: bad, Length: 5}}}},
	} {
		err := Walk(tt.c, s.get, func(Item) error { return nil })
		if err == nil || !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("%+v: want %q, got %v", tt.c, tt.problem, err)
		}
	}
	if err := Walk(Contents{Level: 1, Items: []Item{leaf}}, s.get, nil); !errors.Is(err, errMissing) {
		t.Errorf("error of get: %v", err)
	}
	stop := errors.New("enough")
	if err := Walk(Contents{Level: 1, Items: []Item{inner}}, s.get, func(Item) error { return stop }); err != stop {
		t.Errorf("error of f: %v", err)
	}
}

func TestNodesRefuses(t *testing.T) {
	s := blobs{}
	tree := func(names ...string) Item {
		var nodes []Node
		for _, name := range names {
			nodes = append(nodes, Node{Name: name, Mode: FIFO})
		}
		b := encodeOne(t, nodes)
		id, _ := s.put(b)
		return Item{ID: id, Length: int64(len(b))}
	}
	longer, garbage := tree("b"), Item{Length: 5}
	longer.Length++
	garbage.ID, _ = s.put([]byte("xxxxx"))
	for _, tt := range []struct {
		problem string
		second  Item
	}{
		{`"b" does not follow "b"`, tree("b", "c")},
		{`"a" does not follow "b"`, tree("a", "d")},
		{"hole in a directory", Item{Length: 5, Hole: true}},
		{fmt.Sprintf("%d bytes, not %d", longer.Length-1, longer.Length), longer},
		{"unknown version", garbage},
		{"missing", Item{ID: testID(9), Length: 5}},
	} {
		var got []string
		var last error
		for n, err := range Nodes(Contents{Items: []Item{tree("a", "b"), tt.second, tree("z")}}, s.get) {
			if last = err; err == nil {
				got = append(got, n.Name)
			}
		}
		if last == nil || !strings.Contains(last.Error(), tt.problem) || !reflect.DeepEqual(got, []string{"a", "b"}) {
			t.Errorf("want %q after a and b, got %v after %q", tt.problem, last, got)
		}
	}
	for n, err := range Nodes(Contents{Items: []Item{tree("a", "b"), garbage}}, s.get) {
		if n.Name != "a" || err != nil {
			t.Errorf("goes on after a break: %v, %v", n, err)
		}
		break
	}
	for range Nodes(Contents{}, s.get) {
		t.Error("an empty directory has entries")
	}
}

// Holes that come after one another are one, wherever lists are cut.
func TestListerJoinsHoles(t *testing.T) {
	s := blobs{}
	l := NewLister(s.put)
	var want []Item
	for i := range 3000 {
		id := chunk.ID{0: byte(i), 1: byte(i >> 8), 31: byte(i % 7)}
		for _, item := range []Item{{ID: id, Length: 1}, {Length: 2, Hole: true}, {Length: 3, Hole: true}} {
			if err := l.Add(item); err != nil {
				t.Fatal(err)
			}
		}
		want = append(want, Item{ID: id, Length: 1}, Item{Length: 5, Hole: true})
	}
	c, err := l.Finish()
	if err != nil {
		t.Fatal(err)
	}
	if got := collect(t, c, s); !reflect.DeepEqual(got, want) {
		t.Errorf("%d items, want %d", len(got), len(want))
	}
}
