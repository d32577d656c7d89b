package repo

import (
	"context"
	"errors"
	"fmt"

	"nightjar/crypto"
	"nightjar/repo/index"
	"nightjar/repo/keyring"
	"nightjar/repo/record"
	"nightjar/repo/store"
)

// ErrDisowned says of an object that the key that signed it is marked compromised, and that no verified record names it. It is an ErrIntegrity, and a
// state of things that is known: nobody need look for what is damaged.
var ErrDisowned = fmt.Errorf("the key that signed it is marked compromised, and nobody vouches for it: %w", crypto.ErrIntegrity)

// believe sets whose signatures are looked at: those of marked keys too, of which disowned decides.
func (r *Repository) believe(keys *keyring.Keyring) {
	r.keys, r.signers, r.marked = keys, map[string][]crypto.Signer{}, map[crypto.Fingerprint]bool{}
	for _, kind := range kinds {
		marked := keys.Marked(kind)
		for _, s := range marked {
			r.marked[s.Key.Fingerprint()] = true
		}
		r.signers[kind] = append(keys.Signers(kind), marked...)
	}
}

// disowned returns ErrDisowned for an object that does not count because of its signer.
func (r *Repository) disowned(signer crypto.Fingerprint, id index.ObjectID) error {
	if r.marked[signer] && !(*r.vouched.Load())[id] {
		return ErrDisowned
	}
	return nil
}

// A Supposition is what could be.
type Supposition struct {
	Keys     *keyring.Keyring
	Verified map[index.ObjectID]bool // what verified records name, and nothing else; not nil
	Dropped  bool                    // what is condemned is dropped
}

// Suppose returns the repository as it would be. It has no cache, and warns of nothing: this one does.
func (r *Repository) Suppose(ctx context.Context, s *Supposition) (*Repository, error) {
	other, err := r.other(ctx, r.store, s.Keys, s)
	if err == nil {
		other.options.Warn = func(error) {}
	}
	return other, err
}

// Verified returns what verified records name: archives that count, late or not, and objects that count, whoever has signed them.
func (r *Repository) Verified(ctx context.Context) (map[index.ObjectID]bool, error) {
	if r.supposed != nil {
		return r.supposed.Verified, nil
	}
	ids := map[index.ObjectID]bool{}
	err := r.Records(ctx, record.VerifiedKind, func(x Record) error {
		var v record.Verified
		if x.Err == nil {
			x.Err = record.Decode(x.Content, &v)
		}
		switch {
		case errors.Is(x.Err, ErrUnavailable):
			return x.Err
		case errors.Is(x.Err, ErrDisowned):
			return nil
		case x.Err != nil:
			r.options.Warn(fmt.Errorf("pass over %s: %w", x.Name, x.Err))
			return nil
		}
		for _, id := range v.Archives {
			ids[id] = true
		}
		for _, id := range v.Objects {
			ids[id] = true
		}
		return nil
	})
	return ids, err
}

// loadVerified notes what counts though its signer is marked. Of verified records themselves none does.
func (r *Repository) loadVerified(ctx context.Context) error {
	r.vouched.Store(new(map[index.ObjectID]bool))
	if len(r.marked) == 0 {
		return nil
	}
	ids, err := r.Verified(ctx)
	if err != nil {
		return fmt.Errorf("read what counts of keys that are marked compromised: %w", err)
	}
	r.vouched.Store(&ids)
	return nil
}

// PutVerified stores a verified record, signed by the root: it must count, whichever host is marked next. It needs UnlockContent.
func (r *Repository) PutVerified(ctx context.Context, v *record.Verified) (store.Info, error) {
	root := r.root()
	if root == nil {
		return store.Info{}, errors.New("vouch for archives: it takes a recovery key")
	}
	content, err := record.Encode(v)
	if err != nil {
		return store.Info{}, err
	}
	return r.putRecord(ctx, root, record.VerifiedKind, content)
}
