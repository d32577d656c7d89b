package keyring

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// A host that has ended can leave the keys, and nobody is said to build on it any more.
func TestForgetHost(t *testing.T) {
	p := newPlace(t)
	p.change(time.Hour, func(d *Draft) error {
		return errors.Join(d.AddHost("db2", secondKey(), Backup), d.SetTrust("db1", false, "db2"))
	})
	p.change(2*time.Hour, func(d *Draft) error { return d.RemoveHost("db2") })
	k := p.change(3*time.Hour, func(d *Draft) error { return d.ForgetHost("db2") })
	if k.Names(secondKey().Fingerprint()) || len(k.Hosts()) != 1 || len(k.Hosts()[0].Trusts) != 0 {
		t.Errorf("it is still there: %+v", k.Hosts())
	}
	k = p.change(4*time.Hour, func(d *Draft) error { return d.AddHost("db2", secondKey(), Backup) })
	mayWrite(t, k, secondKey(), "archive", map[time.Duration]bool{90 * time.Minute: false, 4 * time.Hour: true})
}

// Keys that are full say so, and have room again when hosts of the past leave.
func TestFullKeys(t *testing.T) {
	p := newPlace(t)
	ended := Certificate{Key: certificate{secondKey().Public()}, Span: Span{Until: noon.Add(-time.Minute)}}
	fill := func(n int) func(d *Draft) error {
		return func(d *Draft) error {
			for i := range n {
				d.contents.Hosts = append(d.contents.Hosts, Host{Name: fmt.Sprint("web", i), Roles: []Grant{}, Certificates: slices.Repeat([]Certificate{ended}, 3)})
			}
			return nil
		}
	}
	now := noon.Add(time.Hour)
	_, _, err := p.editor(&now).Change(t.Context(), fill(hostsMax-1))
	if !errors.Is(err, ErrFull) {
		t.Fatalf("got %v", err)
	}
	full := 0
	k := p.change(time.Hour, func(d *Draft) error {
		if err := fill(hostsMax - 1)(d); err != nil {
			return err
		}
		for full = range hostsMax / 2 {
			if err := d.ForgetHost(fmt.Sprint("web", full)); err != nil {
				return err
			}
		}
		return nil
	})
	if n := len(k.Hosts()); n != hostsMax-hostsMax/2 {
		t.Errorf("%d hosts are left", n)
	}
}
