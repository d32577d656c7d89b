package keyring

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sort"

	"nightjar/crypto"
	"nightjar/internal/versioned"
	"nightjar/repo/store"
)

// Load reads the keys in force of the repository in the store. pin is asked what is remembered of the repository that the store claims to hold; with
// a zero Pin the first root shown is believed, and the caller has to remember it. invalid is told of keys that are passed over.
//
// Keys are read upward from the number that is remembered, each believed by the root of the one before: so a root that has named its successor
// signs nothing after that.
func Load(ctx context.Context, s store.Store, pin func(repository string) (Pin, error), invalid func(error)) (*Keyring, error) {
	found, err := list(ctx, s)
	if err != nil {
		return nil, err
	}
	misplaced, err := clutter(ctx, s)
	switch {
	case err != nil:
		return nil, err
	case len(found) == 0 && len(misplaced) > 0:
		return nil, fmt.Errorf("no valid keys: %w", errors.Join(misplaced.from(0)...))
	case len(found) == 0:
		return nil, ErrNoRepository
	}
	var forgot error // what is remembered cannot be read
	asked := pin
	pin = func(repository string) (Pin, error) {
		p, err := asked(repository)
		if err != nil && !errors.Is(err, ErrRollback) && !errors.Is(err, crypto.ErrIntegrity) {
			forgot = err
		}
		return p, err
	}
	// The last says where to begin. If it lies about whose it is, all are read.
	last, lastErr := store.ReadAll(ctx, s, found[len(found)-1].name, MaxObject)
	seen := 0
	if head, err := peek(last); lastErr == nil && err == nil {
		if p, err := pin(head.Repository); err == nil {
			seen = p.Number
		}
	}
	begin := sort.Search(len(found), func(i int) bool { return found[i].number >= seen })
	l := loader{store: s, pin: pin}
	for i := begin; i < len(found); i++ {
		object, err := last, lastErr
		if i < len(found)-1 {
			object, err = store.ReadAll(ctx, s, found[i].name, MaxObject)
		}
		if err := l.next(ctx, found[i], i == 0, object, err); err != nil {
			return nil, err
		}
	}
	if l.inForce != nil {
		for _, p := range append(l.problems, misplaced.from(l.inForce.contents.Number+1)...) {
			invalid(p)
		}
		return l.inForce, nil
	}
	if forgot != nil {
		return nil, forgot
	}
	_, explained := misplaced[seen]
	if missing := begin == len(found) || found[begin].number > seen && seen > 0; missing && !explained {
		l.problems = append(l.problems, fmt.Errorf("%s was seen before: %w", Name(seen), ErrRollback))
	}
	return nil, fmt.Errorf("no valid keys: %w", errors.Join(append(l.problems, misplaced.from(0)...)...))
}

// A loader reads one keys object after another.
type loader struct {
	store    store.Store
	pin      func(repository string) (Pin, error)
	inForce  *Keyring // the last valid one; nil: none yet
	problems []error  // since inForce
}

// next notes the next keys object, or why it could not be read. The error is that of an object which may not be passed over.
func (l *loader) next(ctx context.Context, n numbered, first bool, object []byte, err error) error {
	read := func(object []byte) (*Keyring, error) { return l.read(n, first, object) }
	fatal := func(err error) bool {
		return errors.Is(err, store.ErrUnavailable) || errors.Is(err, versioned.ErrNewer)
	} // the latter has been signed by the root
	var k *Keyring
	if err == nil {
		k, err = read(object)
	}
	if versions, ok := l.store.(store.Versioned); ok && err != nil && !fatal(err) {
		_, failed := versions.Recover(ctx, n.name, func(object []byte) bool {
			older, err := read(object)
			if err == nil {
				k = older
			}
			return err == nil
		})
		if failed == nil {
			err = nil
		}
	}
	if err == nil {
		l.inForce, l.problems = k, nil
		return nil
	}
	err = fmt.Errorf("read %s: %w", n.name, err)
	if fatal(err) {
		return err
	}
	l.problems = append(l.problems, err)
	return nil
}

// read opens a keys object, which is the first of all or not.
func (l *loader) read(n numbered, first bool, object []byte) (*Keyring, error) {
	k, err := Read(object, func(repository string) (Pin, error) {
		if l.inForce != nil && repository == l.inForce.ID() {
			return l.inForce.Pin(), nil
		}
		p, err := l.pin(repository)
		// Nobody can replace the lowest number, but a thief of write credentials can add a higher one: so without a pin, the lowest names the root.
		if err == nil && p.Root == "" && !first {
			err = fmt.Errorf("nothing says that its root key is to be believed: %w", crypto.ErrIntegrity)
		}
		return p, err
	})
	if err == nil && k.contents.Number != n.number {
		err = fmt.Errorf("it says that it is number %d: %w", k.contents.Number, crypto.ErrIntegrity)
	}
	return k, err
}

// A misplaced is what lies in the place of keys objects and is none, by their numbers; in the place of their folder, by 0.
type misplaced map[int]error

func clutter(ctx context.Context, s store.Store) (misplaced, error) {
	c, ok := s.(store.Cluttered)
	if !ok {
		return nil, nil
	}
	belongs := func(name string) fs.FileMode {
		if _, ok := Number(name); ok {
			return 0
		}
		if name+"/" == prefix {
			return fs.ModeDir
		}
		return store.Nothing
	}
	found := misplaced{}
	err := c.Clutter(ctx, belongs, func(name string, what error) error {
		n, _ := Number(name)
		found[n] = fmt.Errorf("%s: %w", name, what)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return found, nil
}

// from returns an error of each number that is no less than first.
func (m misplaced) from(first int) (all []error) {
	for _, n := range slices.Sorted(maps.Keys(m)) {
		if n >= first {
			all = append(all, m[n])
		}
	}
	return all
}

type numbered struct {
	name   string
	number int
}

// list returns the keys objects in order of their numbers, valid or not.
func list(ctx context.Context, s store.Store) ([]numbered, error) {
	var found []numbered
	err := s.List(ctx, prefix, func(i store.Info) error {
		if n, ok := Number(i.Name); ok {
			found = append(found, numbered{i.Name, n})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	slices.SortFunc(found, func(a, b numbered) int { return a.number - b.number })
	return found, nil
}
