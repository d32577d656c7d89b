package ledger

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// What the ledger counts is what counting byte by byte gives.
func TestLedger(t *testing.T) {
	const size = 400
	random := rand.New(rand.NewPCG(3, 4))
	for round := range 200 {
		l := New(nil)
		var seen [3][size]bool
		var want Reads
		for range 1 + random.IntN(60) {
			object := random.IntN(len(seen))
			from := random.IntN(size)
			to := from + random.IntN(min(size-from, 1+round)+1)
			l.note(sha256.Sum256([]byte{byte(object)}), span{int64(from), int64(to)})
			for i := from; i < to; i++ {
				want.Bytes++
				if seen[object][i] {
					want.Again++
				}
				seen[object][i] = true
			}
		}
		if l.reads != want {
			t.Fatalf("counted %+v, not %+v", l.reads, want)
		}
		spans := 0
		for _, all := range l.seen {
			for i, s := range all {
				if s.from >= s.to || i > 0 && s.from <= all[i-1].to {
					t.Fatalf("spans %v", all)
				}
			}
			spans += len(all)
		}
		if spans != l.spans {
			t.Fatalf("%d spans are counted as %d", spans, l.spans)
		}
	}
}

// Of very many objects it follows some, and what it says of the rest is close.
func TestLedgerBounded(t *testing.T) {
	l := New(nil)
	l.most = 1000
	const objects = 40_000
	for i := range 2 * objects {
		sum := sha256.Sum256(binary.AppendUvarint(nil, uint64(i%objects)))
		l.note(sum, span{0, 100})
		if i < objects { // and half of it at once
			l.note(sum, span{50, 100})
		}
		if l.spans > l.most || len(l.seen) > l.most {
			t.Fatalf("%d spans of %d objects", l.spans, len(l.seen))
		}
	}
	if l.reads.Bytes != objects*250 {
		t.Errorf("%d bytes", l.reads.Bytes)
	}
	if got, want := float64(l.reads.Again), float64(objects*150); got < 0.9*want || got > 1.1*want {
		t.Errorf("%.0f bytes again, not about %.0f", got, want)
	}
}
