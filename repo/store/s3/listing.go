package s3

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"nightjar/repo/store/s3/request"
)

// A listing decides what is there, and so what prune may delete. So answers to
// LIST are decoded here and not by the SDK, which takes an empty body, a page of
// HTML and a truncated answer without a token for the end of a listing.

// What a page and a listing may hold at most: S3 sends 1,000 keys, some servers
// are told another number.
const (
	maxEntries    = 10_000
	maxEmptyPages = 100 // one after another
)

// A page is one answer to a listing.
type page struct {
	entries []entry
	// next says where the following page begins; nil: this is the last.
	next     *marker
	answered middleware.Metadata
}

type marker struct {
	token        string // of ListObjectsV2
	key, version string // of ListObjectVersions
}

// An entry is one object or one version of it.
type entry struct {
	key    string
	name   string // "": no object of the store
	size   int64
	time   time.Time
	id     string // of the version
	latest bool
	// deleted says that it is the note of a deletion.
	deleted bool
}

// pages calls f for every page of the listing of a prefix, or of all versions of what is there. An error of f ends that and is returned as it is; all
// others are the SDK's own.
func (s *Store) pages(ctx context.Context, prefix string, versions bool, f func(*page) error) error {
	var from *marker
	last, empty := "", 0
	for {
		p, err := s.page(ctx, prefix, versions, from, s.pageSize)
		if err != nil {
			return err
		}
		if last, err = p.after(last, versions); err != nil {
			return err
		}
		if empty++; len(p.entries) > 0 {
			empty = 0
		}
		switch {
		case p.next == nil:
			return f(p)
		case from != nil && *p.next == *from:
			return request.Unusable("the listing does not go on: the server repeats its token")
		case empty > maxEmptyPages:
			return request.Unusable("the listing does not go on: %d empty pages", empty)
		}
		if err := f(p); err != nil {
			return err
		}
		from = p.next
	}
}

// after returns the last name of a page that goes on after a name. Some servers
// send what was deleted after all the rest.
func (p *page) after(last string, again bool) (string, error) {
	ends := map[bool]string{false: last, true: last}
	for i := range p.entries {
		e := &p.entries[i]
		if e.name == "" {
			continue
		}
		if end := ends[e.deleted]; e.name < end || e.name == end && !again {
			return "", request.Unusable("the listing has %s after %s", e.name, end)
		}
		ends[e.deleted] = e.name
	}
	return max(ends[false], ends[true]), nil
}

// page asks for one page of a listing. most is how many entries to ask for; 0: as many as the server likes.
func (s *Store) page(ctx context.Context, prefix string, versions bool, from *marker, most int32) (*page, error) {
	var got *page
	want := wanted{place: s.place, prefix: s.place.key(prefix), versions: versions}
	decode := request.DecodedBy(func(r *smithyhttp.Response) (err error) {
		got, err = want.decode(r)
		return err
	})
	var number *int32
	if most > 0 {
		number = &most
	}
	if from == nil {
		from = &marker{}
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
			Bucket: &s.place.bucket, Prefix: &want.prefix, RequestPayer: s.payer(), MaxKeys: number,
			EncodingType: types.EncodingTypeUrl, // foreign keys may hold what XML cannot
			KeyMarker:    given(from.key), VersionIdMarker: given(from.version),
		}, decode)
		if err == nil {
			metadata = out.ResultMetadata
		}
	} else {
		var out *s3.ListObjectsV2Output
		out, err = s.client.ListObjectsV2(ctx, &s3.ListObjectsV2Input{
			Bucket: &s.place.bucket, Prefix: &want.prefix, RequestPayer: s.payer(), MaxKeys: number,
			EncodingType: types.EncodingTypeUrl, ContinuationToken: given(from.token),
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
	got.answered = metadata
	return got, nil
}
