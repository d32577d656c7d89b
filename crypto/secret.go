package crypto

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"

	"nightjar/crypto/internal/cert"
	"nightjar/crypto/internal/framing"
)

// secretMax bounds a small secret's message, in bytes: there may be ten thousand recipients.
const secretMax = 4 << 20

// EncryptTo encrypts plain, at most a few hundred KiB, to all recipients, as an armored
// message that any of them opens. It is not signed: it belongs inside a signed
// object. rand may be nil for crypto/rand's.
func EncryptTo(recipients []*Key, plain []byte, random io.Reader, now time.Time) ([]byte, error) {
	if len(recipients) == 0 {
		return nil, errors.New("encrypt secret: no recipients")
	}
	if random == nil {
		random = rand.Reader
	}
	var parts []*cert.Part
	seen := make(map[Fingerprint]bool)
	for _, k := range recipients {
		p, err := k.encryptPart(now)
		if err != nil {
			return nil, fmt.Errorf("encrypt secret: %w", err)
		}
		if !seen[k.Fingerprint()] {
			seen[k.Fingerprint()] = true
			parts = append(parts, p)
		}
	}
	key, buf, err := newSession(nil, parts, random)
	if err != nil {
		return nil, fmt.Errorf("encrypt secret: %w", err)
	}
	buf = append(buf, 0xD2, 0xFF, 0, 0, 0, 0, 1)
	stream := len(buf)
	if buf, err = appendPrefix(buf, random); err != nil {
		return nil, fmt.Errorf("encrypt secret: %w", err)
	}
	buf = append(appendLiteralHead(buf, len(plain)), plain...)
	out, err := armored("PGP MESSAGE", finish(buf, stream, key))
	if err == nil && len(out) > secretMax {
		err = fmt.Errorf("message of %d bytes is too long", len(out))
	}
	if err != nil {
		return nil, fmt.Errorf("encrypt secret: %w", err)
	}
	return out, nil
}

// Decrypt opens a message of EncryptTo's. The error is ErrNoKey, ErrLocked or
// ErrIntegrity. What it returns is intact but not signed by anyone.
func (o *Opener) Decrypt(armored []byte) ([]byte, error) {
	plain, err := o.decrypt(armored)
	if err != nil {
		return nil, fmt.Errorf("decrypt secret: %w", err)
	}
	return plain, nil
}

func (o *Opener) decrypt(armored []byte) ([]byte, error) {
	if len(armored) > secretMax {
		return nil, integrity("%d bytes are more than a secret has", len(armored))
	}
	block, err := armor.Decode(bytes.NewReader(armored))
	if err != nil || block.Type != "PGP MESSAGE" {
		return nil, integrity("not an armored message")
	}
	data, err := io.ReadAll(block.Body)
	if err != nil {
		return nil, integrity("armor: %v", err)
	}
	key, err := SessionKey{}, ErrNoKey
	for len(data) > 0 && data[0] == 0xC0|framing.TagSession {
		body, rest, packetErr := framing.Exact(data, framing.TagSession)
		if packetErr != nil {
			return nil, integrity("session key packet is malformed")
		}
		data = rest
		if key.block != nil {
			continue
		}
		k, openErr := o.sessionKey(body)
		if openErr == nil {
			key, err = k, nil
		} else if !errors.Is(openErr, ErrNoKey) {
			err = openErr
		}
	}
	if err := checkStreamHead(data); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	stream := data[seipdHead:]
	decryptCFB(key.block, [blockSize]byte{}, stream)
	body, err := checkMDC(stream)
	if err != nil {
		return nil, err
	}
	plain, rest, err := splitLiteral(body)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 {
		return nil, integrity("literal packet is followed by something")
	}
	return plain, nil
}

func armored(kind string, data []byte) ([]byte, error) {
	var buf bytes.Buffer
	w, err := armor.Encode(&buf, kind, nil)
	if err != nil {
		return nil, fmt.Errorf("armor: %w", err)
	}
	if _, err := w.Write(data); err != nil {
		return nil, fmt.Errorf("armor: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("armor: %w", err)
	}
	buf.WriteByte('\n')
	return buf.Bytes(), nil
}
