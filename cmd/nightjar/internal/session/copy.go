package session

import (
	"context"
	"errors"
	"fmt"

	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/repo/keyring"
	"nightjar/repo/store"
)

// A Destination is the place of a copy.
type Destination struct {
	Place store.Location
	Store store.Carrier
	reach *place.Options
}

// Address is what finds it on another machine after --repo.
func (d *Destination) Address(ctx context.Context) string { return d.reach.Address(ctx, d.Place) }

// Close ends its use.
func (d *Destination) Close() { place.Close(d.Store) }

// trustTimes has a store tell home times if the root has said that it is a copy.
func (s *Site) trustTimes(ctx context.Context, of store.Store, keys *keyring.Keyring) error {
	c, ok := of.(store.Claimer)
	if !ok {
		return nil
	}
	claim, stored, err := c.Claim(ctx)
	if err != nil || claim == nil {
		return err
	}
	if err := keys.IsCopy(claim, c.Place(), stored); err != nil {
		s.set.Warn(fmt.Errorf("%s says that it is a copy, and is not believed: %w", c.Place(), err))
		return nil
	}
	c.TrustTimes()
	return nil
}

// TrustTimes has another copy of an open repository tell the times of the original, if the root has said that it is a copy.
func (s *Session) TrustTimes(ctx context.Context, d *Destination) error {
	return s.site.trustTimes(ctx, d.Store, s.Keyring)
}

// besides returns the place of a copy and how it is reached.
func (set *Settings) besides(ctx context.Context, url string, b place.Bucket) (store.Location, *place.Options, error) {
	at, err := place.Parse(url)
	if err != nil {
		return at, nil, err
	}
	here := set.Reach()
	there, err := here.Beside(at, b)
	if err != nil {
		return at, nil, err
	}
	if home, err := set.configured(); err == nil && here.Name(ctx, home) == there.Name(ctx, at) {
		return at, nil, usage.Errorf("%s is the repository itself: a copy is somewhere else", place.Shown(at))
	}
	return at, there, nil
}

// OpenCopy opens the place of a copy, whose bucket is as b says. create makes it if it is missing.
func (set *Settings) OpenCopy(ctx context.Context, url string, b place.Bucket, create bool) (*Destination, error) {
	at, there, err := set.besides(ctx, url, b)
	if err != nil {
		return nil, err
	}
	open := there.Open
	if create {
		open = there.Create
	}
	s, err := open(ctx, at)
	if errors.Is(err, store.ErrNoStore) {
		err = usage.Hinted{Err: err, Hint: "is the disk mounted, and the URL right? A new copy is made by nightjar copy --to URL --create"}
	}
	if err != nil {
		return nil, fmt.Errorf("open copy: %w", err)
	}
	return &Destination{Place: at, Store: s, reach: there}, nil
}

// Requests returns how many requests of each kind were sent to the place.
func (d *Destination) Requests() map[string]uint64 { return place.Requests(d.Store) }
