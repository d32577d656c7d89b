package crypto

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto/internal/cert"
	"nightjar/crypto/internal/framing"
)

const sessionKeySize = 32

const (
	algoRSA  = byte(packet.PubKeyAlgoRSA)
	algoECDH = byte(packet.PubKeyAlgoECDH)
)

// SessionKey decrypts one object. The zero value is not usable.
type SessionKey struct {
	block cipher.Block
	proof [sha256.Size]byte // keys Proof
}

func newSessionKey(key []byte) (SessionKey, error) {
	block, err := aes.NewCipher(key)
	k := SessionKey{block: block}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("nightjar proof"))
	mac.Sum(k.proof[:0])
	return k, err
}

// ProofSize is the length of what Proof returns, in bytes.
const ProofSize = 16

// Proof returns what only who knows the session key can say of a name: so it proves that the name was given to the object by
// somebody who could open it.
func (k SessionKey) Proof(name string) (p [ProofSize]byte) {
	mac := hmac.New(sha256.New, k.proof[:])
	mac.Write([]byte(name))
	copy(p[:], mac.Sum(nil))
	return p
}

// OpenRange decrypts the plaintext's n bytes from off on. span is exactly the
// bytes of e.Span(off, n); it is decrypted in place and the result is a part of
// it. Nothing is authenticated: the caller has checked span's hash before.
func (k SessionKey) OpenRange(e Envelope, off int64, n int, span []byte) ([]byte, error) {
	if off < 0 || n < 0 || off > ObjectMax || n > ObjectMax || k.block == nil {
		return nil, fmt.Errorf("open range %d+%d: not a range of an object", off, n)
	}
	if e.Stream != len(e.Session)+seipdHead || e.Stream > HeaderMax || e.Data != e.Stream+streamHead {
		return nil, fmt.Errorf("open range %d+%d: envelope's offsets are wrong", off, n)
	}
	start, length := e.Span(off, int64(n))
	if int64(len(span)) != length {
		return nil, fmt.Errorf("open range %d+%d: got %d bytes of ciphertext instead of %d", off, n, len(span), length)
	}
	decryptCFB(k.block, [blockSize]byte(span), span[blockSize:])
	return span[int64(e.Data)+off-start:], nil
}

// Envelope says how to decrypt a range of an object.
type Envelope struct {
	Session []byte // the whole encrypted session key packet, at most SessionMax bytes
	Stream  int    // offset in the object of the first byte of the CFB stream
	Data    int    // offset in the object of the first byte of the plaintext
}

// EnvelopeOf returns the envelope of an object that begins with a session key packet.
func EnvelopeOf(session []byte) Envelope {
	stream := len(session) + seipdHead
	return Envelope{Session: session, Stream: stream, Data: stream + streamHead}
}

// Span returns the range of the object that is needed to decrypt the
// plaintext's n bytes from off on: from the cipher block that holds the first of them, less
// one block, to the last of them.
func (e Envelope) Span(off, n int64) (start, length int64) {
	first := int64(e.Data) + off
	start = first - (first-int64(e.Stream))%blockSize - blockSize
	return start, first + n - start
}

// newSession makes a session key and appends it to dst, encrypted to each of parts.
func newSession(dst []byte, parts []*cert.Part, rand io.Reader) (SessionKey, []byte, error) {
	key := make([]byte, sessionKeySize)
	defer clear(key)
	if _, err := io.ReadFull(rand, key); err != nil {
		return SessionKey{}, nil, fmt.Errorf("make session key: %w", err)
	}
	buf := bytes.NewBuffer(dst)
	for _, p := range parts {
		err := packet.SerializeEncryptedKeyAEAD(buf, p.Pub, packet.CipherAES256, false, key, &packet.Config{Rand: rand})
		if err != nil {
			return SessionKey{}, nil, fmt.Errorf("encrypt session key: %w", err)
		}
	}
	k, err := newSessionKey(key)
	return k, buf.Bytes(), err
}

// sessionRecipient checks the exact form of an encrypted session key's body.
func sessionRecipient(body []byte) (keyID uint64, err error) {
	if len(body) < 10 || len(body) > SessionMax || body[0] != 3 {
		return 0, integrity("session key packet is malformed")
	}
	fields := body[10:]
	switch body[9] {
	case algoRSA:
		if !framing.ExactMPIs(fields, 1) {
			return 0, integrity("session key packet is malformed")
		}
	case algoECDH:
		// A native point of 263 bits, whose highest bit X25519 ignores, and a wrapped key.
		if len(fields) != 2+33+1+48 || fields[0] != 1 || fields[1] != 7 || fields[2] != 0x40 || fields[34]&0x80 != 0 || fields[35] != 48 {
			return 0, integrity("session key packet is malformed")
		}
	default:
		return 0, integrity("session key packet is of an unknown kind %d", body[9])
	}
	return binary.BigEndian.Uint64(body[1:]), nil
}

// Opener opens what was encrypted to its keys. It is safe for concurrent use,
// unless one of its keys is being unlocked.
type Opener struct{ parts map[uint64][]*cert.Part }

// NewOpener returns an Opener with the given keys. Keys without a secret half are of
// no use to it; locked ones are, once they are unlocked.
func NewOpener(secret ...*Key) *Opener {
	o := &Opener{parts: make(map[uint64][]*cert.Part)}
	for _, k := range secret {
		for _, p := range k.cert.Parts() {
			if p.Encrypt && p.HasSecret() {
				o.parts[p.Pub.KeyId] = append(o.parts[p.Pub.KeyId], p)
			}
		}
	}
	return o
}

// SessionKey opens an encrypted session key packet, as in Envelope.Session. The error is
// ErrNoKey, ErrLocked or ErrIntegrity.
func (o *Opener) SessionKey(session []byte) (SessionKey, error) {
	body, rest, err := framing.Exact(session, framing.TagSession)
	if err != nil || len(rest) != 0 {
		return SessionKey{}, fmt.Errorf("open session key: %w", integrity("session key packet is malformed"))
	}
	k, err := o.sessionKey(body)
	if err != nil {
		return SessionKey{}, fmt.Errorf("open session key: %w", err)
	}
	return k, nil
}

func (o *Opener) sessionKey(body []byte) (SessionKey, error) {
	id, err := sessionRecipient(body)
	if err != nil {
		return SessionKey{}, err
	}
	parts := o.parts[id]
	if len(parts) == 0 {
		return SessionKey{}, fmt.Errorf("%w (encrypted to key id %016X)", ErrNoKey, id)
	}
	for _, p := range parts {
		if p.Secret.Encrypted {
			err = fmt.Errorf("%w (key id %016X)", ErrLocked, id)
			continue
		}
		k, openErr := decryptSession(p, body)
		if openErr == nil {
			return k, nil
		}
		err = openErr
	}
	return SessionKey{}, err
}

func decryptSession(p *cert.Part, body []byte) (SessionKey, error) {
	parsed, err := framing.Parse(framing.TagSession, body)
	if err != nil {
		return SessionKey{}, integrity("session key packet: %v", err)
	}
	ek, ok := parsed.(*packet.EncryptedKey)
	if !ok || byte(p.Pub.PubKeyAlgo) != body[9] {
		return SessionKey{}, integrity("session key packet is of another kind than its key")
	}
	if err := ek.Decrypt(p.Secret, nil); err != nil {
		return SessionKey{}, integrity("session key does not decrypt")
	}
	defer clear(ek.Key)
	if ek.CipherFunc != packet.CipherAES256 || len(ek.Key) != sessionKeySize {
		return SessionKey{}, integrity("session key is not for AES-256")
	}
	return newSessionKey(ek.Key)
}
