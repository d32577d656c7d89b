package repotest

import (
	"bytes"
	"sync"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto"
)

// Keys are made once: real ones, but not for every test.
var (
	HostKey     = sync.OnceValue(func() *crypto.Key { return MustKey("host") })
	RecoveryKey = sync.OnceValue(func() *crypto.Key { return MustKey("recovery") })
	SecondKey   = sync.OnceValue(func() *crypto.Key { return MustKey("second") })
	ThiefKey    = sync.OnceValue(func() *crypto.Key { return MustKey("thief") })
)

func MustKey(name string) *crypto.Key {
	k, err := crypto.Generate(name, Noon.Add(-time.Hour), nil)
	if err != nil {
		panic(err)
	}
	return k
}

// OddKey makes a key that change has altered before it is written.
func OddKey(t testing.TB, lifetime time.Duration, change func(*pgp.Entity)) *crypto.Key {
	t.Helper()
	off := false
	config := &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA, KeyLifetimeSecs: uint32(lifetime / time.Second),
		Time: func() time.Time { return Noon.Add(-time.Hour) }, NonDeterministicSignaturesViaNotation: &off}
	e, err := pgp.NewEntity("odd", "", "", config)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(e)
	}
	var buf bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&buf, nil); err != nil {
		t.Fatal(err)
	}
	k, err := crypto.ReadKey(buf.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	return k
}
