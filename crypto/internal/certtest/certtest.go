// Package certtest makes keys for tests, and changes what they say of themselves as their owner would.
package certtest

import (
	"bytes"
	"errors"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// Noon is the present time of the tests. Keys are made an hour before it.
var Noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Generated makes a key of the kind that nightjar makes: a primary that signs, and a subkey to encrypt to.
func Generated(t testing.TB, name string) []byte {
	t.Helper()
	return made(t, name, func(*pgp.Entity, *packet.Config) error { return nil })
}

// Edited makes a key with a signing subkey, as change leaves it.
func Edited(t testing.TB, change func(*pgp.Entity, *packet.Config) error) []byte {
	t.Helper()
	return made(t, "k", func(e *pgp.Entity, c *packet.Config) error {
		return errors.Join(e.AddSigningSubkey(c), change(e, c))
	})
}

func made(t testing.TB, name string, change func(*pgp.Entity, *packet.Config) error) []byte {
	t.Helper()
	off := false
	config := &packet.Config{NonDeterministicSignaturesViaNotation: &off, Algorithm: packet.PubKeyAlgoEdDSA, Curve: packet.Curve25519}
	config.Time = func() time.Time { return Noon.Add(-time.Hour) }
	e, err := pgp.NewEntity(name, "", "", config)
	if err != nil {
		t.Fatal(err)
	}
	if err := change(e, config); err != nil {
		t.Fatal(err)
	}
	var buf bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&buf, nil); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// Editions returns a key as it was before each change, and after the last.
func Editions(t testing.TB, changes ...func(*pgp.Entity, *packet.Config) error) [][]byte {
	t.Helper()
	var all [][]byte
	Edited(t, func(e *pgp.Entity, c *packet.Config) error {
		for i, change := range append(changes, nil) {
			var buf bytes.Buffer
			if err := e.SerializePrivateWithoutSigning(&buf, nil); err != nil {
				return err
			}
			all = append(all, buf.Bytes())
			c.Time = func() time.Time { return Noon.Add(time.Duration(i-30) * time.Minute) }
			if change != nil {
				if err := change(e, c); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return all
}

// Lives has all of a key expire so long after it was made; 0: never.
func Lives(d time.Duration) func(*pgp.Entity, *packet.Config) error {
	return func(e *pgp.Entity, c *packet.Config) error {
		seconds := uint32(d / time.Second)
		cert := e.Identities["k"].SelfCertifications[0].Packet
		cert.KeyLifetimeSecs, cert.CreationTime = &seconds, c.Now()
		if err := cert.SignUserId("k", e.PrimaryKey, e.PrivateKey, c); err != nil {
			return err
		}
		for i := range e.Subkeys {
			s := &e.Subkeys[i]
			b := s.Bindings[0].Packet
			b.KeyLifetimeSecs, b.CreationTime = &seconds, c.Now()
			if err := b.SignKey(s.PublicKey, e.PrivateKey, c); err != nil {
				return err
			}
		}
		return nil
	}
}

// NewSubkey adds a subkey that signs.
func NewSubkey(e *pgp.Entity, c *packet.Config) error { return e.AddSigningSubkey(c) }
