package cert

import (
	"bytes"
	gocrypto "crypto"
	"encoding/binary"
	"errors"
	"math/big"
	"sync"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp/v2"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto/internal/certtest"
	"nightjar/crypto/internal/framing"
)

// appendMPI appends a number of so many bits.
func appendMPI(t testing.TB, b []byte, bits int) []byte {
	n := new(big.Int).SetBit(new(big.Int).SetBytes(random(t, bits/8)), bits-1, 1)
	n.SetBit(n, 0, 1)
	return append(binary.BigEndian.AppendUint16(b, uint16(n.BitLen())), n.Bytes()...)
}

// publicKey returns the body of a version 4 key packet with random numbers of these sizes.
func publicKey(t testing.TB, algorithm packet.PublicKeyAlgorithm, bits ...int) []byte {
	body := append(binary.BigEndian.AppendUint32([]byte{4}, uint32(noon.Add(-time.Hour).Unix())), byte(algorithm))
	for _, n := range bits {
		body = appendMPI(t, body, n)
	}
	return body
}

// claims returns signatures of a type that say they are by the key, and are by nobody.
func claims(t testing.TB, pub *packet.PublicKey, typ packet.SignatureType, n int, bits ...int) (all []byte) {
	t.Helper()
	for i := range n {
		area := binary.BigEndian.AppendUint32([]byte{5, 2}, uint32(noon.Unix()+int64(i)))
		area = append(area, 22, 33, 4)
		area = append(area, pub.Fingerprint...)
		body := binary.BigEndian.AppendUint16([]byte{4, byte(typ), byte(pub.PubKeyAlgo), 8}, uint16(len(area)))
		body = append(append(body, area...), 0, 0, 1, 2)
		for _, b := range bits {
			body = appendMPI(t, body, b)
		}
		all = framing.Append(all, framing.TagSignature, body)
	}
	return all
}

// Reading a key takes a bounded amount of work, whoever made it up.
func TestHostileCertificates(t *testing.T) {
	k := generated(t, "k")
	cert := k.Certificate()
	at := bytes.Index(cert, framing.Append(nil, framing.TagUserID, []byte("k")))
	head, rest := cert[:at], cert[at:] // the primary key, and all behind it
	user := framing.Append(nil, framing.TagUserID, []byte("k"))
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	dsa := publicKey(t, packet.PubKeyAlgoDSA, 32768, 256, 32768, 32768)
	dsaPacket, err := framing.Parse(framing.TagPublicKey, dsa)
	if err != nil {
		t.Fatal(err)
	}
	dsaKey := dsaPacket.(*packet.PublicKey)
	rsa := publicKey(t, packet.PubKeyAlgoRSA, 8192, 24)
	rsaPacket, err := framing.Parse(framing.TagPublicKey, rsa)
	if err != nil {
		t.Fatal(err)
	}
	ids := func(n int) (all []byte) {
		for range n {
			all = append(all, framing.Append(nil, framing.TagUserID, random(t, 20))...)
			all = append(all, claims(t, k.primary.Pub, packet.SigTypePositiveCert, 2, 255, 255)...)
		}
		return all
	}
	subkey := framing.Append(nil, framing.TagPublicSubkey, dsa)
	for name, c := range map[string]struct {
		data  []byte
		works bool // it can sign and be encrypted to
		err   bool // it is refused as a whole
	}{
		"a DSA key of 32,768 bits":           {join(framing.Append(nil, framing.TagPublicKey, dsa), user, claims(t, dsaKey, packet.SigTypePositiveCert, 2000, 256, 256)), false, false},
		"a DSA subkey of 32,768 bits":        {join(cert, subkey, claims(t, k.primary.Pub, packet.SigTypeSubkeyBinding, 1000, 255, 255)), true, false},
		"an RSA key with a large exponent":   {framing.Append(nil, framing.TagPublicKey, publicKey(t, packet.PubKeyAlgoRSA, 4096, 4096)), false, true},
		"an RSA key of 16,384 bits":          {join(framing.Append(nil, framing.TagPublicKey, publicKey(t, packet.PubKeyAlgoRSA, 16384, 17)), user), false, false},
		"an RSA key of 8,192 bits, signed":   {join(framing.Append(nil, framing.TagPublicKey, rsa), user, claims(t, rsaPacket.(*packet.PublicKey), packet.SigTypePositiveCert, 900, 8192)), false, true},
		"a few forged certifications":        {join(cert[:at], user, claims(t, k.primary.Pub, packet.SigTypePositiveCert, 100, 255, 255), rest), true, false},
		"many forged certifications":         {join(cert[:at], user, claims(t, k.primary.Pub, packet.SigTypePositiveCert, 3000, 255, 255), rest), false, true},
		"many forged revocations":            {join(head, claims(t, k.primary.Pub, packet.SigTypeKeyRevocation, 3000, 255, 255), rest), false, true},
		"many forged direct signatures":      {join(head, claims(t, k.primary.Pub, packet.SigTypeDirectSignature, 3000, 255, 255), rest), false, true},
		"many forged bindings":               {join(cert, claims(t, k.primary.Pub, packet.SigTypeSubkeyBinding, 3000, 255, 255)), false, true},
		"many user IDs":                      {join(cert[:at], ids(1000), rest), false, true},
		"many certifications by others":      {join(cert, claims(t, generated(t, "other").primary.Pub, packet.SigTypeGenericCert, 8000, 255, 255)), true, false},
		"many subkeys":                       {join(cert, bytes.Repeat(framing.Append(nil, framing.TagPublicSubkey, publicKey(t, packet.PubKeyAlgoRSA, 2048, 17)), 256)), false, true},
		"signatures that are long":           {join(cert, framing.Append(nil, framing.TagSignature, random(t, 900_000))), true, false},
		"a user ID that is long, and forged": {join(cert[:at], framing.Append(nil, framing.TagUserID, random(t, 500_000)), claims(t, k.primary.Pub, packet.SigTypePositiveCert, 2000, 255, 255), rest), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if len(c.data) > keysMax {
				t.Fatalf("%d bytes are not read at all", len(c.data))
			}
			begin := time.Now()
			got, err := readKey(c.data)
			took := time.Since(begin)
			if took > 2*time.Minute { // half a second at most, in truth
				t.Errorf("took %s", took)
			}
			if c.err != (err != nil) {
				t.Fatalf("got %v", err)
			}
			if works := err == nil && canSign(got, noon) == nil && canEncrypt(got, noon) == nil; works != c.works {
				t.Errorf("works: %t", works)
			}
			begin = time.Now()
			f, err := Peek(c.data)
			if err == nil && got != nil && !bytes.Equal(f, got.Fingerprint()) || time.Since(begin) > 2*time.Minute {
				t.Errorf("fingerprint %X after %s: %v", f, time.Since(begin), err)
			}
		})
	}
}

// A key that was renewed every week for years is read by its newest signatures, and keeps no others.
func TestManyRenewals(t *testing.T) {
	one := uint32(60)
	old := edited(t, func(e *pgp.Entity, c *packet.Config) error { return nil })
	k := edited(t, func(e *pgp.Entity, c *packet.Config) error {
		id := e.Identities["k"]
		for i := range 400 {
			c.Time = func() time.Time { return noon.Add(time.Duration(i-1000) * time.Second) }
			cert := &packet.Signature{
				Version: 4, SigType: packet.SigTypePositiveCert, PubKeyAlgo: e.PrimaryKey.PubKeyAlgo, Hash: gocrypto.SHA256, CreationTime: c.Now(),
				IssuerKeyId: &e.PrimaryKey.KeyId, FlagsValid: true, FlagSign: true, FlagCertify: true,
			}
			if i < 399 {
				cert.KeyLifetimeSecs = &one
			}
			if err := cert.SignUserId("k", e.PrimaryKey, e.PrivateKey, c); err != nil {
				return err
			}
			id.SelfCertifications = append(id.SelfCertifications, packet.NewVerifiableSig(cert))
		}
		return nil
	})
	if err := canSign(k, noon); err != nil {
		t.Error(err)
	}
	if n, want := len(k.Certificate()), len(old.Certificate()); n > want+200 {
		t.Errorf("certificate of %d bytes, %d without renewals", n, want)
	}
}

// Only signatures by SHA-2 vouch for a key; a revocation counts, whatever its hash.
func TestWeakSelfSignatures(t *testing.T) {
	weak := func(c *packet.Config) *packet.Config {
		c.DefaultHash = gocrypto.SHA1
		return c
	}
	recertify := func(e *pgp.Entity, c *packet.Config) error {
		cert := e.Identities["k"].SelfCertifications[0].Packet
		cert.Hash = gocrypto.SHA1
		return cert.SignUserId("k", e.PrimaryKey, e.PrivateKey, c)
	}
	rebind := func(i int) func(e *pgp.Entity, c *packet.Config) error {
		return func(e *pgp.Entity, c *packet.Config) error {
			s := &e.Subkeys[i]
			s.Bindings[0].Packet.Hash = gocrypto.SHA1
			return s.Bindings[0].Packet.SignKey(s.PublicKey, e.PrivateKey, c)
		}
	}
	for name, c := range map[string]struct {
		change                 func(e *pgp.Entity, c *packet.Config) error
		sign, encrypt, revoked bool
	}{
		"none":              {func(*pgp.Entity, *packet.Config) error { return nil }, true, true, false},
		"user ID":           {recertify, false, false, false},
		"encryption subkey": {rebind(0), true, false, false},
		"signing subkey":    {rebind(1), true, true, false}, // the primary may sign, too
		"revocation":        {func(e *pgp.Entity, c *packet.Config) error { return e.Revoke(packet.KeyCompromised, "", weak(c)) }, false, false, true},
		"revocation of subkey": {func(e *pgp.Entity, c *packet.Config) error {
			return e.Subkeys[0].Revoke(packet.KeyCompromised, "", weak(c))
		}, true, false, true},
		"signing subkey's own": {func(e *pgp.Entity, c *packet.Config) error {
			s := &e.Subkeys[1]
			back := s.Bindings[0].Packet.EmbeddedSignature
			back.Hash = gocrypto.SHA1
			if err := back.CrossSignKey(s.PublicKey, e.PrimaryKey, s.PrivateKey, c); err != nil {
				return err
			}
			s.Bindings[0].Packet.EmbeddedSignature = back
			return nil
		}, true, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := edited(t, c.change)
			signs, encrypts := canSign(k, noon), canEncrypt(k, noon)
			if (signs == nil) != c.sign || (encrypts == nil) != c.encrypt {
				t.Errorf("sign: %v; encrypt: %v", signs, encrypts)
			}
			for _, err := range []error{signs, encrypts} {
				if err != nil && errors.Is(err, ErrWeak) == c.revoked {
					t.Errorf("wrong reason: %v", err)
				}
			}
		})
	}
}

// Of a certificate among thousands no more is read, before it is asked for, than which key it is; then it says the same as one that was read at once.
func TestReadCertificate(t *testing.T) {
	all := editions(t, certtest.Lives(2*time.Hour), certtest.NewSubkey)
	for _, k := range all {
		late, err := ReadLater(k.Certificate())
		if err != nil || !bytes.Equal(late.Fingerprint(), k.Fingerprint()) || len(late.subkeys) != 0 {
			t.Fatalf("%v, %d subkeys are read already", err, len(late.subkeys))
		}
		if late.Part(generated(t, "other").primary.Pub.Fingerprint) != nil || len(late.subkeys) != 0 {
			t.Error("asking for another's signature reads it")
		}
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				if p := late.Part(k.subkeys[1].Pub.Fingerprint); p == nil || !p.Sign {
					t.Error("its subkey is not found")
				}
			})
		}
		wait.Wait()
		if !bytes.Equal(late.Certificate(), k.Public().Certificate()) || late.Name() != k.Name() {
			t.Error("it says something else")
		}
	}
	k := generated(t, "k")
	flooded, err := ReadLater(append(k.Certificate(), claims(t, k.primary.Pub, packet.SigTypeSubkeyBinding, 3000, 255, 255)...))
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{canSign(flooded, noon), canEncrypt(flooded, time.Time{})} {
		if !errors.Is(err, errTooMany) {
			t.Errorf("got %v", err)
		}
	}
}
