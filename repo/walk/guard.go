package walk

import (
	"encoding/binary"
	"fmt"

	"nightjar/chunk"
	"nightjar/crypto"
)

// What a Guard puts up with: snapshots that lie side by side, or mounts of the same file system, name the same trees as often as there are of them.
const (
	guardSlots = 1 << 16
	againLeast = 1 << 16
	againShare = 4096
)

// ErrBomb says that an archive leads to the same few trees by more paths than anybody can walk.
var ErrBomb = fmt.Errorf("its folders name each other so often that no walk would end: %w", crypto.ErrIntegrity)

// A Guard ends a walk of paths that comes to the same trees again and again: more than 65,536 times, and 4,096 times as often as to others. It remembers the last
// 65,536 trees. The zero value is ready.
type Guard struct {
	seen         []uint64 // what ids begin with
	fresh, again int64
}

// Enter is for Walk.Enter: it enters all, until it is enough.
func (g *Guard) Enter(u Use, _ int64) (bool, error) {
	if u.Kind != Tree {
		return true, nil
	}
	return true, g.Visit(u.ID)
}

// Visit notes that a walk comes to a tree.
func (g *Guard) Visit(id chunk.ID) error {
	if g.seen == nil {
		g.seen = make([]uint64, guardSlots)
	}
	begin := binary.LittleEndian.Uint64(id[:])
	slot := &g.seen[begin%guardSlots]
	if *slot != begin {
		*slot = begin
		g.fresh++
		return nil
	}
	if g.again++; g.again > againLeast && g.again/againShare > g.fresh {
		return ErrBomb
	}
	return nil
}
