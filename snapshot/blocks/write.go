package blocks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ebs/types"
	"golang.org/x/sync/errgroup"
)

const (
	startLimit  = 24 * 60 // minutes without a block after which EBS gives a snapshot up
	putAttempts = 15      // for a block of a snapshot that EBS does not know yet, which took it two minutes before now
)

// ErrGivenUp says that EBS has given a snapshot up that was begun with the same token.
var ErrGivenUp = errors.New("EBS has given it up")

// A Target is a snapshot that is to be written.
type Target struct {
	GiB         int64
	Parent      string // a completed snapshot that the new one differs from in the blocks that are put; empty: it has those alone
	Description string
	Tags        map[string]string
	Token       string // at most 64 ASCII characters; whoever comes again with the same Target gets the same snapshot
	Encrypted   bool   // never with a Parent, whose encryption the new one has
	KMSKey      string // ARN; empty: the account's own
	// Completed asks EC2 whether a snapshot is completed: EBS may answer a token that came before with what it answered then. nil: EBS's answer counts.
	Completed func(ctx context.Context, id string) (bool, error)
}

// A Written snapshot is there, and EBS may still be completing it.
type Written struct {
	ID     string
	Blocks int  // that were put
	Before bool // it had been completed before
}

// A Put puts a block into a snapshot. Indexes ascend. It keeps nothing of data, which is of a block's size.
type Put func(index int32, data []byte) error

// Write makes a snapshot of the blocks that f puts, and has it completed. If one was begun with the same token, and not completed, its blocks are
// put anew.
func (s *Store) Write(ctx context.Context, t Target, f func(context.Context, Put) error) (w Written, err error) {
	started, err := s.start(ctx, &t)
	if err != nil {
		return w, fmt.Errorf("start a snapshot: %w", err)
	}
	w.ID = aws.ToString(started.SnapshotId)
	switch {
	case w.ID == "" || aws.ToInt32(started.BlockSize) != Size:
		return w, fmt.Errorf("start a snapshot: %w: %q, in blocks of %d bytes", ErrAnswer, w.ID, aws.ToInt32(started.BlockSize))
	case started.Status == types.StatusError:
		return w, fmt.Errorf("write snapshot %s: %w", w.ID, ErrGivenUp)
	case started.Status == types.StatusCompleted:
		w.Before = true
		return w, nil
	}
	if t.Completed != nil {
		if w.Before, err = t.Completed(ctx, w.ID); w.Before || err != nil {
			return w, err
		}
	}
	x := &writer{store: s, id: w.ID, end: t.GiB * blocksAGiB, all: sha256.New()}
	g, inner := errgroup.WithContext(ctx)
	x.buffers = make(chan []byte, s.ahead)
	for range s.ahead {
		x.buffers <- nil
	}
	err = f(inner, func(index int32, data []byte) error { return x.put(inner, g, index, data) })
	if failed := g.Wait(); failed != nil {
		err = failed
	}
	if w.Blocks = x.blocks; err == nil {
		err = x.complete(ctx)
	}
	if err != nil {
		return w, fmt.Errorf("write snapshot %s: %w", w.ID, err)
	}
	return w, nil
}

func (s *Store) start(ctx context.Context, t *Target) (*ebs.StartSnapshotOutput, error) {
	if t.GiB < 1 || t.GiB > maxGiB {
		return nil, fmt.Errorf("of %d GiB, and there may be 1 to %d", t.GiB, maxGiB)
	}
	in := &ebs.StartSnapshotInput{VolumeSize: &t.GiB, ClientToken: &t.Token, Description: &t.Description, Timeout: aws.Int32(startLimit)}
	for _, key := range slices.Sorted(maps.Keys(t.Tags)) {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(key), Value: aws.String(t.Tags[key])})
	}
	if t.Parent != "" {
		in.ParentSnapshotId = &t.Parent
	} else if t.Encrypted || t.KMSKey != "" {
		in.Encrypted = aws.Bool(true)
		if t.KMSKey != "" {
			in.KmsKeyArn = &t.KMSKey
		}
	}
	return s.api.StartSnapshot(ctx, in, s.with)
}

// A writer puts the blocks of one snapshot.
type writer struct {
	store   *Store
	id      string
	end     int64 // blocks of the volume
	next    int32 // the first that may come
	blocks  int
	all     hash.Hash   // of the blocks' sums, in order
	buffers chan []byte // one for each block that may be on its way
}

func (x *writer) put(ctx context.Context, g *errgroup.Group, index int32, data []byte) error {
	if len(data) != Size || index < x.next || int64(index) >= x.end {
		return fmt.Errorf("put block %d of %d bytes, after block %d of a volume of %d blocks", index, len(data), x.next-1, x.end)
	}
	var buf []byte
	select {
	case buf = <-x.buffers:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	buf = append(buf[:0], data...)
	sum := sha256.Sum256(buf)
	x.all.Write(sum[:])
	x.next = index + 1
	x.blocks++
	g.Go(func() error {
		defer func() { x.buffers <- buf }()
		return x.send(ctx, index, buf, base64.StdEncoding.EncodeToString(sum[:]))
	})
	return nil
}

// send sends a block until EBS has it.
func (x *writer) send(ctx context.Context, index int32, data []byte, sum string) error {
	var last error
	for attempt := range putAttempts {
		if attempt > 0 {
			if err := x.store.pause(ctx, attempt); err != nil {
				return err
			}
		}
		if last = x.once(ctx, index, data, sum); last == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var absent *types.ResourceNotFoundException
		again := errors.As(last, &absent) || errors.Is(last, ErrDamaged) || errors.Is(last, context.DeadlineExceeded)
		switch reason(last) {
		case types.ValidationExceptionReasonConflictingBlockUpdate, types.ValidationExceptionReasonWriteRequestTimeout:
			again = true
		}
		if !again {
			break
		}
	}
	return fmt.Errorf("put block %d: %w", index, last)
}

func (x *writer) once(ctx context.Context, index int32, data []byte, sum string) error {
	ctx, cancel := context.WithTimeout(ctx, blockLimit)
	defer cancel()
	out, err := x.store.api.PutSnapshotBlock(ctx, &ebs.PutSnapshotBlockInput{
		SnapshotId: &x.id, BlockIndex: &index, BlockData: bytes.NewReader(data), DataLength: aws.Int32(Size),
		Checksum: &sum, ChecksumAlgorithm: types.ChecksumAlgorithmChecksumAlgorithmSha256,
	}, x.store.with)
	if err != nil {
		return err
	}
	x.store.writes.Add(1)
	if got := aws.ToString(out.Checksum); got != sum {
		return fmt.Errorf("%w: EBS says %q", ErrDamaged, got)
	}
	return nil
}

func (x *writer) complete(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	sum := base64.StdEncoding.EncodeToString(x.all.Sum(nil))
	out, err := x.store.api.CompleteSnapshot(ctx, &ebs.CompleteSnapshotInput{
		SnapshotId: &x.id, ChangedBlocksCount: aws.Int32(int32(x.blocks)), Checksum: &sum,
		ChecksumAlgorithm: types.ChecksumAlgorithmChecksumAlgorithmSha256, ChecksumAggregationMethod: types.ChecksumAggregationMethodChecksumAggregationLinear,
	}, x.store.with)
	if err != nil {
		return fmt.Errorf("complete it: %w", err)
	}
	if out.Status == types.StatusError {
		return fmt.Errorf("complete it: %w", ErrGivenUp)
	}
	return nil
}
