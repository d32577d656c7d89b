package crypto

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Generate makes a key that GnuPG 2.2 reads: an ed25519 primary that certifies and
// signs, a cv25519 subkey to encrypt to, no expiry, no passphrase. name is its user ID,
// without parentheses and angle brackets. rand may be nil for crypto/rand's.
func Generate(name string, now time.Time, random io.Reader) (*Key, error) {
	k, err := generate(name, now, random)
	if err != nil {
		return nil, fmt.Errorf("generate key %q: %w", name, err)
	}
	return k, nil
}

func generate(name string, now time.Time, random io.Reader) (*Key, error) {
	if name == "" || len(name) > 255 || !utf8.ValidString(name) {
		return nil, errors.New("name must be 1 to 255 bytes of UTF-8")
	}
	if random == nil {
		random = rand.Reader
	}
	config := plainSignatures()
	config.Rand = random
	config.Time = func() time.Time { return now }
	config.Algorithm = packet.PubKeyAlgoEdDSA
	config.Curve = packet.Curve25519
	config.DefaultCipher = packet.CipherAES256
	entity, err := pgp.NewEntity(name, "", "", config)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	if err := entity.SerializePrivateWithoutSigning(&buf, nil); err != nil {
		return nil, err
	}
	return ReadKey(buf.Bytes())
}
