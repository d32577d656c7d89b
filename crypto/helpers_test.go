package crypto

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto/internal/certtest"
)

var (
	noon   = certtest.Noon
	theBox = Binding{Repository: "0123456789abcdef", Kind: "content", Version: 0}
)

func clock() time.Time { return noon }

func generated(t testing.TB, name string) *Key {
	t.Helper()
	k, err := Generate(name, noon.Add(-time.Hour), nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// edited makes a key with a signing subkey, as change leaves it.
func edited(t *testing.T, change func(*pgp.Entity, *packet.Config) error) *Key {
	t.Helper()
	return readKey(t, certtest.Edited(t, change))
}

// editions returns a key as it was before each change, and after the last.
func editions(t *testing.T, changes ...func(*pgp.Entity, *packet.Config) error) []*Key {
	t.Helper()
	var all []*Key
	for _, data := range certtest.Editions(t, changes...) {
		all = append(all, readKey(t, data))
	}
	return all
}

func readKey(t *testing.T, data []byte) *Key {
	t.Helper()
	k, err := ReadKey(data)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// rsaKey is made once: it takes a while.
var rsaKey = sync.OnceValue(func() *Key {
	config := &packet.Config{Algorithm: packet.PubKeyAlgoRSA, RSABits: 2048, Time: func() time.Time { return noon.Add(-time.Hour) }}
	entity, err := pgp.NewEntity("rsa", "", "", config)
	if err != nil {
		panic(err)
	}
	var buf bytes.Buffer
	if err := entity.SerializePrivateWithoutSigning(&buf, nil); err != nil {
		panic(err)
	}
	k, err := ReadKey(buf.Bytes())
	if err != nil {
		panic(err)
	}
	return k
})

func sealer(t testing.TB, recipient, signer *Key) *Sealer {
	t.Helper()
	s, err := NewSealer(recipient, signer, theBox, nil, clock)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sealed(t testing.TB, recipient, signer *Key, plain []byte) Sealed {
	t.Helper()
	s, err := sealer(t, recipient, signer).Seal(plain)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func by(keys ...*Key) []Signer {
	var s []Signer
	for _, k := range keys {
		s = append(s, Signer{Key: k.Public()})
	}
	return s
}

func random(t testing.TB, n int) []byte {
	t.Helper()
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	return b
}

// wantError checks that err is target, and says text.
func wantError(t *testing.T, err, target error, text string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want one with %q", text)
	}
	if target != nil && !errors.Is(err, target) {
		t.Fatalf("error %q is not %q", err, target)
	}
	if !strings.Contains(err.Error(), text) {
		t.Fatalf("error %q does not say %q", err, text)
	}
}

// undo takes a message out of its armor.
func undo(t testing.TB, text []byte) []byte {
	t.Helper()
	block, err := armor.Decode(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(block.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}
