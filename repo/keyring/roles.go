package keyring

import (
	"fmt"
	"slices"
	"time"

	"nightjar/crypto"
)

// A Role is what a host may do.
type Role string

const (
	Backup Role = "backup" // write packs, indexes and archives
	Prune  Role = "prune"  // write the records of maintenance
)

// writers says who may write which kind of object.
var writers = map[string]struct {
	role Role // empty: no host may
	root bool
}{
	"config":    {"", true},
	"content":   {Backup, true},
	"metadata":  {Backup, true},
	"index":     {Backup, true},
	"archive":   {Backup, false},
	"forget":    {Prune, true},
	"verified":  {Prune, true},
	"lost":      {Prune, true},
	"condemned": {Prune, true},
	"dropped":   {Prune, true},
}

// Signers returns whose signatures count on an object of the kind, and from when until when: of hosts with the role for it, and of the root. With names, only those hosts'.
func (k *Keyring) Signers(kind string, names ...string) []crypto.Signer {
	all := k.rootSigners(kind)
	k.hostSigners(kind, func(h *Host, c *Certificate) bool {
		return !c.Compromised && (len(names) == 0 || slices.Contains(names, h.Name))
	}, &all)
	return all
}

// Marked returns whose signatures would count on an object of the kind if their keys were not marked compromised. They count on what a record of the kind verified names.
func (k *Keyring) Marked(kind string) (all []crypto.Signer) {
	k.hostSigners(kind, func(_ *Host, c *Certificate) bool { return c.Compromised }, &all)
	return all
}

// SignersOf returns what of Signers and Marked is of one key.
func (k *Keyring) SignersOf(kind string, f crypto.Fingerprint) []crypto.Signer {
	all := slices.DeleteFunc(k.rootSigners(kind), func(s crypto.Signer) bool { return s.Key.Fingerprint() != f })
	if h, _ := k.find(f); h != nil {
		for i := range h.Certificates {
			if c := &h.Certificates[i]; c.Key.Fingerprint() == f {
				eachGrant(kind, h, c, func(span Span) {
					all = append(all, crypto.Signer{Key: c.Key.Key, NotBefore: span.From, NotAfter: span.Until})
				})
			}
		}
	}
	return all
}

// SigningKeys returns the keys of Signers and Marked, of which it verifies nothing.
func (k *Keyring) SigningKeys(kind string) (all []crypto.Fingerprint) {
	for _, s := range k.rootSigners(kind) {
		all = append(all, s.Key.Fingerprint())
	}
	k.eachGrant(kind, func(_ *Host, c *Certificate, _ Span) { all = append(all, c.Key.Fingerprint()) })
	return all
}

// MarkedKeys returns the keys of Marked, of which it verifies nothing.
func (k *Keyring) MarkedKeys(kind string) (all []crypto.Fingerprint) {
	k.eachGrant(kind, func(_ *Host, c *Certificate, _ Span) {
		if c.Compromised {
			all = append(all, c.Key.Fingerprint())
		}
	})
	return all
}

func (k *Keyring) rootSigners(kind string) (all []crypto.Signer) {
	if writers[kind].root {
		all = append(all, crypto.Signer{Key: k.Root()})
		for _, f := range k.contents.Former {
			all = append(all, crypto.Signer{Key: f.Key.Key, NotAfter: f.Until})
		}
	}
	return all
}

// hostSigners adds those of the hosts' certificates that are wanted.
func (k *Keyring) hostSigners(kind string, want func(*Host, *Certificate) bool, all *[]crypto.Signer) {
	k.eachGrant(kind, func(h *Host, c *Certificate, span Span) {
		if !want(h, c) {
			return
		}
		*all = append(*all, crypto.Signer{Key: c.Key.Key, NotBefore: span.From, NotAfter: span.Until})
	})
}

// eachGrant calls f with each certificate of a host, and the time in which both it and a role for the kind are in force.
func (k *Keyring) eachGrant(kind string, f func(*Host, *Certificate, Span)) {
	for i := range k.contents.Hosts {
		h := &k.contents.Hosts[i]
		for j := range h.Certificates {
			c := &h.Certificates[j]
			eachGrant(kind, h, c, func(span Span) { f(h, c, span) })
		}
	}
}

func eachGrant(kind string, h *Host, c *Certificate, f func(Span)) {
	for _, g := range h.Roles {
		if span, ok := c.both(g.Span); ok && g.Role == writers[kind].role {
			f(span)
		}
	}
}

// MayWrite returns nil if a host's key may sign an object of the kind that is stored at that time. Else it says why not.
func (k *Keyring) MayWrite(f crypto.Fingerprint, kind string, at time.Time) error {
	h, c, err := k.member(f)
	switch role := writers[kind].role; {
	case err != nil:
		return err
	case !c.Holds(at):
		return fmt.Errorf("host key %s is not in force now, so nobody would accept what it signs: %w", f, crypto.ErrNoKey)
	case !slices.ContainsFunc(h.Roles, func(g Grant) bool { return g.Role == role && g.Holds(at) }):
		return fmt.Errorf("host %q does not have the role %q: %w", h.Name, role, crypto.ErrNoKey)
	}
	// As whoever reads it will judge: what this machine has of the key may say otherwise.
	if err := c.Key.CanSign(at); err != nil {
		return fmt.Errorf("use the host key as it is enrolled: %w", err)
	}
	return nil
}

// HostCertificate returns the certificate under which a key that is not marked compromised is or was enrolled: it says when the key is good, and for what.
func (k *Keyring) HostCertificate(f crypto.Fingerprint) (*crypto.Key, error) {
	_, c, err := k.member(f)
	if err != nil {
		return nil, err
	}
	return c.Key.Key, nil
}

// RootMayWrite reports whether the root may sign an object of the kind.
func RootMayWrite(kind string) bool { return writers[kind].root }

// Owner returns the name under which the owner of a key is or was enrolled, whether it is marked compromised or not.
func (k *Keyring) Owner(f crypto.Fingerprint) (string, error) {
	h, _ := k.find(f)
	if h == nil {
		return "", fmt.Errorf("key %s: %w", f, ErrNotEnrolled)
	}
	return h.Name, nil
}

// HostName returns the name under which the owner of a key that is not marked compromised is or was enrolled.
func (k *Keyring) HostName(f crypto.Fingerprint) (string, error) {
	h, _, err := k.member(f)
	if err != nil {
		return "", err
	}
	return h.Name, nil
}

// Live returns the name of the host for which the key is to be used from now on; ok is false if there is none.
func (k *Keyring) Live(f crypto.Fingerprint) (host string, ok bool) {
	h, c, err := k.member(f)
	if err != nil || !c.live() {
		return "", false
	}
	return h.Name, true
}

// Names reports whether a key is or was a host's.
func (k *Keyring) Names(f crypto.Fingerprint) bool {
	h, _ := k.find(f)
	return h != nil
}

func (k *Keyring) member(f crypto.Fingerprint) (*Host, *Certificate, error) {
	h, c := k.find(f)
	switch {
	case h == nil:
		return nil, nil, fmt.Errorf("key %s: %w", f, ErrNotEnrolled)
	case c.Compromised:
		return nil, nil, fmt.Errorf("host key %s is marked compromised: %w", f, crypto.ErrNoKey)
	}
	return h, c, nil
}

// A member is a host with one of its keys.
type member struct {
	host *Host
	key  *Certificate
}

// find returns whose key it is or was; nil: nobody's.
func (k *Keyring) find(f crypto.Fingerprint) (*Host, *Certificate) {
	k.once.Do(func() {
		k.members = map[crypto.Fingerprint]member{}
		for i := range k.contents.Hosts {
			h := &k.contents.Hosts[i]
			for j := range h.Certificates {
				c := &h.Certificates[j]
				if _, ok := k.members[c.Key.Fingerprint()]; !ok {
					k.members[c.Key.Fingerprint()] = member{h, c}
				}
			}
		}
	})
	m := k.members[f]
	return m.host, m.key
}

// member is Keyring.find for what still changes.
func (c *contents) member(f crypto.Fingerprint) (*Host, *Certificate) {
	for i := range c.Hosts {
		h := &c.Hosts[i]
		for j := range h.Certificates {
			if c := &h.Certificates[j]; c.Key.Fingerprint() == f {
				return h, c
			}
		}
	}
	return nil, nil
}
