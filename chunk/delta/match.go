package delta

import (
	"fmt"
	"math"
	"sort"

	"nightjar/chunk"
)

// minCopy is the shortest block that is worth a copy of its own; shorter ones only lengthen the copy before them. With
// it, no recipe for a chunk can have more than MaxCopies.
const minCopy = 16

// A Match is new content made out of old. Its memory is used again by the next.
type Match struct {
	Recipe  Recipe // its Literal still needs an ID, unless it has no length
	Literal []byte // the bytes that no block has
	Runs    []int  // the runs of the literal, each of which becomes one copy: its signature has to be made with them
	Shift   int    // how much further in the old content lay what two blocks after one another agreed on last; as expected if no two did
}

// A Matcher finds blocks of old content in new content. It is for one goroutine.
type Matcher struct {
	signer *Signer
	match  Match
	number []int      // of the base's sources in the recipe; 0 for those not used
	keys   []chunkKey // of the base's sources; zero for those not needed yet

	base  *Base
	data  []byte
	done  int    // data before it is in the match
	last  *block // what was copied last
	shift int    // a block at x of the old content is expected at x - shift of data
	voted int    // the shift of the block that was copied last, unless it was of zeros
	sure  int    // the shift that two such blocks after one another had
	next  int    // the first block that is expected at or after the place that is looked at
	waste int    // bytes that were hashed in vain
}

// NewMatcher returns a Matcher for bases signed with the same secret.
func NewMatcher(s *Signer) *Matcher { return &Matcher{signer: s} }

// Match makes data out of the base. Data, which has at most chunk.MaxSize bytes, is expected at the given place of the old content, which may lie outside
// of it. The time it takes is linear in the length of data, whatever data and base hold.
//
// A block is tried where it is expected after the block before it, by its strong sum alone. After a miss the rolling sum looks for any block of the nominal
// size at every place, until one is found there, or the next expected block is. Blocks of other sizes, which are the tails of runs, are
// found only where they are expected, or before a block that was found: they are too many and too short to look for everywhere.
func (m *Matcher) Match(data []byte, base *Base, expected int) *Match {
	if len(data) > chunk.MaxSize {
		panic(fmt.Sprintf("delta: match %d bytes", len(data)))
	}
	m.base, m.data, m.done, m.last, m.waste = base, data, 0, nil, 0
	m.number, m.keys = zeroed(m.number, len(base.sources)), zeroed(m.keys, len(base.sources))
	m.match.Recipe = Recipe{Length: len(data), Sources: m.match.Recipe.Sources[:0], Copies: m.match.Recipe.Copies[:0]}
	m.match.Literal, m.match.Runs = m.match.Literal[:0], m.match.Runs[:0]
	m.shift, m.voted, m.sure, m.next = expected, expected, expected, base.from(expected)
	for p := 0; p < len(data) && len(m.match.Runs) < MaxRuns-1 && !m.spent(); {
		if m.due() == p {
			if m.is(m.next, p) {
				p = m.take(p)
				continue
			}
			m.next++
		}
		m.goBack(p)
		next := m.find(p)
		m.waste += max(m.base.table.window/8-(next-p), 0) // it summed up a window: runs far shorter than the blocks' size must not repeat that for long
		p = next
	}
	m.literal(len(data))
	m.match.Recipe.Literal.Length, m.match.Shift = len(m.match.Literal), m.sure
	m.base, m.data, m.last = nil, nil, nil
	return &m.match
}

// goBack expects blocks where two agreed on it last: one that was found elsewhere may be a copy by chance, like zeros, and
// one such after another would lead ever further away.
func (m *Matcher) goBack(p int) {
	if m.shift != m.sure {
		m.shift, m.next = m.sure, m.base.from(p+m.sure)
	}
}

// due returns where the next block is expected.
func (m *Matcher) due() int {
	if m.next == len(m.base.blocks) {
		return math.MaxInt
	}
	return m.base.blocks[m.next].at - m.shift
}

// find takes the first block that it finds from p on, and returns the place after it: the end of the data if there is none.
func (m *Matcher) find(p int) int {
	t := m.base.index()
	if last := len(m.data) - t.window; t.window > 0 && p <= last {
		multiplier, out := m.signer.powers[1], m.signer.power(t.window)
		for h := m.signer.rolling(m.data[p : p+t.window]); ; {
			if p == m.due() {
				if b := &m.base.blocks[m.next]; (int(b.length) != t.window || b.rolling == h) && m.is(m.next, p) {
					return m.take(p)
				}
				m.next++
			}
			if t.may(h) && m.found(h, p) {
				return m.done
			}
			if p == last || m.spent() {
				break
			}
			h = h*multiplier + (uint32(m.data[p+t.window]) - uint32(m.data[p])*out)
			p, h = t.roll(m.data, p+1, min(m.due(), last), h, multiplier, out)
		}
	}
	for ; m.due() < len(m.data) && !m.spent(); m.next++ {
		if m.is(m.next, m.due()) {
			return m.take(m.due())
		}
	}
	return len(m.data)
}

// found takes the block of the table that is at p, if there is one, after the blocks that stand before both.
func (m *Matcher) found(h uint32, p int) bool {
	t, blocks := &m.base.table, m.base.blocks
	i := m.lookup(h, p)
	if i < 0 {
		return false
	}
	// Should the window lie on two blocks of the expected grid, the grid goes first: else a row of zeros in a changed block shifts all that follows.
	if due := m.due(); due < p+t.window && m.is(m.next, due) {
		m.take(due)
		return true
	}
	m.shift, m.next = blocks[i].at-p, i
	for ; m.next > 0; m.next-- {
		b, before := &blocks[m.next], &blocks[m.next-1]
		n := int(before.length)
		if before.end() != b.at || n > t.window || n > p-m.done || n < minCopy && !b.continues(before) || !m.same(before, p-n) {
			break
		}
		p -= n
	}
	for m.next <= i {
		p = m.take(p)
	}
	return true
}

// lookup returns the number of a block of the table that is at p, where the window has the rolling sum h; or -1.
func (m *Matcher) lookup(h uint32, p int) int {
	t := &m.base.table
	for n := range maxProbe {
		i := int(*t.slot(h, n)) - 1
		if i < 0 {
			break
		}
		if b := &m.base.blocks[i]; b.rolling == h {
			if !m.same(b, p) {
				break
			}
			if b.isZero() {
				return m.zeros(p + m.shift)
			}
			return i
		}
	}
	return -1
}

// zeros returns the number of a block of zeros near a place of the old content, of which there is one: best of the chunk that was copied last.
func (m *Matcher) zeros(at int) int {
	all := m.base.table.zeros
	i := sort.Search(len(all), func(i int) bool { return m.base.blocks[all[i]].at >= at })
	best, least := 0, math.MaxInt
	for _, n := range all[max(i-1, 0):min(i+1, len(all))] {
		b := &m.base.blocks[n]
		distance := max(b.at-at, at-b.at)
		if m.last != nil && b.source != m.last.source {
			distance += chunk.MaxSize
		}
		if distance < least {
			best, least = int(n), distance
		}
	}
	return best
}

// is reports whether a block is at p and worth a copy.
func (m *Matcher) is(i, p int) bool {
	b := &m.base.blocks[i]
	if b.length < minCopy && (m.last == nil || m.done != p || !b.continues(m.last)) {
		return false
	}
	return int(b.length) <= len(m.data)-p && m.same(b, p)
}

// same reports whether a block is at p.
func (m *Matcher) same(b *block, p int) bool {
	key := &m.keys[b.source]
	if *key == (chunkKey{}) {
		*key = m.signer.key(m.base.sources[b.source].ID)
	}
	if m.signer.is(*key, int(b.offset), b.strong, m.data[p:p+int(b.length)]) {
		return true
	}
	m.waste += int(b.length)
	return false
}

// spent reports that so much was hashed in vain as honest signatures never cause: each byte of data once where it was expected, and once
// more for what was found elsewhere.
func (m *Matcher) spent() bool { return m.waste > 8*len(m.data)+8*MaxBlock }

// take makes the next block's copy at p, and returns the place after it.
func (m *Matcher) take(p int) int {
	m.literal(p)
	b := &m.base.blocks[m.next]
	if m.number[b.source] == 0 {
		m.match.Recipe.Sources = append(m.match.Recipe.Sources, m.base.sources[b.source])
		m.number[b.source] = len(m.match.Recipe.Sources)
	}
	m.copy(m.number[b.source], int(b.offset), int(b.length))
	if !b.isZero() {
		if m.voted == m.shift {
			m.sure = m.shift
		}
		m.voted = m.shift
	}
	m.last = b
	m.next++
	return m.done
}

// literal makes a run of all data before p that is not in the match yet.
func (m *Matcher) literal(p int) {
	if n := p - m.done; n > 0 {
		m.match.Literal = append(m.match.Literal, m.data[m.done:p]...)
		m.match.Runs = append(m.match.Runs, n)
		m.copy(0, len(m.match.Literal)-n, n)
	}
}

func (m *Matcher) copy(source, offset, length int) {
	m.done += length
	copies := m.match.Recipe.Copies
	if len(copies) > 0 {
		if last := &copies[len(copies)-1]; last.Source == source && last.Offset+last.Length == offset {
			last.Length += length
			return
		}
	}
	m.match.Recipe.Copies = append(copies, Copy{source, offset, length})
}
