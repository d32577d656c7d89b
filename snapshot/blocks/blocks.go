// Package blocks reads the blocks of EBS snapshots, and writes snapshots of blocks, by the EBS direct APIs.
//
// A volume is a row of blocks of 512 KiB, of which a snapshot has those that were ever written. Survey counts what is to be read of one: all that
// it has or, beside an older snapshot of the volume that a file holds already, what has changed since. Save reads that and hands the whole volume
// to a File, in order: blocks, what is the same as before, and holes. A Writer is the way back.
//
// The invariant: a block is handed on when its SHA-256 is the one that EBS says, and in its place; and whatever the size of a volume, memory is
// that of the blocks on their way. Nothing is believed that EBS lists: neither order, nor indexes, nor lengths.
//
// The package knows no archives, and keeps nothing.
package blocks

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
)

// Size is the bytes of a block, the only size that EBS has.
const Size = 512 << 10

const (
	maxGiB     = 64 << 10 // of a volume
	blocksAGiB = 1 << 30 / Size
	maxToken   = 4 << 10 // bytes of a block token; the API says 256
)

// Ahead is how many blocks are read or written at the same time, unless told, and MaxAhead how many may be.
const (
	Ahead    = 16
	MaxAhead = 64
)

// ErrAnswer says that EBS has answered what it must not.
var ErrAnswer = errors.New("EBS has answered what it must not")

// An API has the EBS direct APIs of a region; an *ebs.Client is one.
type API interface {
	ListSnapshotBlocks(context.Context, *ebs.ListSnapshotBlocksInput, ...func(*ebs.Options)) (*ebs.ListSnapshotBlocksOutput, error)
	ListChangedBlocks(context.Context, *ebs.ListChangedBlocksInput, ...func(*ebs.Options)) (*ebs.ListChangedBlocksOutput, error)
	GetSnapshotBlock(context.Context, *ebs.GetSnapshotBlockInput, ...func(*ebs.Options)) (*ebs.GetSnapshotBlockOutput, error)
	StartSnapshot(context.Context, *ebs.StartSnapshotInput, ...func(*ebs.Options)) (*ebs.StartSnapshotOutput, error)
	PutSnapshotBlock(context.Context, *ebs.PutSnapshotBlockInput, ...func(*ebs.Options)) (*ebs.PutSnapshotBlockOutput, error)
	CompleteSnapshot(context.Context, *ebs.CompleteSnapshotInput, ...func(*ebs.Options)) (*ebs.CompleteSnapshotOutput, error)
}

// A Store reads and writes snapshots of one region. It is safe for concurrent use.
type Store struct {
	api     API
	ahead   int
	retryer aws.Retryer
	pause   func(ctx context.Context, attempt int) error

	lists, reads, writes atomic.Uint64
}

// New returns a Store that has so many blocks on their way at the same time; 0: Ahead.
func New(api API, ahead int) *Store {
	if ahead <= 0 {
		ahead = Ahead
	}
	s := &Store{api: api, ahead: min(ahead, MaxAhead), pause: wait}
	// A throttled snapshot is slow, and no error: what may be spent on retries is bounded by the attempts of each call alone.
	s.retryer = retry.NewAdaptiveMode(func(a *retry.AdaptiveModeOptions) {
		a.StandardOptions = append(a.StandardOptions, func(o *retry.StandardOptions) {
			o.MaxAttempts, o.MaxBackoff, o.RateLimiter = 10, 20*time.Second, ratelimit.None
		})
	})
	return s
}

// with has a call made as the Store makes them.
func (s *Store) with(o *ebs.Options) { o.Retryer = s.retryer }

// wait waits before another attempt, counted from 1.
func wait(ctx context.Context, attempt int) error {
	t := time.NewTimer(min(time.Duration(attempt)*time.Second, 10*time.Second))
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Calls are those that cost money, so far.
func (s *Store) Calls() Calls {
	return Calls{Lists: s.lists.Load(), Reads: s.reads.Load(), Writes: s.writes.Load()}
}
