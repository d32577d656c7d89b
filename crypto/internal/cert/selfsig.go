package cert

import (
	gocrypto "crypto"
	"errors"
	"slices"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"nightjar/crypto/internal/framing"
)

const (
	verifiedMax  = 128      // self-signatures of one key that are verified
	selfSigMax   = 16 << 10 // bytes of one that is looked at
	userIDMax    = 2 << 10  // bytes of a user ID, as with GnuPG
	claimedAtAll = 4096     // self-signatures of one key that are looked at
)

var errTooMany = errors.New("too many self-signatures in it (gpg --export-options export-minimal leaves out those that do not count)")

// A verifier finds out what a key's self-signatures say. Whoever makes up a key can put anything into it: so it tries the newest
// signatures first, no others once one is valid, and only so many in all.
type verifier struct {
	key    *Key
	claims int
	tried  int
	err    error // sticky
}

// A claim is a signature that says it is by the primary key.
type claim struct {
	*packet.Signature
	raw rawPacket
}

// claim parses a signature that says it is by the primary key; ok is false for any other packet.
func (v *verifier) claim(raw rawPacket) (c claim, ok bool) {
	if raw.tag != framing.TagSignature || len(raw.body) > selfSigMax || v.err != nil {
		return c, false
	}
	parsed, err := framing.Parse(raw.tag, raw.body)
	if err != nil {
		return c, false
	}
	sig, ok := parsed.(*packet.Signature)
	if !ok || sig.Version != 4 || !sig.CheckKeyIdOrFingerprint(v.key.primary.Pub) {
		return c, false
	}
	if v.claims++; v.claims > claimedAtAll {
		v.err = errTooMany
	}
	return claim{sig, raw}, v.err == nil
}

// valid says whether verify accepts a signature, and spends one trial on it.
func (v *verifier) valid(c claim, verify func(*packet.Signature) error) bool {
	if v.tried++; v.tried > verifiedMax {
		v.err = errTooMany
	}
	return v.err == nil && verify(c.Signature) == nil
}

// newest returns the newest valid one; nil if there is none. Of equally old ones it is the last.
func (v *verifier) newest(claims []claim, verify func(*packet.Signature) error) *claim {
	slices.Reverse(claims)
	slices.SortStableFunc(claims, func(a, b claim) int { return b.CreationTime.Compare(a.CreationTime) })
	for i := range claims {
		if v.valid(claims[i], verify) {
			return &claims[i]
		}
	}
	return nil
}

// weak says whether a signature, or that of a subkey inside it, could have been forged by who finds collisions.
func (c *claim) weak() bool {
	weak := func(h gocrypto.Hash) bool {
		return h != gocrypto.SHA224 && h != gocrypto.SHA256 && h != gocrypto.SHA384 && h != gocrypto.SHA512
	}
	return weak(c.Hash) || c.EmbeddedSignature != nil && weak(c.EmbeddedSignature.Hash)
}

func (p *Part) prove(c *claim) { p.Proof = framing.Append(p.Proof, framing.TagSignature, c.raw.body) }

// userID collects what claims to certify or to revoke a user ID.
type userID struct {
	name           string
	certs, revokes []claim
}

// readPrimary applies the self-signatures behind the primary key.
func (v *verifier) readPrimary(follows []rawPacket) {
	p := v.key.primary
	var directs []claim
	var ids []*userID
	var id *userID // nil: none that counts
	for _, raw := range follows {
		switch raw.tag {
		case framing.TagUserID:
			id = nil
			if name := string(raw.body); len(name) <= userIDMax {
				if i := slices.IndexFunc(ids, func(x *userID) bool { return x.name == name }); i >= 0 {
					id = ids[i]
				} else if len(ids) < partsMax {
					id = &userID{name: name}
					ids = append(ids, id)
				}
			}
			continue
		case framing.TagUserAttribute: // a picture, whose certifications say nothing here
			id = nil
			continue
		}
		c, ok := v.claim(raw)
		if !ok {
			continue
		}
		switch c.SigType {
		case packet.SigTypeKeyRevocation:
			// Whatever its hash: who forges one can only stop the key.
			if v.valid(c, p.Pub.VerifyRevocationSignature) {
				p.revoke(c.Signature)
				p.prove(&c)
			}
		case packet.SigTypeDirectSignature:
			directs = append(directs, c)
		case packet.SigTypeCertificationRevocation:
			if id != nil {
				id.revokes = append(id.revokes, c)
			}
		case packet.SigTypeGenericCert, packet.SigTypePersonaCert, packet.SigTypeCasualCert, packet.SigTypePositiveCert:
			if id != nil {
				id.certs = append(id.certs, c)
			}
		}
	}
	direct := v.newest(directs, p.Pub.VerifyDirectKeySignature)
	if direct != nil && direct.weak() {
		direct = nil
	}
	if direct != nil {
		p.prove(direct)
	}
	v.applyPrimary(direct, ids)
}

func (v *verifier) applyPrimary(direct *claim, ids []*userID) {
	k, p := v.key, v.key.primary
	var newest, main, weak *claim
	for _, id := range ids {
		verify := func(sig *packet.Signature) error { return p.Pub.VerifyUserIdSignature(id.name, p.Pub, sig) }
		cert := v.newest(id.certs, verify)
		if cert == nil {
			continue
		}
		if revoked := v.newest(id.revokes, verify); revoked != nil && !revoked.CreationTime.Before(cert.CreationTime) {
			continue
		}
		if cert.weak() {
			weak = newer(weak, cert)
			continue
		}
		p.Proof = framing.Append(p.Proof, framing.TagUserID, []byte(id.name))
		p.prove(cert)
		newest = newer(newest, cert)
		if main == nil || preferred(cert) && !preferred(main) || preferred(cert) == preferred(main) && cert.CreationTime.After(main.CreationTime) {
			main, k.name = cert, id.name
		}
	}
	if newest == nil && weak != nil { // what it says is taken over, so that what was sealed to the key opens
		newest, p.weak = weak, true
	}
	flags := newest
	if flags == nil || !flags.FlagsValid && direct != nil && direct.FlagsValid {
		flags = direct
	}
	if flags == nil {
		return // no valid self-signature: the key can do nothing
	}
	p.apply(flags.Signature)
	// GnuPG lets a key without flags do all that its algorithm can.
	p.Sign = p.Pub.PubKeyAlgo.CanSign() && (flags.FlagSign || !flags.FlagsValid)
	if p.expires.IsZero() && direct != nil {
		p.expires = expiry(p.Pub, direct.Signature)
	}
}

func preferred(c *claim) bool { return c.IsPrimaryId != nil && *c.IsPrimaryId }

// readSubkey applies the subkey's self-signatures; false when none binds it to the key. One of a kind that nightjar does not use is only noted.
func (v *verifier) readSubkey(p *Part, follows []rawPacket) bool {
	if p.unsupported {
		p.Sign, p.Encrypt = p.Pub.PubKeyAlgo.CanSign(), p.Pub.PubKeyAlgo.CanEncrypt()
		return true
	}
	primary := v.key.primary.Pub
	var bindings []claim
	for _, raw := range follows {
		c, ok := v.claim(raw)
		if !ok {
			continue
		}
		switch c.SigType {
		case packet.SigTypeSubkeyBinding:
			bindings = append(bindings, c)
		case packet.SigTypeSubkeyRevocation:
			if v.valid(c, func(sig *packet.Signature) error { return primary.VerifySubkeyRevocationSignature(sig, p.Pub) }) {
				p.revoke(c.Signature)
				p.prove(&c)
			}
		}
	}
	// This checks the subkey's own signature over the primary, too, when it may sign.
	binding := v.newest(bindings, func(sig *packet.Signature) error { return primary.VerifyKeySignature(p.Pub, sig) })
	if binding == nil {
		return false
	}
	p.prove(binding)
	p.apply(binding.Signature)
	p.Sign = p.Pub.PubKeyAlgo.CanSign() && binding.FlagSign
	p.weak = binding.weak()
	return true
}

// apply takes over what the newest self-signature says of use and expiry.
func (p *Part) apply(sig *packet.Signature) {
	p.Encrypt = p.Pub.PubKeyAlgo.CanEncrypt() && (sig.FlagEncryptStorage || sig.FlagEncryptCommunications || !sig.FlagsValid)
	p.expires = expiry(p.Pub, sig)
}

// revoke takes over a revocation. A key that was only replaced or retired is good for the time before it.
func (p *Part) revoke(sig *packet.Signature) {
	if r := sig.RevocationReason; r == nil || *r != packet.KeySuperseded && *r != packet.KeyRetired {
		p.revoked = true
		return
	}
	if p.retired.IsZero() || sig.CreationTime.Before(p.retired) {
		p.retired = sig.CreationTime
	}
}

// expiry returns the earlier of the key's expiry and the self-signature's own; zero for never.
func expiry(pub *packet.PublicKey, sig *packet.Signature) time.Time {
	var at time.Time
	if s := sig.KeyLifetimeSecs; s != nil && *s != 0 {
		at = pub.CreationTime.Add(time.Duration(*s) * time.Second)
	}
	if s := sig.SigLifetimeSecs; s != nil && *s != 0 {
		if end := sig.CreationTime.Add(time.Duration(*s) * time.Second); at.IsZero() || end.Before(at) {
			at = end
		}
	}
	return at
}

func newer(a, b *claim) *claim {
	if a == nil || !b.CreationTime.Before(a.CreationTime) {
		return b
	}
	return a
}
