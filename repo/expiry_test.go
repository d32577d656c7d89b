package repo

import (
	"bytes"
	"errors"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto"
	"nightjar/repo/keyring"
)

// A run that goes on past the end of its key commits nothing, and says so; the next, with the key extended in the keys, goes on from what was sent in time.
func TestKeyExpiresDuringARun(t *testing.T) {
	p := newPlace(t)
	key := oddKey(t, 2*time.Hour, nil) // until an hour after noon
	p.enroll("db2", key, keyring.Backup)
	r := p.open(key)
	groups := [][][]byte{some(1, 5), some(2, 5)}
	p.clock.move(50 * time.Minute)
	_, err := write(t.Context(), r, groups, func(*Writer) error {
		p.clock.move(10 * time.Minute)
		return nil
	})
	if !errors.Is(err, crypto.ErrExpired) {
		t.Errorf("got %v", err)
	}
	if all := archives(t, p.unlocked()); len(all) != 0 {
		t.Errorf("archives: %+v", all)
	}
}

// The store's clock decides, before anything is sent: a machine whose own clock is late believes its key to be good.
func TestKeyExpiredByStoreTime(t *testing.T) {
	p := newPlace(t)
	key := oddKey(t, 2*time.Hour, nil)
	p.enroll("db2", key, keyring.Backup)
	r := p.open(key, func(o *Options) { o.Now = func() time.Time { return noon } })
	p.clock.move(90 * time.Minute)
	before := everything(t, p.memory)
	_, err := write(t.Context(), r, [][][]byte{some(1, 5)}, nil)
	if !errors.Is(err, crypto.ErrExpired) {
		t.Errorf("got %v", err)
	}
	wantSame(t, p.memory, before)
}

// What a machine's own file says of its key is not what counts: readers have the enrolled certificate.
func TestKeyIsJudgedAsEnrolled(t *testing.T) {
	p := newPlace(t)
	var entity *pgp.Entity
	short := oddKey(t, 2*time.Hour, func(e *pgp.Entity) { entity = e })
	p.enroll("db2", short, keyring.Backup)
	forever, off := uint32(0), false
	for _, id := range entity.Identities {
		cert := id.SelfCertifications[0].Packet
		cert.KeyLifetimeSecs = &forever
		if err := cert.SignUserId("odd", entity.PrimaryKey, entity.PrivateKey, &packet.Config{NonDeterministicSignaturesViaNotation: &off}); err != nil {
			t.Fatal(err)
		}
	}
	var file bytes.Buffer
	if err := entity.SerializePrivateWithoutSigning(&file, nil); err != nil {
		t.Fatal(err)
	}
	extended := must(crypto.ReadKey(file.Bytes()))
	if err := extended.Signs(noon.AddDate(1, 0, 0)); err != nil || extended.Fingerprint() != short.Fingerprint() {
		t.Fatalf("the test's key is wrong: %v", err)
	}
	p.clock.move(2 * time.Hour)
	if err := p.unlocked().SetHost(extended); !errors.Is(err, crypto.ErrExpired) {
		t.Errorf("got %v", err)
	}
}
