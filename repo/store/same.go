package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
)

// Same reports whether two stores, which both hold the object of that name, are one
// place under two names: what is made in b shows in a. Claimers are asked that only
// if both have the same claim and stored the object at the same time, since a copy
// begins with a claim of its own. Stores of any other kind are not.
func Same(ctx context.Context, a, b Store, name string) (bool, error) {
	if a, ok := a.(Folder); ok {
		if b, ok := b.(Folder); ok {
			return sameFolder(ctx, a, b)
		}
	}
	claims := [2][]byte{}
	for i, s := range []Store{a, b} {
		c, ok := s.(Claimer)
		if !ok {
			return false, nil
		}
		var err error
		if claims[i], _, err = c.Claim(ctx); err != nil {
			return false, err
		}
	}
	if !bytes.Equal(claims[0], claims[1]) {
		return false, nil
	}
	here, err := a.Stat(ctx, name)
	if err != nil {
		return false, err
	}
	there, err := b.Stat(ctx, name)
	if err != nil || !here.Time.Equal(there.Time) {
		return false, err
	}
	return showsIn(ctx, a, b) // a copy may be as young, for all that the servers tell
}

// showsIn reports whether an object that is stored in b is in a. It stays where nothing may be deleted.
func showsIn(ctx context.Context, a, b Store) (bool, error) {
	mark := fmt.Sprintf("mark/%016x", rand.Uint64())
	if _, err := b.Put(ctx, mark, nil); err != nil {
		return false, err
	}
	_, err := a.Stat(ctx, mark)
	_ = b.Delete(ctx, mark)
	if errors.Is(err, ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func sameFolder(ctx context.Context, a, b Folder) (same bool, err error) {
	mark, remove, err := b.Mark(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	all, err := a.Entries(ctx, "")
	return slices.Contains(all, mark), err
}
