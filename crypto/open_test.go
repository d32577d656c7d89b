package crypto

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// TestFlips flips every single bit of an object, and cuts and extends it everywhere.
func TestFlips(t *testing.T) {
	k := generated(t, "k")
	o := NewOpener(k)
	object := sealed(t, k, k, []byte("p")).Object
	refuse := func(what string, b []byte) {
		t.Helper()
		opened, err := o.Open(b, by(k), theBox, noon)
		if err == nil || opened.Plain != nil || !errors.Is(err, ErrIntegrity) && !errors.Is(err, ErrNoKey) {
			t.Errorf("%s: opened %q, error %v", what, opened.Plain, err)
		}
	}
	for i := range object {
		for bit := range 8 {
			b := bytes.Clone(object)
			b[i] ^= 1 << bit
			refuse(fmt.Sprintf("bit %d of byte %d flipped", bit, i), b)
		}
		refuse(fmt.Sprintf("cut to %d", i), bytes.Clone(object[:i]))
	}
	for _, more := range [][]byte{{0}, {0xD3}, make([]byte, 16), object} {
		refuse(fmt.Sprintf("%d bytes more", len(more)), append(bytes.Clone(object), more...))
	}
	if _, err := o.Open(bytes.Clone(object), by(k), theBox, noon); err != nil {
		t.Error("the object itself: ", err)
	}
}

func TestFlipsRSA(t *testing.T) {
	k := rsaKey()
	object := sealed(t, k, k, []byte("p")).Object
	for i := range object {
		b := bytes.Clone(object)
		b[i] ^= 1 << (i % 8)
		if _, err := NewOpener(k).Open(b, by(k), theBox, noon); err == nil {
			t.Errorf("bit %d of byte %d flipped: opened", i%8, i)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	content, host, other := generated(t, "content"), generated(t, "host"), generated(t, "other")
	o := NewOpener(content)
	window := func(k *Key, from, to time.Time) []Signer { return []Signer{{k.Public(), from, to}} }
	cases := []struct {
		name    string
		signers []Signer
		b       Binding
		at      time.Time
		text    string
	}{
		{"no signers", nil, theBox, noon, "unknown key " + string(host.Fingerprint())},
		{"other signer", by(other, content), theBox, noon, "unknown key"},
		{"other repository", by(host), Binding{"fedcba9876543210", "content", 0}, noon, `signed for repository "0123456789abcdef"`},
		{"other kind", by(host), Binding{theBox.Repository, "metadata", 0}, noon, `signed for kind "content", not "metadata"`},
		{"other version", by(host), Binding{theBox.Repository, "content", 1}, noon, `signed for version "0", not "1"`},
		{"before window", window(host, noon.Add(time.Second), time.Time{}), theBox, noon, "does not count for the time"},
		{"after window", window(host, time.Time{}, noon.Add(-time.Second)), theBox, noon, "does not count for the time"},
	}
	object := sealed(t, content, host, []byte("secret content")).Object
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := bytes.Clone(object)
			opened, err := o.Open(b, c.signers, c.b, c.at)
			wantError(t, err, ErrIntegrity, c.text)
			if opened.Plain != nil || bytes.Contains(b, []byte("secret")) {
				t.Error("plaintext was released")
			}
		})
	}
	good := append(window(host, noon.Add(time.Hour), time.Time{}), window(host, noon, noon)...)
	if _, err := o.Open(bytes.Clone(object), good, theBox, noon); err != nil {
		t.Error("one of two windows holds it: ", err)
	}
	if _, err := o.Open(bytes.Clone(object), window(host, noon.Add(time.Hour), time.Time{}), theBox, time.Time{}); err != nil {
		t.Error("zero time looks at no window: ", err)
	}
	b := bytes.Clone(object)
	_, err := NewOpener(host, other.Public()).Open(b, by(host), theBox, noon)
	wantError(t, err, ErrNoKey, "encrypted to key id")
	if !bytes.Equal(b, object) {
		t.Error("object was changed before it could be decrypted")
	}
}

// TestForged seals, to the right key and with a right MDC, what the grammar does not allow.
func TestForged(t *testing.T) {
	content, host := generated(t, "content"), generated(t, "host")
	sign := func(data []byte, b Binding) []byte {
		sig, err := appendSignature(nil, data, host.cert.Primary(), b, noon)
		if err != nil {
			t.Fatal(err)
		}
		return sig
	}
	data := []byte("data")
	onePass, literal, sig := appendOnePass(nil, host.cert.Primary()), append(appendLiteralHead(nil, 4), data...), sign(data, theBox)
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	edit := func(b []byte, i int, v byte) []byte { b = bytes.Clone(b); b[i] = v; return b }
	extra := func(change func(*packet.Signature)) []byte {
		s := &packet.Signature{Version: 4, PubKeyAlgo: packet.PubKeyAlgoEdDSA, Hash: 5, CreationTime: noon, IssuerKeyId: &host.cert.Primary().Pub.KeyId}
		for _, n := range theBox.notations() {
			s.Notations = append(s.Notations, &packet.Notation{Name: n[0], Value: []byte(n[1]), IsHumanReadable: true})
		}
		change(s)
		h := sha256.New()
		h.Write(data)
		var buf bytes.Buffer
		if err := errors.Join(s.Sign(h, host.cert.Primary().Secret, plainSignatures()), s.Serialize(&buf)); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}
	cases := map[string][]byte{
		"nothing":              {},
		"no signature":         literal,
		"no one-pass":          join(literal, sig),
		"one-pass only":        onePass,
		"two literals":         join(onePass, literal, literal, sig),
		"two signatures":       join(onePass, literal, sig, sig),
		"trailing byte":        join(onePass, literal, sig, []byte{0}),
		"text literal":         join(onePass, edit(literal, 6, 't'), sig),
		"named literal":        join(onePass, edit(literal, 7, 1), sig),
		"dated literal":        join(onePass, edit(literal, 11, 1), sig),
		"literal too long":     join(onePass, edit(literal, 5, 200), sig),
		"literal under head":   join(onePass, edit(literal, 5, 5), sig),
		"short literal header": join(onePass, []byte{0xCB, 10}, literal[6:], sig),
		"old literal header":   join(onePass, []byte{0xAC, 10}, literal[6:], sig),
		"partial literal":      join(onePass, edit(literal, 1, 0xE1), sig),
		"other data":           join(onePass, edit(literal, 12, 'x'), sig),
		"one-pass of text":     join(edit(onePass, 3, 1), literal, sig),
		"one-pass key id":      join(edit(onePass, 7, 1), literal, sig),
		"one-pass nested":      join(edit(onePass, 14, 0), literal, sig),
		"long sig header":      join(onePass, literal, []byte{0xC2, 0xFF, 0, 0, 0, byte(len(sig) - 3)}, sig[3:]),
		"sig of text":          join(onePass, literal, extra(func(s *packet.Signature) { s.SigType = packet.SigTypeText })),
		"sig of SHA-512":       join(onePass, literal, extra(func(s *packet.Signature) { s.Hash = 7 })),
		"no notations":         join(onePass, literal, extra(func(s *packet.Signature) { s.Notations = nil })),
		"notation twice":       join(onePass, literal, extra(func(s *packet.Signature) { s.Notations = append(s.Notations, s.Notations[1]) })),
		"notation more": join(onePass, literal, extra(func(s *packet.Signature) {
			s.Notations = append(s.Notations, &packet.Notation{Name: "x@nightjar", IsHumanReadable: true})
		})),
		"binary notation":   join(onePass, literal, extra(func(s *packet.Signature) { s.Notations[0].IsHumanReadable = false })),
		"critical notation": join(onePass, literal, extra(func(s *packet.Signature) { s.Notations[0].IsCritical = true })),
		"signer's user id":  join(onePass, literal, extra(func(s *packet.Signature) { id := "x"; s.SignerUserId = &id })),
		"no key id":         join(onePass, literal, extra(func(s *packet.Signature) { s.IssuerKeyId = nil })),
		"other binding":     join(onePass, literal, sign(data, Binding{"other", "content", 0})),
	}
	for name, body := range cases {
		t.Run(name, func(t *testing.T) {
			opened, err := NewOpener(content).Open(wrap(t, content, body), by(host), theBox, noon)
			wantError(t, err, ErrIntegrity, "")
			if opened.Plain != nil {
				t.Error("plaintext was released")
			}
		})
	}
	if _, err := NewOpener(content).Open(wrap(t, content, join(onePass, literal, sig)), by(host), theBox, noon); err != nil {
		t.Error("the true one: ", err)
	}
}

// wrap encrypts a message's inside as Sealer does.
func wrap(t testing.TB, to *Key, body []byte) []byte {
	t.Helper()
	s := sealer(t, to, to)
	m, err := s.Begin(nil)
	if err != nil {
		t.Fatal(err)
	}
	at := m.envelope.Stream + prefixSize
	return finish(append(m.Buf[:at], body...), m.envelope.Stream, m.key)
}

func TestSignVerify(t *testing.T) {
	for _, k := range []*Key{generated(t, "root"), rsaKey()} {
		plain := []byte("keys")
		object, err := Sign(k, plain, theBox, noon)
		if err != nil {
			t.Fatal(err)
		}
		opened, err := Verify(object, by(k), theBox, noon)
		if err != nil {
			t.Fatal(err)
		}
		if string(opened.Plain) != "keys" || opened.Signer != k.Fingerprint() || !opened.Created.Equal(noon) {
			t.Errorf("got %q by %s at %s", opened.Plain, opened.Signer, opened.Created)
		}
		if got, err := PeekUnverified(object); err != nil || string(got) != "keys" {
			t.Errorf("peek %q: %v", got, err)
		}
		refuse := func(what string, b []byte) {
			t.Helper()
			if opened, err := Verify(b, by(k), theBox, noon); !errors.Is(err, ErrIntegrity) || opened.Plain != nil {
				t.Errorf("%s: verified %q, error %v", what, opened.Plain, err)
			}
		}
		for i := range object {
			for bit := range 8 {
				b := bytes.Clone(object)
				b[i] ^= 1 << bit
				refuse(fmt.Sprintf("bit %d of byte %d flipped", bit, i), b)
			}
			refuse(fmt.Sprintf("cut to %d", i), object[:i])
		}
		refuse("one byte more", append(bytes.Clone(object), 0))
		refuse("twice", append(bytes.Clone(object), object...))
		_, err = Verify(object, by(generated(t, "other")), theBox, noon)
		wantError(t, err, ErrIntegrity, "unknown key "+string(k.Fingerprint()))
		_, err = Verify(object, by(k), Binding{theBox.Repository, "other", 0}, noon)
		wantError(t, err, ErrIntegrity, `signed for kind "content", not "other"`)
	}
}
