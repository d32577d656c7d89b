package delta

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"
)

// What a hostile recipe or signature costs is a few times its own bytes.
func TestDecodeMemory(t *testing.T) {
	count := func(n uint64) []byte { return binary.AppendUvarint(nil, n) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	head := []byte{version, 1, 0} // a chunk of a byte, no literal
	for name, b := range map[string][]byte{
		"copies":          join(head, []byte{0}, count(MaxCopies), make([]byte, 3*MaxCopies)),
		"sources":         join(head, count(MaxSources), make([]byte, 33*MaxSources), []byte{0}),
		"sources claimed": join(head, count(MaxSources), make([]byte, 100)),
		"copies claimed":  join(head, []byte{0}, count(MaxCopies), make([]byte, 100)),
		"runs":            join([]byte{version}, count(MinBlock), count(MaxRuns), bytes.Repeat([]byte{1}, MaxRuns), make([]byte, MaxRuns*sumSize)),
		"runs claimed":    join([]byte{version}, count(MinBlock), count(MaxRuns), make([]byte, 100)),
		"blocks claimed":  join([]byte{version}, count(MinBlock), []byte{1}, count(8<<20), make([]byte, 100)),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, recipeErr := DecodeRecipe(b)
		_, signatureErr := DecodeSignature(b)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 12*uint64(len(b))+8<<10 {
			t.Errorf("%s: %d bytes took %d: %v, %v", name, len(b), took, recipeErr, signatureErr)
		}
	}
}
