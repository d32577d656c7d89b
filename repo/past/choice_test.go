package past

import (
	"slices"
	"testing"

	"nightjar/chunk/delta"
	"nightjar/repo/tree"
)

// choice is a Choice of contents of which each has n chunks of its own: the first those from 0 on, the next those from 1000 on, and so on.
func choice(t *testing.T, f *fake, contents, n int) *Choice {
	t.Helper()
	all := make([]tree.Contents, contents)
	for i := range all {
		for k := range n {
			all[i].Items = append(all[i].Items, tree.Item{ID: name(1000*i + k), Length: piece})
		}
	}
	c := Choose(t.Context(), f, all)
	t.Cleanup(c.Close)
	return c
}

func TestChoice(t *testing.T) {
	f := new(fake)
	c := choice(t, f, 3, 10)
	all := c.Likely()
	order := func(want ...int) {
		t.Helper()
		got := c.Likely()
		if len(got) != len(want) {
			t.Fatalf("%d contents are left, want %v", len(got), want)
		}
		for i, n := range want {
			if got[i] != all[n] {
				t.Fatalf("content %d is number %d, want %v", i, slices.Index(all, got[i]), want)
			}
		}
	}
	order(0, 1, 2)
	c.Known(0, name(1))
	order(0, 1, 2)
	c.Known(piece, name(2005)) // only the last has it
	order(2, 0, 1)
	var base delta.Base
	likeliest := c.Likely()[0]
	if start, _ := likeliest.Around(t.Context(), likeliest.Places(2 * piece)[0], piece, &base); start != 5*piece {
		t.Fatalf("the base starts at %d", start)
	}
	c.Known(2*piece, name(5000))
	order(2, 0, 1)
	c.Right(all[0])
	order(0, 2, 1)
	c.Right(all[0])
	order(0, 2, 1)
	c.Wrong(patience)
	order(0, 2, 1)
	c.Wrong(1)
	order(0)
	f.wants(t, all[1], 0, 1, 0) // closed, though somebody may still have it
	c.Right(all[1])
	order(0)
	c.Wrong(patience)
	order(0)
	c.Close()
	order()
	c.Known(0, name(0))
	c.Close()
}
