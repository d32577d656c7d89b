package keyring

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"nightjar/crypto"
)

// AddHost enrolls a host, or one that was removed again, with exactly these roles.
func (d *Draft) AddHost(name string, key *crypto.Key, roles ...Role) error {
	if err := d.checkHost(name, key); err != nil {
		return err
	}
	h := d.host(name)
	if h == nil {
		if len(d.contents.Hosts) == hostsMax {
			return fmt.Errorf("enroll host %q: there are %d hosts already: %w", name, hostsMax, ErrFull)
		}
		d.contents.Hosts = append(d.contents.Hosts, Host{Name: name})
		h = d.host(name)
	} else if slices.ContainsFunc(h.Certificates, Certificate.live) {
		return fmt.Errorf("host %q is enrolled already", name)
	}
	h.Certificates = append(h.Certificates, Certificate{Key: certificate{key.Public()}, Span: Span{From: d.at}})
	return d.setRoles(name, roles...)
}

// setRoles leaves a host with exactly these roles.
func (d *Draft) setRoles(name string, roles ...Role) error {
	for _, r := range []Role{Backup, Prune} {
		if err := d.SetRole(name, r, slices.Contains(roles, r)); err != nil && !errors.Is(err, ErrUnchanged) {
			return err
		}
	}
	return nil
}

// RotateHost gives a host another key, or takes a newer certificate of the one that it has. What an old key signs counts for another day. If the
// certificate says nothing new, the error is ErrUnchanged.
func (d *Draft) RotateHost(name string, key *crypto.Key) error {
	if h, c := d.contents.member(key.Fingerprint()); h != nil && h.Name == name && c.live() {
		merged, err := c.Key.Merge(key)
		if err != nil {
			return err
		}
		if bytes.Equal(merged.Certificate(), c.Key.Certificate()) {
			return fmt.Errorf("host %q has just this certificate of key %s: %w", name, key.Fingerprint(), ErrUnchanged)
		}
		if err := d.checkHostKey(merged); err != nil {
			return err
		}
		c.Key = certificate{merged}
		return nil
	}
	if err := d.checkHost(name, key); err != nil {
		return err
	}
	if err := d.endHost(name, d.at.Add(handOver)); err != nil {
		return err
	}
	h := d.host(name)
	h.Certificates = append(h.Certificates, Certificate{Key: certificate{key.Public()}, Span: Span{From: d.at}})
	return nil
}

// RemoveHost ends a host and its roles. What it has signed counts on.
func (d *Draft) RemoveHost(name string) error {
	if err := d.endHost(name, d.at); err != nil {
		return err
	}
	return d.setRoles(name)
}

// ForgetHost takes a host that was ended, so long ago that no run of it goes on, out of the keys: nobody knows any more what it has signed. Whether
// anything of that is left is the caller's to find out.
func (d *Draft) ForgetHost(name string) error {
	h := d.host(name)
	if h == nil {
		return fmt.Errorf("no host %q is or was enrolled", name)
	}
	for _, c := range h.Certificates {
		if c.live() || !c.Compromised && !c.Until.Before(d.at) {
			return fmt.Errorf("host %q is enrolled: %w", name, ErrInForce)
		}
	}
	d.contents.Hosts = slices.DeleteFunc(d.contents.Hosts, func(h Host) bool { return h.Name == name })
	for i := range d.contents.Hosts {
		h := &d.contents.Hosts[i]
		h.Trusts = slices.DeleteFunc(h.Trusts, func(t Trust) bool { return t.Host == name })
	}
	return nil
}

func (d *Draft) checkHost(name string, key *crypto.Key) error {
	if name == "" || len(name) > 255 || !utf8.ValidString(name) {
		return fmt.Errorf("a host cannot have the name %q", name)
	}
	if err := d.checkHostKey(key); err != nil {
		return err
	}
	if h, _ := d.contents.member(key.Fingerprint()); h != nil {
		return fmt.Errorf("key %s is or was a key of host %q: %w", key.Fingerprint(), h.Name, ErrTaken)
	}
	return nil
}

func (d *Draft) checkHostKey(key *crypto.Key) error {
	err := key.CanSign(d.now)
	if err == nil {
		err = key.CanEncrypt(d.now)
	}
	if err != nil {
		return fmt.Errorf("use host key: %w", err)
	}
	return nil
}

func (d *Draft) host(name string) *Host {
	i := slices.IndexFunc(d.contents.Hosts, func(h Host) bool { return h.Name == name })
	if i < 0 {
		return nil
	}
	return &d.contents.Hosts[i]
}

func (d *Draft) endHost(name string, at time.Time) error {
	h := d.host(name)
	if h == nil || !slices.ContainsFunc(h.Certificates, Certificate.live) {
		return fmt.Errorf("no host %q is enrolled", name)
	}
	for i := range h.Certificates {
		if c := &h.Certificates[i]; c.live() {
			c.Until = at
		}
	}
	return nil
}

// SetRole gives a host a role, or takes it away. What it has written counts on.
func (d *Draft) SetRole(name string, role Role, has bool) error {
	h := d.host(name)
	if h == nil {
		return fmt.Errorf("no host %q is enrolled", name)
	}
	had := false
	for i := range h.Roles {
		g := &h.Roles[i]
		if g.Role == role && g.Until.IsZero() {
			had = true
			if !has {
				g.Until = d.at
			}
		}
	}
	switch {
	case had == has:
		return fmt.Errorf("host %q: role %q: %w", name, role, ErrUnchanged)
	case has:
		h.Roles = append(h.Roles, Grant{Role: role, Span: Span{From: d.at}})
	}
	return nil
}
