package crypto

import (
	"bytes"
	gocrypto "crypto"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto/internal/cert"
	"nightjar/crypto/internal/framing"
)

const (
	sigBinary  = 0x00
	hashSHA256 = 8
)

// notations returns the binding as it is signed: name and value, in this order.
func (b Binding) notations() [3][2]string {
	return [3][2]string{
		{"repository@nightjar", b.Repository},
		{"kind@nightjar", b.Kind},
		{"version@nightjar", strconv.Itoa(b.Version)},
	}
}

// plainSignatures keeps go-crypto from adding a random notation: the grammar has three.
func plainSignatures() *packet.Config {
	off := false
	return &packet.Config{NonDeterministicSignaturesViaNotation: &off}
}

// appendSignature appends to buf a signature packet over data.
func appendSignature(buf, data []byte, signer *cert.Part, b Binding, now time.Time) ([]byte, error) {
	sig := &packet.Signature{
		Version:      4,
		SigType:      packet.SigTypeBinary,
		PubKeyAlgo:   signer.Pub.PubKeyAlgo,
		Hash:         gocrypto.SHA256,
		CreationTime: now,
		IssuerKeyId:  &signer.Pub.KeyId,
	}
	for _, n := range b.notations() {
		sig.Notations = append(sig.Notations, &packet.Notation{Name: n[0], Value: []byte(n[1]), IsHumanReadable: true})
	}
	h := sha256.New()
	h.Write(data)
	if err := sig.Sign(h, signer.Secret, plainSignatures()); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	out := bytes.NewBuffer(buf)
	if err := sig.Serialize(out); err != nil {
		return nil, fmt.Errorf("sign: %w", err)
	}
	return out.Bytes(), nil
}

// signatureHead returns a signature packet's body up to its hash tag: the only
// one that this key makes for this binding at this time.
func signatureHead(pub *packet.PublicKey, created time.Time, b Binding) []byte {
	area := append([]byte{5, 0x82}, binary.BigEndian.AppendUint32(nil, uint32(created.Unix()))...)
	area = binary.BigEndian.AppendUint64(append(area, 9, 0x10), pub.KeyId)
	for _, n := range b.notations() {
		area = append(area, byte(1+8+len(n[0])+len(n[1])), 0x14, 0x80, 0, 0, 0)
		area = append(area, 0, byte(len(n[0])), 0, byte(len(n[1])))
		area = append(append(area, n[0]...), n[1]...)
	}
	area = append(append(area, 22, 0x21, 4), pub.Fingerprint...)
	head := []byte{4, sigBinary, byte(pub.PubKeyAlgo), hashSHA256}
	head = binary.BigEndian.AppendUint16(head, uint16(len(area)))
	return append(append(head, area...), 0, 0)
}

// Signer says whose signatures count, and for which times.
type Signer struct {
	Key *Key
	// The store's times of objects that count, both inclusive. Zero: open.
	NotBefore, NotAfter time.Time
}

// signedParts are the parts of one-pass signature, literal and signature.
type signedParts struct {
	onePass   []byte
	data      []byte
	signature []byte // the packet's body
}

// splitSigned takes apart a signed message in its one exact form.
func splitSigned(msg []byte) (signedParts, error) {
	var s signedParts
	if len(msg) < onePassSize+literalHead {
		return s, integrity("signed message is truncated")
	}
	s.onePass = msg[:onePassSize]
	data, rest, err := splitLiteral(msg[onePassSize:])
	if err != nil {
		return s, err
	}
	s.data = data
	s.signature, rest, err = framing.Exact(rest, framing.TagSignature)
	if err != nil || len(rest) != 0 || len(s.signature) > TrailerMax {
		return s, integrity("signature packet is malformed")
	}
	return s, nil
}

func splitLiteral(msg []byte) (data, rest []byte, err error) {
	if len(msg) < literalHead {
		return nil, nil, integrity("literal packet is truncated")
	}
	n := int64(binary.BigEndian.Uint32(msg[2:])) - 6
	if n < 0 || n > int64(len(msg)-literalHead) || !bytes.Equal(msg[:literalHead], appendLiteralHead(nil, int(n))) {
		return nil, nil, integrity("literal packet is malformed")
	}
	return msg[literalHead : literalHead+n], msg[literalHead+n:], nil
}

// verify checks all about a signed message. It is the one place that decides.
func (s signedParts) verify(signers []Signer, b Binding, at time.Time) (Opened, error) {
	if err := b.check(); err != nil {
		return Opened{}, err
	}
	parsed, err := framing.Parse(framing.TagSignature, s.signature)
	if err != nil {
		return Opened{}, integrity("signature packet: %v", err)
	}
	sig, ok := parsed.(*packet.Signature)
	if !ok || sig.Version != 4 || sig.Hash != gocrypto.SHA256 {
		return Opened{}, integrity("signature packet is malformed")
	}
	key, p, err := findSigner(signers, sig, at)
	if err != nil {
		return Opened{}, err
	}
	h := sha256.New()
	h.Write(s.data)
	if err := p.Pub.VerifySignature(h, sig); err != nil {
		return Opened{}, integrity("signature by %s is not valid", key.Fingerprint())
	}
	if err := checkNotations(sig, b); err != nil {
		return Opened{}, err
	}
	// What the signature does not cover must have the one form that we write.
	head := signatureHead(p.Pub, sig.CreationTime, b)
	mpis := 1
	if p.Pub.PubKeyAlgo == packet.PubKeyAlgoEdDSA {
		mpis = 2
	}
	tag := h.Sum(nil)[:2]
	if !bytes.Equal(s.onePass, appendOnePass(nil, p)) || !bytes.HasPrefix(s.signature, append(head, tag...)) ||
		!framing.ExactMPIs(s.signature[len(head)+2:], mpis) {
		return Opened{}, integrity("signature is not of the exact form")
	}
	return Opened{Plain: s.data, Signer: key.Fingerprint(), Issuer: fingerprint(p.Pub.Fingerprint), Created: sig.CreationTime}, nil
}

// findSigner returns the signer that claims the signature and may have made it at that time.
func findSigner(signers []Signer, sig *packet.Signature, at time.Time) (*Key, *cert.Part, error) {
	if sig.IssuerKeyVersion != 4 || len(sig.IssuerFingerprint) != 20 {
		return nil, nil, integrity("signature names no signer")
	}
	return findIssuer(signers, sig.IssuerFingerprint, at)
}

func findIssuer(signers []Signer, issuer []byte, at time.Time) (*Key, *cert.Part, error) {
	err := integrity("signed by an unknown key %s", strings.ToUpper(hex.EncodeToString(issuer)))
	for _, s := range signers {
		p := s.Key.cert.Part(issuer)
		if p == nil || !p.Sign {
			continue
		}
		if err = s.allows(p, at); err == nil {
			return s.Key, p, nil
		}
	}
	return nil, nil, err
}

// MayHaveSigned returns nil if one of signers may have made, at that time, a signature that is known to be good: it is all that Open asks of who signed. issuer
// is Opened.Issuer.
func MayHaveSigned(signers []Signer, issuer Fingerprint, at time.Time) error {
	raw, err := hex.DecodeString(string(issuer))
	if err != nil {
		return integrity("%q is no fingerprint", issuer)
	}
	_, _, err = findIssuer(signers, raw, at)
	return err
}

func (s Signer) allows(p *cert.Part, at time.Time) error {
	fpr := s.Key.Fingerprint()
	for _, p := range []*cert.Part{s.Key.cert.Primary(), p} {
		if problem := p.ProblemAt(at); problem != nil {
			return integrity("signing key %s: %w", fpr, problem)
		}
	}
	if at.IsZero() {
		return nil
	}
	if !s.NotBefore.IsZero() && at.Before(s.NotBefore) || !s.NotAfter.IsZero() && at.After(s.NotAfter) {
		return fmt.Errorf("%w: %s at %s", ErrNotInForce, fpr, at.UTC().Format(time.RFC3339))
	}
	return nil
}

// checkNotations requires each part of the binding exactly once and nothing else.
func checkNotations(sig *packet.Signature, b Binding) error {
	want := b.notations()
	for _, w := range want {
		seen := 0
		for _, n := range sig.Notations {
			if n.Name != w[0] {
				continue
			}
			seen++
			if string(n.Value) != w[1] {
				return integrity("signed for %s %q, not %q", strings.TrimSuffix(w[0], "@nightjar"), n.Value, w[1])
			}
		}
		if seen != 1 {
			return integrity("signature has notation %s %d times", w[0], seen)
		}
	}
	if len(sig.Notations) != len(want) {
		return integrity("signature has notations of another kind")
	}
	return nil
}
