// Package bill counts what EBS snapshots take, as EBS bills them, and what a month of that costs.
//
// In the standard tier EBS keeps a block once, however many snapshots of a volume share it, and bills that: the oldest snapshot as a whole, and of each
// later one what it has otherwise than the one before. In the archive tier each snapshot is whole. So counting needs a comparison for each two
// neighbours, which the EBS direct APIs make and bill; snapshots never change, so that one comparison lasts for as long as both are there.
//
// The invariant: what is called counted was counted, every part of it. What was not has an upper bound, which goes by another name.
//
// The package asks and adds up. It knows nothing of discounts, of fees for requests, of snapshots in the Recycle Bin, nor of those without this tool's tags.
package bill

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"nightjar/snapshot"
	"nightjar/snapshot/blocks"
	"nightjar/snapshot/sets"
)

// The tiers that snapshots are kept in.
const (
	Standard = "standard"
	Archive  = "archive"
)

// A Sum is what the completed snapshots of a region take in one tier.
type Sum struct {
	Region    string
	Tier      string
	Snapshots int
	AtMost    uint64 // bytes, if each was kept as a whole; of one whose size EC2 does not say, those of its volume
	Stored    uint64 // bytes that are billed, if Counted
	Counted   bool
}

// chain names snapshots that may share blocks: those of a volume, and apart from them the copies of these that were made under one key.
type chain struct{ volume, from, key string }

type dated struct {
	snapshot.Snapshot
	of time.Time // the moment that it holds
}

// Of sums up the sets of a region, in order of the tiers that have snapshots. Without a counter nothing is asked, and only the archive tier is counted. If
// asking fails, the error says why, and the sums have their upper bounds all the same.
func Of(ctx context.Context, region string, all []sets.Set, count *Counter) ([]Sum, error) {
	standard, archive := Sum{Region: region, Tier: Standard}, Sum{Region: region, Tier: Archive, Counted: true}
	chains := map[chain][]dated{}
	for i := range all {
		s := &all[i]
		for _, x := range slices.Concat(s.Snapshots, s.Extra) {
			switch {
			case x.State != snapshot.Completed:
			case x.Archived:
				archive.add(x)
				archive.Stored += uint64(max(x.Bytes, 0))
				archive.Counted = archive.Counted && x.Bytes > 0
			default:
				standard.add(x)
				c := chain{x.Volume, x.CopyFrom, x.KMSKey}
				chains[c] = append(chains[c], dated{x, s.Time})
			}
		}
	}
	var err error
	if count != nil {
		standard.Stored, err = count.all(ctx, chains)
		standard.Counted = err == nil
		if err != nil {
			standard.Stored, err = 0, fmt.Errorf("count the blocks of snapshots in %s: %w", region, err)
		}
	}
	return slices.DeleteFunc([]Sum{standard, archive}, func(s Sum) bool { return s.Snapshots == 0 }), err
}

func (s *Sum) add(x snapshot.Snapshot) {
	s.Snapshots++
	if x.Bytes > 0 {
		s.AtMost += uint64(x.Bytes)
		return
	}
	s.AtMost += uint64(max(x.GiB, 0)) << 30
}

// A Counter asks EBS which blocks snapshots of a region have otherwise than others, of all that Known does not say. Its calls cost money.
type Counter struct {
	Blocks *blocks.Store
	Known  *Known
}

// maxHeads is how many lineages of a volume are told apart: a snapshot that was written block by block begins one of its own.
const maxHeads = 4

func (c *Counter) all(ctx context.Context, chains map[chain][]dated) (sum uint64, err error) {
	for _, of := range chains {
		slices.SortFunc(of, func(a, b dated) int { return cmp.Or(a.of.Compare(b.of), cmp.Compare(a.ID, b.ID)) })
		n, err := c.chain(ctx, of)
		if err != nil {
			return 0, err
		}
		sum += n
	}
	c.Known.settle()
	return sum, nil
}

// chain returns the bytes of the blocks that snapshots of a volume have, each once, the oldest snapshot first.
func (c *Counter) chain(ctx context.Context, of []dated) (sum uint64, err error) {
	var heads []string // the newest of each lineage, the latest first
	for _, x := range of {
		n, at, err := c.added(ctx, x.Snapshot, heads)
		if err != nil {
			return 0, err
		}
		sum += n
		if at >= 0 {
			heads = slices.Delete(heads, at, at+1)
		}
		heads = slices.Insert(heads, 0, x.ID)
		heads = heads[:min(len(heads), maxHeads)]
	}
	return sum, nil
}

// added returns the bytes that a snapshot has otherwise than the one of its lineage before it, and which head that is; -1: there is none, and it counts as a whole.
func (c *Counter) added(ctx context.Context, x snapshot.Snapshot, heads []string) (bytes uint64, head int, err error) {
	for i, base := range heads {
		n, related, err := c.differ(ctx, x.ID, base)
		if err != nil || related {
			return n, i, err
		}
	}
	if x.Bytes > 0 {
		return uint64(x.Bytes), -1, nil
	}
	bytes, _, err = c.differ(ctx, x.ID, "")
	return bytes, -1, err
}

// differ returns the bytes of the blocks that a snapshot has otherwise than a base, of all of its own if that is "", and whether the two can be compared.
func (c *Counter) differ(ctx context.Context, id, base string) (bytes uint64, related bool, err error) {
	n, known := c.Known.get(id, base)
	if !known {
		v, err := c.Blocks.Survey(ctx, id, base, nil)
		if err != nil {
			return 0, false, err
		}
		if n = int64(v.Blocks); v.Lost != nil { // all of its own were listed instead
			c.Known.put(id, "", n)
			n = unrelated
		}
		c.Known.put(id, base, n)
	}
	return uint64(max(n, 0)) * blocks.Size, n != unrelated, nil
}
