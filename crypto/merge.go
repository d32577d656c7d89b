package crypto

import (
	"bytes"
	"fmt"
)

// Merge returns a certificate that says what k's and a later certificate of the same key say together: of each user ID and subkey
// the newest self-signature counts, a revocation in either counts, and a subkey that is in only one of them stays, since it may have signed something.
func (k *Key) Merge(later *Key) (*Key, error) {
	if later.Fingerprint() != k.Fingerprint() {
		return nil, fmt.Errorf("merge certificates of key %s: the other is of %s", k.Fingerprint(), later.Fingerprint())
	}
	merged, err := k.cert.Merge(later.cert)
	if err != nil {
		return nil, fmt.Errorf("merge certificates of key %s: %w", k.Fingerprint(), err)
	}
	return &Key{merged}, nil
}

// WithSecrets returns the key as its certificate k says it is, with the secret halves that are in from: nothing that only
// from says of use or expiry counts, nor a subkey that is only there.
func (k *Key) WithSecrets(from *Key) *Key {
	with := k.Public()
	for _, p := range with.cert.Parts() {
		for _, f := range from.cert.Parts() {
			if bytes.Equal(p.Pub.Fingerprint, f.Pub.Fingerprint) {
				p.Secret = f.Secret
			}
		}
	}
	return with
}
