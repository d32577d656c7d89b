package delta

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestPageRuns(t *testing.T) {
	for _, c := range []struct {
		offset  int64
		n, page int
		want    []int
	}{
		{0, 0, 4096, nil},
		{0, 1, 4096, []int{1}},
		{0, 4096, 4096, []int{38, 4050, 8}},
		{0, 8192, 4096, []int{38, 4050, 46, 4050, 8}},
		{4096*7 + 38, 5000, 4096, []int{4050, 46, 904}},
		{4096*7 + 4090, 4096, 4096, []int{44, 4050, 2}},
		{1 << 40, 1024, 1024, []int{38, 978, 8}},
		{100, 50, 65536, []int{50}},
	} {
		if got := PageRuns(nil, c.offset, c.n, c.page); !slices.Equal(got, c.want) {
			t.Errorf("%d bytes at %d in pages of %d: %v, want %v", c.n, c.offset, c.page, got, c.want)
		}
	}
	for page, want := range map[int]bool{-1: false, 0: false, minPage - 1: false, minPage: true, maxPage: true, maxPage + 1: false} {
		if Paged(page) != want {
			t.Errorf("pages of %d: %v", page, !want)
		}
	}
}

// Wherever chunks begin, a page of which header, trailer and a row changed costs the blocks of the row, and no more than 46 bytes for each of its
// edges. What was inserted has pages of its own, which are as cheap the night after.
func TestPageGrid(t *testing.T) {
	const block, offset, length = 256, 5000, 1 << 20
	m := newModel(t, block)
	sign := func(data []byte, runs []int) Source {
		id := m.namer.ID(data)
		m.wholes[id] = bytes.Clone(data)
		m.signed[id] = m.signer.Sign(id, data, block, runs).Append(nil)
		return Source{id, len(data)}
	}
	file := noise(1, 2<<20)
	chunk := func() []byte { return file[offset:][:length] }
	c := sign(chunk(), PageRuns(nil, offset, length, pageSize))
	r := rand.New(rand.NewPCG(2, 2))
	for night, pages := range []int{40, 64} {
		copy(file[30*pageSize:], noise(uint64(night)+8, 4*pageSize)) // as a database writes pages that are new
		base := m.base(false, c)
		changePages(file[:offset+length], pages, r)
		got := m.matcher.Match(chunk(), base, 0)
		if most := pages*(2*block+2*(pageHead+pageTail)) + 4*pageSize + 2*block; len(got.Literal) > most {
			t.Fatalf("%d bytes of literal for %d pages, want at most %d", len(got.Literal), pages, most)
		}
		got.Recipe.Literal = sign(got.Literal, got.PageRuns(offset, pageSize))
		m.recipes[m.namer.ID(chunk())] = got.Recipe.Append(nil)
		c = Source{m.namer.ID(chunk()), length}
		if !bytes.Equal(m.get(c), chunk()) {
			t.Fatal("what was rebuilt is not what was saved")
		}
	}
	inserted := file[30*pageSize : 34*pageSize]
	for at := 0; at < len(inserted); at += pageSize {
		copy(inserted[at+pageSize-pageTail:], noise(77, pageTail))
		copy(inserted[at:], noise(78, pageHead))
	}
	if got := m.matcher.Match(chunk(), m.base(false, c), 0); len(got.Literal) > 5*(pageHead+pageTail) {
		t.Errorf("%d bytes of literal for the edges of four pages", len(got.Literal))
	}
}
