package s3

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"nightjar/repo/store"
)

// maxVersions is how many versions of an object are kept in memory: the newest
// and the oldest ones, since whoever piles up junk does so after the object was
// written.
const maxVersions = 1000

// A version is one of those that a bucket keeps of an object, newest first.
type version struct {
	store.Info
	id      string
	deleted bool // not content, but the note that the object was deleted then
	latest  bool
}

// asOf looks up the version that was the latest at Options.AsOf.
func (s *Store) asOf(ctx context.Context, name string) (*version, error) {
	all, err := s.versionsOf(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 || all[0].deleted {
		return nil, fmt.Errorf("as of %s: %w", s.o.AsOf.Format(time.RFC3339), store.ErrNotExist)
	}
	return &all[0], nil
}

// Hidden implements store.Versioned.
func (s *Store) Hidden(ctx context.Context, prefix string, f func(store.Info, time.Time) error) error {
	if err := store.CheckPrefix(prefix); err != nil {
		return fmt.Errorf("list versions: %w", err)
	}
	return s.versions(ctx, prefix, func(all []version) error {
		if !all[0].deleted {
			return nil
		}
		i := slices.IndexFunc(all, func(v version) bool { return !v.deleted })
		if i < 0 {
			return nil
		}
		return f(all[i].Info, all[i-1].Time)
	})
}

// listAsOf is List of what was there at Options.AsOf.
func (s *Store) listAsOf(ctx context.Context, prefix string, f func(store.Info) error) error {
	return s.versions(ctx, prefix, func(all []version) error {
		if all[0].deleted {
			return nil
		}
		return f(all[0].Info)
	})
}

// versionsOf returns the versions of one object, none where the server knows no versions.
func (s *Store) versionsOf(ctx context.Context, name string) (all []version, err error) {
	found := errors.New("found")
	err = s.versions(ctx, name, func(v []version) error {
		if v[0].Name == name {
			all = v
		}
		return found // those of longer names come after it
	})
	if errors.Is(err, found) {
		err = nil
	}
	return all, err
}

// versions calls f with all versions of each object whose name begins with
// prefix, newest first, or with maxVersions of them; without those, and without
// the objects, that came after Options.AsOf.
func (s *Store) versions(ctx context.Context, prefix string, f func([]version) error) error {
	pages := s3.NewListObjectVersionsPaginator(s.client, &s3.ListObjectVersionsInput{
		Bucket: &s.place.bucket, Prefix: aws.String(s.place.key(prefix)), RequestPayer: s.payer(),
		EncodingType: types.EncodingTypeUrl,
	})
	var group []version
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if notImplemented(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("list versions: %w", s.explain(ctx, "s3:ListBucketVersions", prefix, err))
		}
		for _, v := range s.versionsIn(page) {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("list versions: %w", err)
			}
			if len(group) > 0 && group[0].Name != v.Name {
				if err := f(group); err != nil {
					return err
				}
				group = nil
			}
			if len(group) == maxVersions {
				group = slices.Delete(group, 1, 2)
			}
			group = append(group, v)
		}
	}
	if len(group) == 0 {
		return nil
	}
	return f(group)
}

// versionsIn puts a page's versions and its delete markers, which stand apart,
// into one order. Of one second, what is not deleted counts as newer.
func (s *Store) versionsIn(page *s3.ListObjectVersionsOutput) []version {
	var all []version
	add := func(key, id *string, size *int64, at *time.Time, deleted bool, latest *bool) {
		name := aws.ToString(key)
		if page.EncodingType == types.EncodingTypeUrl {
			var err error
			if name, err = url.QueryUnescape(name); err != nil {
				return
			}
		}
		future := !s.o.AsOf.IsZero() && aws.ToTime(at).Truncate(time.Second).After(s.o.AsOf)
		if name, ok := s.place.name(name); ok && !future {
			all = append(all, version{infoOf(name, size, at), aws.ToString(id), deleted, aws.ToBool(latest)})
		}
	}
	for _, v := range page.Versions {
		add(v.Key, v.VersionId, v.Size, v.LastModified, false, v.IsLatest)
	}
	for _, v := range page.DeleteMarkers {
		add(v.Key, v.VersionId, nil, v.LastModified, true, v.IsLatest)
	}
	slices.SortStableFunc(all, func(a, b version) int {
		switch {
		case a.Name != b.Name:
			return strings.Compare(a.Name, b.Name)
		case a.latest != b.latest: // which is so even where a server gives delete markers wrong times
			if a.latest {
				return -1
			}
			return 1
		}
		return b.Time.Compare(a.Time)
	})
	return all
}
