// Package ledger keeps account of what is read of the objects of a store, and how much of it was read before.
//
// It remembers which stretches of which objects were read. When those are too many, it forgets half of the objects, as their ids fall, and for each byte
// that is read again of the rest counts two from then on: so Reads.Again is exact up to some 32,000 objects (half a terabyte of packs), and an estimate beyond.
//
// The package keeps no bytes, and does not know what they mean.
package ledger

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"

	"nightjar/repo/store"
)

// Reads say what was read, in bytes.
type Reads struct {
	Bytes uint64 // that the store delivered, those included that only lay between what was wanted
	Again uint64 // of these, all that it had delivered before: Bytes less the different bytes among them
}

// spansMost bounds what is remembered: about 3 MiB.
const spansMost = 1 << 15

// A Ledger stands before a store. It is safe for concurrent use.
type Ledger struct {
	store store.Store

	mu     sync.Mutex
	reads  Reads
	seen   map[[32]byte][]span
	spans  int // in seen
	most   int
	halved uint // times that objects were forgotten
}

// A span is a stretch of an object, from its first byte to before its end.
type span struct{ from, to int64 }

// New returns a Ledger that has counted nothing.
func New(s store.Store) *Ledger {
	return &Ledger{store: s, seen: map[[32]byte][]span{}, most: spansMost}
}

// Reads returns what was read through the Ledger so far.
func (l *Ledger) Reads() Reads {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.reads
}

// GetInto is the store's, and counts what it delivers of an object that is named by its hash.
func (l *Ledger) GetInto(ctx context.Context, name string, offset int64, buf []byte) error {
	err := l.store.GetInto(ctx, name, offset, buf)
	if sum, ok := store.SumOf(name); ok && err == nil {
		l.note(sum, span{offset, offset + int64(len(buf))})
	}
	return err
}

// follows reports whether an object is among those that are remembered.
func (l *Ledger) follows(sum [32]byte) bool {
	return binary.LittleEndian.Uint32(sum[:])&(1<<l.halved-1) == 0
}

func (l *Ledger) note(sum [32]byte, s span) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reads.Bytes += uint64(s.to - s.from)
	if s.from == s.to || !l.follows(sum) {
		return
	}
	all, again := merge(l.seen[sum], s)
	l.reads.Again += uint64(again) << l.halved
	l.spans += len(all) - len(l.seen[sum])
	l.seen[sum] = all
	for l.spans > l.most && l.halved < 24 {
		l.halved++
		for sum, all := range l.seen {
			if !l.follows(sum) {
				l.spans -= len(all)
				delete(l.seen, sum)
			}
		}
	}
}

// merge adds s to ordered spans that neither overlap nor touch, and returns how much of it they had.
func merge(all []span, s span) (_ []span, had int64) {
	first, _ := slices.BinarySearchFunc(all, s.from, func(x span, from int64) int {
		if x.to < from {
			return -1
		}
		return 1
	})
	last := first
	for ; last < len(all) && all[last].from <= s.to; last++ {
		had += max(0, min(all[last].to, s.to)-max(all[last].from, s.from))
		s.from, s.to = min(s.from, all[last].from), max(s.to, all[last].to)
	}
	return slices.Replace(all, first, last, s), had
}
