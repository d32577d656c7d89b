package s3

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"nightjar/repo/store"
)

// A Lock keeps new objects from being deleted and replaced, for which the bucket
// must have object lock. The zero Lock does nothing.
type Lock struct {
	For time.Duration // from when an object is stored
	// Compliance binds the bucket's owner too, so that nobody can end it early;
	// else, in governance mode, s3:BypassGovernanceRetention can.
	Compliance bool
}

func (l Lock) mode() types.ObjectLockRetentionMode {
	if l.Compliance {
		return types.ObjectLockRetentionModeCompliance
	}
	return types.ObjectLockRetentionModeGovernance
}

// retainUntil is until when an object is kept that is stored now, by the server's clock.
func (s *Store) retainUntil() time.Time {
	return s.o.Now().Add(s.ahead + s.o.Lock.For).UTC().Truncate(time.Second).Add(time.Second)
}

// lockedWith returns what an object that is about to be stored is locked with.
// What is no object may change.
func (s *Store) lockedWith(name string) (types.ObjectLockMode, *time.Time) {
	if s.o.Lock.For == 0 || !store.ValidName(name) {
		return "", nil
	}
	return types.ObjectLockMode(s.o.Lock.mode()), aws.Time(s.retainUntil())
}

// Retention implements store.Retainer.
func (s *Store) Retention() time.Duration { return s.o.Lock.For }

// Retain implements store.Retainer by a HEAD and, where that is needed, a
// PutObjectRetention, for the version that the name promises. It takes
// s3:GetObjectRetention and s3:PutObjectRetention.
func (s *Store) Retain(ctx context.Context, name string) (extended bool, err error) {
	if err := store.Check(ctx, "retain", name); err != nil {
		return false, err
	}
	if s.o.Lock.For == 0 {
		return false, fmt.Errorf("retain object %s: no time was given", name)
	}
	id, out, err := s.headRight(ctx, name)
	if err != nil {
		return false, fmt.Errorf("retain object %s: %w", name, err)
	}
	until, mode := s.retainUntil(), s.o.Lock.mode()
	if now := aws.ToTime(out.ObjectLockRetainUntilDate); until.Sub(now) < s.o.Lock.For/2 {
		return false, nil
	}
	if out.ObjectLockMode == types.ObjectLockModeCompliance {
		mode = types.ObjectLockRetentionModeCompliance // which nobody can take back
	}
	_, err = s.client.PutObjectRetention(ctx, &s3.PutObjectRetentionInput{
		Bucket: &s.place.bucket, Key: aws.String(s.place.key(name)), VersionId: id, RequestPayer: s.payer(),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
		Retention:         &types.ObjectLockRetention{Mode: mode, RetainUntilDate: &until},
	})
	if err != nil {
		return false, fmt.Errorf("retain object %s: %w", name, s.explain(ctx, "s3:PutObjectRetention", name, err))
	}
	return true, nil
}
