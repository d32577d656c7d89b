package read_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"testing"
	"testing/iotest"

	"nightjar/backup/backuptest"
	"nightjar/backup/read"
	"nightjar/chunk"
	"nightjar/crypto"
	"nightjar/repo/tree"
)

const mib = 1 << 20

func TestReader(t *testing.T) {
	for _, lengths := range [][]int{
		{}, {1}, {-1}, {100}, {1, 1, 1}, {-7, 5, -3}, {70_000, 30_000, 1, -40_000, 5}, slices.Repeat([]int{1}, 3*read.Pieces+1),
	} {
		c := newChunks()
		contents, want := c.some(1, lengths...)
		b := read.NewBudget(0)
		r := read.Open(t.Context(), c, contents, b)
		if err := iotest.TestReader(r, want); err != nil {
			t.Errorf("%d pieces: %v", len(lengths), err)
		}
		must(t, r.Close())
		idle(t, b)
	}
}

// Large content comes whole through budgets of all sizes, whatever the reads; lists are read on the way.
func TestSizes(t *testing.T) {
	c := newChunks()
	contents, want := c.some(1, 3*mib, mib, -2*mib, chunk.MaxSize, 1, mib, 2*mib, 3*mib, -1, 5)
	half := len(contents.Items) / 2
	var list tree.Contents
	for _, items := range [][]tree.Item{contents.Items[:half], contents.Items[half:]} {
		size := tree.Contents{Items: items}.Size()
		item := c.add(tree.EncodeList(items))
		list.Level, list.Items = 1, append(list.Items, tree.Item{ID: item.ID, Length: size})
	}
	for _, size := range []int64{0, chunk.MaxSize + 1, 3 * chunk.MaxSize, 64 * mib} {
		for _, step := range []int{1000, mib - 1, 20 * mib} {
			b := read.NewBudget(size)
			r := read.Open(t.Context(), c, list, b)
			var got bytes.Buffer
			_, err := io.CopyBuffer(struct{ io.Writer }{&got}, r, make([]byte, step))
			if err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("budget %d, steps of %d: %d bytes, not %d: %v", size, step, got.Len(), len(want), err)
			}
			must(t, r.Close())
			idle(t, b)
		}
	}
}

// Whatever is wrong with a chunk or a list, all before it is read, and then the reason, again and again.
func TestBroken(t *testing.T) {
	broken := errors.New("broken")
	for name, spoil := range map[string]func(c *chunks, item *tree.Item){
		"chunk":  func(c *chunks, item *tree.Item) { c.broken[item.ID] = broken },
		"length": func(c *chunks, item *tree.Item) { item.Length++ },
		"store": func(c *chunks, item *tree.Item) {
			c.down = broken
		},
	} {
		for at := range 7 {
			c := newChunks()
			contents, all := c.some(1, mib/4, mib/2, -5, mib, 1, mib/2, mib/4)
			if contents.Items[at].Hole {
				continue
			}
			spoil(c, &contents.Items[at])
			want := 0
			for _, item := range contents.Items[:at] {
				want += int(item.Length)
			}
			if name == "store" {
				want = mib / 4 // the first is delivered
			}
			b := read.NewBudget(64 * mib)
			r := read.Open(t.Context(), c, contents, b)
			got, err := io.ReadAll(r)
			_, again := r.Read(make([]byte, 1))
			if !bytes.Equal(got, all[:want]) || again != err || !errors.Is(err, broken) && !(name == "length" && errors.Is(err, crypto.ErrIntegrity)) {
				t.Errorf("%s %d: %d bytes, not %d: %v, then %v", name, at, len(got), want, err, again)
			}
			must(t, r.Close())
			idle(t, b)
		}
	}
	c := newChunks()
	contents, all := c.some(1, mib, 5)
	lost := c.add(tree.EncodeList(contents.Items))
	c.broken[lost.ID] = broken
	whole := c.add(tree.EncodeList(contents.Items[:1]))
	r := read.Open(t.Context(), c, tree.Contents{Level: 1, Items: []tree.Item{{ID: whole.ID, Length: mib}, {ID: lost.ID, Length: mib + 5}}}, nil)
	defer r.Close()
	if got, err := io.ReadAll(r); !bytes.Equal(got, all[:mib]) || !errors.Is(err, broken) {
		t.Errorf("list: %d bytes, %v", len(got), err)
	}
}

// A reader ends with Close and with its context, also while somebody reads, and gives its memory back.
func TestEnds(t *testing.T) {
	enough := errors.New("enough")
	for name, end := range map[string]func(r io.Closer, cancel func(error)) error{
		"close":  func(r io.Closer, _ func(error)) error { _ = r.Close(); return fs.ErrClosed },
		"cancel": func(_ io.Closer, cancel func(error)) error { cancel(enough); return enough },
	} {
		c := newChunks()
		contents, _ := c.some(1, mib, 8*mib, 2*mib, 8*mib, 8*mib)
		b := read.NewBudget(16 * mib)
		ctx, cancel := context.WithCancelCause(t.Context())
		r := read.Open(ctx, c, contents, b)
		_, err := io.ReadFull(r, make([]byte, mib+1))
		must(t, err)
		want := end(r, cancel)
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, want) {
			t.Errorf("%s: read: %v", name, err)
		}
		must(t, r.Close())
		idle(t, b)

		c.held = make(chan struct{})
		ctx, cancel = context.WithCancelCause(t.Context())
		r = read.Open(ctx, c, contents, b)
		reading := make(chan error)
		go func() {
			_, err := r.Read(make([]byte, 1))
			reading <- err
		}()
		want = end(r, cancel)
		if err := <-reading; !errors.Is(err, want) {
			t.Errorf("%s while it is read: %v", name, err)
		}
		must(t, r.Close())
		idle(t, b)
	}
}

// A hole takes no memory, whatever its size.
func TestHole(t *testing.T) {
	c := newChunks()
	r := read.Open(t.Context(), c, tree.Contents{Items: []tree.Item{{Hole: true, Length: 1 << 60}}}, nil)
	buf := bytes.Repeat([]byte{1}, mib)
	some := func() {
		if _, err := io.ReadFull(r, buf); err != nil || slices.Max(buf) != 0 {
			t.Fatal(err, "or no zeros")
		}
	}
	if n := testing.AllocsPerRun(100, some); n > 0 {
		t.Errorf("%v allocations for a MiB", n)
	}
	must(t, r.Close())
	if peak := backuptest.Peak(func() {
		for range 100 {
			must(t, read.Open(t.Context(), c, tree.Contents{Items: []tree.Item{{Hole: true, Length: 1 << 62}}}, nil).Close())
		}
	}); peak > 8*mib {
		t.Errorf("peak %d", peak)
	}
}
