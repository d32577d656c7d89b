package crypto

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto/internal/framing"
)

func TestParseFingerprint(t *testing.T) {
	const want = "0123456789ABCDEF0123456789ABCDEF01234567"
	for _, s := range []string{
		want, strings.ToLower(want), "0x" + want, "0X" + want, " 0123 4567 89AB CDEF 0123  4567 89AB CDEF 0123 4567\n",
	} {
		if got, err := ParseFingerprint(s); err != nil || got != want {
			t.Errorf("%q: %q, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "0x", want[1:], want + "0", want[:39] + "G", "--export", want[:38] + "é"} {
		if got, err := ParseFingerprint(s); err == nil {
			t.Errorf("%q is read as %q", s, got)
		}
	}
}

func TestGenerate(t *testing.T) {
	k := generated(t, "nightjar host db1")
	if k.Name() != "nightjar host db1" || !k.HasSecret() || k.Locked() {
		t.Errorf("name %q, secret %t, locked %t", k.Name(), k.HasSecret(), k.Locked())
	}
	if _, err := ParseFingerprint(string(k.Fingerprint())); err != nil {
		t.Error(err)
	}
	for _, at := range []time.Time{noon, noon.AddDate(100, 0, 0), {}} {
		if err := errors.Join(k.CanEncrypt(at), k.CanSign(at)); err != nil {
			t.Error(err)
		}
	}
	p := k.Public()
	if p.HasSecret() || p.Fingerprint() != k.Fingerprint() || p.CanSign(noon) != nil || !k.HasSecret() {
		t.Error("public half is wrong")
	}
	if _, err := NewSealer(k, p, theBox, nil, clock); !errors.As(err, new(*KeyError)) {
		t.Errorf("signs without a secret: %v", err)
	}
	for _, name := range []string{"", "a<b>", "\xff", strings.Repeat("x", 256)} {
		if _, err := Generate(name, noon, nil); err == nil {
			t.Errorf("name %q is taken", name)
		}
	}
}

func TestArmorAndRead(t *testing.T) {
	for _, k := range []*Key{generated(t, "k"), rsaKey()} {
		public, err := k.ArmorPublic()
		if err != nil {
			t.Fatal(err)
		}
		plain, err := k.ArmorSecret(nil)
		if err != nil {
			t.Fatal(err)
		}
		protected, err := k.armorSecret([]byte("pass"), 65536)
		if err != nil {
			t.Fatal(err)
		}
		if k.Locked() {
			t.Error("key was locked by writing it")
		}
		read := func(data []byte) *Key {
			t.Helper()
			got, err := ReadKey(data)
			if err != nil {
				t.Fatal(err)
			}
			if got.Fingerprint() != k.Fingerprint() || got.Name() != k.Name() || !bytes.Equal(got.Certificate(), k.Certificate()) {
				t.Error("another key came back")
			}
			return got
		}
		if read(public).HasSecret() || read(k.Certificate()).HasSecret() {
			t.Error("public key has a secret")
		}
		if got := read(plain); !got.HasSecret() || got.Locked() {
			t.Error("secret key is locked or none")
		}
		got := read(protected)
		if !got.HasSecret() || !got.Locked() {
			t.Error("protected key is not locked")
		}
		object := sealed(t, k, k, []byte("x")).Object
		_, err = NewOpener(got).Open(object, by(k), theBox, noon)
		wantError(t, err, ErrLocked, "locked")
		_, err = NewSealer(k, got, theBox, nil, clock)
		wantError(t, err, ErrLocked, string(k.Fingerprint()))
		_, err = got.ArmorSecret(nil)
		wantError(t, err, ErrLocked, "")
		wantError(t, got.Unlock([]byte("wrong")), ErrPassphrase, string(k.Fingerprint()))
		if err := got.Unlock([]byte("pass")); err != nil || got.Locked() {
			t.Fatalf("unlock: %v", err)
		}
		if _, err := NewOpener(got).Open(object, by(k), theBox, noon); err != nil {
			t.Error(err)
		}
		again, err := got.armorSecret([]byte("other"), 65536)
		if err != nil {
			t.Fatal(err)
		}
		if got := read(again); got.Unlock([]byte("other")) != nil {
			t.Error("unlocked key does not take another passphrase")
		}
	}
}

func TestReadKeysFromText(t *testing.T) {
	a, b := generated(t, "a"), generated(t, "b")
	armor := func(k *Key, secret bool) string {
		write := k.ArmorPublic
		if secret {
			write = func() ([]byte, error) { return k.ArmorSecret(nil) }
		}
		out, err := write()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	message, err := EncryptTo([]*Key{a}, []byte("x"), nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	kit := "RECOVERY KIT\nkeep it -----BEGIN\n\n" + armor(a, false) + "some text\r\n" + armor(b, true) + string(message) + armor(a, true) + "end, no newline"
	for _, text := range []string{kit, strings.ReplaceAll(kit, "\n", "\r\n")} {
		keys, err := ReadKeys([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if len(keys) != 2 || keys[0].Name() != "a" || keys[1].Name() != "b" || !keys[0].HasSecret() || !keys[1].HasSecret() {
			t.Errorf("read %d keys", len(keys))
		}
	}
	_, err = ReadKey([]byte(kit))
	wantError(t, err, nil, "found 2 keys")
	both := append(a.Certificate(), b.Certificate()...)
	if keys, err := ReadKeys(both); err != nil || len(keys) != 2 {
		t.Errorf("binary: %d keys, %v", len(keys), err)
	}
	pub := armor(a, false)
	for name, data := range map[string]string{
		"nothing": "", "text": "hello\n", "no end": pub[:len(pub)-40], "half": pub[:200] + "\n-----END PGP PUBLIC KEY BLOCK-----\n",
		"cut binary": string(both[:len(both)-7]), "message": string(message), "large": strings.Repeat(" ", 1<<20+1),
		"subkey first": string(both[bytes.IndexByte(both, 0xCE):]),
	} {
		if keys, err := ReadKeys([]byte(data)); err == nil {
			t.Errorf("%s: read %d keys", name, len(keys))
		}
	}
}

// TestValidity walks a key through expiry and revocations, with the message made before them.
func TestValidity(t *testing.T) {
	day := 24 * time.Hour
	make1 := func(lifetime time.Duration, revoke ...packet.ReasonForRevocation) *Key {
		config := plainSignatures()
		config.Algorithm, config.Curve = packet.PubKeyAlgoEdDSA, packet.Curve25519
		config.KeyLifetimeSecs = uint32(lifetime / time.Second)
		config.Time = func() time.Time { return noon.Add(-day) }
		e, err := pgp.NewEntity("k", "", "", config)
		if err != nil {
			t.Fatal(err)
		}
		config.Time = func() time.Time { return noon.Add(day) }
		for _, r := range revoke {
			if err := e.Revoke(r, "", config); err != nil {
				t.Fatal(err)
			}
		}
		var buf bytes.Buffer
		if err := e.SerializePrivateWithoutSigning(&buf, nil); err != nil {
			t.Fatal(err)
		}
		k, err := ReadKey(buf.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		// A reader of the certificate must see the same.
		public, err := ReadKey(k.Certificate())
		if err != nil || !reflect.DeepEqual(public.cert.Parts(), k.Public().cert.Parts()) {
			t.Errorf("certificate says something else: %v", err)
		}
		return k
	}
	cases := []struct {
		name                string
		key                 *Key
		before, after, zero string // the problem at noon, three days later, and without a time
	}{
		{"plain", make1(0), "", "", ""},
		{"expires", make1(2 * day), "", "expired on 2026-03-02", ""},
		{"expired", make1(time.Hour), "expired", "expired on 2026-02-28", ""},
		{"superseded", make1(0, packet.KeySuperseded), "", "retired on 2026-03-02", ""},
		{"retired", make1(0, packet.KeyRetired), "", "retired on 2026-03-02", ""},
		{"compromised", make1(0, packet.KeyCompromised), "revoked", "revoked", "revoked"},
		{"no reason", make1(0, packet.NoReason), "revoked", "revoked", "revoked"},
		{"unknown reason", make1(0, packet.Unknown), "revoked", "revoked", "revoked"},
		{"retired, then compromised", make1(0, packet.KeyRetired, packet.KeyCompromised), "revoked", "revoked", "revoked"},
	}
	to := generated(t, "to")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := sealer(t, to, to)
			s.signer = c.key.cert.Primary()
			object, err := s.Seal([]byte("x"))
			if err != nil {
				t.Fatal(err)
			}
			for at, problem := range map[time.Time]string{noon: c.before, noon.Add(3 * day): c.after, {}: c.zero} {
				_, openErr := NewOpener(to).Open(bytes.Clone(object.Object), by(c.key), theBox, at)
				signErr, encryptErr := c.key.CanSign(at), c.key.CanEncrypt(at)
				if problem == "" {
					if err := errors.Join(openErr, signErr, encryptErr); err != nil {
						t.Errorf("at %s: %v", at, err)
					}
					continue
				}
				wantError(t, openErr, ErrIntegrity, problem)
				wantError(t, signErr, nil, problem)
				wantError(t, encryptErr, nil, problem)
				var ke *KeyError
				if !errors.As(signErr, &ke) || ke.Fingerprint != c.key.Fingerprint() {
					t.Errorf("not a key error: %v", signErr)
				}
			}
		})
	}
}

// TestSmartcardStub reads what gpg exports of a key whose secret is on a smartcard.
func TestSmartcardStub(t *testing.T) {
	k := generated(t, "card")
	var stub []byte
	for rest := k.Certificate(); len(rest) > 0; {
		tag, body, next, err := framing.Next(rest)
		if err != nil {
			t.Fatal(err)
		}
		switch tag {
		case framing.TagPublicKey, framing.TagPublicSubkey:
			secretTag := map[byte]byte{framing.TagPublicKey: framing.TagSecretKey, framing.TagPublicSubkey: framing.TagSecretSubkey}[tag]
			stub = framing.Append(stub, secretTag, append(bytes.Clone(body), "\xff\x00\x65\x00GNU\x02\x10serial number 16"...))
		default:
			stub = framing.Append(stub, tag, body)
		}
		rest = next
	}
	got, err := ReadKey(stub)
	if err != nil {
		t.Fatal(err)
	}
	if got.HasSecret() || got.Locked() || got.CanSign(noon) != nil || got.Fingerprint() != k.Fingerprint() {
		t.Error("stub is taken for a secret key")
	}
	_, err = NewSealer(got, got, theBox, nil, clock)
	wantError(t, err, nil, "smartcard")
}

// As many hosts as keys may list, and recovery keys besides, get one message.
func TestSecretForManyHosts(t *testing.T) {
	size := func(recipients ...*Key) int {
		message, err := EncryptTo(recipients, make([]byte, 64<<10), nil, noon)
		if err != nil {
			t.Fatal(err)
		}
		return len(message)
	}
	for _, k := range []*Key{generated(t, "host"), rsaKey()} {
		other := generated(t, "recovery")
		one, two := size(other), size(other, k)
		if all := one + 10_064*(two-one+1); all > secretMax {
			t.Errorf("%s: a message to all has %d bytes", k.Name(), all)
		}
	}
}

func TestSmallSecrets(t *testing.T) {
	a, b, c := generated(t, "a"), generated(t, "b"), rsaKey()
	plain := []byte("three secret keys")
	message, err := EncryptTo([]*Key{a.Public(), c.Public(), a}, plain, nil, noon)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(message, []byte("-----BEGIN PGP MESSAGE-----\n")) {
		t.Errorf("not armored: %.40q", message)
	}
	for _, o := range []*Opener{NewOpener(a), NewOpener(c), NewOpener(b, c, a)} {
		if got, err := o.Decrypt(message); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("got %q, %v", got, err)
		}
	}
	_, err = NewOpener(b).Decrypt(message)
	wantError(t, err, ErrNoKey, "")
	locked, err := a.armorSecret([]byte("pass"), 65536)
	if err != nil {
		t.Fatal(err)
	}
	lockedKey, err := ReadKey(locked)
	if err != nil {
		t.Fatal(err)
	}
	_, err = NewOpener(b, lockedKey).Decrypt(message)
	wantError(t, err, ErrLocked, "")

	binary := undo(t, message)
	for i := range binary {
		flipped := bytes.Clone(binary)
		flipped[i] ^= 1 << (i % 8)
		for _, x := range [][]byte{flipped, binary[:i]} {
			text, err := armored("PGP MESSAGE", x)
			if err != nil {
				t.Fatal(err)
			}
			// The RSA recipient's packet is not looked at by the other one.
			if got, err := NewOpener(a).Decrypt(text); err == nil && !bytes.Equal(got, plain) || err != nil && got != nil {
				t.Errorf("byte %d: got %q, %v", i, got, err)
			} else if err == nil && len(x) < len(binary) {
				t.Errorf("cut to %d: opened", i)
			}
		}
	}
	for _, text := range []string{"", "x", string(message[:len(message)/2]), strings.Repeat("x", secretMax+1)} {
		_, err := NewOpener(a).Decrypt([]byte(text))
		wantError(t, err, ErrIntegrity, "")
	}
	if _, err := EncryptTo(nil, plain, nil, noon); err == nil {
		t.Error("encrypted to nobody")
	}
	if _, err := EncryptTo([]*Key{a}, make([]byte, secretMax), nil, noon); err == nil {
		t.Error("encrypted too much")
	}
}
