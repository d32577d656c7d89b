package past

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"nightjar/chunk"
	"nightjar/chunk/delta"
	"nightjar/repo/tree"
)

const piece = 1 << 20

// fake knows chunks by their numbers, and notes which were asked for.
type fake struct{ asked []int }

func (f *fake) List(context.Context, chunk.ID) ([]byte, error) { return nil, fmt.Errorf("no lists") }

func (f *fake) Describe(_ context.Context, id chunk.ID, length int, to *delta.Base) {
	f.asked = append(f.asked, number(id))
	to.Skip(length)
}

func name(n int) (id chunk.ID) {
	binary.LittleEndian.PutUint64(id[:], uint64(n)+1)
	return id
}

func number(id chunk.ID) int { return int(binary.LittleEndian.Uint64(id[:])) - 1 }

// old is content of n chunks of a megabyte.
func old(t *testing.T, f *fake, n int) *Content {
	t.Helper()
	var c tree.Contents
	for i := range n {
		c.Items = append(c.Items, tree.Item{ID: name(i), Length: piece})
	}
	content := New(t.Context(), c, f)
	t.Cleanup(content.Close)
	return content
}

// wants asks what stands around a new chunk, which must be the old ones from first to last.
func (f *fake) wants(t *testing.T, c *Content, offset int64, first, last int) {
	t.Helper()
	var base delta.Base
	f.asked = nil
	at := c.Places(offset)[0]
	start, expected := c.Around(t.Context(), at, piece, &base)
	if first > last {
		if len(f.asked) > 0 || base.Length() > 0 {
			t.Fatalf("at %d: asked for %v", offset, f.asked)
		}
		return
	}
	if len(f.asked) != last-first+1 || f.asked[0] != first || start != int64(first)*piece || base.Length() != len(f.asked)*piece {
		t.Fatalf("at %d: asked for %v, want %d to %d; the base starts at %d", offset, f.asked, first, last, start)
	}
	if want := at - start; int64(expected) != want {
		t.Fatalf("at %d: expected at %d, want %d", offset, expected, want)
	}
}

func TestInPlace(t *testing.T) {
	f := new(fake)
	c := old(t, f, 10)
	f.wants(t, c, 0, 0, 1)
	f.wants(t, c, 3*piece, 2, 4)
	f.wants(t, c, 9*piece, 8, 9)
	f.wants(t, c, 20*piece, 1, 0) // beyond the end
}

// What was put in, or taken out, is made up for when a chunk is found again.
func TestShifted(t *testing.T) {
	f := new(fake)
	c := old(t, f, 200)
	c.Known(3*piece, name(3))
	f.wants(t, c, 4*piece, 3, 5)
	c.Known(7*piece, name(4)) // three were put in
	f.wants(t, c, 8*piece, 4, 6)
	c.Known(8*piece, name(40)) // many were taken out
	f.wants(t, c, 9*piece, 40, 42)
	c.Agreed(9*piece, 32*piece+300<<10) // a match a little further on
	f.wants(t, c, 10*piece, 42, 43)
	c.Known(5*piece, name(1)) // late news from a slower goroutine
	f.wants(t, c, 10*piece, 42, 43)
	c.Known(11*piece, name(1000)) // a chunk of other content
	f.wants(t, c, 12*piece, 44, 45)
}

// Chunks come in no order: each is expected by what stands nearest to it, and last where it stands itself.
func TestPlaces(t *testing.T) {
	f := new(fake)
	c := old(t, f, 100)
	wants := func(offset int64, shifts ...int64) {
		t.Helper()
		var want []int64
		for _, s := range shifts {
			want = append(want, (offset+s)*piece)
		}
		if got := c.Places(offset * piece); !slices.Equal(got, want) {
			t.Fatalf("chunk %d is expected at %v, want %v", offset, got, want)
		}
	}
	wants(7, 0)
	c.Known(10*piece, name(15))
	wants(7, 5, 0)
	wants(11, 5, 0)
	c.Known(20*piece, name(40))
	c.Known(2*piece, name(4))
	wants(1, 2, 0)
	wants(7, 2, 5, 0)
	wants(10, 5, 20, 0)
	wants(50, 20, 0)
	c.Agreed(7*piece, 2*piece-slack) // so near that both are around either
	if got := c.Places(6 * piece); !slices.Equal(got, []int64{8 * piece, 6 * piece}) {
		t.Fatalf("chunk 6 is expected at %v", got)
	}
	for i := range int64(2 * agreements) {
		c.Agreed((100+i)*piece, 0)
	}
	wants(50, 0)
	if len(c.agreed) != agreements {
		t.Fatalf("%d agreements are held", len(c.agreed))
	}
}

// What repeats itself is where it is expected, and says nothing elsewhere.
func TestRepeated(t *testing.T) {
	f := new(fake)
	var all tree.Contents
	for i := range 300 {
		if i >= 10 && i < 200 {
			i = 1000
		}
		all.Items = append(all.Items, tree.Item{ID: name(i), Length: piece})
	}
	c := New(t.Context(), all, f)
	defer c.Close()
	for i := int64(10); i < 200; i++ {
		if !c.Known(i*piece, name(1000)) || !slices.Equal(c.Places(i*piece), []int64{i * piece}) {
			t.Fatalf("chunk %d is expected at %v", i, c.Places(i*piece))
		}
	}
	f.wants(t, c, 250*piece, 249, 251)
	if !c.Known(205*piece, name(1000)) || c.Known(206*piece, name(2000)) {
		t.Fatal("it does not know what it has")
	}
	f.wants(t, c, 250*piece, 249, 251)
	c.Known(251*piece, name(254)) // three were taken out
	f.wants(t, c, 252*piece, 254, 256)
}

func TestHoles(t *testing.T) {
	f := new(fake)
	c := New(t.Context(), tree.Contents{Items: []tree.Item{{ID: name(0), Length: piece}, {Length: 1 << 40, Hole: true}, {ID: name(1), Length: piece}}}, f)
	defer c.Close()
	var base delta.Base
	start, expected := c.Around(t.Context(), 1<<40+piece, piece, &base)
	if len(f.asked) != 1 || f.asked[0] != 1 || base.Length() != piece+slack || start != 1<<40+piece-slack || expected != slack {
		t.Fatalf("asked for %v, %d bytes from %d, expected at %d", f.asked, base.Length(), start, expected)
	}
}

// A file of any size takes a window of it.
func TestWindow(t *testing.T) {
	f := new(fake)
	const n = 5000
	c := old(t, f, n)
	for i := range n {
		if i%3 == 0 {
			c.Known(int64(i)*piece, name(i))
		} else {
			f.wants(t, c, int64(i)*piece, max(i-1, 0), min(i+1, n-1))
		}
		if len(c.items) > window {
			t.Fatalf("%d chunks are held", len(c.items))
		}
	}
}

// Much new content in the middle does not make what follows it forgotten.
func TestLongInsertion(t *testing.T) {
	f := new(fake)
	c := old(t, f, 2000)
	for i := range 1000 {
		c.Known(int64(i)*piece, name(i))
	}
	var base delta.Base
	for i := range 3000 {
		c.Around(t.Context(), int64(1000+i)*piece, piece, &base)
		if len(c.items) > window {
			t.Fatalf("%d chunks are held", len(c.items))
		}
	}
	c.Known(4000*piece, name(1000))
	f.wants(t, c, 4001*piece, 1000, 1002)
}

func TestBrokenList(t *testing.T) {
	f := new(fake)
	c := New(t.Context(), tree.Contents{Level: 1, Items: []tree.Item{{ID: name(0), Length: piece}}}, f)
	f.wants(t, c, 0, 1, 0)
	c.Known(0, name(0))
	c.Close()
	f.wants(t, c, 0, 1, 0) // as after an error, when others still use it
	c.Close()
}
