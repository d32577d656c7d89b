package sealed

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/record"
	"nightjar/repo/store"
)

// ErrDisowned says of an object that the key that signed it is marked compromised, and that no verified record names it. It is an ErrIntegrity, and a
// state of things that is known: nobody need look for what is damaged.
var ErrDisowned = fmt.Errorf("the key that signed it is marked compromised, and nobody vouches for it: %w", crypto.ErrIntegrity)

// setKeys sets whose signatures are looked at: those of marked keys too, of which Disowned decides. Thousands of certificates are gone through only
// when something is opened that this machine has not read before.
func (s *Objects) setKeys(keys *keyring.Keyring) {
	s.keys, s.signers, s.marked = keys, map[string]func() []crypto.Signer{}, map[crypto.Fingerprint]bool{}
	for _, kind := range kinds {
		for _, f := range keys.MarkedKeys(kind) {
			s.marked[f] = true
		}
		s.signers[kind] = sync.OnceValue(func() []crypto.Signer { return append(keys.Signers(kind), keys.Marked(kind)...) })
	}
}

// Signers returns whose signatures on objects of a kind are looked at: those of marked keys, too.
func (s *Objects) Signers(kind string) []crypto.Signer {
	if all := s.signers[kind]; all != nil {
		return all()
	}
	return nil
}

// Disowned returns ErrDisowned for an object that does not count because of its signer.
func (s *Objects) Disowned(signer crypto.Fingerprint, id index.ObjectID) error {
	if s.marked[signer] && !s.vouched.Load().Marked[id] {
		return ErrDisowned
	}
	return nil
}

// A Vouched is what verified records name. The zero value is nothing.
type Vouched struct {
	Late   map[index.ObjectID]bool // archives that count though they are late
	Dated  map[index.ObjectID]bool // those of them of which the root says so: it believes the time that they say
	Marked map[index.ObjectID]bool // what counts though its signer's key is marked compromised: the root alone says so
}

// Suppose returns the objects as they would be with these keys, if verified records named what is given (not nil) and nothing else. They have no cache.
func (s *Objects) Suppose(ctx context.Context, keys *keyring.Keyring, vouched *Vouched) (*Objects, error) {
	return s.other(ctx, s.store, keys, vouched)
}

// Verified returns what verified records name, which must not be changed.
func (s *Objects) Verified(ctx context.Context) (*Vouched, error) {
	if s.supposed != nil {
		return s.supposed, nil
	}
	all := &Vouched{map[index.ObjectID]bool{}, map[index.ObjectID]bool{}, map[index.ObjectID]bool{}}
	err := s.Records(ctx, record.VerifiedKind, func(x Record) error {
		var v record.Verified
		if x.Err == nil {
			x.Err = record.Decode(x.Content, &v)
		}
		switch {
		case errors.Is(x.Err, store.ErrUnread):
			return x.Err
		case errors.Is(x.Err, ErrDisowned):
			return nil
		case x.Err != nil:
			s.options.Warn(fmt.Errorf("pass over %s: %w", x.Name, x.Err))
			return nil
		}
		for _, id := range v.Archives {
			all.Late[id] = true
		}
		if s.keys.Follows(x.Signer) { // a mark is the root's, and so is a trust that has ended: no host takes them back
			for _, id := range v.Archives {
				all.Dated[id] = true
			}
			for _, id := range v.Objects {
				all.Marked[id] = true
			}
		}
		return nil
	})
	return all, err
}

// Believe is Verified, and from then on what it returns counts.
func (s *Objects) Believe(ctx context.Context) (*Vouched, error) {
	all, err := s.Verified(ctx)
	if err == nil {
		s.vouched.Store(all)
	}
	return all, err
}

// loadVerified notes what counts though its signer is marked. Of verified records themselves none does.
func (s *Objects) loadVerified(ctx context.Context) error {
	s.vouched.Store(new(Vouched))
	if len(s.marked) == 0 {
		return nil
	}
	if _, err := s.Believe(ctx); err != nil {
		return fmt.Errorf("read what counts of keys that are marked compromised: %w", err)
	}
	return nil
}

// PutVerified stores a verified record, signed by the root: it must count, whichever host is marked next. It needs OpenContent.
func (s *Objects) PutVerified(ctx context.Context, v *record.Verified) (store.Info, error) {
	root := s.Root()
	if root == nil {
		return store.Info{}, errors.New("vouch for archives: it takes a recovery key")
	}
	content, err := record.Encode(v)
	if err != nil {
		return store.Info{}, err
	}
	return s.PutRecordAs(ctx, root, record.VerifiedKind, content)
}
