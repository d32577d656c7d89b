package drill

import (
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"

	"nightjar/backup/browse"
	"nightjar/backup/filter"
	"nightjar/internal/human"
	"nightjar/repo"
	"nightjar/repo/tree"
)

// A Sample says how much of an archive is restored: one of its fields. The zero value is all of it.
type Sample struct {
	Share float64 // of the files, more than 0 and at most 1
	Bytes uint64  // at most so many bytes of files; a file that is larger is passed over
	Files int     // so many files
}

// MaxFiles is the largest number of files that a Sample may name: a larger part is written as a share.
const MaxFiles = 1_000_000

// ParseSample reads 5%, a number of files such as 200, or a size such as 2G.
func ParseSample(text string) (s Sample, err error) {
	if n, err := strconv.Atoi(text); err == nil {
		if n < 1 || n > MaxFiles {
			return s, fmt.Errorf("sample %q: there may be 1 to %d files; of more, say a share", text, MaxFiles)
		}
		return Sample{Files: n}, nil
	}
	if strings.HasSuffix(text, "%") {
		s.Share, err = human.ParseShare(text)
		return s, err
	}
	n, err := human.ParseSize(text)
	if err != nil || n < 1 {
		return s, fmt.Errorf("sample %q: write a share like 5%%, a size like 2G, or a number of files", text)
	}
	return Sample{Bytes: uint64(n)}, nil
}

// IsAll reports whether all of an archive is restored.
func (s Sample) IsAll() bool { return s == Sample{} }

// A Choice is what of an archive is restored.
type Choice struct {
	Filter *filter.Filter // nil: everything
	Files  uint64         // regular files that are restored, by their names
	Bytes  uint64         // of them
	Larger uint64         // files that are larger than the sample may be, and so never in it
	Of     uint64         // files that the archive has
	All    bool
}

// Choose draws a sample. With the same seed and archive it is the same one. At least one file is in it, if there is any: so a stream always is.
func Choose(ctx context.Context, rd *repo.Reader, a *repo.Archive, s Sample, seed uint64) (c Choice, err error) {
	d := draw{sample: s, seed: seed}
	err = browse.List(ctx, rd, a, "", true, func(path string, n *tree.Node) error {
		if n.IsRegular() {
			d.add(path, n.Size)
		}
		return nil
	})
	if err != nil {
		return c, fmt.Errorf("draw a sample: %w", err)
	}
	return d.choice()
}

// A draw is a sample that is being drawn: the entries whose keys, which are random numbers that follow from seed and path, are smallest.
type draw struct {
	sample       Sample
	seed         uint64
	chosen       largestFirst // where Files or Bytes is the bound
	files, bytes uint64       // chosen
	all, larger  uint64       // there are
	least        drawn        // the smallest file
}

func key(seed uint64, path string) uint64 {
	h := sha256.New()
	_ = binary.Write(h, binary.BigEndian, seed) // a hash takes everything
	h.Write([]byte(path))
	return binary.BigEndian.Uint64(h.Sum(nil))
}

// bound is the key up to which a share of all keys is.
func (s Sample) bound() uint64 {
	if s.Share >= 1 || s.IsAll() {
		return math.MaxUint64
	}
	return uint64(s.Share * math.MaxUint64)
}

func (d *draw) add(path string, size uint64) {
	k := key(d.seed, path)
	d.all++
	if size < d.least.size || d.all == 1 {
		d.least = drawn{k, size}
	}
	switch {
	case d.sample.Bytes > 0 && size > d.sample.Bytes:
		d.larger++
		return
	case d.sample.Bytes == 0 && d.sample.Files == 0:
		if k <= d.sample.bound() {
			d.files, d.bytes = d.files+1, d.bytes+size
		}
		return
	}
	heap.Push(&d.chosen, drawn{k, size})
	d.files, d.bytes = d.files+1, d.bytes+size
	for d.sample.Files > 0 && d.files > uint64(d.sample.Files) || d.sample.Bytes > 0 && (d.bytes > d.sample.Bytes || d.files > MaxFiles) {
		x := heap.Pop(&d.chosen).(drawn)
		d.files, d.bytes = d.files-1, d.bytes-x.size
	}
}

// choice returns what was drawn.
func (d *draw) choice() (c Choice, err error) {
	c = Choice{Files: d.files, Bytes: d.bytes, Larger: d.larger, Of: d.all, All: d.files == d.all}
	if d.sample.IsAll() {
		return c, nil
	}
	seed, from, to := d.seed, uint64(0), d.sample.bound()
	if len(d.chosen) > 0 {
		to = d.chosen[0].key
	}
	o := filter.Options{LargerThan: int64(min(d.sample.Bytes, math.MaxInt64))}
	if d.files == 0 && d.all > 0 { // the smallest, alone
		c.Files, c.Bytes, c.All = 1, d.least.size, d.all == 1
		from, to, o.LargerThan = d.least.key, d.least.key, 0
	}
	o.Sample = func(path string) bool { k := key(seed, path); return from <= k && k <= to }
	c.Filter, err = filter.New(o)
	return c, err
}

type drawn struct{ key, size uint64 }

// largestFirst is a heap of what was drawn, the largest key on top.
type largestFirst []drawn

func (h largestFirst) Len() int           { return len(h) }
func (h largestFirst) Less(i, j int) bool { return h[i].key > h[j].key }
func (h largestFirst) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *largestFirst) Push(x any)        { *h = append(*h, x.(drawn)) }
func (h *largestFirst) Pop() any {
	all := *h
	last := all[len(all)-1]
	*h = all[:len(all)-1]
	return last
}

// Pick draws one of n things that are named, by the seed. n is more than 0.
func Pick(seed uint64, name string, n int) int { return int(key(seed, name) % uint64(n)) }
