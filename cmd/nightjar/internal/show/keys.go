package show

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"nightjar/crypto"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/repo/keyring"
	"nightjar/repo/maintain/keycheck"
)

// A KeyJSON is what --json tells of one key.
type KeyJSON struct {
	Use         string             `json:"use"` // root, content, metadata, recovery or host
	Fingerprint crypto.Fingerprint `json:"fingerprint"`
	Name        string             `json:"name"`
	Host        string             `json:"host,omitempty"`
	Roles       []keyring.Role     `json:"roles,omitempty"` // that the host has now
	From        time.Time          `json:"from,omitzero"`
	Until       time.Time          `json:"until,omitzero"`
	Expires     time.Time          `json:"expires,omitzero"` // when it can no more do what it is for, as the keys have it
	Compromised bool               `json:"compromised,omitempty"`
	Problem     string             `json:"problem,omitempty"` // why it cannot be used any more
}

// AllKeys returns every key that the keys name.
func AllKeys(k *keyring.Keyring, now time.Time) []KeyJSON {
	var all []KeyJSON
	add := func(use string, key *crypto.Key) *KeyJSON {
		j := KeyJSON{Use: use, Fingerprint: key.Fingerprint(), Name: quote.Text(key.Name())}
		err := key.CanEncrypt(now)
		sign, encrypt := key.Ends(now)
		j.Expires = encrypt
		if use == "root" || use == "host" {
			err = errors.Join(key.CanSign(now), err)
			if j.Expires.IsZero() || !sign.IsZero() && sign.Before(j.Expires) {
				j.Expires = sign
			}
		}
		if problem := (*crypto.KeyError)(nil); errors.As(err, &problem) {
			j.Problem = problem.Problem.Error()
		}
		all = append(all, j)
		return &all[len(all)-1]
	}
	add("root", k.Root())
	for _, f := range k.FormerRoots() {
		add("root", f.Key.Key).Until = f.Until
	}
	for _, key := range k.RecoveryKeys() {
		add("recovery", key)
	}
	for _, c := range k.ContentKeys() {
		add("content", c.Key.Key).Until = c.Retired
	}
	for _, m := range k.MetadataKeys() {
		add("metadata", m.Key.Key).Until = m.Retired
	}
	for _, h := range k.Hosts() {
		for _, c := range h.Certificates {
			j := add("host", c.Key.Key)
			j.Host, j.From, j.Until, j.Compromised = quote.Text(h.Name), c.From, c.Until, c.Compromised
			for _, g := range h.Roles {
				if g.Holds(now) {
					j.Roles = append(j.Roles, g.Role)
				}
			}
		}
	}
	return all
}

// A hostJSON is what --json tells of a host.
type hostJSON struct {
	Name   string          `json:"name"`
	Roles  []keyring.Grant `json:"roles"`
	Builds []trustJSON     `json:"builds_on,omitempty"`
}

// A trustJSON is what --json tells of whose chunks a host builds on.
type trustJSON struct {
	Host string `json:"host,omitempty"` // absent: all
	keyring.Span
}

// KeysJSON is what --json tells of the keys.
func KeysJSON(k *keyring.Keyring, now time.Time) any {
	hosts := []hostJSON{}
	for _, h := range k.Hosts() {
		j := hostJSON{Name: quote.Text(h.Name), Roles: append([]keyring.Grant{}, h.Roles...)}
		for _, t := range h.Trusts {
			j.Builds = append(j.Builds, trustJSON{quote.Text(t.Host), t.Span})
		}
		hosts = append(hosts, j)
	}
	return struct {
		Repository string     `json:"repository"`
		Number     int        `json:"number"`
		Grace      float64    `json:"grace_seconds"`
		Hosts      []hostJSON `json:"hosts"`
		Keys       []KeyJSON  `json:"keys"`
	}{k.ID(), k.Pin().Number, k.Grace(now).Seconds(), hosts, AllKeys(k, now)}
}

// Keys prints a table of the keys.
func Keys(w io.Writer, k *keyring.Keyring, now time.Time) {
	name, _ := k.Object()
	fmt.Fprintf(w, "repository %s, %s\n", k.ID(), name)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "USE\tKEY\tNAME\tSTATE")
	for _, j := range AllKeys(k, now) {
		what := j.Name
		if j.Host != "" {
			what = fmt.Sprintf("%s %s", j.Host, j.Roles)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", j.Use, j.Fingerprint, quote.Display(what), quote.Display(j.state(now)))
	}
	_ = t.Flush() // w keeps its error
	for _, h := range k.Hosts() {
		var names []string
		for _, t := range h.Trusts {
			if !t.Holds(now) {
				continue
			}
			name := t.Host
			if name == "" {
				name = "all hosts"
			}
			if !t.Until.IsZero() {
				name += " until " + human.Time(t.Until)
			}
			names = append(names, name)
		}
		if len(names) > 0 {
			fmt.Fprintf(w, "%s builds on %s\n", quote.Display(h.Name), quote.Display(strings.Join(names, ", ")))
		}
	}
	fmt.Fprintf(w, "grace %s\n", human.Age(k.Grace(now)))
}

func (j *KeyJSON) state(now time.Time) string {
	var all []string
	if j.Compromised {
		all = append(all, "compromised")
	}
	switch {
	case j.Until.IsZero():
	case now.After(j.Until):
		all = append(all, "ended "+human.Time(j.Until))
	default:
		all = append(all, "until "+human.Time(j.Until))
	}
	if !j.Expires.IsZero() && j.Problem == "" {
		all = append(all, "expires "+human.Time(j.Expires))
	}
	if j.Problem != "" {
		all = append(all, j.Problem)
	}
	if all == nil {
		return "in force"
	}
	return strings.Join(all, ", ")
}

// Proof prints what a recovery key was seen to open.
func Proof(w io.Writer, p *keycheck.Proof) {
	if p.Archive == nil {
		fmt.Fprintln(w, "the key opens the repository's secrets; there is no archive yet")
		return
	}
	fmt.Fprintf(w, "the key opens archive %s of %s, %s: folders: %d, files: %d, packs of content: %d\n",
		ShortID(p.Archive), quote.Display(p.Archive.Host), human.Time(p.Archive.Time), p.Folders, p.Files, p.Packs)
}

// ProofJSON is what --json tells of a proof.
func ProofJSON(p *keycheck.Proof) any {
	j := struct {
		Archive string `json:"archive,omitempty"`
		Folders int    `json:"folders"`
		Files   int    `json:"files"`
		Packs   int    `json:"packs"`
	}{Folders: p.Folders, Files: p.Files, Packs: p.Packs}
	if p.Archive != nil {
		j.Archive = p.Archive.ID
	}
	return j
}
