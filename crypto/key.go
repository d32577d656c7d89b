package crypto

import (
	"bytes"
	gocrypto "crypto"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/ProtonMail/go-crypto/openpgp/s2k"

	"nightjar/crypto/internal/cert"
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
	ErrExpired = cert.ErrExpired
	// ErrWeak says that a key vouches for itself by a hash under which others can forge that.
	ErrWeak = cert.ErrWeak

	// ErrUnsupported says that a key is of a kind that is not taken.
	ErrUnsupported = cert.ErrUnsupported
	// ErrRevoked says that a key, or the subkey that it takes, was revoked.
	ErrRevoked = cert.ErrRevoked
	// ErrNoSubkey says that nothing can be encrypted to a key.
	ErrNoSubkey = cert.ErrNoSubkey

	errOffline = errors.New("the secret half of its signing key is not at hand (offline or on a smartcard?)")
)

// Key is an OpenPGP version 4 key, with or without its secret half. But for Unlock it
// does not change, and is safe for concurrent use.
type Key struct{ cert *cert.Key }

// Fingerprint returns the primary key's.
func (k *Key) Fingerprint() Fingerprint { return fingerprint(k.cert.Fingerprint()) }

func fingerprint(raw []byte) Fingerprint {
	return Fingerprint(strings.ToUpper(hex.EncodeToString(raw)))
}

// Supported says whether the key is of a kind that nightjar uses.
func (k *Key) Supported() bool { return k.cert.Supported() }

// Name returns the primary user ID, which may hold any bytes, or be empty.
func (k *Key) Name() string { return k.cert.Name() }

// HasSecret says whether any secret part is in the key, locked or not. Those that are
// on a smartcard or offline are not.
func (k *Key) HasSecret() bool { return k.cert.HasSecret() }

// Public returns the key without its secret half.
func (k *Key) Public() *Key { return &Key{k.cert.Public()} }

// Locked says whether a secret part is still under its passphrase.
func (k *Key) Locked() bool {
	for _, p := range k.cert.Parts() {
		if p.HasSecret() && p.Secret.Encrypted {
			return true
		}
	}
	return false
}

// Unlock takes the passphrase off all secret parts. A wrong one is ErrPassphrase.
func (k *Key) Unlock(passphrase []byte) error {
	var locked []*packet.PrivateKey
	for _, p := range k.cert.Parts() {
		if p.HasSecret() && p.Secret.Encrypted {
			locked = append(locked, p.Secret)
		}
	}
	if err := packet.DecryptPrivateKeys(locked, passphrase); err != nil {
		return fmt.Errorf("unlock key %s: %w", k.Fingerprint(), ErrPassphrase)
	}
	return nil
}

// Certificate returns the public key in binary form, with the self-signatures that count
// and without those of others, and without subkeys of kinds that nightjar does not use.
func (k *Key) Certificate() []byte { return k.cert.Certificate() }

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
	parts := k.cert.Parts()
	secrets := make([]*packet.PrivateKey, len(parts))
	for i, p := range parts {
		if p.Secret != nil {
			secret := *p.Secret
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
		buf.Write(p.Proof)
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
	_, err := k.pick(now, "sign", func(p *cert.Part) bool { return p.Sign })
	return err
}

// Signs returns nil when the key may sign at that time and the secret half that does it is at hand and unlocked: of a key with subkeys it may be offline
// while others are not.
func (k *Key) Signs(now time.Time) error {
	_, err := k.signPart(now)
	return err
}

func (k *Key) encryptPart(now time.Time) (*cert.Part, error) {
	return k.pick(now, "encrypt", func(p *cert.Part) bool { return p.Encrypt })
}

// signPart returns the part to sign with, whose secret is there and unlocked.
func (k *Key) signPart(now time.Time) (*cert.Part, error) {
	if err := k.CanSign(now); err != nil {
		return nil, err
	}
	p, err := k.pick(now, "sign", func(p *cert.Part) bool { return p.Sign && p.HasSecret() })
	if err != nil {
		return nil, &KeyError{k.Fingerprint(), errOffline}
	}
	if p.Secret.Encrypted {
		return nil, fmt.Errorf("key %s: %w", k.Fingerprint(), ErrLocked)
	}
	return p, nil
}

// pick picks a part; its error is a *KeyError.
func (k *Key) pick(now time.Time, purpose string, fit func(*cert.Part) bool) (*cert.Part, error) {
	p, err := k.cert.Pick(now, purpose, fit)
	if err != nil {
		return nil, &KeyError{k.Fingerprint(), err}
	}
	return p, nil
}

// Ends returns from when on the key can no more sign, and from when on nothing can be encrypted to it, of what it can now. Zero: never,
// or it cannot now.
func (k *Key) Ends(now time.Time) (sign, encrypt time.Time) { return k.cert.Ends(now) }
