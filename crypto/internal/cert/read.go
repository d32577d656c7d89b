package cert

import (
	"bytes"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto/internal/framing"
)

const (
	keysMax  = 1 << 20 // a file of keys, in bytes
	partsMax = 256     // primary keys and subkeys in it
)

// splitFile takes apart a file of keys, binary or armored, and verifies nothing.
func splitFile(data []byte) ([]rawKey, error) {
	if len(data) > keysMax {
		return nil, fmt.Errorf("%d bytes are too many", len(data))
	}
	binary, err := dearmorKeys(data)
	if err != nil {
		return nil, err
	}
	return splitKeys(binary)
}

// Read reads and verifies the keys in a file, binary or armored: at least one. One that is there with and without its secret half counts once, with it.
func Read(data []byte) ([]*Key, error) {
	blocks, err := splitFile(data)
	if err != nil {
		return nil, err
	}
	var keys []*Key
	at := make(map[string]int)
	for _, b := range blocks {
		k, err := b.key()
		if err != nil {
			return nil, err
		}
		i, seen := at[string(k.Fingerprint())]
		switch {
		case !seen:
			at[string(k.Fingerprint())] = len(keys)
			keys = append(keys, k)
		case k.HasSecret() && !keys[i].HasSecret():
			keys[i] = k
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("no key in it")
	}
	return keys, nil
}

// dearmorKeys returns data itself when it is binary, or else the contents of all its armored key blocks.
func dearmorKeys(data []byte) ([]byte, error) {
	if len(data) > 0 && data[0]&0x80 != 0 {
		return data, nil
	}
	var out []byte
	for len(data) > 0 {
		line, _, _ := bytes.Cut(data, []byte("\n"))
		switch string(bytes.TrimSpace(line)) {
		case "-----BEGIN PGP PUBLIC KEY BLOCK-----", "-----BEGIN PGP PRIVATE KEY BLOCK-----":
			end := bytes.Index(data, []byte("-----END PGP "))
			if end < 0 {
				return nil, errors.New("armored key is truncated")
			}
			block, err := armor.Decode(bytes.NewReader(append(data[:end:end], "-----END-----\n"...)))
			if err != nil {
				return nil, fmt.Errorf("armored key: %w", err)
			}
			body, err := io.ReadAll(block.Body)
			if err != nil {
				return nil, fmt.Errorf("armored key: %w", err)
			}
			out = append(out, body...)
			data = data[end:]
		default:
			data = data[min(len(line)+1, len(data)):]
		}
	}
	return out, nil
}

// rawPart is a key packet with the packets that belong to it.
type rawPart struct {
	tag     byte
	body    []byte
	follows []rawPacket // user IDs and signatures
}

type rawPacket struct {
	tag  byte
	body []byte
}

// rawKey is a primary key and its subkeys.
type rawKey []rawPart

func splitKeys(data []byte) ([]rawKey, error) {
	var keys []rawKey
	for parts := 0; len(data) > 0; {
		tag, body, rest, err := framing.Next(data)
		if err != nil {
			return nil, err
		}
		data = rest
		last := len(keys) - 1
		if last < 0 && tag != framing.TagPublicKey && tag != framing.TagSecretKey {
			return nil, errors.New("not an OpenPGP key")
		}
		switch tag {
		case framing.TagPublicKey, framing.TagSecretKey:
			keys = append(keys, rawKey{{tag: tag, body: body}})
			parts++
		case framing.TagPublicSubkey, framing.TagSecretSubkey:
			keys[last] = append(keys[last], rawPart{tag: tag, body: body})
			parts++
		default:
			p := &keys[last][len(keys[last])-1]
			p.follows = append(p.follows, rawPacket{tag, body})
		}
		if parts > partsMax {
			return nil, errors.New("too many keys and subkeys in it")
		}
	}
	return keys, nil
}

// key reads a key.
func (r rawKey) key() (*Key, error) {
	k, err := r.unread()
	if err != nil {
		return nil, err
	}
	return k, k.read()
}

// unread reads no more of a key than which it is.
func (r rawKey) unread() (*Key, error) {
	primary, err := r[0].part()
	if err != nil {
		return nil, fmt.Errorf("primary key: %w", err)
	}
	u := &unread{raw: r}
	for _, p := range r {
		body := p.body
		if p.tag == framing.TagSecretKey || p.tag == framing.TagSecretSubkey {
			public, err := p.part()
			if err != nil { // which read tells of, if it matters
				continue
			}
			u.fingerprints = append(u.fingerprints, public.Pub.Fingerprint)
			continue
		}
		h := sha1.New()
		h.Write(binary.BigEndian.AppendUint16([]byte{0x99}, uint16(len(body))))
		h.Write(body)
		u.fingerprints = append(u.fingerprints, h.Sum(nil))
	}
	return &Key{primary: primary, unread: u}, nil
}

// unread is what of a key has not been verified yet.
type unread struct {
	once sync.Once
	raw  rawKey
	err  error

	fingerprints [][]byte // of the parts
}

// read reads the rest of a key, and what its self-signatures say. Its kind and size are looked at first: nothing is verified with one that nightjar does not use.
func (k *Key) read() error {
	if k.unread == nil || k.primary.unsupported {
		return nil
	}
	u := k.unread
	u.once.Do(func() {
		if u.err = k.verify(u.raw); u.err != nil {
			k.primary.unreadable = u.err
		}
		u.raw = nil
	})
	return u.err
}

func (k *Key) verify(r rawKey) error {
	v := verifier{key: k}
	v.readPrimary(r[0].follows)
	for _, raw := range r[1:] {
		p, err := raw.part()
		if err != nil {
			// GnuPG, too, uses the rest of a key with a subkey of an unknown kind.
			if errors.As(err, new(pgperrors.UnsupportedError)) {
				continue
			}
			return fmt.Errorf("subkey: %w", err)
		}
		if v.readSubkey(p, raw.follows) {
			k.subkeys = append(k.subkeys, p)
		}
	}
	return v.err
}

// Peek returns the fingerprint of the one key that data holds, and verifies nothing.
func Peek(data []byte) ([]byte, error) {
	raw, err := one(data)
	if err != nil {
		return nil, err
	}
	primary, err := raw[0].part()
	if err != nil {
		return nil, err
	}
	return primary.Pub.Fingerprint, nil
}

// ReadLater reads no more of the one key that data holds than which it is, and the rest when it is asked for.
func ReadLater(data []byte) (*Key, error) {
	raw, err := one(data)
	if err != nil {
		return nil, err
	}
	return raw.unread()
}

func one(data []byte) (rawKey, error) {
	keys, err := splitFile(data)
	if err != nil {
		return nil, err
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("found %d keys instead of one", len(keys))
	}
	return keys[0], nil
}

// part parses the key packet itself.
func (r rawPart) part() (*Part, error) {
	if len(r.body) < 6 || r.body[0] != 4 {
		return nil, pgperrors.UnsupportedError("key is not of version 4")
	}
	publicTag := r.tag
	switch r.tag {
	case framing.TagSecretKey:
		publicTag = framing.TagPublicKey
	case framing.TagSecretSubkey:
		publicTag = framing.TagPublicSubkey
	}
	parsed, err := framing.Parse(publicTag, r.body)
	if err != nil {
		return nil, err
	}
	pub, ok := parsed.(*packet.PublicKey)
	if !ok {
		return nil, framing.ErrMalformed
	}
	p := &Part{Pub: pub, unsupported: !supported(pub)}
	if r.tag == publicTag || p.unsupported {
		return p, nil
	}
	if p.Secret, err = r.secret(pub); err != nil {
		return nil, err
	}
	return p, nil
}

// secret parses the packet's secret half: nil when it is on a smartcard.
func (r rawPart) secret(pub *packet.PublicKey) (*packet.PrivateKey, error) {
	var buf bytes.Buffer
	if err := pub.Serialize(&buf); err != nil {
		return nil, err
	}
	_, public, _, err := framing.Next(buf.Bytes())
	if err != nil || !bytes.HasPrefix(r.body, public) || len(r.body) == len(public) {
		return nil, framing.ErrMalformed
	}
	protected := r.body[len(public):]
	switch protected[0] {
	case 0:
	case byte(packet.S2KSHA1), byte(packet.S2KCHECKSUM):
		if len(protected) >= 8 && protected[2] == 101 && string(protected[4:8]) == "GNU\x02" {
			return nil, nil
		}
	default:
		return nil, errors.New("secret key is protected in a way that is not supported")
	}
	parsed, err := framing.Parse(r.tag, r.body)
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	secret, ok := parsed.(*packet.PrivateKey)
	if !ok {
		return nil, framing.ErrMalformed
	}
	return secret, nil
}
