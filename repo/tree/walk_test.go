package tree

import (
	"errors"
	"testing"
)

// TestNodesLeft takes trees and lists away, one after another: what the others hold is still found.
func TestNodesLeft(t *testing.T) {
	s := blobs{}
	e := NewEncoder(testKey, s.put)
	const files = 20_000
	for i := range files {
		n := fileNode(i)
		if err := e.Add(&n); err != nil {
			t.Fatal(err)
		}
	}
	items, err := e.Finish()
	if err != nil || len(items) < 10 {
		t.Fatalf("%d trees, %v", len(items), err)
	}
	// Lists of a few, as those of far larger directories.
	var top []Item
	for rest := items; len(rest) > 0; rest = rest[min(4, len(rest)):] {
		some := rest[:min(4, len(rest))]
		id, err := s.put(EncodeList(some))
		if err != nil {
			t.Fatal(err)
		}
		size := int64(0)
		for _, item := range some {
			size += item.Length
		}
		top = append(top, Item{ID: id, Length: size})
	}
	count := func(c Contents) (found, wrong int) {
		last := ""
		for n, err := range NodesLeft(c, s.get) {
			switch {
			case errors.Is(err, errMissing):
				wrong++
			case err != nil:
				t.Fatal(err)
			case n.Name <= last:
				t.Fatalf("%q follows %q", n.Name, last)
			default:
				found++
				last = n.Name
			}
		}
		return found, wrong
	}
	flat, deep := Contents{Items: items}, Contents{Level: 1, Items: top}
	for name, c := range map[string]Contents{"flat": flat, "deep": deep} {
		if found, wrong := count(c); found != files || wrong != 0 {
			t.Errorf("%s: %d files, %d problems", name, found, wrong)
		}
		for i, item := range c.Items {
			was := s[item.ID]
			delete(s, item.ID)
			if found, wrong := count(c); wrong != 1 || found >= files || found < files/2 {
				t.Errorf("%s without %d: %d files, %d problems", name, i, found, wrong)
			}
			s[item.ID] = was
		}
	}
	delete(s, items[1].ID)
	n := 0
	for _, err := range Nodes(flat, s.get) {
		if n++; err != nil && n < 2 || err != nil && !errors.Is(err, errMissing) {
			t.Fatal(err)
		}
	}
	if all, err := Decode(s[items[0].ID]); err != nil || n != len(all)+1 {
		t.Errorf("%d steps, %v: it goes on past an error", n, err)
	}
}
