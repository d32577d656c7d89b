package cert

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto/internal/certtest"
)

var noon = certtest.Noon

// readKey reads the one key that data holds.
func readKey(data []byte) (*Key, error) {
	keys, err := Read(data)
	if err == nil && len(keys) != 1 {
		err = fmt.Errorf("found %d keys", len(keys))
	}
	if err != nil {
		return nil, err
	}
	return keys[0], nil
}

func generated(t testing.TB, name string) *Key {
	t.Helper()
	k, err := readKey(certtest.Generated(t, name))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// edited makes a key with a signing subkey, as change leaves it.
func edited(t *testing.T, change func(*pgp.Entity, *packet.Config) error) *Key {
	t.Helper()
	k, err := readKey(certtest.Edited(t, change))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// editions returns a key as it was before each change, and after the last.
func editions(t *testing.T, changes ...func(*pgp.Entity, *packet.Config) error) []*Key {
	t.Helper()
	var all []*Key
	for _, data := range certtest.Editions(t, changes...) {
		k, err := readKey(data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, k)
	}
	return all
}

func random(t testing.TB, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

func signing(k *Key, at time.Time) (*Part, error) {
	return k.Pick(at, "sign", func(p *Part) bool { return p.Sign })
}

func encrypting(k *Key, at time.Time) (*Part, error) {
	return k.Pick(at, "encrypt", func(p *Part) bool { return p.Encrypt })
}

func canSign(k *Key, at time.Time) error {
	_, err := signing(k, at)
	return err
}

func canEncrypt(k *Key, at time.Time) error {
	_, err := encrypting(k, at)
	return err
}

// TestReadRejectsTampering flips a bit in every byte of a key: what is read is another key, or can do no more.
func TestReadRejectsTampering(t *testing.T) {
	k := generated(t, "k")
	cert := k.Certificate()
	for i := range cert {
		b := bytes.Clone(cert)
		b[i] ^= 1 << (i % 8)
		got, err := readKey(b)
		if err != nil || !bytes.Equal(got.Fingerprint(), k.Fingerprint()) {
			continue
		}
		if canSign(got, noon) == nil && (got.Name() != "k" || !got.primary.expires.IsZero()) {
			t.Errorf("flip at %d changes what the key says", i)
		}
		for _, p := range got.subkeys {
			if p.Sign || !bytes.Equal(p.Pub.Fingerprint, k.subkeys[0].Pub.Fingerprint) {
				t.Errorf("flip at %d changes a subkey", i)
			}
		}
	}
}

// A subkey from the future, as of a machine whose clock was wrong, is taken only if there is no other.
func TestSubkeyFromTheFuture(t *testing.T) {
	k := editions(t, func(e *pgp.Entity, c *packet.Config) error {
		c.Time = func() time.Time { return noon.Add(24 * time.Hour) }
		return errors.Join(e.AddSigningSubkey(c), e.AddEncryptionSubkey(c))
	})[1]
	for at, future := range map[time.Time]bool{noon: false, noon.Add(48 * time.Hour): true} {
		sign, err := signing(k, at)
		encrypt, err2 := encrypting(k, at)
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if sign.Pub.CreationTime.After(noon) != future || encrypt.Pub.CreationTime.After(noon) != future {
			t.Errorf("at %s: signs with that of %s, encrypts to that of %s", at, sign.Pub.CreationTime, encrypt.Pub.CreationTime)
		}
	}
	if err := errors.Join(canSign(k, noon.Add(-48*time.Hour)), canEncrypt(k, noon.Add(-48*time.Hour))); err != nil {
		t.Errorf("a machine whose clock went back cannot go on: %v", err)
	}
}
