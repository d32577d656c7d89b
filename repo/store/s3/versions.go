package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightjar/repo/store"
	"nightjar/repo/store/s3/listing"
	"nightjar/repo/store/s3/request"
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
	var group []version
	var failed error // what f, or the end of ctx, said
	begun := false
	page := func(p *listing.Page) error {
		begun = true
		for _, v := range s.versionsIn(p) {
			if err := ctx.Err(); err != nil {
				failed = fmt.Errorf("list versions: %w", err)
			} else if len(group) > 0 && group[0].Name != v.Name {
				failed = f(group)
				group = nil
			}
			if failed != nil {
				return failed
			}
			if len(group) == maxVersions {
				group = slices.Delete(group, 1, 2)
			}
			group = append(group, v)
		}
		return nil
	}
	err := s.pages(ctx, prefix, true, page)
	if request.NotImplemented(err) && !begun {
		err = s.pages(ctx, prefix, true, page) // one refusal may be a proxy's whim
	}
	switch {
	case failed != nil:
		return failed
	case request.NotImplemented(err) && !begun && s.o.AsOf.IsZero():
		return nil // a server that knows no versions has none
	case err != nil:
		return fmt.Errorf("list versions: %w", s.explain(ctx, "s3:ListBucketVersions", prefix, err))
	case len(group) > 0:
		return f(group)
	}
	return nil
}

// versionsIn puts a page's versions and its delete markers, which stand apart,
// into one order. Of one second, what is not deleted counts as newer.
func (s *Store) versionsIn(p *listing.Page) []version {
	var all []version
	for i := range p.Entries {
		e := &p.Entries[i]
		if e.Name != "" && (s.o.AsOf.IsZero() || !e.Time.After(s.o.AsOf)) {
			all = append(all, version{e.Info(), e.ID, e.Deleted, e.Latest})
		}
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
		case !a.Time.Equal(b.Time):
			return b.Time.Compare(a.Time)
		case a.deleted != b.deleted:
			if b.deleted {
				return -1
			}
			return 1
		}
		return 0
	})
	return all
}
