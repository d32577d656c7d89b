package crypto

import (
	"bytes"
	gocrypto "crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/eddsa"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ProtonMail/go-crypto/openpgp/s2k"
)

// Fingerprint names a key: the 40 upper-case hexadecimal digits of its version 4 primary key.
type Fingerprint string

// ParseFingerprint reads a fingerprint as people write it: in either case, with
// spaces, with a leading 0x.
func ParseFingerprint(s string) (Fingerprint, error) {
	digits := strings.ToUpper(strings.Join(strings.Fields(s), ""))
	digits = strings.TrimPrefix(digits, "0X")
	if raw, err := hex.DecodeString(digits); err != nil || len(raw) != 20 {
		return "", fmt.Errorf("parse fingerprint %q: not 40 hexadecimal digits", s)
	}
	return Fingerprint(digits), nil
}

// KeyError says why a key cannot do what it should. The problem may be ErrExpired, ErrWeak, ErrUnsupported, ErrRevoked or ErrNoSubkey.
type KeyError struct {
	Fingerprint Fingerprint
	Problem     error
}

func (e *KeyError) Error() string { return fmt.Sprintf("key %s: %v", e.Fingerprint, e.Problem) }

func (e *KeyError) Unwrap() error { return e.Problem }

var (
	// ErrExpired says that a key, or the subkey that it takes, was good until a time that is over.
	ErrExpired = errors.New("expired")
	// ErrWeak says that a key vouches for itself by a hash under which others can forge that.
	ErrWeak = errors.New("its self-signature is not by SHA-2, but by SHA-1 or older, which others can forge")

	// ErrUnsupported says that a key is of a kind that is not taken.
	ErrUnsupported = errors.New("this kind of key is not supported (RSA of 2048 to 8192 bits and curve25519 of version 4 are)")
	// ErrRevoked says that a key, or the subkey that it takes, was revoked.
	ErrRevoked = errors.New("revoked")
	// ErrNoSubkey says that nothing can be encrypted to a key.
	ErrNoSubkey = errors.New("cannot encrypt")

	errOffline = errors.New("the secret half of its signing key is not at hand (offline or on a smartcard?)")
)

// Key is an OpenPGP version 4 key, with or without its secret half. But for Unlock it
// does not change, and is safe for concurrent use.
type Key struct {
	name    string
	primary *part
	subkeys []*part

	unread *unread // nil: all is known
}

// part is a primary key or a subkey, with what its self-signatures say.
type part struct {
	pub    *packet.PublicKey
	secret *packet.PrivateKey // nil: not at hand; may be a dummy
	proof  []byte             // user IDs and self-signatures that stand behind it, as packets

	sign, encrypt bool
	expires       time.Time // zero: never
	retired       time.Time // zero: not
	revoked       bool      // for all times
	unsupported   bool      // not a kind of key that nightjar uses; nothing that it says of itself was verified
	unreadable    error     // why not all that the key says of itself could be verified
	weak          bool      // the newest self-signature is by a hash that is no SHA-2
}

func (k *Key) parts() []*part {
	k.read()
	return append([]*part{k.primary}, k.subkeys...)
}

// part returns the one of that fingerprint, in bytes; nil: there is none.
func (k *Key) part(fingerprint []byte) *part {
	if k.unread != nil && !slices.ContainsFunc(k.unread.fingerprints, func(f []byte) bool { return bytes.Equal(f, fingerprint) }) {
		return nil
	}
	k.read()
	if bytes.Equal(k.primary.pub.Fingerprint, fingerprint) {
		return k.primary
	}
	for _, p := range k.subkeys {
		if bytes.Equal(p.pub.Fingerprint, fingerprint) {
			return p
		}
	}
	return nil
}

// Fingerprint returns the primary key's.
func (k *Key) Fingerprint() Fingerprint { return k.primary.fingerprint() }

func (p *part) fingerprint() Fingerprint {
	return Fingerprint(strings.ToUpper(hex.EncodeToString(p.pub.Fingerprint)))
}

// Supported says whether the key is of a kind that nightjar uses.
func (k *Key) Supported() bool { return !k.primary.unsupported }

// Name returns the primary user ID, which may hold any bytes, or be empty.
func (k *Key) Name() string {
	k.read()
	return k.name
}

// HasSecret says whether any secret part is in the key, locked or not. Those that are
// on a smartcard or offline are not.
func (k *Key) HasSecret() bool {
	for _, p := range k.parts() {
		if p.hasSecret() {
			return true
		}
	}
	return false
}

// Locked says whether a secret part is still under its passphrase.
func (k *Key) Locked() bool {
	for _, p := range k.parts() {
		if p.hasSecret() && p.secret.Encrypted {
			return true
		}
	}
	return false
}

func (p *part) hasSecret() bool { return p.secret != nil && !p.secret.Dummy() }

// Unlock takes the passphrase off all secret parts. A wrong one is ErrPassphrase.
func (k *Key) Unlock(passphrase []byte) error {
	var locked []*packet.PrivateKey
	for _, p := range k.parts() {
		if p.hasSecret() && p.secret.Encrypted {
			locked = append(locked, p.secret)
		}
	}
	if err := packet.DecryptPrivateKeys(locked, passphrase); err != nil {
		return fmt.Errorf("unlock key %s: %w", k.Fingerprint(), ErrPassphrase)
	}
	return nil
}

// Public returns the key without its secret half.
func (k *Key) Public() *Key {
	strip := func(p *part) *part {
		public := *p
		public.secret = nil
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
	for i, p := range k.parts() {
		if i > 0 && p.unsupported {
			continue
		}
		// A bytes.Buffer takes all that is written to it, and a key that was parsed can be serialized.
		_ = p.pub.Serialize(&buf)
		buf.Write(p.proof)
	}
	return buf.Bytes()
}

// ArmorPublic returns Certificate in armor.
func (k *Key) ArmorPublic() ([]byte, error) {
	return armored("PGP PUBLIC KEY BLOCK", k.Certificate())
}

// ArmorSecret returns the secret key in armor, under the passphrase, or unprotected when
// that is empty. The key itself stays as it is, and must not be locked. A passphrase that
// nobody could give to gpg is an ErrUnfit.
func (k *Key) ArmorSecret(passphrase []byte) ([]byte, error) {
	if err := fit(passphrase); err != nil {
		return nil, fmt.Errorf("protect key %s: %w", k.Fingerprint(), err)
	}
	return k.armorSecret(passphrase, s2kCount)
}

// s2kCount is how many bytes are hashed to make a key of a passphrase: all that the format allows.
const s2kCount = 65011712

func (k *Key) armorSecret(passphrase []byte, count int) ([]byte, error) {
	if !k.HasSecret() {
		return nil, fmt.Errorf("armor key %s: it has no secret half", k.Fingerprint())
	}
	if k.Locked() {
		return nil, fmt.Errorf("armor key %s: %w", k.Fingerprint(), ErrLocked)
	}
	parts := k.parts()
	secrets := make([]*packet.PrivateKey, len(parts))
	for i, p := range parts {
		if p.secret != nil {
			secret := *p.secret
			secrets[i] = &secret
		}
	}
	if len(passphrase) > 0 {
		config := &packet.Config{
			DefaultCipher: packet.CipherAES256,
			S2KConfig:     &s2k.Config{S2KMode: s2k.IteratedSaltedS2K, S2KCount: count, Hash: gocrypto.SHA256},
		}
		if err := packet.EncryptPrivateKeys(secrets, passphrase, config); err != nil {
			return nil, fmt.Errorf("armor key %s: %w", k.Fingerprint(), err)
		}
	}
	var buf bytes.Buffer
	for i, p := range parts {
		if secrets[i] == nil {
			if i == 0 {
				return nil, fmt.Errorf("armor key %s: its primary secret is on a smartcard", k.Fingerprint())
			}
			continue
		}
		if err := secrets[i].Serialize(&buf); err != nil {
			return nil, fmt.Errorf("armor key %s: %w", k.Fingerprint(), err)
		}
		buf.Write(p.proof)
	}
	return armored("PGP PRIVATE KEY BLOCK", buf.Bytes())
}

// CanEncrypt returns nil when one can encrypt to the key at that time, or a *KeyError.
func (k *Key) CanEncrypt(now time.Time) error {
	_, err := k.encryptPart(now)
	return err
}

// CanSign returns nil when the key may sign at that time, or a *KeyError. It does not ask for
// the secret half.
func (k *Key) CanSign(now time.Time) error {
	_, err := k.pick(now, "sign", func(p *part) bool { return p.sign })
	return err
}

// Signs returns nil when the key may sign at that time and the secret half that does it is at hand and unlocked: of a key with subkeys it may be offline
// while others are not.
func (k *Key) Signs(now time.Time) error {
	_, err := k.signPart(now)
	return err
}

func (k *Key) encryptPart(now time.Time) (*part, error) {
	return k.pick(now, "encrypt", func(p *part) bool { return p.encrypt })
}

// signPart returns the part to sign with, whose secret is there and unlocked.
func (k *Key) signPart(now time.Time) (*part, error) {
	if err := k.CanSign(now); err != nil {
		return nil, err
	}
	p, err := k.pick(now, "sign", func(p *part) bool { return p.sign && p.hasSecret() })
	if err != nil {
		return nil, &KeyError{k.Fingerprint(), errOffline}
	}
	if p.secret.Encrypted {
		return nil, fmt.Errorf("key %s: %w", k.Fingerprint(), ErrLocked)
	}
	return p, nil
}

// pick returns the newest usable part that is fit, a subkey rather than the primary. One whose creation is yet to come is
// taken only if there is no other, since GnuPG does not believe it until then.
func (k *Key) pick(now time.Time, purpose string, fit func(*part) bool) (*part, error) {
	k.read()
	if problem := k.primary.problemAt(now); problem != nil {
		return nil, &KeyError{k.Fingerprint(), problem}
	}
	var best, early *part
	problem := ErrNoSubkey
	if purpose != "encrypt" {
		problem = errors.New("cannot " + purpose)
	}
	for _, p := range append(k.subkeys[:len(k.subkeys):len(k.subkeys)], k.primary) {
		if !fit(p) {
			continue
		}
		if why := p.problemAt(now); why != nil {
			problem = fmt.Errorf("the subkey to %s with: %w", purpose, why)
			continue
		}
		chosen := &best
		if !now.IsZero() && p.pub.CreationTime.After(now) {
			chosen = &early
		}
		if *chosen == nil || p != k.primary && p.pub.CreationTime.After((*chosen).pub.CreationTime) {
			*chosen = p
		}
	}
	if best == nil {
		best = early
	}
	if best == nil {
		return nil, &KeyError{k.Fingerprint(), problem}
	}
	return best, nil
}

// Ends returns from when on the key can no more sign, and from when on nothing can be encrypted to it, of what it can now. Zero: never,
// or it cannot now.
func (k *Key) Ends(now time.Time) (sign, encrypt time.Time) {
	k.read()
	if k.primary.problemAt(now) != nil {
		return sign, encrypt
	}
	ends := func(fit func(*part) bool) (last time.Time) {
		for _, p := range k.parts() {
			if !fit(p) || p.problemAt(now) != nil {
				continue
			}
			end := earlier(k.primary.end(), p.end())
			if end.IsZero() {
				return end
			}
			if end.After(last) {
				last = end
			}
		}
		return last
	}
	return ends(func(p *part) bool { return p.sign }), ends(func(p *part) bool { return p.encrypt })
}

// end returns when the part expires or was retired; zero: never.
func (p *part) end() time.Time { return earlier(p.expires, p.retired) }

// earlier returns the earlier of two ends, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// problemAt says what keeps the part from being used, or from having been used, at that
// time; nil when nothing does. A zero time leaves out expiry and retirement.
func (p *part) problemAt(at time.Time) error {
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
