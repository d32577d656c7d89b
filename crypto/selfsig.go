package crypto

import (
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

// selfSignature parses a signature that says it is by the primary key; nil for any other packet.
func (k *Key) selfSignature(raw rawPacket) *packet.Signature {
	if raw.tag != tagSignature {
		return nil
	}
	parsed, err := parsePacket(raw.tag, raw.body)
	if err != nil {
		return nil
	}
	sig, ok := parsed.(*packet.Signature)
	if !ok || sig.Version != 4 || !sig.CheckKeyIdOrFingerprint(k.primary.pub) {
		return nil
	}
	return sig
}

// userID collects a user ID's newest self-certification and revocation.
type userID struct {
	raw     rawPacket
	cert    *packet.Signature
	revoked *packet.Signature
	proof   []byte
}

// readPrimary applies the self-signatures behind the primary key.
func (k *Key) readPrimary(follows []rawPacket) {
	p := k.primary
	var direct *packet.Signature
	var ids []*userID
	var id *userID
	for _, raw := range follows {
		if raw.tag == tagUserID {
			id = &userID{raw: raw}
			ids = append(ids, id)
			continue
		}
		if raw.tag != tagSignature {
			if raw.tag == tagUserAttribute { // a picture, whose certifications say nothing here
				id = &userID{}
			}
			continue
		}
		sig := k.selfSignature(raw)
		if sig == nil {
			continue
		}
		switch sig.SigType {
		case packet.SigTypeKeyRevocation:
			if p.pub.VerifyRevocationSignature(sig) == nil {
				p.revoke(sig)
				p.proof = appendPacket(p.proof, tagSignature, raw.body)
			}
		case packet.SigTypeDirectSignature:
			if p.pub.VerifyDirectKeySignature(sig) == nil {
				direct = newer(direct, sig)
				p.proof = appendPacket(p.proof, tagSignature, raw.body)
			}
		case packet.SigTypeGenericCert, packet.SigTypePersonaCert, packet.SigTypeCasualCert, packet.SigTypePositiveCert,
			packet.SigTypeCertificationRevocation:
			if id == nil || id.raw.tag == 0 || p.pub.VerifyUserIdSignature(string(id.raw.body), p.pub, sig) != nil {
				continue
			}
			if sig.SigType == packet.SigTypeCertificationRevocation {
				id.revoked = newer(id.revoked, sig)
			} else {
				id.cert = newer(id.cert, sig)
			}
			id.proof = appendPacket(id.proof, tagSignature, raw.body)
		}
	}
	k.applyPrimary(direct, ids)
}

func (k *Key) applyPrimary(direct *packet.Signature, ids []*userID) {
	p := k.primary
	var newest, main *packet.Signature
	for _, id := range ids {
		if id.cert == nil {
			continue
		}
		p.proof = append(appendPacket(p.proof, tagUserID, id.raw.body), id.proof...)
		if id.revoked != nil && !id.revoked.CreationTime.Before(id.cert.CreationTime) {
			continue
		}
		newest = newer(newest, id.cert)
		if main == nil || preferred(id.cert) && !preferred(main) || preferred(id.cert) == preferred(main) && id.cert.CreationTime.After(main.CreationTime) {
			main, k.name = id.cert, string(id.raw.body)
		}
	}
	flags := newest
	if flags == nil || !flags.FlagsValid && direct != nil && direct.FlagsValid {
		flags = direct
	}
	if flags == nil {
		return // no valid self-signature: the key can do nothing
	}
	p.apply(flags)
	// GnuPG lets a key without flags do all that its algorithm can.
	p.sign = p.pub.PubKeyAlgo.CanSign() && (flags.FlagSign || !flags.FlagsValid)
	if p.expires.IsZero() && direct != nil {
		p.expires = expiry(p.pub, direct)
	}
}

func preferred(sig *packet.Signature) bool { return sig.IsPrimaryId != nil && *sig.IsPrimaryId }

// readSubkey applies the subkey's self-signatures; false when none binds it to the key.
func (k *Key) readSubkey(p *part, follows []rawPacket) bool {
	var binding *packet.Signature
	for _, raw := range follows {
		sig := k.selfSignature(raw)
		if sig == nil {
			continue
		}
		switch sig.SigType {
		case packet.SigTypeSubkeyBinding:
			// This checks the subkey's own signature over the primary, too, when it may sign.
			if k.primary.pub.VerifyKeySignature(p.pub, sig) != nil {
				continue
			}
			binding = newer(binding, sig)
		case packet.SigTypeSubkeyRevocation:
			if k.primary.pub.VerifySubkeyRevocationSignature(sig, p.pub) != nil {
				continue
			}
			p.revoke(sig)
		default:
			continue
		}
		p.proof = appendPacket(p.proof, tagSignature, raw.body)
	}
	if binding == nil {
		return false
	}
	p.apply(binding)
	p.sign = p.pub.PubKeyAlgo.CanSign() && binding.FlagSign
	return true
}

// apply takes over what the newest self-signature says of use and expiry.
func (p *part) apply(sig *packet.Signature) {
	p.encrypt = p.pub.PubKeyAlgo.CanEncrypt() && (sig.FlagEncryptStorage || sig.FlagEncryptCommunications || !sig.FlagsValid)
	p.expires = expiry(p.pub, sig)
}

// revoke takes over a revocation. A key that was only replaced or retired is good for the time before it.
func (p *part) revoke(sig *packet.Signature) {
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

func newer(a, b *packet.Signature) *packet.Signature {
	if a == nil || !b.CreationTime.Before(a.CreationTime) {
		return b
	}
	return a
}
