package workload

import (
	stdbinary "encoding/binary"
	"io"
	"math/rand/v2"
)

type kind uint8

// What files hold, with what zstd's levels 1 and 3 make of it.
const (
	text   kind = iota // words and lines: 2.2:1 and 2.8:1
	binary             // rows with counters, names and noise: 2:1
	opaque             // compressed or encrypted before: nothing to gain
)

func (k kind) suffix() string { return [...]string{".txt", ".db", ".gz"}[k] }

// What a generator is for: each purpose draws numbers of its own, so none disturbs another.
const (
	forPlan = iota
	forContent
	forVocabulary
	forChanges
	forStream
	forDump
)

func generator(seed, purpose, n uint64) *rand.ChaCha8 {
	var key [32]byte
	stdbinary.LittleEndian.PutUint64(key[0:], seed)
	stdbinary.LittleEndian.PutUint64(key[8:], purpose)
	stdbinary.LittleEndian.PutUint64(key[16:], n)
	return rand.NewChaCha8(key)
}

const (
	pieceSize = 128 << 10 // how much content is made at a time
	maxItem   = 4 << 10   // no item, the least that is appended, is longer
	vocabSize = 8000
)

// vocabulary is what text is drawn from: one slot for each value of sixteen random bits, with more
// slots for the more frequent words, so that a random number gives four words and nothing is computed.
type vocabulary struct {
	slots [1 << 16][]byte
	names [64][8]byte
}

func newVocabulary(seed uint64) *vocabulary {
	r := rand.New(generator(seed, forVocabulary, 0))
	words := make([]string, vocabSize)
	for i := range words {
		w := make([]byte, 2+r.IntN(9))
		for j := range w {
			w[j] = byte('a' + r.IntN(26))
		}
		words[i] = string(w)
	}
	v := new(vocabulary)
	for i := range v.slots {
		// The cube makes half of all words come from an eighth of the vocabulary. A line has twelve.
		u := float64(i) / float64(len(v.slots))
		end := " "
		if i%12 == 0 {
			end = "\n"
		}
		v.slots[i] = []byte(words[int(u*u*u*vocabSize)] + end)
	}
	for i := range v.names {
		copy(v.names[i][:], words[i])
	}
	return v
}

// content writes size bytes of a kind. buf is working space, at least pieceSize and maxItem together.
func (v *vocabulary) content(w io.Writer, k kind, size int64, r *rand.ChaCha8, buf []byte) error {
	for row := uint32(0); size > 0; {
		buf = buf[:0]
		for want := int(min(size, pieceSize)); len(buf) < want; row++ {
			buf = v.appendItem(buf, k, row, r)
		}
		buf = buf[:min(int64(len(buf)), size)]
		if _, err := w.Write(buf); err != nil {
			return err
		}
		size -= int64(len(buf))
	}
	return nil
}

// appendItem appends the smallest unit of a kind: four words, a row, or a stretch of noise.
func (v *vocabulary) appendItem(buf []byte, k kind, row uint32, r *rand.ChaCha8) []byte {
	switch k {
	case text:
		for x, n := r.Uint64(), 0; n < 4; x, n = x>>16, n+1 {
			buf = append(buf, v.slots[uint16(x)]...)
		}
	case binary:
		x := r.Uint64()
		buf = append(buf, 0x80, 0, 0x17)
		buf = stdbinary.BigEndian.AppendUint32(buf, row)
		buf = append(buf, v.names[x>>58][:]...)
		buf = stdbinary.BigEndian.AppendUint64(buf, x)
		buf = stdbinary.BigEndian.AppendUint64(buf, r.Uint64())
		buf = append(buf, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0)
	case opaque:
		at := len(buf)
		buf = buf[:at+maxItem]
		r.Read(buf[at:]) // never fails
	}
	return buf
}
