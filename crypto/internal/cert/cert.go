// Package cert reads OpenPGP keys of version 4, and knows what they say of themselves: which subkeys belong to a key, what
// each part may do, and until when.
//
// The invariant: nothing counts that no valid self-signature says, and reading a key takes a bounded amount of work, whoever
// made it up.
//
// It hands out secret halves, so it lies where crypto alone can import it. It does not use them, and does not ask who a key's
// owner is.
package cert

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/eddsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// What keeps a key, or a part of it, from being used.
var (
	ErrExpired     = errors.New("expired")
	ErrWeak        = errors.New("its self-signature is not by SHA-2, but by SHA-1 or older, which others can forge")
	ErrUnsupported = errors.New("this kind of key is not supported (RSA of 2048 to 8192 bits and curve25519 of version 4 are)")
	ErrRevoked     = errors.New("revoked")
	ErrNoSubkey    = errors.New("cannot encrypt")
)

// Key is a primary key and its subkeys. What it says of itself is verified once, when it is first asked for at the latest. It is
// safe for concurrent use unless a secret half is being unlocked.
type Key struct {
	name    string
	primary *Part
	subkeys []*Part

	unread *unread // nil: all is known
}

// Fingerprint returns the primary key's, in bytes.
func (k *Key) Fingerprint() []byte { return k.primary.Pub.Fingerprint }

// Supported says whether the key is of a kind that nightjar uses.
func (k *Key) Supported() bool { return !k.primary.unsupported }

// Name returns the primary user ID, which may hold any bytes, or be empty.
func (k *Key) Name() string {
	k.read()
	return k.name
}

// HasSecret says whether any part has its secret half.
func (k *Key) HasSecret() bool { return slices.ContainsFunc(k.Parts(), (*Part).HasSecret) }

// Primary returns the primary key.
func (k *Key) Primary() *Part {
	k.read()
	return k.primary
}

// Part is a primary key or a subkey, with what its self-signatures say.
type Part struct {
	Pub    *packet.PublicKey
	Secret *packet.PrivateKey // nil: not at hand; may be a dummy
	Proof  []byte             // user IDs and self-signatures that stand behind it, as packets

	Sign, Encrypt bool
	expires       time.Time // zero: never
	retired       time.Time // zero: not
	revoked       bool      // for all times
	unsupported   bool      // not a kind of key that nightjar uses; nothing that it says of itself was verified
	unreadable    error     // why not all that the key says of itself could be verified
	weak          bool      // the newest self-signature is by a hash that is no SHA-2
}

// Parts returns the primary key and, after it, the subkeys.
func (k *Key) Parts() []*Part {
	k.read()
	return append([]*Part{k.primary}, k.subkeys...)
}

// Part returns the one of that fingerprint, in bytes; nil: there is none.
func (k *Key) Part(fingerprint []byte) *Part {
	if k.unread != nil && !slices.ContainsFunc(k.unread.fingerprints, func(f []byte) bool { return bytes.Equal(f, fingerprint) }) {
		return nil
	}
	k.read()
	if bytes.Equal(k.primary.Pub.Fingerprint, fingerprint) {
		return k.primary
	}
	for _, p := range k.subkeys {
		if bytes.Equal(p.Pub.Fingerprint, fingerprint) {
			return p
		}
	}
	return nil
}

// HasSecret says whether the secret half is there, locked or not; a dummy is none.
func (p *Part) HasSecret() bool { return p.Secret != nil && !p.Secret.Dummy() }

// Public returns the key without its secret half.
func (k *Key) Public() *Key {
	strip := func(p *Part) *Part {
		public := *p
		public.Secret = nil
		return &public
	}
	k.read()
	public := &Key{name: k.name, primary: strip(k.primary)}
	for _, p := range k.subkeys {
		public.subkeys = append(public.subkeys, strip(p))
	}
	return public
}

// Certificate returns the public key in binary form, with the self-signatures that count
// and without those of others, and without subkeys of kinds that nightjar does not use.
func (k *Key) Certificate() []byte {
	var buf bytes.Buffer
	for i, p := range k.Parts() {
		if i > 0 && p.unsupported {
			continue
		}
		// A bytes.Buffer takes all that is written to it, and a key that was parsed can be serialized.
		_ = p.Pub.Serialize(&buf)
		buf.Write(p.Proof)
	}
	return buf.Bytes()
}

// Pick returns the newest usable part that is fit for a purpose, "sign" or "encrypt", a subkey rather than the primary. One whose
// creation is yet to come is taken only if there is no other, since GnuPG does not believe it until then.
func (k *Key) Pick(now time.Time, purpose string, fit func(*Part) bool) (*Part, error) {
	parts := k.Parts()
	primary := parts[0]
	if problem := primary.ProblemAt(now); problem != nil {
		return nil, problem
	}
	var best, early *Part
	problem := ErrNoSubkey
	if purpose != "encrypt" {
		problem = errors.New("cannot " + purpose)
	}
	for _, p := range append(parts[1:], primary) {
		if !fit(p) {
			continue
		}
		if why := p.ProblemAt(now); why != nil {
			problem = fmt.Errorf("the subkey to %s with: %w", purpose, why)
			continue
		}
		chosen := &best
		if !now.IsZero() && p.Pub.CreationTime.After(now) {
			chosen = &early
		}
		if *chosen == nil || p != primary && p.Pub.CreationTime.After((*chosen).Pub.CreationTime) {
			*chosen = p
		}
	}
	if best == nil {
		best = early
	}
	if best == nil {
		return nil, problem
	}
	return best, nil
}

// Ends returns from when on the key can no more sign, and from when on nothing can be encrypted to it, of what it can now. Zero: never,
// or it cannot now.
func (k *Key) Ends(now time.Time) (sign, encrypt time.Time) {
	if k.Primary().ProblemAt(now) != nil {
		return sign, encrypt
	}
	ends := func(fit func(*Part) bool) (last time.Time) {
		for _, p := range k.Parts() {
			if !fit(p) || p.ProblemAt(now) != nil {
				continue
			}
			end := k.End(p)
			if end.IsZero() {
				return end
			}
			if end.After(last) {
				last = end
			}
		}
		return last
	}
	return ends(func(p *Part) bool { return p.Sign }), ends(func(p *Part) bool { return p.Encrypt })
}

// End returns when the part, or the primary before it, expires or was retired; zero: never.
func (k *Key) End(p *Part) time.Time { return earlier(k.Primary().end(), p.end()) }

// end returns when the part expires or was retired; zero: never.
func (p *Part) end() time.Time { return earlier(p.expires, p.retired) }

// earlier returns the earlier of two ends, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// ProblemAt says what keeps the part from being used, or from having been used, at that
// time; nil when nothing does. A zero time leaves out expiry and retirement.
func (p *Part) ProblemAt(at time.Time) error {
	switch {
	case p.unsupported:
		return ErrUnsupported
	case p.unreadable != nil:
		return p.unreadable
	case p.revoked:
		return ErrRevoked
	case p.weak:
		return ErrWeak
	case at.IsZero():
		return nil
	case !p.retired.IsZero() && !at.Before(p.retired):
		return fmt.Errorf("%w (retired on %s)", ErrRevoked, p.retired.UTC().Format(time.DateOnly))
	case !p.expires.IsZero() && !at.Before(p.expires):
		return fmt.Errorf("%w on %s", ErrExpired, p.expires.UTC().Format(time.DateOnly))
	}
	return nil
}

// supported says whether nightjar, and GnuPG 2.2, can use a key of this kind.
func supported(pub *packet.PublicKey) bool {
	switch pub.PubKeyAlgo {
	case packet.PubKeyAlgoRSA:
		bits, err := pub.BitLength()
		return err == nil && bits >= 2048 && bits <= 8192
	case packet.PubKeyAlgoEdDSA:
		curve, err := pub.Curve()
		point, ok := pub.PublicKey.(*eddsa.PublicKey)
		return err == nil && curve == packet.Curve25519 && ok && len(point.X) == 32
	case packet.PubKeyAlgoECDH:
		curve, err := pub.Curve()
		return err == nil && curve == packet.Curve25519
	}
	return false
}
