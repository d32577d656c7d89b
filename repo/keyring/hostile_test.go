package keyring

import (
	"bytes"
	//lint:ignore SA1019 nobody uses it but who attacks
	"crypto/dsa"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math/big"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto"
)

// certificateOf returns, in armor, a key that nobody has, with packets behind it.
func certificateOf(t *testing.T, pub *packet.PublicKey, behind []byte) string {
	t.Helper()
	var text bytes.Buffer
	w := must(armor.Encode(&text, "PGP PUBLIC KEY BLOCK", nil))
	if err := pub.Serialize(w); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(behind); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func number(t *testing.T, bits int) *big.Int {
	b := make([]byte, bits/8)
	if _, err := rand.Read(b); err != nil {
		t.Fatal(err)
	}
	n := new(big.Int).SetBytes(b)
	return n.SetBit(n.SetBit(n, bits-1, 1), 0, 1)
}

// Whoever can add an object can add thousands of keys objects: each is put aside before anything is computed for it.
func TestLoadBesideHostileKeys(t *testing.T) {
	p := newPlace(t)
	large := number(t, 32768)
	pub := packet.NewDSAPublicKey(noon, &dsa.PublicKey{Parameters: dsa.Parameters{P: large, Q: number(t, 256), G: number(t, 32000)}, Y: number(t, 32000)})
	huge := certificateOf(t, pub, nil)
	genuine := string(must(p.keys.Root().ArmorPublic()))
	stuffed := must(crypto.ReadKey([]byte(genuine))).Certificate()
	ours := must(packet.Read(bytes.NewReader(stuffed))).(*packet.PublicKey)
	_, rest, _ := bytes.Cut(stuffed, []byte("nightjar root"))
	stuffed = bytes.Repeat(append([]byte{0xCD, 1, 'x'}, rest[len(" 01234567"):]...), 3000) // user IDs that were never signed
	message := must(crypto.Sign(thiefKey(), []byte(thiefKey().Fingerprint()), p.keys.contents.binding(successorKind), noon))
	text := func(root string, former ...any) string {
		b := must(json.Marshal(map[string]any{"version": 0, "number": 2, "repository": p.keys.ID(), "root": root, "former_roots": former}))
		return string(b)
	}
	byThief := func(text string, number int) []byte {
		text = strings.Replace(text, `"number":2`, fmt.Sprintf(`"number":%d`, number), 1)
		return must(crypto.Sign(thiefKey(), []byte(text), p.keys.contents.binding(Name(number)), noon))
	}
	thief := string(must(thiefKey().ArmorPublic()))
	n := 2
	for _, text := range []string{
		text(huge), text(thief), text(certificateOf(t, ours, stuffed[:min(len(stuffed), 700<<10)])),
		text(thief, map[string]any{"certificate": genuine, "successor": message}), // the pinned root has named nobody
		text(huge, map[string]any{"certificate": genuine, "successor": message}, map[string]any{"certificate": huge, "successor": message}),
		text(thief, map[string]any{"certificate": huge, "successor": message}, map[string]any{"certificate": thief, "successor": message}),
		text(thief, make([]any, 10)...),
		fmt.Sprintf(`{"version":0,"number":2,"repository":%q,"root":%q,"former_roots":[%s{}]}`, p.keys.ID(), thief, strings.Repeat(`{},`, 1<<20)),
	} {
		for range 10 {
			p.put(Name(n), byThief(text, n))
			n++
		}
	}
	begin, passed := used(), 0
	k, err := Load(t.Context(), p.memory, pinned(p.keys.Pin()), func(error) { passed++ })
	if err != nil || k.Pin().Number != 1 || passed != n-2 {
		t.Fatalf("%v, %d passed over", err, passed)
	}
	if took := used() - begin; took > 30*time.Second { // one such object took minutes
		t.Errorf("took %s of the processor", took)
	} else {
		t.Logf("took %s of the processor for %d objects", took, passed)
	}
}

// used is how long this process has had a processor, which does not grow while others have it.
func used() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u) // which cannot fail
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
