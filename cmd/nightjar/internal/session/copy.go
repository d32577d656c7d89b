package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
	"nightjar/repo/store/s3"
)

// A Destination is the place of a copy.
type Destination struct {
	Place   store.Location
	Store   store.Carrier
	Address string // what finds it on another machine after --repo
}

// Close ends its use.
func (d *Destination) Close() { closeStore(d.Store) }

// trustTimes has a store tell home times if the root has said that it is a copy.
func (set *Settings) trustTimes(ctx context.Context, s store.Store, keys *keyring.Keyring) error {
	c, ok := s.(store.Claimer)
	if !ok {
		return nil
	}
	claim, stored, err := c.Claim(ctx)
	if err != nil || claim == nil {
		return err
	}
	if err := keys.IsCopy(claim, c.Place(), stored); err != nil {
		set.Warn(fmt.Errorf("%s says that it is a copy, and is not believed: %w", c.Place(), err))
		return nil
	}
	c.TrustTimes()
	return nil
}

// OpenCopy opens the place of a copy, whose bucket is as b says. create makes it if it is missing.
func (set *Settings) OpenCopy(ctx context.Context, url string, b Bucket, create bool) (*Destination, error) {
	place, err := ParsePlace(url)
	if err != nil {
		return nil, err
	}
	there := *set
	there.Bucket, there.Endpoint = b, cmp.Or(set.Bucket.Endpoint, set.Endpoint)
	if home, err := ParsePlace(set.Repo); err == nil && set.seenAt(home) == there.seenAt(place) {
		return nil, usage.Errorf("%s is the repository itself: a copy is somewhere else", Shown(place))
	}
	s, err := there.openCopy(ctx, place, create)
	if errors.Is(err, store.ErrNoStore) {
		err = usage.Hinted{Err: err, Hint: "is the disk mounted, and the URL right? nightjar copy --create makes the place of a copy"}
	}
	if err != nil {
		return nil, fmt.Errorf("open copy: %w", err)
	}
	return &Destination{Place: place, Store: s, Address: there.address(place)}, nil
}

func (set *Settings) openCopy(ctx context.Context, place store.Location, create bool) (store.Carrier, error) {
	if place.Scheme == store.SchemeFile {
		if set.Bucket.given() {
			return nil, usage.Errorf("%s is a directory: options for buckets have no place", Shown(place))
		}
		open := store.OpenDir
		if create {
			open = store.CreateDir
		}
		d, err := open(place.Path)
		if err != nil {
			return nil, err
		}
		return d, nil
	}
	o, err := set.s3Options(place)
	if err != nil {
		return nil, err
	}
	open := s3.Open
	if create {
		open = s3.Create
	}
	s, err := open(ctx, place, o)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// requests returns how many requests of each kind were sent to a store; nil if it is none that is asked by requests.
func requests(s store.Store) map[string]uint64 {
	if c, ok := s.(interface{ Requests() map[string]uint64 }); ok {
		return c.Requests()
	}
	return nil
}

// Requests returns how many requests of each kind were sent to the place.
func (d *Destination) Requests() map[string]uint64 { return requests(d.Store) }

// NeedsClaim reports whether a copy at a URL begins with a claim that a recovery key signs: in a bucket, where times are mere metadata.
func NeedsClaim(url string) bool {
	place, err := ParsePlace(url)
	return err == nil && place.Scheme != store.SchemeFile
}
