package chunk

import (
	"bytes"
	"slices"
	"testing"
)

// A Splitter cuts where a Cutter does, whatever the pieces are, and again after Reset.
func TestSplitter(t *testing.T) {
	long := random(1, 12<<20)
	copy(long[2<<20:], bytes.Repeat([]byte("without a boundary "), 500<<10)) // longer than Max
	c, s := NewCutter(rule(t)), NewSplitter(rule(t))
	for _, data := range [][]byte{nil, {1}, long[:512<<10], long[:512<<10+1], long} {
		var want []int
		for _, chunk := range cut(t, c, bytes.NewReader(data)) {
			want = append(want, len(chunk))
		}
		for _, piece := range []int{1 << 10, 64<<10 - 1, 1 << 20, len(long)} {
			s.Reset()
			var got []int
			length := 0
			for rest := data; len(rest) > 0; {
				n := min(piece, len(rest))
				if end := s.Next(rest[:n]); end >= 0 {
					got = append(got, length+end)
					length, rest = 0, rest[end:]
				} else {
					length, rest = length+n, rest[n:]
				}
			}
			if length > 0 {
				got = append(got, length)
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d bytes in pieces of %d are cut into %v, not %v", len(data), piece, got, want)
			}
		}
	}
}
