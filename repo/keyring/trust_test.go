package keyring

import (
	"errors"
	"slices"
	"testing"
	"time"
)

// On whom a host builds is a matter of time, and of what the root says.
func TestTrust(t *testing.T) {
	p := newPlace(t)
	p.change(time.Hour, func(d *Draft) error {
		return errors.Join(d.AddHost("web2", secondKey(), Backup), d.AddHost("web3", thiefKey(), Backup))
	})
	circle := func(host string, after time.Duration, want ...string) {
		t.Helper()
		c := p.keys.Circle(host, noon.Add(after))
		for _, name := range []string{"db1", "web2", "web3", "nobody", ""} {
			if has := c.Has(name); has != slices.Contains(want, name) {
				t.Errorf("the circle of %s after %s has %q: %v", host, after, name, has)
			}
		}
	}
	circle("db1", 2*time.Hour, "db1")
	p.change(3*time.Hour, func(d *Draft) error { return d.SetTrust("db1", false, "web2") })
	circle("db1", 2*time.Hour, "db1")
	circle("db1", 4*time.Hour, "db1", "web2")
	circle("web2", 4*time.Hour, "web2")
	p.change(10*time.Hour, func(d *Draft) error { return d.SetTrust("db1", false, "web3") })
	circle("db1", 11*time.Hour, "db1", "web2", "web3") // a run at work comes to its end
	circle("db1", 35*time.Hour, "db1", "web3")
	circle("db1", 4*time.Hour, "db1", "web2") // for ever
	p.change(40*time.Hour, func(d *Draft) error { return d.SetTrust("db1", true) })
	circle("db1", 41*time.Hour, "db1", "web2", "web3", "nobody", "")
	if names := p.keys.Circle("db1", noon.Add(41*time.Hour)).Names(); names != nil {
		t.Errorf("all are %q", names)
	}
	p.change(50*time.Hour, func(d *Draft) error { return d.SetTrust("db1", false) })
	circle("db1", 75*time.Hour, "db1")
	if c := p.keys.Circle("db1", time.Time{}); !c.Has("web2") || !c.Has("nobody") {
		t.Errorf("ever it was %v", c)
	}
	a, b := p.keys.Circle("db1", noon.Add(4*time.Hour)), p.keys.Circle("db1", noon.Add(5*time.Hour))
	if a.Key() != b.Key() || a.Key() == p.keys.Circle("db1", noon.Add(75*time.Hour)).Key() || a.Key() == p.keys.Circle("db1", noon.Add(41*time.Hour)).Key() {
		t.Error("circles are told apart wrongly")
	}
	// A host's removal ends nothing that was built on it.
	p.change(80*time.Hour, func(d *Draft) error { return errors.Join(d.SetTrust("db1", false, "web2"), d.RemoveHost("web2")) })
	circle("db1", 90*time.Hour, "db1", "web2")

	now := noon.Add(100 * time.Hour)
	for name, test := range map[string]struct {
		host   string
		all    bool
		others []string
		want   error
	}{
		"itself":      {"db1", false, []string{"db1"}, nil},
		"a stranger":  {"db1", false, []string{"web9"}, nil},
		"of stranger": {"web9", true, nil, nil},
		"as it is":    {"db1", false, []string{"web2"}, ErrUnchanged},
		"none again":  {"web3", false, nil, ErrUnchanged},
	} {
		_, _, err := p.editor(&now).Change(t.Context(), func(d *Draft) error { return d.SetTrust(test.host, test.all, test.others...) })
		if err == nil || test.want != nil && !errors.Is(err, test.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
