package mirror

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nightjar/repo"
	"nightjar/repo/index"
	"nightjar/repo/lists"
	"nightjar/repo/record"
	"nightjar/repo/sealed"
	"nightjar/repo/store"
)

// ErrVanished says that objects were listed at home and are gone, and that nothing says why: prune deletes only what records name.
var ErrVanished = errors.New("it was listed and is gone, and no record says that it went")

// again looks for an object that could not be found at home although it was listed: one answer may be wrong.
func (m *Mirror) again(ctx context.Context, name string) (store.Info, bool, error) {
	info, err := m.from.Stat(ctx, name)
	if errors.Is(err, store.ErrNotExist) {
		m.gone(name)
		return info, false, nil
	}
	return info, err == nil, err
}

// gone notes an object that vanished.
func (m *Mirror) gone(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum.Vanished++
	m.vanished = append(m.vanished, name)
}

// explained returns an error unless records say of all that vanished why it is gone. What depends on it must not be copied before.
func (m *Mirror) explained(ctx context.Context) error {
	m.mu.Lock()
	names := m.vanished
	m.vanished = nil
	m.mu.Unlock()
	if len(names) == 0 {
		return nil
	}
	if m.o.Home == nil {
		return fmt.Errorf("copy %s: %w, as far as can be seen without a key", names[0], ErrVanished)
	}
	if err := m.o.Home.SyncIndex(ctx); err != nil {
		return fmt.Errorf("look why objects are gone: %w", err)
	}
	forgotten := idSet{}
	err := m.o.Home.Records(ctx, record.ForgetKind, func(x sealed.Record) error {
		var f record.Forget
		if x.Err == nil {
			x.Err = record.Decode(x.Content, &f)
		}
		for _, a := range f.Archives {
			forgotten[a.Archive] = struct{}{}
		}
		if errors.Is(x.Err, repo.ErrUnread) {
			return x.Err
		}
		return nil // one that cannot be read forgets nothing
	})
	if err != nil {
		return fmt.Errorf("look why objects are gone: %w", err)
	}
	left := map[index.ObjectID]string{} // packs and indexes that no list names
	for _, name := range names {
		id, err := sealed.ObjectID(name)
		if err != nil {
			return err
		}
		set := m.o.Home.Lists()
		switch kind := sealed.Kind(name); {
		case set.Object(id), kind == "archive" && forgotten.has(id), kind == "dropped": // which goes when no index names anything in it
		case set.Pack(id)&(lists.Dropped|lists.Lost) != 0:
		case kind == "archive" || !slices.Contains(packKinds, kind) && kind != "index":
			return fmt.Errorf("copy %s: %w", name, ErrVanished)
		default:
			left[id] = name
		}
	}
	return m.indexed(ctx, left)
}

// indexed returns an error for a pack that an index names, or may name, and for an index object that no other stands for.
func (m *Mirror) indexed(ctx context.Context, left map[index.ObjectID]string) error {
	if len(left) == 0 {
		return nil
	}
	replaced := map[index.ObjectID]bool{}
	var unread error // of an index object, which may name what is gone
	err := m.o.Home.IndexObjects(ctx, func(x sealed.IndexRecord) error {
		if errors.Is(x.Err, repo.ErrUnread) {
			return x.Err
		}
		if errors.Is(x.Err, repo.ErrDisowned) {
			return nil
		}
		if x.Err != nil {
			unread = x.Err
			return nil
		}
		for _, id := range x.Object.Replaces {
			replaced[id] = true
		}
		for _, run := range x.Object.Runs {
			for i := range run.Packs {
				if name, ok := left[run.Packs[i].ID]; ok {
					return fmt.Errorf("copy %s: %w", name, ErrVanished)
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for id, name := range left {
		switch is := sealed.Kind(name) == "index"; {
		case is && !replaced[id]:
			return fmt.Errorf("copy %s: %w", name, ErrVanished)
		case !is && unread != nil:
			return fmt.Errorf("copy %s: %w, as far as can be seen: %v", name, ErrVanished, unread)
		}
	}
	return nil
}
