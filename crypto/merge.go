package crypto

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Merge returns a certificate that says what k's and a later certificate of the same key say together: of each user ID and subkey
// the newest self-signature counts, a revocation in either counts, and a subkey that is in only one of them stays, since it may have signed something.
func (k *Key) Merge(later *Key) (*Key, error) {
	if later.Fingerprint() != k.Fingerprint() {
		return nil, fmt.Errorf("merge certificates of key %s: the other is of %s", k.Fingerprint(), later.Fingerprint())
	}
	both, err := splitKeys(append(k.Certificate(), later.Certificate()...))
	if err == nil && len(both) != 2 {
		err = errors.New("not two of them")
	}
	var merged *Key
	if err == nil {
		merged, err = both[0].with(both[1]).key()
	}
	if err != nil {
		return nil, fmt.Errorf("merge certificates of key %s: %w", k.Fingerprint(), err)
	}
	return merged, nil
}

func (r rawKey) with(later rawKey) rawKey {
next:
	for _, p := range later {
		for i := range r {
			if bytes.Equal(r[i].body, p.body) {
				r[i].add(p.follows)
				continue next
			}
		}
		r = append(r, p)
	}
	return r
}

// add adds what follows the same key elsewhere, each signature once.
func (r *rawPart) add(follows []rawPacket) {
	for _, f := range follows {
		same := func(x rawPacket) bool { return x.tag == f.tag && bytes.Equal(x.body, f.body) }
		if f.tag != tagSignature || !slices.ContainsFunc(r.follows, same) {
			r.follows = append(r.follows, f)
		}
	}
}

// WithSecrets returns the key as its certificate k says it is, with the secret halves that are in from: nothing that only
// from says of use or expiry counts, nor a subkey that is only there.
func (k *Key) WithSecrets(from *Key) *Key {
	with := k.Public()
	for _, p := range with.parts() {
		for _, f := range from.parts() {
			if bytes.Equal(p.pub.Fingerprint, f.pub.Fingerprint) {
				p.secret = f.secret
			}
		}
	}
	return with
}
