package blocks

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ebs/types"
)

const (
	pageMax  = 10_000 // entries that are asked for
	pageMin  = 100    // as few as EBS takes
	emptyMax = 10_000 // pages without an entry, one after another: where little has changed EBS may answer so
)

// An entry is a block that a snapshot has or, without a token, had in the older one and has no more.
type entry struct {
	index int32
	token string
}

// A page is a piece of a list.
type page struct {
	entries []entry
	next    string // token of the page after; empty: this is the last
	gib     int64
}

// A listing lists a snapshot's blocks or, beside a base, those that differ.
type listing struct {
	store          *Store
	snapshot, base string
}

// page returns a page that begins at a block, or the one that a page before has named.
func (l *listing) page(ctx context.Context, from int32, next string, most int32) (p page, err error) {
	var start *int32
	var token *string
	if next != "" {
		token = &next
	} else if from > 0 {
		start = &from
	}
	l.store.lists.Add(1)
	var size *int32
	var gib *int64
	if l.base == "" {
		out, err := l.store.api.ListSnapshotBlocks(ctx, &ebs.ListSnapshotBlocksInput{SnapshotId: &l.snapshot, StartingBlockIndex: start, NextToken: token, MaxResults: &most}, l.store.with)
		if err != nil {
			return p, fmt.Errorf("list blocks of %s: %w", l.snapshot, err)
		}
		size, gib, p.next = out.BlockSize, out.VolumeSize, aws.ToString(out.NextToken)
		for _, b := range out.Blocks {
			p.entries = append(p.entries, entry{orWrong(b.BlockIndex), aws.ToString(b.BlockToken)})
			if aws.ToString(b.BlockToken) == "" {
				return p, fmt.Errorf("list blocks of %s: %w: block %d without a token", l.snapshot, ErrAnswer, orWrong(b.BlockIndex))
			}
		}
	} else {
		out, err := l.store.api.ListChangedBlocks(ctx, &ebs.ListChangedBlocksInput{FirstSnapshotId: &l.base, SecondSnapshotId: &l.snapshot, StartingBlockIndex: start, NextToken: token, MaxResults: &most}, l.store.with)
		if err != nil {
			return p, fmt.Errorf("list blocks of %s that differ from %s: %w", l.snapshot, l.base, err)
		}
		size, gib, p.next = out.BlockSize, out.VolumeSize, aws.ToString(out.NextToken)
		for _, b := range out.ChangedBlocks {
			p.entries = append(p.entries, entry{orWrong(b.BlockIndex), aws.ToString(b.SecondBlockToken)})
		}
	}
	p.gib = aws.ToInt64(gib)
	if err := p.check(aws.ToInt32(size), from); err != nil {
		return page{}, fmt.Errorf("list blocks of %s: %w: %w", l.snapshot, ErrAnswer, err)
	}
	return p, nil
}

// orWrong is an index, or what none can be.
func orWrong(index *int32) int32 {
	if index == nil {
		return -1
	}
	return *index
}

// check returns what is wrong with a page that is to begin at a block or behind it.
func (p *page) check(size, from int32) error {
	switch {
	case size != Size:
		return fmt.Errorf("blocks of %d bytes, not %d", size, Size)
	case p.gib < 1 || p.gib > maxGiB:
		return fmt.Errorf("a volume of %d GiB", p.gib)
	case len(p.entries) > pageMax:
		return fmt.Errorf("%d entries in one page", len(p.entries))
	}
	for _, e := range p.entries {
		switch {
		case e.index < from:
			return fmt.Errorf("block %d, where %d or a later one was to come", e.index, from)
		case int64(e.index) >= p.gib*blocksAGiB:
			return fmt.Errorf("block %d of a volume of %d GiB", e.index, p.gib)
		case len(e.token) > maxToken:
			return fmt.Errorf("a token of %d bytes", len(e.token))
		}
		from = e.index + 1
	}
	return nil
}

// each calls f for the entries of all pages, in order, and returns the size of the volume in GiB.
func (l *listing) each(ctx context.Context, f func(entry) error) (gib int64, err error) {
	from, next, empty := int32(0), "", 0
	for {
		p, err := l.page(ctx, from, next, pageMax)
		if next != "" && reason(err) == types.ValidationExceptionReasonInvalidPageToken {
			next = "" // it has expired, since reading took long
			continue
		}
		switch {
		case err != nil:
			return gib, err
		case gib != 0 && gib != p.gib:
			return gib, fmt.Errorf("list blocks of %s: %w: volumes of %d and %d GiB", l.snapshot, ErrAnswer, gib, p.gib)
		}
		gib = p.gib
		for _, e := range p.entries {
			if err := f(e); err != nil {
				return gib, err
			}
			from = e.index + 1
		}
		if empty++; len(p.entries) > 0 {
			empty = 0
		}
		switch {
		case p.next == "":
			return gib, nil
		case p.next == next || empty > emptyMax:
			return gib, fmt.Errorf("list blocks of %s: %w: its pages have no end", l.snapshot, ErrAnswer)
		}
		next = p.next
	}
}

// reason is why EBS finds a call wrong; empty: it is none of that.
func reason(err error) types.ValidationExceptionReason {
	var wrong *types.ValidationException
	if errors.As(err, &wrong) {
		return wrong.Reason
	}
	return ""
}

// gone reports whether an error says that two snapshots cannot be compared, or that one is not there.
func gone(err error) bool {
	var absent *types.ResourceNotFoundException
	return errors.As(err, &absent) || reason(err) != "" && reason(err) != types.ValidationExceptionReasonInvalidPageToken
}
