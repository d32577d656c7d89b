package keyring

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Circle is the hosts of whose chunks the archives of one may be made.
type Circle struct {
	all   bool
	names []string // in order
}

// Circle returns of whose chunks a host's archive may be made that the store had at that time: its own, and those of hosts on which it might build then.
// A zero time stands for any.
func (k *Keyring) Circle(host string, at time.Time) Circle {
	c := Circle{names: []string{host}}
	for i := range k.contents.Hosts {
		if h := &k.contents.Hosts[i]; h.Name == host {
			for _, t := range h.Trusts {
				if !at.IsZero() && !t.Holds(at) {
					continue
				}
				c.all = c.all || t.Host == ""
				c.names = append(c.names, t.Host)
			}
		}
	}
	slices.Sort(c.names)
	c.names = slices.Compact(c.names)
	return c
}

// Has reports whether a host is one of them.
func (c Circle) Has(host string) bool {
	if c.all {
		return true
	}
	_, ok := slices.BinarySearch(c.names, host)
	return ok
}

// Key is the same for circles of the same hosts.
func (c Circle) Key() string {
	if c.all {
		return ""
	}
	return fmt.Sprintf("%q", c.names)
}

// Names returns the hosts; nil: all.
func (c Circle) Names() []string {
	if c.all {
		return nil
	}
	return c.names
}

// String names the hosts, for people.
func (c Circle) String() string {
	if c.all {
		return "all hosts"
	}
	return strings.Join(c.names, ", ")
}

// SetTrust lets a host build on the chunks of exactly these others from now on, or of all. What ends, ends a day later: a run at work comes to its end. What was built
// until then can be read ever after.
func (d *Draft) SetTrust(name string, all bool, others ...string) error {
	h := d.host(name)
	if h == nil {
		return fmt.Errorf("no host %q is or was enrolled", name)
	}
	want := map[string]bool{}
	for _, o := range others {
		switch {
		case o == name:
			return fmt.Errorf("host %q builds on its own chunks anyway", name)
		case d.host(o) == nil:
			return fmt.Errorf("no host %q is or was enrolled", o)
		}
		want[o] = true
	}
	if all {
		want = map[string]bool{"": true}
	}
	changed := false
	for i := range h.Trusts {
		t := &h.Trusts[i]
		if !t.Until.IsZero() {
			continue
		}
		if want[t.Host] {
			delete(want, t.Host)
			continue
		}
		t.Until, changed = d.at.Add(handOver), true
	}
	fresh := make([]string, 0, len(want))
	for o := range want {
		fresh = append(fresh, o)
	}
	slices.Sort(fresh)
	for _, o := range fresh {
		h.Trusts, changed = append(h.Trusts, Trust{Host: o, Span: Span{From: d.at}}), true
	}
	if !changed {
		return fmt.Errorf("host %q: on whom it builds: %w", name, ErrUnchanged)
	}
	if len(h.Trusts) > trustsMax {
		return errors.New("on whom a host builds was changed too often")
	}
	return nil
}
