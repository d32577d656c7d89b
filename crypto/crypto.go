// Package crypto seals and opens nightjar's objects as OpenPGP messages that
// stock GnuPG 2.2 reads, and makes and reads the keys for it.
//
// A sealed object is one message of one exact grammar: an encrypted session
// key (version 3, one recipient), then SEIPD version 1 with AES-256 around a
// one-pass signature, a literal, a signature and the MDC, all of definite
// length. Its parts lie at known offsets, so that it is sealed and opened in
// place, and any range of the plaintext is decrypted alone from the session
// key, the range's ciphertext and the sixteen bytes before it.
//
// The invariant: [Opener.Open] and [Verify] return nothing until the grammar,
// the MDC, the signature, its signer, the signer's validity and the [Binding]
// have all passed. [SessionKey.OpenRange] and [PeekUnverified] authenticate
// nothing and say so.
//
// The package is no general OpenPGP implementation: it writes and reads
// version 4 keys of RSA and curve25519 and its own messages, builds no web of
// trust and stores no keys. Who may sign, and when, is the caller's to say,
// with [Signer].
package crypto

import (
	"errors"
	"fmt"
)

// Bounds of a message, in bytes. A caller who reserves HeaderMax and TrailerMax
// around its plaintext has it sealed without a copy.
const (
	ObjectMax  = 64 << 20                            // a whole object
	SessionMax = 2048                                // an encrypted session key packet; one for X25519 with ML-KEM-768 would have some 1,200
	HeaderMax  = SessionMax + seipdHead + streamHead // all that lies before the plaintext
	TrailerMax = 2048                                // all that lies after it
)

// Sentinels for callers to branch on, wrapped in errors that name the object or key.
var (
	ErrPassphrase = errors.New("wrong passphrase")
	ErrLocked     = errors.New("secret key is locked, its passphrase is needed")
	ErrNoKey      = errors.New("no secret key at hand opens it")
	// ErrIntegrity covers all that is forged, damaged, truncated, signed by
	// someone else or at a time not allowed, or bound to something else.
	ErrIntegrity = errors.New("integrity check failed")
	// ErrNotInForce is an ErrIntegrity: the signature claims to be of somebody who
	// may sign, but not at the time that the store has. With another it may be good.
	ErrNotInForce = fmt.Errorf("%w: signing key does not count for the time", ErrIntegrity)
)

// Absent returns an error as an ErrNoKey in its own words: of a key that is not there, though nothing was to be opened yet.
func Absent(err error) error { return absent{err} }

type absent struct{ error }

func (a absent) Unwrap() error { return a.error }

func (absent) Is(target error) bool { return target == ErrNoKey }

// integrity makes an error that says why and is ErrIntegrity.
func integrity(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrIntegrity}, args...)...)
}

// Binding says what a signed object is and where it belongs. It is signed with
// the object, and required to be the same when it is opened.
type Binding struct {
	Repository string // the repository's id, 1 to 128 bytes of printable ASCII
	Kind       string // the object's kind, likewise
	Version    int    // of the format, not negative
}

func (b Binding) check() error {
	for _, s := range []string{b.Repository, b.Kind} {
		if len(s) == 0 || len(s) > bindingMax {
			return fmt.Errorf("binding %q: length must be 1 to %d bytes", s, bindingMax)
		}
		for _, c := range []byte(s) {
			if c < ' ' || c > '~' {
				return fmt.Errorf("binding %q: not printable ASCII", s)
			}
		}
	}
	if b.Version < 0 {
		return fmt.Errorf("binding version %d: negative", b.Version)
	}
	return nil
}

// bindingMax keeps a notation subpacket's length within one byte.
const bindingMax = 128
