package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"nightjar/repo/store"
)

// Op is a method of store.Store or store.Clock.
type Op string

const (
	Put    Op = "put" // PutAt too
	Fetch  Op = "fetch"
	Stat   Op = "stat"
	Get    Op = "get"
	List   Op = "list"
	Delete Op = "delete"
	Now    Op = "now"
)

// Call is one call of a Store's method.
type Call struct {
	Op     Op
	Name   string // the object's; List's prefix; "" for Now
	Offset int64  // Get's
	Data   []byte // what Put stores, or Get's buffer, which an After hook may change
}

// Hook is called around a Store's methods, by several goroutines at once if the
// Store is. Its error becomes the method's.
type Hook func(Call) error

// Faulty is a Store that fails on demand: Store with hooks around its methods.
// Without hooks it is as good as Store.
type Faulty struct {
	Store store.Store
	// Before hooks are called in turn; at the first error Store is not called.
	Before []Hook
	// After hooks are called in turn once Store has succeeded: an error is one
	// that comes after the deed. For List it comes after the last object.
	After []Hook
	// Hide, if not nil, says which objects List leaves out, as a listing does
	// that lags behind.
	Hide func(store.Info) bool
	// Tear, if not nil, is called before List hands on its nth object, counted from 1; its error ends the listing.
	Tear func(prefix string, n int) error
}

var (
	_ store.Fetcher = (*Faulty)(nil)
	_ store.Carrier = (*Faulty)(nil)
	_ store.Dated   = (*Faulty)(nil)
	_ store.Clock   = (*Faulty)(nil)
)

// Put implements store.Store.
func (s *Faulty) Put(ctx context.Context, name string, data []byte) (info store.Info, err error) {
	err = s.call(Call{Op: Put, Name: name, Data: data}, func() error {
		info, err = s.Store.Put(ctx, name, data)
		return err
	})
	return info, err
}

// PutAt implements store.Carrier; it fails if Store is none.
func (s *Faulty) PutAt(ctx context.Context, name string, data []byte, at time.Time) (info store.Info, err error) {
	err = s.call(Call{Op: Put, Name: name, Data: data}, func() error {
		carrier, ok := s.Store.(store.Carrier)
		if !ok {
			return fmt.Errorf("store object %s: %w", name, errors.ErrUnsupported)
		}
		info, err = carrier.PutAt(ctx, name, data, at)
		return err
	})
	return info, err
}

// Fetch implements store.Fetcher, as far as Store does.
func (s *Faulty) Fetch(ctx context.Context, from store.Store, name string, at time.Time) error {
	return s.call(Call{Op: Fetch, Name: name}, func() error {
		fetcher, ok := s.Store.(store.Fetcher)
		if !ok {
			return fmt.Errorf("copy object %s: %w", name, errors.ErrUnsupported)
		}
		return fetcher.Fetch(ctx, from, name, at)
	})
}

// HomeTime implements store.Dated.
func (s *Faulty) HomeTime(ctx context.Context, info store.Info) (time.Time, error) {
	return store.HomeTime(ctx, s.Store, info)
}

// Stat implements store.Store.
func (s *Faulty) Stat(ctx context.Context, name string) (info store.Info, err error) {
	err = s.call(Call{Op: Stat, Name: name}, func() error {
		info, err = s.Store.Stat(ctx, name)
		return err
	})
	return info, err
}

// GetInto implements store.Store.
func (s *Faulty) GetInto(ctx context.Context, name string, offset int64, buf []byte) error {
	return s.call(Call{Op: Get, Name: name, Offset: offset, Data: buf}, func() error {
		return s.Store.GetInto(ctx, name, offset, buf)
	})
}

// List implements store.Store.
func (s *Faulty) List(ctx context.Context, prefix string, f func(store.Info) error) error {
	n := 0
	return s.call(Call{Op: List, Name: prefix}, func() error {
		return s.Store.List(ctx, prefix, func(info store.Info) error {
			if n++; s.Tear != nil {
				if err := s.Tear(prefix, n); err != nil {
					return err
				}
			}
			if s.Hide != nil && s.Hide(info) {
				return nil
			}
			return f(info)
		})
	})
}

// Delete implements store.Store.
func (s *Faulty) Delete(ctx context.Context, name string) error {
	return s.call(Call{Op: Delete, Name: name}, func() error {
		return s.Store.Delete(ctx, name)
	})
}

// Now implements store.Clock; it fails if Store is no Clock.
func (s *Faulty) Now(ctx context.Context) (t time.Time, err error) {
	err = s.call(Call{Op: Now}, func() error {
		clock, ok := s.Store.(store.Clock)
		if !ok {
			return errors.New("ask store for its time: it has no clock")
		}
		t, err = clock.Now(ctx)
		return err
	})
	return t, err
}

func (s *Faulty) call(c Call, run func() error) error {
	for _, hook := range s.Before {
		if err := hook(c); err != nil {
			return err
		}
	}
	if err := run(); err != nil {
		return err
	}
	for _, hook := range s.After {
		if err := hook(c); err != nil {
			return err
		}
	}
	return nil
}

// Torn returns a Tear that breaks every listing of what begins with prefix off before its nth object.
func Torn(prefix string, n int, err error) func(string, int) error {
	return func(listed string, i int) error {
		if i == n && strings.HasPrefix(listed, prefix) {
			return fmt.Errorf("list objects: %w", err)
		}
		return nil
	}
}

// Nth returns a Hook that fails with err at the nth call of op, counted from 1,
// and at no other.
func Nth(op Op, n int64, err error) Hook {
	var calls atomic.Int64
	return func(c Call) error {
		if c.Op == op && calls.Add(1) == n {
			return fmt.Errorf("%s object %s: %w", op, c.Name, err)
		}
		return nil
	}
}

// From is Nth for the nth call and all that follow.
func From(op Op, n int64, err error) Hook {
	var calls atomic.Int64
	return func(c Call) error {
		if c.Op == op && calls.Add(1) >= n {
			return fmt.Errorf("%s object %s: %w", op, c.Name, err)
		}
		return nil
	}
}

// Full returns a Before hook of a store whose disk is full once Puts have
// brought more than n bytes: syscall.ENOSPC from then on for what does not fit.
func Full(n int64) Hook {
	var free atomic.Int64
	free.Store(n)
	return func(c Call) error {
		if c.Op != Put {
			return nil
		}
		size := int64(len(c.Data))
		if free.Add(-size) < 0 {
			free.Add(size)
			return fmt.Errorf("store object %s: %w", c.Name, syscall.ENOSPC)
		}
		return nil
	}
}

// Cut returns a Before hook that lets reads of an object end at size.
func Cut(name string, size int64) Hook {
	return func(c Call) error {
		if c.Op == Get && c.Name == name && c.Offset+int64(len(c.Data)) > size {
			return fmt.Errorf("read object %s: %w", name, io.ErrUnexpectedEOF)
		}
		return nil
	}
}

// Flip returns an After hook that flips the lowest bit of an object's byte at
// offset wherever it is read.
func Flip(name string, offset int64) Hook {
	return func(c Call) error {
		if i := offset - c.Offset; c.Op == Get && c.Name == name && 0 <= i && i < int64(len(c.Data)) {
			c.Data[i] ^= 1
		}
		return nil
	}
}
