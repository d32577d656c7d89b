package crypto

import (
	"crypto/sha1"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"nightjar/crypto/internal/framing"
)

// Opened is an object that passed every check.
type Opened struct {
	Plain    []byte
	Signer   Fingerprint // of the signer's primary key
	Issuer   Fingerprint // of the key that made the signature: that one, or a subkey of it
	Created  time.Time   // as the signer's clock said: for display only
	Envelope Envelope    // zero when the object was not encrypted, as is Key
	Key      SessionKey
}

// Open decrypts and verifies a sealed object. signers are those who may have signed
// it; b is what it must have been sealed as; at is the store's time of the
// object: keys that had expired, or were retired or outside their window by then are
// refused. A zero at leaves out expiry, retirement and windows, but never a compromise.
//
// The object is decrypted in place and Plain is a part of it; when a check
// fails, what was decrypted is overwritten with zeros. Before decryption (ErrNoKey, ErrLocked,
// a malformed object) it is left as it was.
func (o *Opener) Open(object []byte, signers []Signer, b Binding, at time.Time) (Opened, error) {
	e, key, err := o.open(object)
	if err != nil {
		return Opened{}, fmt.Errorf("open object: %w", err)
	}
	stream := object[e.Stream:]
	decryptCFB(key.block, [blockSize]byte{}, stream)
	opened, err := verifyStream(stream, signers, b, at)
	if err != nil {
		clear(stream)
		return Opened{}, fmt.Errorf("open object: %w", err)
	}
	opened.Envelope, opened.Key = e, key
	return opened, nil
}

// open checks all of an object that is not encrypted.
func (o *Opener) open(object []byte) (Envelope, SessionKey, error) {
	if len(object) > ObjectMax {
		return Envelope{}, SessionKey{}, integrity("%d bytes are more than an object has", len(object))
	}
	body, rest, err := framing.Exact(object, framing.TagSession)
	size := len(object) - len(rest)
	if err != nil || size > SessionMax {
		return Envelope{}, SessionKey{}, integrity("session key packet is malformed")
	}
	e := EnvelopeOf(slices.Clone(object[:size]))
	if err := checkStreamHead(rest); err != nil {
		return Envelope{}, SessionKey{}, err
	}
	key, err := o.sessionKey(body)
	return e, key, err
}

// checkStreamHead checks that data is exactly one encrypted packet.
func checkStreamHead(data []byte) error {
	if len(data) < seipdHead+prefixSize+mdcSize || data[0] != 0xD2 || data[1] != 0xFF || data[6] != 1 {
		return integrity("encrypted packet is malformed or truncated")
	}
	if int64(binary.BigEndian.Uint32(data[2:])) != int64(len(data)-6) {
		return integrity("encrypted packet and object differ in length")
	}
	return nil
}

func verifyStream(stream []byte, signers []Signer, b Binding, at time.Time) (Opened, error) {
	body, err := checkMDC(stream)
	if err != nil {
		return Opened{}, err
	}
	signed, err := splitSigned(body)
	if err != nil {
		return Opened{}, err
	}
	return signed.verify(signers, b, at)
}

// checkMDC checks a decrypted stream's prefix and MDC and returns what lies between.
func checkMDC(stream []byte) ([]byte, error) {
	if len(stream) < prefixSize+mdcSize {
		return nil, integrity("encrypted packet is truncated")
	}
	end := len(stream) - sha1.Size
	sum := sha1.Sum(stream[:end])
	ok := subtle.ConstantTimeCompare(sum[:], stream[end:])
	ok &= subtle.ConstantTimeCompare(stream[end-2:end], []byte{0xD3, sha1.Size})
	ok &= subtle.ConstantTimeCompare(stream[blockSize-2:blockSize], stream[blockSize:prefixSize])
	if ok != 1 {
		return nil, integrity("modification detection code does not match")
	}
	return stream[prefixSize : end-2], nil
}

// Sign returns plain as a signed message that is not encrypted.
func Sign(signer *Key, plain []byte, b Binding, now time.Time) ([]byte, error) {
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("sign object: %w", err)
	}
	p, err := signer.signPart(now)
	if err != nil {
		return nil, fmt.Errorf("sign object: %w", err)
	}
	if len(plain) > ObjectMax-TrailerMax-HeaderMax {
		return nil, fmt.Errorf("sign object: %d bytes do not fit an object", len(plain))
	}
	buf := make([]byte, 0, onePassSize+literalHead+len(plain)+TrailerMax)
	buf = append(appendLiteralHead(appendOnePass(buf, p), len(plain)), plain...)
	if buf, err = appendSignature(buf, plain, p, b, now); err != nil {
		return nil, fmt.Errorf("sign object: %w", err)
	}
	return buf, nil
}

// Verify checks a message of Sign's as Opener.Open does. Plain is a part of object, which is not changed.
func Verify(object []byte, signers []Signer, b Binding, at time.Time) (Opened, error) {
	if len(object) > ObjectMax {
		return Opened{}, fmt.Errorf("verify object: %w", integrity("%d bytes are more than an object has", len(object)))
	}
	signed, err := splitSigned(object)
	if err != nil {
		return Opened{}, fmt.Errorf("verify object: %w", err)
	}
	opened, err := signed.verify(signers, b, at)
	if err != nil {
		return Opened{}, fmt.Errorf("verify object: %w", err)
	}
	return opened, nil
}

// PeekUnverified returns the data of a message of Sign's WITHOUT checking who signed it,
// or that it is signed at all. It serves to learn which key the data claims to be
// signed by; believe nothing in it before Verify has passed.
func PeekUnverified(object []byte) ([]byte, error) {
	if len(object) > ObjectMax {
		return nil, fmt.Errorf("peek object: %w", integrity("%d bytes are more than an object has", len(object)))
	}
	signed, err := splitSigned(object)
	if err != nil {
		return nil, fmt.Errorf("peek object: %w", err)
	}
	return signed.data, nil
}
