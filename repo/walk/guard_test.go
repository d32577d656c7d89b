package walk

import (
	"encoding/binary"
	"testing"

	"nightjar/chunk"
)

// How much is different is known however much that is, and whatever the ids begin with.
func TestGuardEstimates(t *testing.T) {
	const different, bytes = 400_000, 200
	var g Guard
	for range 3 {
		for i := range uint64(different) {
			var id chunk.ID
			binary.BigEndian.PutUint64(id[8:], i)
			if err := g.Visit(id, bytes); err != nil {
				t.Fatal(err)
			}
		}
	}
	const want = different * bytes
	if got := g.once << g.shift; g.bytes != 3*want || got < want*97/100 || got > want*103/100 || len(g.sample) > guardSample || g.once != int64(len(g.sample))*bytes {
		t.Errorf("%d bytes of %d, %d in the sample", got, want, len(g.sample))
	}
}
