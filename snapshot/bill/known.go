package bill

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"nightjar/internal/bounded"
	"nightjar/internal/durable"
	"nightjar/internal/versioned"
)

// unrelated stands for the blocks of two snapshots that cannot be compared.
const unrelated = -1

type pair struct{ snapshot, base string }

// Known remembers in how many blocks the snapshots of one region differ. It is a cache: without it all is asked again. The zero value is empty.
type Known struct {
	blocks map[pair]int64
	used   map[pair]bool
}

func (k *Known) get(snapshot, base string) (int64, bool) {
	n, ok := k.blocks[pair{snapshot, base}]
	if ok {
		k.use(pair{snapshot, base})
	}
	return n, ok
}

func (k *Known) put(snapshot, base string, n int64) {
	if k.blocks == nil {
		k.blocks = map[pair]int64{}
	}
	k.blocks[pair{snapshot, base}] = n
	k.use(pair{snapshot, base})
}

func (k *Known) use(p pair) {
	if k.used == nil {
		k.used = map[pair]bool{}
	}
	k.used[p] = true
}

// settle forgets what was not used since it was last called: a snapshot is there no more.
func (k *Known) settle() {
	for p := range k.blocks {
		if !k.used[p] {
			delete(k.blocks, p)
		}
	}
	clear(k.used)
}

// maxPairs are remembered at most: of more than that, some are asked again each time.
const maxPairs = 20_000

var knownBounds = versioned.Bounds{Bytes: 4 << 20, Objects: maxPairs + 1, Values: 4*maxPairs + 10}

type knownRecord struct {
	Version int         `json:"version"`
	Pairs   []knownPair `json:"pairs"`
}

type knownPair struct {
	Snapshot string `json:"snapshot"`
	Base     string `json:"base"`
	Blocks   int64  `json:"blocks"` // -1: they cannot be compared
}

// ReadKnown reads what Write wrote. Without such a file it is empty; if it cannot be read, too, beside the error.
func ReadKnown(path string) (*Known, error) {
	content, err := bounded.ReadFile(path, knownBounds.Bytes)
	if errors.Is(err, fs.ErrNotExist) {
		return &Known{}, nil
	}
	k := &Known{}
	if err == nil {
		k, err = parseKnown(content)
	}
	if err != nil {
		return &Known{}, fmt.Errorf("read in how many blocks snapshots differ: %s: %w", path, err)
	}
	return k, nil
}

func parseKnown(content []byte) (*Known, error) {
	var r knownRecord
	if err := versioned.Parse(content, &r, knownBounds); err != nil {
		return nil, err
	}
	k := &Known{blocks: make(map[pair]int64, len(r.Pairs))}
	for _, p := range r.Pairs {
		if p.Blocks < unrelated || p.Blocks > maxBlocks {
			return nil, fmt.Errorf("%.40q differs in %d blocks, which no volume has", p.Snapshot, p.Blocks)
		}
		k.blocks[pair{p.Snapshot, p.Base}] = p.Blocks
	}
	return k, nil
}

// maxBlocks are those of the largest volume, of 64 TiB.
const maxBlocks = 64 << 40 >> 19

func (k *Known) encode() ([]byte, error) {
	r := knownRecord{Version: versioned.Version, Pairs: []knownPair{}}
	for p, n := range k.blocks {
		r.Pairs = append(r.Pairs, knownPair{p.snapshot, p.base, n})
	}
	slices.SortFunc(r.Pairs, func(a, b knownPair) int {
		return cmp.Or(cmp.Compare(a.Snapshot, b.Snapshot), cmp.Compare(a.Base, b.Base))
	})
	r.Pairs = r.Pairs[max(len(r.Pairs)-maxPairs, 0):]
	return versioned.Encode(&r, knownBounds)
}

// Write keeps it.
func (k *Known) Write(path string) error {
	content, err := k.encode()
	if err == nil {
		err = durable.WriteFile(path, content, 0o600)
	}
	if err != nil {
		return fmt.Errorf("keep in how many blocks snapshots differ: %w", err)
	}
	return nil
}
