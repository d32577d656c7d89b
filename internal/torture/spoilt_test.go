package torture

import (
	"context"
	"fmt"
	"time"

	"nightjar/repo/store"
)

// A spoiltStore is a Store in which one object is not what it was.
type spoiltStore struct {
	store.Store
	name string
	data []byte // nil: it is gone
	late bool   // it can be read and is as it was, and no list has it
}

func (s *spoiltStore) gone() bool { return s.data == nil && !s.late }

func (s *spoiltStore) List(ctx context.Context, prefix string, f func(store.Info) error) error {
	return s.Store.List(ctx, prefix, func(i store.Info) error {
		if i.Name == s.name {
			if s.data == nil {
				return nil
			}
			i.Size = int64(len(s.data))
		}
		return f(i)
	})
}

func (s *spoiltStore) Stat(ctx context.Context, name string) (store.Info, error) {
	i, err := s.Store.Stat(ctx, name)
	if name != s.name || s.late || err != nil {
		return i, err
	}
	if s.gone() {
		return store.Info{}, fmt.Errorf("look up object %s: %w", name, store.ErrNotExist)
	}
	i.Size = int64(len(s.data))
	return i, nil
}

func (s *spoiltStore) GetInto(ctx context.Context, name string, offset int64, buf []byte) error {
	if name != s.name || s.late {
		return s.Store.GetInto(ctx, name, offset, buf)
	}
	if s.gone() {
		return fmt.Errorf("read object %s: %w", name, store.ErrNotExist)
	}
	m := store.NewMemory(nil) // which knows what a range that is not there means
	if _, err := m.Put(ctx, name, s.data); err != nil {
		return err
	}
	return m.GetInto(ctx, name, offset, buf)
}

// A pastStore is a Store as it was when an object was the newest.
type pastStore struct {
	store.Store
	until time.Time
}

func (s *pastStore) List(ctx context.Context, prefix string, f func(store.Info) error) error {
	return s.Store.List(ctx, prefix, func(i store.Info) error {
		if i.Time.After(s.until) {
			return nil
		}
		return f(i)
	})
}

func (s *pastStore) Stat(ctx context.Context, name string) (store.Info, error) {
	i, err := s.Store.Stat(ctx, name)
	if err == nil && i.Time.After(s.until) {
		return store.Info{}, fmt.Errorf("look up object %s: %w", name, store.ErrNotExist)
	}
	return i, err
}

func (s *pastStore) GetInto(ctx context.Context, name string, offset int64, buf []byte) error {
	if _, err := s.Stat(ctx, name); err != nil {
		return err
	}
	return s.Store.GetInto(ctx, name, offset, buf)
}
