package save_test

import (
	"bytes"
	"errors"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto"
	"nightjar/repo"
	"nightjar/repo/keyring"
	"nightjar/repo/repotest"
	"nightjar/repo/save"
)

// A run that goes on past the end of its key commits nothing, and says so; the next, with the key extended in the keys, goes on from what was sent in time.
func TestKeyExpiresDuringARun(t *testing.T) {
	p := repotest.NewPlace(t)
	key := repotest.OddKey(t, 2*time.Hour, nil) // until an hour after noon
	p.Enroll("db2", key, keyring.Backup)
	r := p.Open(key)
	groups := [][][]byte{repotest.Some(1, 5), repotest.Some(2, 5)}
	p.Clock.Move(50 * time.Minute)
	_, err := repotest.Write(t.Context(), r, groups, func(*save.Writer) error {
		p.Clock.Move(10 * time.Minute)
		return nil
	})
	if !errors.Is(err, crypto.ErrExpired) {
		t.Errorf("got %v", err)
	}
	if all := repotest.Archives(t, p.Unlocked()); len(all) != 0 {
		t.Errorf("archives: %+v", all)
	}
}

// The store's clock decides, before anything is sent: a machine whose own clock is late believes its key to be good.
func TestKeyExpiredByStoreTime(t *testing.T) {
	p := repotest.NewPlace(t)
	key := repotest.OddKey(t, 2*time.Hour, nil)
	p.Enroll("db2", key, keyring.Backup)
	r := p.Open(key, func(o *repo.Options) { o.Now = func() time.Time { return repotest.Noon } })
	p.Clock.Move(90 * time.Minute)
	before := repotest.Everything(t, p.Memory)
	_, err := repotest.Write(t.Context(), r, [][][]byte{repotest.Some(1, 5)}, nil)
	if !errors.Is(err, crypto.ErrExpired) {
		t.Errorf("got %v", err)
	}
	repotest.WantSame(t, p.Memory, before)
}

// What a machine's own file says of its key is not what counts: readers have the enrolled certificate.
func TestKeyIsJudgedAsEnrolled(t *testing.T) {
	p := repotest.NewPlace(t)
	var entity *pgp.Entity
	short := repotest.OddKey(t, 2*time.Hour, func(e *pgp.Entity) { entity = e })
	p.Enroll("db2", short, keyring.Backup)
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
	extended := repotest.Must(crypto.ReadKey(file.Bytes()))
	if err := extended.Signs(repotest.Noon.AddDate(1, 0, 0)); err != nil || extended.Fingerprint() != short.Fingerprint() {
		t.Fatalf("the test's key is wrong: %v", err)
	}
	p.Clock.Move(2 * time.Hour)
	if err := p.Unlocked().SetHost(extended); !errors.Is(err, crypto.ErrExpired) {
		t.Errorf("got %v", err)
	}
}
