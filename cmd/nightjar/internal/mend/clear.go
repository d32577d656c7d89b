package mend

import (
	"context"
	"errors"
	"io/fs"

	"nightjar/cmd/nightjar/internal/session"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// Moved is something that lay where an object or a folder of objects belongs.
type Moved struct {
	Name string // where it lay
	What error  // what it is
	To   string // where it lies now
}

// Clear moves aside what lies in the place of objects and of their folders in the configured repository. Where neither config nor any keys lie, it keeps its hands off: that may be anything.
func Clear(ctx context.Context, set *session.Settings) (moved []Moved, err error) {
	s, err := set.Site(ctx)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	clear, ok := s.Store.(store.Cluttered)
	if !ok {
		return nil, nil
	}
	_, err = s.Store.Stat(ctx, configName)
	if errors.Is(err, store.ErrNotExist) {
		err = s.Store.List(ctx, "keys/", func(store.Info) error { return fs.ErrExist })
		if err == nil || !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	} else if err != nil {
		return nil, err
	}
	var found []Moved
	err = clear.Clutter(ctx, sealed.Belongs, func(name string, what error) error {
		found = append(found, Moved{Name: name, What: what})
		return nil
	})
	for _, m := range found {
		if err != nil {
			break
		}
		if m.To, err = clear.MoveAside(ctx, m.Name, sealed.Belongs(m.Name)); m.To != "" {
			moved = append(moved, m)
		}
	}
	return moved, err
}
