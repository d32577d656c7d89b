package keyring

import (
	"context"
	"fmt"
	"io"
	"time"

	"nightjar/crypto"
)

// A Decrypter opens a small armored message with a secret that it holds: a key at hand, or the user's GnuPG.
type Decrypter interface {
	Decrypt(ctx context.Context, armored []byte) ([]byte, error)
}

// Held returns a Decrypter that holds keys.
func Held(keys ...*crypto.Key) Decrypter { return heldKeys{crypto.NewOpener(keys...)} }

type heldKeys struct{ opener *crypto.Opener }

func (h heldKeys) Decrypt(_ context.Context, armored []byte) ([]byte, error) {
	return h.opener.Decrypt(armored)
}

// OpenMetadata returns the metadata keys, the newest and the retired ones. host holds a host key or a recovery key.
func (k *Keyring) OpenMetadata(ctx context.Context, host Decrypter) ([]*crypto.Key, error) {
	return open(ctx, "metadata key", k.contents.MetadataSecret, host)
}

// OpenSecrets returns all of the repository's secret keys: root, content and metadata. recovery holds a recovery key, and is asked once: it may be a smartcard.
func (k *Keyring) OpenSecrets(ctx context.Context, recovery Decrypter) ([]*crypto.Key, error) {
	return open(ctx, "content key", k.contents.Secrets, recovery)
}

func open(ctx context.Context, what, sealed string, with Decrypter) ([]*crypto.Key, error) {
	plain, err := with.Decrypt(ctx, []byte(sealed))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", what, err)
	}
	keys, err := crypto.ReadKeys(plain)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", what, err)
	}
	return keys, nil
}

// sealSecrets seals secret keys, armored one after another, to recipients; a key that is named twice counts once.
func sealSecrets(recipients []*crypto.Key, random io.Reader, now time.Time, secrets ...*crypto.Key) (string, error) {
	var plain []byte
	for _, s := range secrets {
		armored, err := s.ArmorSecret(nil)
		if err != nil {
			return "", fmt.Errorf("export secret key %s: %w", s.Fingerprint(), err)
		}
		plain = append(append(plain, armored...), '\n')
	}
	seen := map[crypto.Fingerprint]bool{}
	var unique []*crypto.Key
	for _, r := range recipients {
		if !seen[r.Fingerprint()] {
			seen[r.Fingerprint()] = true
			unique = append(unique, r.Public())
		}
	}
	sealed, err := crypto.EncryptTo(unique, plain, random, now)
	if err != nil {
		return "", fmt.Errorf("seal secret keys: %w", err)
	}
	return string(sealed), nil
}
