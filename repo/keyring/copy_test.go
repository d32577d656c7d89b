package keyring

import (
	"errors"
	"testing"

	"nightjar/crypto"
)

func TestIsCopy(t *testing.T) {
	f := found()
	const place = "s3://bucket/copy"
	claim, err := f.keys.ClaimCopy(place, f.root, noon)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.keys.IsCopy(claim, place, noon); err != nil {
		t.Error(err)
	}
	_, keys := f.keys.Object()
	byHost, err := f.keys.ClaimCopy(place, hostKey(), noon)
	if err != nil {
		t.Fatal(err)
	}
	other := found()
	ofOther, err := other.keys.ClaimCopy(place, other.root, noon)
	if err != nil {
		t.Fatal(err)
	}
	flipped := append([]byte(nil), claim...)
	flipped[len(flipped)/2] ^= 1
	for name, claim := range map[string][]byte{"empty": {}, "cut": claim[:len(claim)-1], "flipped": flipped, "of a host": byHost, "keys": keys, "of another repository": ofOther} {
		if err := f.keys.IsCopy(claim, place, noon); err == nil {
			t.Errorf("%s: believed", name)
		}
	}
	if err := f.keys.IsCopy(claim, "s3://bucket/home", noon); !errors.Is(err, crypto.ErrIntegrity) {
		t.Errorf("another place: %v", err)
	}
}
