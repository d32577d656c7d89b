package blocks

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ebs/types"
)

const (
	attempts   = 8               // for a block that comes damaged, or whose token is refused
	blockLimit = 2 * time.Minute // for one block, retries of the SDK included; then it is asked for again
)

// ErrDamaged says that a block came otherwise than its checksum, every time.
var ErrDamaged = errors.New("it does not have its checksum")

// A reader reads blocks of one snapshot, whose tokens it renews. It is safe for concurrent use.
type reader struct {
	store   *Store
	listing listing // of all blocks

	mu      sync.Mutex
	renewed page // the newest list that was made for a refused token
	made    int  // how many were
}

// read fills buf, of a block's size, with the content of a block.
func (r *reader) read(ctx context.Context, e entry, buf []byte) error {
	made := 0
	var last error
	for attempt := range attempts {
		if attempt > 0 {
			if reason(last) == types.ValidationExceptionReasonInvalidBlockToken {
				var err error
				if e.token, made, err = r.renew(ctx, e.index, made); err != nil {
					return err
				}
			} else if err := r.store.pause(ctx, attempt); err != nil {
				return err
			}
		}
		if last = r.once(ctx, e, buf); last == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var wrong *types.ValidationException
		if errors.As(last, &wrong) && wrong.Reason != types.ValidationExceptionReasonInvalidBlockToken {
			break
		}
		var refused *types.AccessDeniedException
		var absent *types.ResourceNotFoundException
		if errors.As(last, &refused) || errors.As(last, &absent) {
			break
		}
	}
	return fmt.Errorf("read block %d of %s: %w", e.index, r.listing.snapshot, last)
}

// once reads a block, and checks it.
func (r *reader) once(ctx context.Context, e entry, buf []byte) error {
	ctx, cancel := context.WithTimeout(ctx, blockLimit)
	defer cancel()
	out, err := r.store.api.GetSnapshotBlock(ctx, &ebs.GetSnapshotBlockInput{SnapshotId: &r.listing.snapshot, BlockIndex: &e.index, BlockToken: &e.token}, r.store.with)
	if err != nil {
		return err
	}
	r.store.reads.Add(1)
	defer out.BlockData.Close()
	if n := aws.ToInt32(out.DataLength); n != Size {
		return fmt.Errorf("%w: %d bytes, not %d", ErrAnswer, n, Size)
	}
	if _, err := io.ReadFull(out.BlockData, buf); err != nil {
		return fmt.Errorf("it broke off: %w", err)
	}
	if n, _ := out.BlockData.Read(make([]byte, 1)); n > 0 {
		return fmt.Errorf("%w: more than %d bytes", ErrAnswer, Size)
	}
	if out.ChecksumAlgorithm != types.ChecksumAlgorithmChecksumAlgorithmSha256 {
		return fmt.Errorf("%w: a checksum by %q", ErrAnswer, out.ChecksumAlgorithm)
	}
	if sum := sha256.Sum256(buf); base64.StdEncoding.EncodeToString(sum[:]) != aws.ToString(out.Checksum) {
		return ErrDamaged
	}
	return nil
}

// renew returns another token for a block, by a list that is newer than the one that has the number made. One list serves all whose tokens are
// refused at the same time: EBS may take back older tokens with each.
func (r *reader) renew(ctx context.Context, index int32, made int) (token string, number int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.made > made {
		if e, ok := r.renewed.at(index); ok {
			return e.token, r.made, nil
		}
	}
	if r.renewed, err = r.listing.page(ctx, index, "", pageMax); err != nil {
		return "", 0, err
	}
	r.made++
	e, ok := r.renewed.at(index)
	if !ok {
		return "", 0, fmt.Errorf("read block %d of %s: %w: it is listed no more", index, r.listing.snapshot, ErrAnswer)
	}
	return e.token, r.made, nil
}

// at returns the entry of a block, if the page has it.
func (p *page) at(index int32) (entry, bool) {
	for _, e := range p.entries {
		if e.index == index {
			return e, true
		}
	}
	return entry{}, false
}

var zeros [Size]byte

// isZero reports whether a block holds nothing.
func isZero(block []byte) bool { return bytes.Equal(block, zeros[:]) }
