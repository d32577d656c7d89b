package store

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Memory is a Store in memory, for tests. Its methods never block.
type Memory struct {
	now     func() time.Time
	mu      sync.Mutex
	objects map[string]object
}

var (
	_ Carrier  = (*Memory)(nil)
	_ Clock    = (*Memory)(nil)
	_ Replacer = (*Memory)(nil)
)

type object struct {
	data []byte
	time time.Time
}

// NewMemory returns an empty store whose own clock is now; nil means time.Now.
func NewMemory(now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	return &Memory{now: now, objects: make(map[string]object)}
}

// Put implements Store.
func (m *Memory) Put(ctx context.Context, name string, data []byte) (Info, error) {
	return m.PutAt(ctx, name, data, time.Time{})
}

// PutAt implements Carrier.
func (m *Memory) PutAt(ctx context.Context, name string, data []byte, at time.Time) (Info, error) {
	if err := CheckPut(ctx, "store", name, len(data)); err != nil {
		return Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[name]
	if ok && !bytes.Equal(o.data, data) {
		return Info{}, fmt.Errorf("store object %s: %w", name, ErrExists)
	}
	if !ok {
		if at.IsZero() {
			at = m.now()
		}
		o = object{data: bytes.Clone(data), time: at}
		m.objects[name] = o
	}
	return o.info(name), nil
}

// Replace implements Replacer.
func (m *Memory) Replace(ctx context.Context, name string, data []byte, at time.Time) (Info, error) {
	if err := CheckPut(ctx, "replace", name, len(data)); err != nil {
		return Info{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[name]
	if !ok || !bytes.Equal(o.data, data) {
		if at.IsZero() {
			at = m.now()
		}
		o = object{data: bytes.Clone(data), time: at}
		m.objects[name] = o
	}
	return o.info(name), nil
}

// Stat implements Store.
func (m *Memory) Stat(ctx context.Context, name string) (Info, error) {
	o, err := m.get(ctx, "look up", name)
	if err != nil {
		return Info{}, err
	}
	return o.info(name), nil
}

// GetInto implements Store.
func (m *Memory) GetInto(ctx context.Context, name string, offset int64, buf []byte) error {
	o, err := m.get(ctx, "read", name)
	if err != nil {
		return err
	}
	if err := CheckRange(name, offset, len(buf), int64(len(o.data))); err != nil {
		return err
	}
	copy(buf, o.data[offset:])
	return nil
}

// List implements Store.
func (m *Memory) List(ctx context.Context, prefix string, f func(Info) error) error {
	if err := CheckList(ctx, prefix); err != nil {
		return err
	}
	m.mu.Lock()
	var infos []Info
	for name, o := range m.objects {
		if strings.HasPrefix(name, prefix) {
			infos = append(infos, o.info(name))
		}
	}
	m.mu.Unlock()
	// A fixed order, so that a test which depends on it at least does so always.
	slices.SortFunc(infos, func(a, b Info) int { return strings.Compare(a.Name, b.Name) })
	for _, info := range infos {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("list objects: %w", err)
		}
		if err := f(info); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements Store.
func (m *Memory) Delete(ctx context.Context, name string) error {
	if err := Check(ctx, "delete", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[name]; !ok {
		return fmt.Errorf("delete object %s: %w", name, ErrNotExist)
	}
	delete(m.objects, name)
	return nil
}

// Now implements Clock by the function given to NewMemory.
func (m *Memory) Now(ctx context.Context) (time.Time, error) {
	return m.now(), ctx.Err()
}

func (m *Memory) get(ctx context.Context, verb, name string) (object, error) {
	if err := Check(ctx, verb, name); err != nil {
		return object{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	o, ok := m.objects[name]
	if !ok {
		return object{}, fmt.Errorf("%s object %s: %w", verb, name, ErrNotExist)
	}
	return o, nil
}

func (o object) info(name string) Info {
	return Info{Name: name, Size: int64(len(o.data)), Time: o.time}
}
