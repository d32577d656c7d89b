package s3

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"nightjar/repo/store/s3/listing"
	"nightjar/repo/store/s3/request"
)

// maxEmptyPages bounds the pages without entries, one after another.
const maxEmptyPages = 100

// A page is one answer to a listing, and what else is known of the answer.
type page struct {
	*listing.Page
	answered middleware.Metadata
}

// pages calls f for every page of the listing of a prefix, or of all versions of what is there. An error of f ends that and is returned as it is; all
// others are the SDK's own.
func (s *Store) pages(ctx context.Context, prefix string, versions bool, f func(*listing.Page) error) error {
	var from *listing.Marker
	last, empty := "", 0
	for {
		p, err := s.page(ctx, prefix, versions, from, s.pageSize)
		if err != nil {
			return err
		}
		if last, err = p.After(last, versions); err != nil {
			return err
		}
		if empty++; len(p.Entries) > 0 {
			empty = 0
		}
		switch {
		case p.Next == nil:
			return f(p.Page)
		case from != nil && *p.Next == *from:
			return request.Unusable("the listing does not go on: the server repeats its token")
		case empty > maxEmptyPages:
			return request.Unusable("the listing does not go on: %d empty pages", empty)
		}
		if err := f(p.Page); err != nil {
			return err
		}
		from = p.Next
	}
}

// page asks for one page of a listing. most is how many entries to ask for; 0: as many as the server likes.
func (s *Store) page(ctx context.Context, prefix string, versions bool, from *listing.Marker, most int32) (*page, error) {
	var got *listing.Page
	want := listing.Wanted{Bucket: s.place.bucket, Prefix: s.place.key(prefix), Versions: versions, Name: s.place.name}
	decode := request.DecodedBy(func(r *smithyhttp.Response) (err error) {
		got, err = want.Decode(r)
		return err
	})
	var number *int32
	if most > 0 {
		number = &most
	}
	if from == nil {
		from = &listing.Marker{}
	}
	given := func(s string) *string {
		if s == "" {
			return nil
		}
		return &s
	}
	var metadata middleware.Metadata
	var err error
	if versions {
		var out *s3.ListObjectVersionsOutput
		out, err = s.client.ListObjectVersions(ctx, &s3.ListObjectVersionsInput{
			Bucket: &s.place.bucket, Prefix: &want.Prefix, RequestPayer: s.payer(), MaxKeys: number,
			EncodingType: types.EncodingTypeUrl, // foreign keys may hold what XML cannot
			KeyMarker:    given(from.Key), VersionIdMarker: given(from.Version),
		}, decode)
		if err == nil {
			metadata = out.ResultMetadata
		}
	} else {
		var out *s3.ListObjectsV2Output
		out, err = s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
			Bucket: &s.place.bucket, Prefix: &want.Prefix, RequestPayer: s.payer(), MaxKeys: number,
			EncodingType: types.EncodingTypeUrl, ContinuationToken: given(from.Token),
		}, decode)
		if err == nil {
			metadata = out.ResultMetadata
		}
	}
	switch {
	case err != nil:
		return nil, err
	case got == nil:
		return nil, request.Unusable("no answer to a listing")
	}
	return &page{got, metadata}, nil
}
