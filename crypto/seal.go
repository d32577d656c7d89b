package crypto

import (
	"crypto/rand"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"nightjar/crypto/internal/cert"
)

const (
	seipdHead   = 1 + 1 + 4 + 1 // header and version
	prefixSize  = blockSize + 2
	onePassSize = 2 + 13
	literalHead = 1 + 1 + 4 + 6 // header, format, empty name, zero date
	mdcSize     = 2 + sha1.Size

	streamHead = prefixSize + onePassSize + literalHead // from the stream's start to the plaintext
)

// Sealer seals objects of one kind to one recipient. It is safe for concurrent
// use when its rand and now are.
type Sealer struct {
	recipient *cert.Part
	signer    *cert.Part
	by        Fingerprint // the signer's
	end       time.Time   // from which on it may not sign; zero: none
	binding   Binding
	rand      io.Reader
	now       func() time.Time
}

// NewSealer returns a Sealer that encrypts to recipient and signs with signer,
// which must be able to at the present time (*KeyError otherwise) and signer unlocked
// (ErrLocked). rand may be nil for crypto/rand's.
func NewSealer(recipient, signer *Key, b Binding, random io.Reader, now func() time.Time) (*Sealer, error) {
	if err := b.check(); err != nil {
		return nil, fmt.Errorf("new sealer: %w", err)
	}
	t := now()
	enc, err := recipient.encryptPart(t)
	if err != nil {
		return nil, fmt.Errorf("new sealer: %w", err)
	}
	sig, err := signer.signPart(t)
	if err != nil {
		return nil, fmt.Errorf("new sealer: %w", err)
	}
	if random == nil {
		random = rand.Reader
	}
	return &Sealer{recipient: enc, signer: sig, by: signer.Fingerprint(), end: signer.cert.End(sig), binding: b, rand: random, now: now}, nil
}

// Message is an object in the making. The caller appends the plaintext to Buf,
// which holds the header already, and calls Seal once.
type Message struct {
	Buf []byte

	sealer   *Sealer
	key      SessionKey
	envelope Envelope
	done     bool
}

// Sealed is a finished object, and what a reader needs to decrypt a part of it.
type Sealed struct {
	Object   []byte
	Envelope Envelope
	Key      SessionKey
}

// Begin starts a message in buf[:0], with a session key of its own. A buf with room for
// HeaderMax, the plaintext and TrailerMax is never copied.
func (s *Sealer) Begin(buf []byte) (*Message, error) {
	key, buf, err := newSession(buf[:0], []*cert.Part{s.recipient}, s.rand)
	if err != nil {
		return nil, fmt.Errorf("begin message: %w", err)
	}
	m := &Message{sealer: s, key: key}
	m.envelope = EnvelopeOf(slices.Clone(buf))
	buf = append(buf, 0xD2, 0xFF, 0, 0, 0, 0, 1)
	if buf, err = appendPrefix(buf, s.rand); err != nil {
		return nil, fmt.Errorf("begin message: %w", err)
	}
	buf = appendLiteralHead(appendOnePass(buf, s.signer), 0)
	m.Buf = buf
	return m, nil
}

// Len returns the plaintext's length so far, in bytes.
func (m *Message) Len() int { return len(m.Buf) - m.envelope.Data }

// Seal signs and encrypts the message in place: the object is Buf, with the trailer appended. A signer that has expired since NewSealer
// is a *KeyError.
func (m *Message) Seal() (Sealed, error) {
	if m.done {
		return Sealed{}, errors.New("seal message: sealed already")
	}
	m.done = true
	n := m.Len()
	if n < 0 || len(m.Buf) > ObjectMax-TrailerMax {
		return Sealed{}, fmt.Errorf("seal message: %d bytes do not fit an object", n)
	}
	now := m.sealer.now()
	if end := m.sealer.end; !end.IsZero() && !now.Before(end) {
		return Sealed{}, fmt.Errorf("seal message: %w", &KeyError{m.sealer.by, fmt.Errorf("%w on %s", ErrExpired, end.UTC().Format(time.DateOnly))})
	}
	e := m.envelope
	putLiteralSize(m.Buf[e.Data-literalHead:], n)
	buf, err := appendSignature(m.Buf, m.Buf[e.Data:], m.sealer.signer, m.sealer.binding, now)
	if err != nil {
		return Sealed{}, fmt.Errorf("seal message: %w", err)
	}
	m.Buf = finish(buf, e.Stream, m.key)
	return Sealed{Object: m.Buf, Envelope: e, Key: m.key}, nil
}

// Seal seals plain in a buffer of its own.
func (s *Sealer) Seal(plain []byte) (Sealed, error) {
	m, err := s.Begin(make([]byte, 0, HeaderMax+len(plain)+TrailerMax))
	if err != nil {
		return Sealed{}, err
	}
	m.Buf = append(m.Buf, plain...)
	return m.Seal()
}

// finish appends the MDC, sets the length of the encrypted packet and encrypts the stream in place.
func finish(buf []byte, stream int, key SessionKey) []byte {
	buf = append(buf, 0xD3, sha1.Size)
	sum := sha1.Sum(buf[stream:])
	buf = append(buf, sum[:]...)
	binary.BigEndian.PutUint32(buf[stream-5:], uint32(len(buf)-stream+1))
	encryptCFB(key.block, buf[stream:])
	return buf
}

// appendPrefix appends a random block and its last two bytes once more.
func appendPrefix(buf []byte, random io.Reader) ([]byte, error) {
	var p [prefixSize]byte
	if _, err := io.ReadFull(random, p[:blockSize]); err != nil {
		return nil, fmt.Errorf("read random prefix: %w", err)
	}
	copy(p[blockSize:], p[blockSize-2:blockSize])
	return append(buf, p[:]...), nil
}

func appendOnePass(buf []byte, signer *cert.Part) []byte {
	buf = append(buf, 0xC4, 13, 3, sigBinary, hashSHA256, byte(signer.Pub.PubKeyAlgo))
	buf = binary.BigEndian.AppendUint64(buf, signer.Pub.KeyId)
	return append(buf, 1)
}

func appendLiteralHead(buf []byte, n int) []byte {
	at := len(buf)
	buf = append(buf, 0xCB, 0xFF, 0, 0, 0, 0, 'b', 0, 0, 0, 0, 0)
	putLiteralSize(buf[at:], n)
	return buf
}

func putLiteralSize(literal []byte, n int) {
	binary.BigEndian.PutUint32(literal[2:], uint32(n+6))
}
