package walk

import (
	"fmt"
	"hash/maphash"

	"nightjar/chunk"
	"nightjar/crypto"
)

// What a Guard puts up with. Snapshots that lie side by side, or mounts of one file system, name the same trees as often as there are of them: hourly ones 8,760 times
// in a year.
const (
	guardSample = 1 << 16
	guardVisits = 1 << 18
	guardBytes  = 64 << 20
	guardShare  = 10_000
)

// ErrBomb says that an archive leads to the same few trees by more paths than anybody can walk.
var ErrBomb = fmt.Errorf("its folders name each other so often that no walk would end: %w", crypto.ErrIntegrity)

// A Guard ends a walk of paths that comes to the same trees and lists again and again: on average more than 10,000 times to each or to each of their bytes, and to more
// than 262,144 of them, or 64 MiB. How many are different it estimates by a sample of at most 65,536, which whoever makes trees cannot foresee. The zero value is ready.
type Guard struct {
	seed   maphash.Seed
	sample map[uint64]int64 // bytes, by hash
	shift  int              // one in 1<<shift is in the sample
	once   int64            // bytes of the sample
	visits int64
	bytes  int64 // of all visits
}

// Visit notes that a walk comes to a tree or list of so many bytes.
func (g *Guard) Visit(id chunk.ID, bytes int) error {
	if g.sample == nil {
		g.seed, g.sample = maphash.MakeSeed(), map[uint64]int64{}
	}
	size := int64(bytes)
	g.visits++
	g.bytes += size
	h := maphash.Bytes(g.seed, id[:])
	if _, ok := g.sample[h]; !ok && g.samples(h) {
		g.sample[h] = size
		g.once += size
		for len(g.sample) > guardSample {
			g.halve()
		}
	}
	if g.visits > guardVisits && g.visits/guardShare > int64(len(g.sample))<<g.shift || g.bytes > guardBytes && g.bytes/guardShare > g.once<<g.shift {
		return ErrBomb
	}
	return nil
}

func (g *Guard) samples(h uint64) bool { return h>>(64-g.shift) == 0 }

// halve gives up half of the sample.
func (g *Guard) halve() {
	g.shift++
	for h, size := range g.sample {
		if !g.samples(h) {
			g.once -= size
			delete(g.sample, h)
		}
	}
}
