package delta

import (
	"sort"

	"nightjar/chunk"
)

// maxBlocks bounds the memory of a base: past it, old content counts as unknown. At 512 bytes a block it stands for half a gigabyte.
const maxBlocks = 1 << 20

// A Base is a window of old content that new content may copy from: the blocks of which the sums are known, and where in
// whole chunks they lie. It is built in the order of the old content. The zero value is empty. It is for one goroutine.
type Base struct {
	length  int
	sources []Source
	numbers map[chunk.ID]int32 // of sources
	blocks  []block            // in the order of the old content
	sizes   map[int]int        // bytes of old content by nominal size of their blocks
	table   table              // of the blocks, made when rolling begins
}

// A block is one block of old content.
type block struct {
	at             int // in the old content
	source         int32
	offset, length int32 // in the source
	sum
}

func (b *block) end() int { return b.at + int(b.length) }

// isZero reports whether the block is of zeros.
func (b *block) isZero() bool { return b.strong == [strongSize]byte{} }

// continues reports whether one copy can make both.
func (b *block) continues(last *block) bool {
	return last.source == b.source && last.offset+last.length == b.offset && last.end() == b.at
}

// Reset empties the base; its memory is used again.
func (b *Base) Reset() {
	b.length, b.sources, b.blocks = 0, b.sources[:0], b.blocks[:0]
	clear(b.numbers)
	clear(b.sizes)
	b.table.made = false
}

// Length returns how long the old content is by now.
func (b *Base) Length() int { return b.length }

// Skip says that n bytes of old content come next of which nothing is known: a hole, or a chunk without a signature.
func (b *Base) Skip(n int) { b.length += n }

// AppendWhole says that a whole chunk comes next. Without a signature, or with that of something else, it is skipped.
func (b *Base) AppendWhole(s Source, sig *Signature) {
	b.append(s, 0, s.Length, sig)
}

// AppendRecipe says that a chunk comes next that the recipe makes. The signatures are those of the recipe's
// sources, by the numbers that copies use; nil for what has none.
func (b *Base) AppendRecipe(r *Recipe, signatures []*Signature) {
	for _, c := range r.Copies {
		b.append(r.Source(c.Source), c.Offset, c.Length, signatures[c.Source])
	}
}

// AppendRebuilt does what AppendRecipe does for a chunk of which the bytes are at hand: it signs them, and needs no signatures.
func (b *Base) AppendRebuilt(r *Recipe, data []byte, s *Signer, size int) {
	for _, c := range r.Copies {
		source := r.Source(c.Source)
		b.appendBlocks(source, c.Offset, c.Length, s.sign(s.key(source.ID), c.Offset, data[:c.Length], size, nil), 0)
		data = data[c.Length:]
	}
}

// append adds a stretch of a source. Its blocks are those of the signature.
func (b *Base) append(s Source, offset, length int, sig *Signature) {
	if sig == nil || sig.Length() != s.Length {
		b.Skip(length)
		return
	}
	b.appendBlocks(s, offset, length, sig, offset)
}

// appendBlocks adds length bytes of a source from offset on, which are those from signed on in what the signature describes.
func (b *Base) appendBlocks(s Source, offset, length int, sig *Signature, signed int) {
	b.table.made = false
	if b.numbers == nil {
		b.numbers, b.sizes = map[chunk.ID]int32{}, map[int]int{}
	}
	b.sizes[sig.block] += length
	if n, ok := b.number(s); ok {
		for place, sum := range sig.within(signed, signed+length) {
			if len(b.blocks) == maxBlocks {
				break
			}
			from := place.at - signed
			b.blocks = append(b.blocks, block{b.length + from, n, int32(offset + from), int32(place.length), *sum})
		}
	}
	b.length += length
}

// number returns a source's index; there is none for one too many, nor for one that is said to have two lengths.
func (b *Base) number(s Source) (int32, bool) {
	if n, ok := b.numbers[s.ID]; ok {
		return n, b.sources[n].Length == s.Length
	}
	if len(b.sources) == MaxSources {
		return 0, false
	}
	n := int32(len(b.sources))
	b.numbers[s.ID] = n
	b.sources = append(b.sources, s)
	return n, true
}

// window returns the nominal size of most of the blocks. Only blocks of that size are found wherever they turn up.
func (b *Base) window() int {
	window := 0
	for size, n := range b.sizes {
		if n > b.sizes[window] || n == b.sizes[window] && size < window {
			window = size
		}
	}
	return window
}

// index returns the table of the blocks.
func (b *Base) index() *table {
	if !b.table.made {
		b.table.fill(b.blocks, b.window())
	}
	return &b.table
}

// from returns the first block that begins at a place of the old content or after it.
func (b *Base) from(at int) int {
	return sort.Search(len(b.blocks), func(i int) bool { return b.blocks[i].at >= at })
}
