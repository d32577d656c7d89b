package crypto

import (
	"bytes"
	"errors"
	"slices"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto/internal/certtest"
)

func dropSubkey(e *pgp.Entity, _ *packet.Config) error {
	e.Subkeys = slices.Delete(e.Subkeys, 1, 2) // the first that signs
	return nil
}

func TestMerge(t *testing.T) {
	all := editions(t, certtest.Lives(2*time.Hour), certtest.Lives(48*time.Hour), certtest.NewSubkey, dropSubkey, func(e *pgp.Entity, c *packet.Config) error {
		return e.Revoke(packet.KeyCompromised, "", c)
	})
	first, short, long, added, dropped, revoked := all[0], all[1], all[2], all[3], all[4], all[5]
	later := noon.Add(10 * time.Hour)
	if err := errors.Join(first.CanSign(later), long.CanSign(later)); err != nil || !errors.Is(short.CanSign(later), ErrExpired) {
		t.Fatalf("the test's keys are wrong: %v, %v", err, short.CanSign(later))
	}
	merge := func(a, b *Key) *Key {
		t.Helper()
		m, err := a.Public().Merge(b)
		if err != nil {
			t.Fatal(err)
		}
		if m.HasSecret() {
			t.Error("a certificate has a secret")
		}
		again, err := m.Merge(b)
		if err != nil || !bytes.Equal(again.Certificate(), m.Certificate()) {
			t.Errorf("what is merged again changes: %v", err)
		}
		return m
	}
	for name, pair := range map[string][2]*Key{"extended": {short, long}, "the older one given": {long, short}} {
		if err := merge(pair[0], pair[1]).CanSign(later); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if m := merge(long, short); !bytes.Equal(m.Certificate(), long.Public().Certificate()) {
		t.Error("an older certificate changes something")
	}
	if m := merge(added, dropped); len(m.cert.Parts()) != 4 {
		t.Errorf("a subkey that is gone from the later certificate is lost: %d", len(m.cert.Parts())-1)
	}
	for name, pair := range map[string][2]*Key{"revoked": {dropped, revoked}, "revoked, the older one given": {revoked, first}} {
		if err := merge(pair[0], pair[1]).CanSign(noon); !errors.Is(err, ErrRevoked) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := first.Merge(generated(t, "other")); err == nil {
		t.Error("another key is merged")
	}
}

// A key is used as its enrolled certificate says, whatever the file with its secret halves says.
func TestWithSecrets(t *testing.T) {
	all := editions(t, certtest.Lives(2*time.Hour), certtest.Lives(48*time.Hour), certtest.NewSubkey)
	short, long, added := all[1], all[2], all[3]
	later, to := noon.Add(10*time.Hour), generated(t, "to")
	if err := short.WithSecrets(long).Signs(later); !errors.Is(err, ErrExpired) {
		t.Errorf("the file says that it is good for longer: %v", err)
	}
	if err := long.WithSecrets(short).Signs(later); err != nil {
		t.Errorf("the certificate says that it is good for longer: %v", err)
	}
	object := sealed(t, to, long.WithSecrets(added), []byte("x")).Object
	if _, err := NewOpener(to).Open(object, by(long), theBox, noon); err != nil {
		t.Errorf("it signs with a subkey that is not enrolled: %v", err)
	}
	if err := long.Public().WithSecrets(generated(t, "k")).Signs(noon); err == nil {
		t.Error("it signs with another key's secret")
	}
	if long.Public().WithSecrets(long).HasSecret() == false || long.Public().HasSecret() {
		t.Error("secrets are in the wrong key")
	}
}

// TestEnds says when keys end, and that nothing is sealed from then on by a run that began before.
func TestEnds(t *testing.T) {
	all := editions(t, certtest.Lives(2*time.Hour), func(e *pgp.Entity, c *packet.Config) error {
		s, seconds := &e.Subkeys[0], uint32(5400)
		s.Bindings[0].Packet.KeyLifetimeSecs = &seconds
		return s.Bindings[0].Packet.SignKey(s.PublicKey, e.PrivateKey, c)
	})
	made := noon.Add(-time.Hour)
	for i, want := range [][2]time.Time{{}, {made.Add(2 * time.Hour), made.Add(2 * time.Hour)}, {made.Add(2 * time.Hour), made.Add(90 * time.Minute)}} {
		if sign, encrypt := all[i].Ends(noon); !sign.Equal(want[0]) || !encrypt.Equal(want[1]) {
			t.Errorf("edition %d: %s, %s", i, sign, encrypt)
		}
	}
	now, to := noon, generated(t, "to")
	s, err := NewSealer(to, all[1], theBox, nil, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Seal([]byte("x")); err != nil {
		t.Error(err)
	}
	now = made.Add(2 * time.Hour)
	_, err = s.Seal([]byte("x"))
	wantError(t, err, ErrExpired, "expired on")
}
