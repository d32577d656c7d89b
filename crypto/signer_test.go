package crypto

import (
	"bytes"
	"errors"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto/internal/cert"
	"nightjar/crypto/internal/framing"
)

// TestSigningParts has the primary and the subkeys sign, whether they may or not.
func TestSigningParts(t *testing.T) {
	cases := []struct {
		name    string
		change  func(*pgp.Entity, *packet.Config) error
		primary string // the problem with a signature of the primary, of the signing subkey
		subkey  string
	}{
		{"both may", func(*pgp.Entity, *packet.Config) error { return nil }, "", ""},
		{"primary only certifies", func(e *pgp.Entity, c *packet.Config) error {
			id := e.Identities["k"]
			id.SelfCertifications[0].Packet.FlagSign = false
			return id.ReSign(c)
		}, "unknown key", ""},
		{"subkey is not for signing", func(e *pgp.Entity, c *packet.Config) error {
			s := &e.Subkeys[1]
			s.Bindings[0].Packet.FlagSign, s.Bindings[0].Packet.FlagAuthenticate = false, true
			return s.ReSign(c)
		}, "", "unknown key"},
		{"subkey did not sign back", func(e *pgp.Entity, c *packet.Config) error {
			s := &e.Subkeys[1]
			s.Bindings[0].Packet.EmbeddedSignature = nil
			return s.Bindings[0].Packet.SignKey(s.PublicKey, e.PrivateKey, c)
		}, "", "unknown key"},
		{"subkey compromised", func(e *pgp.Entity, c *packet.Config) error {
			return e.Subkeys[1].Revoke(packet.KeyCompromised, "", c)
		}, "", "revoked"},
		{"subkey retired", func(e *pgp.Entity, c *packet.Config) error {
			return e.Subkeys[1].Revoke(packet.KeyRetired, "", c)
		}, "", "retired on"},
		{"subkey expired", func(e *pgp.Entity, c *packet.Config) error {
			s, minute := &e.Subkeys[1], uint32(60)
			s.Bindings[0].Packet.KeyLifetimeSecs = &minute
			return s.ReSign(c)
		}, "", "expired on"},
		{"primary compromised", func(e *pgp.Entity, c *packet.Config) error {
			return e.Revoke(packet.KeyCompromised, "", c)
		}, "revoked", "revoked"},
		{"revoked by someone else", func(e *pgp.Entity, c *packet.Config) error {
			if err := e.Revoke(packet.KeyCompromised, "", c); err != nil {
				return err
			}
			e.Revocations[0].Packet.EdDSASigS.Bytes()[0] ^= 1
			return nil
		}, "", ""},
		{"subkey revoked by someone else", func(e *pgp.Entity, c *packet.Config) error {
			if err := e.Subkeys[1].Revoke(packet.KeyCompromised, "", c); err != nil {
				return err
			}
			e.Subkeys[1].Revocations[0].Packet.EdDSASigS.Bytes()[0] ^= 1
			return nil
		}, "", ""},
	}
	to := generated(t, "to")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var subkey *cert.Part
			all := edited(t, func(e *pgp.Entity, config *packet.Config) error {
				subkey = &cert.Part{Pub: e.Subkeys[1].PublicKey, Secret: e.Subkeys[1].PrivateKey}
				return c.change(e, config)
			})
			check := func(p *cert.Part, problem string) {
				t.Helper()
				s := sealer(t, to, to)
				s.signer = p
				object, err := s.Seal([]byte("x"))
				if err != nil {
					t.Fatal(err)
				}
				opened, err := NewOpener(to).Open(object.Object, by(all), theBox, noon)
				if problem != "" {
					wantError(t, err, ErrIntegrity, problem)
				} else if err != nil {
					t.Error(err)
				} else if opened.Signer != all.Fingerprint() {
					t.Errorf("signed by %s, want the primary %s", opened.Signer, all.Fingerprint())
				}
			}
			check(all.cert.Primary(), c.primary)
			check(subkey, c.subkey)
			if signs := all.CanSign(noon) == nil; signs != (c.primary == "" || c.subkey == "") {
				t.Errorf("can sign: %t", signs)
			}
		})
	}
}

// TestNewestKeys encrypts to and signs with the newest subkeys that are valid.
func TestNewestKeys(t *testing.T) {
	k := edited(t, func(e *pgp.Entity, c *packet.Config) error {
		for i, minutes := range []time.Duration{-30, -20, -10} {
			c.Time = func() time.Time { return noon.Add(minutes * time.Minute) }
			if err := errors.Join(e.AddEncryptionSubkey(c), e.AddSigningSubkey(c)); err != nil {
				return err
			}
			if i == 2 {
				n := len(e.Subkeys)
				return errors.Join(e.Subkeys[n-1].Revoke(packet.KeyRetired, "", c), e.Subkeys[n-2].Revoke(packet.NoReason, "", c))
			}
		}
		return nil
	})
	for purpose, pick := range map[string]func(time.Time) (*cert.Part, error){"encrypt": k.encryptPart, "sign": k.signPart} {
		p, err := pick(noon)
		if err != nil {
			t.Fatal(err)
		}
		if want := noon.Add(-20 * time.Minute); !p.Pub.CreationTime.Equal(want) {
			t.Errorf("%s: uses the key of %s", purpose, p.Pub.CreationTime.UTC())
		}
	}
}

// TestForgedEnvelope seals with the right keys what a Sealer never makes around the inside.
func TestForgedEnvelope(t *testing.T) {
	k := generated(t, "k")
	forge := func(function packet.CipherFunction, prefix func(p []byte)) []byte {
		key := random(t, sessionKeySize)
		var session bytes.Buffer
		if err := packet.SerializeEncryptedKeyAEAD(&session, k.cert.Parts()[1].Pub, function, false, key, nil); err != nil {
			t.Fatal(err)
		}
		buf := append(session.Bytes(), 0xD2, 0xFF, 0, 0, 0, 0, 1)
		stream := len(buf)
		p := bytes.Repeat([]byte{7}, prefixSize)
		prefix(p)
		signed, err := Sign(k, []byte("plain"), theBox, noon)
		if err != nil {
			t.Fatal(err)
		}
		sk, err := newSessionKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return finish(append(append(buf, p...), signed...), stream, sk)
	}
	same := func([]byte) {}
	if _, err := NewOpener(k).Open(forge(packet.CipherAES256, same), by(k), theBox, noon); err != nil {
		t.Error("the true one: ", err)
	}
	for name, object := range map[string][]byte{
		"AES-128":              forge(packet.CipherAES128, same),
		"prefix not repeated":  forge(packet.CipherAES256, func(p []byte) { p[17]++ }),
		"two session keys":     append(forge(packet.CipherAES256, same)[:96:96], forge(packet.CipherAES256, same)...),
		"nothing in it":        forge(packet.CipherAES256, same)[:96+seipdHead],
		"old header":           append([]byte{0x84, 94}, forge(packet.CipherAES256, same)[2:]...),
		"long header":          append([]byte{0xC1, 0xFF, 0, 0, 0, 94}, forge(packet.CipherAES256, same)[2:]...),
		"more than an object":  make([]byte, ObjectMax+1),
		"session key too long": framing.Append(nil, framing.TagSession, make([]byte, SessionMax+1)),
	} {
		opened, err := NewOpener(k).Open(object, by(k), theBox, noon)
		if opened.Plain != nil {
			t.Errorf("%s: plaintext was released", name)
		}
		if !errors.Is(err, ErrIntegrity) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
