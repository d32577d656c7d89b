package delta

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"nightjar/chunk"
)

// file is what one night's archive knows of a file.
type file struct {
	chunks []Source
	ends   []int
}

// night cuts data, saves each chunk that was not there the night before against those that stood around its place, and reads all back.
func (m *model) night(c *chunk.Cutter, data []byte, before file, readable bool) (now file, fresh int) {
	m.t.Helper()
	var buf []byte
	var rebuilt []byte
	at := 0
	for c.Reset(bytes.NewReader(data)); ; {
		var err error
		if buf, err = c.Next(buf); err == io.EOF {
			break
		} else if err != nil {
			m.t.Fatal(err)
		}
		first, last := 0, 0
		for last < len(before.ends) && before.ends[last] < at+len(buf) {
			if last++; before.ends[last-1] <= at {
				first = last
			}
		}
		first, last = max(first-1, 0), min(last+2, len(before.chunks))
		first = min(first, last)
		start := 0
		if first > 0 {
			start = before.ends[first-1]
		}
		saved, n := m.save(buf, m.base(readable, before.chunks[first:last]...), at-start)
		at += len(buf)
		fresh += n
		now.chunks, now.ends = append(now.chunks, saved), append(now.ends, at)
		rebuilt = append(rebuilt, m.get(saved)...)
	}
	if !bytes.Equal(rebuilt, data) {
		m.t.Fatal("the file that was read is not the file that was saved")
	}
	return now, fresh
}

// Any file, any change, any number of nights: what is read is what was saved, out of whole chunks alone.
func TestNights(t *testing.T) {
	rule := chunk.Rule{Polynomial: 0x3DA3358B4DC173, Min: 4 << 10, Bits: 14, Max: 64 << 10}
	if err := rule.Validate(); err != nil {
		t.Fatal(err)
	}
	cutter := chunk.NewCutter(rule)
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			m := newModel(t, []int{256, 300, 512, 1024}[seed%4])
			data := noise(seed, 50_000+r.IntN(150_000))
			if seed%3 == 0 {
				clear(data[20_000:40_000])
				copy(data[45_000:], data[:5000])
			}
			before, _ := m.night(cutter, data, file{}, false)
			for range 15 {
				script := noise(r.Uint64(), 4*r.IntN(6))
				next := edit(data, script)
				if len(next) == 0 || len(next) > 1<<18 {
					continue
				}
				now, fresh := m.night(cutter, next, before, seed%2 == 0)
				if len(script) == 0 && fresh > 0 {
					t.Fatalf("%d bytes are new in what has not changed", fresh)
				}
				data, before = next, now
			}
		})
	}
}

// Pages of a database change as an updated row changes them. However many nights, each costs the blocks that it touches and no more.
func TestPages(t *testing.T) {
	const block = 512
	m := newModel(t, block)
	cutter := chunk.NewCutter(chunk.Rule{Polynomial: 0x3DA3358B4DC173, Min: 64 << 10, Bits: 17, Max: 1 << 20})
	data := noise(1, 4<<20)
	before, _ := m.night(cutter, data, file{}, false)
	r := rand.New(rand.NewPCG(1, 1))
	for range 8 {
		pages := 20
		changePages(data, pages, r)
		now, fresh := m.night(cutter, data, before, false)
		chunks := 0
		for i := range now.chunks {
			if i >= len(before.chunks) || now.chunks[i] != before.chunks[i] {
				chunks++
			}
		}
		// Two blocks for the row, one each for header and trailer; and what is cut in two at a chunk's ends.
		if most := pages*4*block + chunks*2*block; fresh > most {
			t.Fatalf("%d bytes are new, want at most %d", fresh, most)
		}
		before = now
	}
}

const pageSize = 16 << 10

// changePages changes distinct pages as InnoDB does: checksum and log sequence number, a row, and the trailer.
func changePages(data []byte, pages int, r *rand.Rand) {
	for _, page := range r.Perm(len(data) / pageSize)[:pages] {
		p := data[page*pageSize:][:pageSize]
		row := 64 + r.IntN(pageSize-64-256-8)
		for _, part := range [][]byte{p[:4], p[16:24], p[row : row+256], p[pageSize-8:]} {
			copy(part, noise(r.Uint64(), len(part)))
		}
	}
}
