package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"nightjar/repo/store"
	"nightjar/repo/store/s3/request"
)

var (
	// ErrAsOf says that nothing can be written to a store that is shown as it stood once.
	ErrAsOf = errors.New("the repository is shown as it stood once: it cannot be written")

	// ErrReplaced is a warning: an older version is read.
	ErrReplaced = errors.New("somebody has replaced or deleted it, and maybe others: older versions are read")
	// ErrWeaker says that a server does not do any more what it did.
	ErrWeaker = errors.New("the server does less than it did")

	// ErrNoConditions is a warning: see doc/s3.md, "Weaker servers".
	ErrNoConditions = errors.New("the server does not honor If-None-Match: of two hosts that create config or keys/N at once, the later one would win")
	// ErrChecksumsRefused is a warning: see doc/s3.md, "Weaker servers".
	ErrChecksumsRefused = errors.New("the server refuses x-amz-checksum-sha256: it keeps no SHA-256 of what it stores, so check sees damage only by reading, and what is there already is read to compare it")
	// ErrNoChecksums is a warning: see doc/s3.md, "Weaker servers".
	ErrNoChecksums = errors.New("the server keeps no SHA-256 of what it stores: what is there already is read to compare it")
)

// explain is request.Explain for an object, or for the whole store as "".
func (s *Store) explain(ctx context.Context, action, name string, err error) error {
	return request.Explain(ctx, action, s.place.url(name), s.o.Now(), err)
}

// explainRead is explain for operations on one object. An answer to a HEAD has
// no body, and so does not say whether it is the object that is missing or the
// bucket, nor what is wrong with the credentials; and where ListBucket is
// granted for a prefix only, Amazon's denies access to what does not exist.
func (s *Store) explainRead(ctx context.Context, name string, id *string, err error) error {
	const action = "s3:GetObject"
	if id != nil {
		return s.explain(ctx, "s3:GetObjectVersion", name, err)
	}
	kind := request.Kind(err)
	denied := request.Status(err) == http.StatusForbidden && kind != store.ErrArchived
	if denied || request.Status(err) == http.StatusNotFound || request.Status(err) == http.StatusBadRequest {
		first, listErr := s.glance(ctx, name)
		kind := request.Kind(listErr)
		switch {
		case listErr != nil && kind != nil && kind != request.ErrDenied && kind != request.ErrUnreachable:
			return s.explain(ctx, "s3:ListBucket", "", listErr)
		case listErr == nil && denied && !first.Has(s.place.key(name)):
			return fmt.Errorf("%s on %s: %w", action, s.place.url(name), store.ErrNotExist)
		}
	}
	return s.explain(ctx, action, name, err)
}
