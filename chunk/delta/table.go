package delta

import "math/bits"

const (
	maxProbe = 16 // slots that are looked at: a signature made to collide must not cost more
	wordBits = 2  // one word of the filter stands for 2^wordBits slots
)

// A table finds the blocks of one size by their rolling sums. Slots and filter are found by a sum's highest bits, which depend on every byte; with two bits
// of a word for each sum, the filter turns down nearly all places of new content, and stays in the processor's nearest cache.
type table struct {
	made   bool
	window int // the size of the blocks; 0 if there are none
	slots  []uint32
	filter []uint64
	shift  int     // from a sum to its word in the filter
	zeros  []int32 // where zeros begin: the first of each row of such blocks
}

// fill makes the table anew. Of blocks with equal rolling sums, which are nearly always equal, it holds the first;
// zeros are everywhere, so that it has all places.
func (t *table) fill(blocks []block, window int) {
	log := max(bits.Len(uint(2*len(blocks))), 6)
	t.made, t.window, t.shift = true, window, 32-log+wordBits
	t.slots = zeroed(t.slots, 1<<log)
	t.filter = zeroed(t.filter, 1<<(log-wordBits))
	t.zeros = t.zeros[:0]
	for i := range blocks {
		if int(blocks[i].length) == window {
			t.add(blocks, i)
			if blocks[i].isZero() && (i == 0 || !blocks[i-1].isZero() || int(blocks[i-1].length) != window) {
				t.zeros = append(t.zeros, int32(i))
			}
		}
	}
}

func (t *table) add(blocks []block, i int) {
	h := blocks[i].rolling
	for n := range maxProbe {
		slot := t.slot(h, n)
		if *slot == 0 {
			*slot = uint32(i + 1)
			t.filter[h>>t.shift] |= 1<<(h&63) | 1<<(h>>6&63)
			return
		}
		if blocks[*slot-1].rolling == h {
			return
		}
	}
}

// slot returns the n-th slot to look at for a rolling sum.
func (t *table) slot(h uint32, n int) *uint32 {
	return &t.slots[(int(h>>(t.shift-wordBits))+n)&(len(t.slots)-1)]
}

// may reports whether there may be a block with the rolling sum.
func (t *table) may(h uint32) bool {
	word := t.filter[h>>t.shift]
	return word>>(h&63)&(word>>(h>>6&63))&1 != 0
}

// roll moves the window on from p until it may be on a block, or is at limit. It returns where it is then, with its sum. The
// sum of the window at p is h, multiplier that of the rolling sum, and out its power of the window's size.
func (t *table) roll(data []byte, p, limit int, h, multiplier, out uint32) (int, uint32) {
	behind, ahead := data[p:limit], data[p+t.window:limit+t.window]
	filter, shift := t.filter, t.shift&31
	for i, b := range behind {
		word := filter[h>>shift]
		if word>>(h&63)&(word>>(h>>6&63))&1 != 0 {
			return p + i, h
		}
		h = h*multiplier + (uint32(ahead[i]) - uint32(b)*out)
	}
	return limit, h
}

// zeroed returns n zeros, in the memory of s when that suffices.
func zeroed[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}
