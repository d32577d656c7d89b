package pack

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"testing"
)

// What a hostile directory costs is a few times its own bytes.
func TestDirectoryMemory(t *testing.T) {
	count := func(n uint64) []byte { return binary.AppendUvarint(nil, n) }
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	head := []byte{dirVersion, byte(Content)}
	blob := append(make([]byte, 16), byte(WholeContent), 0)
	for name, b := range map[string][]byte{
		"frames":         join(head, count(MaxFrames), bytes.Repeat([]byte{1, 0, 0}, MaxFrames)),
		"blobs":          join(head, []byte{1, 1, 0}, count(MaxBlobs), bytes.Repeat(blob, MaxBlobs)),
		"frames claimed": join(head, count(MaxFrames), make([]byte, 100)),
		"blobs claimed":  join(head, []byte{1, 1, 0}, count(MaxBlobs), make([]byte, 100)),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ParseDirectory(b)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 16*uint64(len(b))+8<<10 {
			t.Errorf("%s: %d bytes took %d: %v", name, len(b), took, err)
		}
	}
}
