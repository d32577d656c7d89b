package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"

	"nightjar/repo/store"
)

// ThawState implements store.Thawer by a HEAD.
func (s *Store) ThawState(ctx context.Context, name string) (store.ThawState, error) {
	if err := store.Check(ctx, "look up", name); err != nil {
		return 0, err
	}
	_, out, err := s.headRight(ctx, name)
	if err != nil {
		return 0, fmt.Errorf("look up object %s: %w", name, err)
	}
	// ongoing-request="false", expiry-date="…": there is a copy that can be read.
	restore := aws.ToString(out.Restore)
	switch {
	case strings.Contains(restore, `ongoing-request="true"`):
		return store.Thawing, nil
	case strings.Contains(restore, `ongoing-request="false"`):
		return store.Readable, nil
	case out.StorageClass == types.StorageClassGlacier, out.StorageClass == types.StorageClassDeepArchive:
		return store.Frozen, nil
	}
	return store.Readable, nil
}

// Thaw implements store.Thawer by RestoreObject. The tiers are Bulk, Standard and
// Expedited. It takes s3:RestoreObject.
func (s *Store) Thaw(ctx context.Context, name string, o store.ThawOptions) error {
	if err := store.Check(ctx, "thaw", name); err != nil {
		return err
	}
	id, err := s.versionOf(ctx, name)
	if err != nil {
		return fmt.Errorf("thaw object %s: %w", name, err)
	}
	request := &types.RestoreRequest{Days: aws.Int32(int32(o.Days))}
	if o.Tier != "" {
		request.GlacierJobParameters = &types.GlacierJobParameters{Tier: types.Tier(o.Tier)}
	}
	_, err = s.client.RestoreObject(ctx, &s3.RestoreObjectInput{
		Bucket: &s.place.bucket, Key: aws.String(s.place.key(name)), VersionId: id, RequestPayer: s.payer(), RestoreRequest: request,
	})
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "RestoreAlreadyInProgress" {
		return nil
	}
	if err != nil {
		return fmt.Errorf("thaw object %s: %w", name, s.explain(ctx, "s3:RestoreObject", name, err))
	}
	return nil
}
