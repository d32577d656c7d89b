// Package keyring is who may do what in a repository: the objects keys/NNNNNN, what a host remembers of them, and the recovery kit.
//
// A Keyring is one such object that was verified: it names the root, the recovery keys and the hosts with their roles, and holds the
// repository's secret keys, sealed to those. Everything else is believed because a Keyring says who may have signed it.
//
// Invariant: nothing in a keys object is believed before its signature is checked by the root that is pinned. The package
// stores nothing but State, and knows of no other object's content. doc/format.md, section 3, is the format.
package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"nightjar/crypto"
	"nightjar/internal/versioned"
	"nightjar/repo/store"
)

// Errors that callers branch on.
var (
	ErrNoRepository = errors.New("not a nightjar repository")
	// ErrRollback says that the store shows older keys than were seen before, or another repository: somebody put it back.
	ErrRollback = fmt.Errorf("the store shows something older or other than before: %w", crypto.ErrIntegrity)
)

// A Pin is what a host remembers of a repository. The zero value is nothing.
type Pin struct {
	Root   crypto.Fingerprint `json:"root"`   // of the root key
	Number int                `json:"number"` // of the highest keys seen
}

// A Keyring is the keys/N in force: who may do what.
type Keyring struct {
	record recordJSON
	root   *crypto.Key
	object []byte // as it is stored
}

// Load reads the newest valid keys of the repository in the store. pin is asked what is remembered of the repository that the store claims to hold; with
// a zero Pin the first root shown is believed, and the caller has to remember it. invalid is told of keys that are passed over.
func Load(ctx context.Context, s store.Store, pin func(repository string) (Pin, error), invalid func(error)) (*Keyring, error) {
	var found []store.Info
	err := s.List(ctx, prefix, func(i store.Info) error {
		if _, ok := Number(i.Name); ok {
			found = append(found, i)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	if len(found) == 0 {
		return nil, ErrNoRepository
	}
	sort.Slice(found, func(a, b int) bool { // numbers may have more than six digits
		na, _ := Number(found[a].Name)
		nb, _ := Number(found[b].Name)
		return na > nb
	})
	// Nobody can replace the lowest number, but a thief of write credentials can add a higher one: so without a pin, the lowest names the root.
	root := func(repository string) (Pin, error) {
		p, err := pin(repository)
		if err != nil || p.Root != "" {
			return p, err
		}
		object, err := store.ReadAll(ctx, s, found[len(found)-1].Name, objectMax)
		if err != nil {
			return p, fmt.Errorf("read %s: %w", found[len(found)-1].Name, err)
		}
		first, err := Read(object, pin)
		if err != nil {
			return p, fmt.Errorf("read %s: %w", found[len(found)-1].Name, err)
		}
		return Pin{Root: first.Pin().Root, Number: p.Number}, nil
	}
	var problems []error
	for _, info := range found {
		object, err := store.ReadAll(ctx, s, info.Name, objectMax)
		if errors.Is(err, store.ErrUnavailable) {
			return nil, fmt.Errorf("read %s: %w", info.Name, err)
		}
		if err == nil {
			var k *Keyring
			if k, err = Read(object, root); err == nil && Name(k.record.Number) != info.Name {
				err = fmt.Errorf("it says that it is number %d: %w", k.record.Number, crypto.ErrIntegrity)
			}
			if err == nil {
				return k, nil
			}
		}
		if errors.Is(err, versioned.ErrNewer) { // the root's word: what is older does not count any more
			return nil, fmt.Errorf("read %s: %w", info.Name, err)
		}
		problems = append(problems, fmt.Errorf("read %s: %w", info.Name, err))
		invalid(problems[len(problems)-1])
	}
	return nil, fmt.Errorf("no valid keys: %w", errors.Join(problems...))
}

// Read verifies one keys object.
func Read(object []byte, pin func(repository string) (Pin, error)) (*Keyring, error) {
	claim, err := crypto.PeekUnverified(object)
	if err != nil {
		return nil, err
	}
	// Whoever can write to the store can claim anything, a newer version too: only what finds the signature is read before it is checked.
	var head struct {
		Version    int    `json:"version"`
		Number     int    `json:"number"`
		Repository string `json:"repository"`
		Root       string `json:"root"`
	}
	if err := json.Unmarshal(claim, &head); err != nil {
		return nil, fmt.Errorf("parse keys: %w: %w", err, crypto.ErrIntegrity)
	}
	if head.Version < 0 || head.Number <= 0 {
		return nil, fmt.Errorf("version %d, number %d: %w", head.Version, head.Number, crypto.ErrIntegrity)
	}
	if err := checkID(head.Repository); err != nil {
		return nil, err
	}
	pinned, err := pin(head.Repository)
	if err != nil {
		return nil, err
	}
	root, err := crypto.ReadKey([]byte(head.Root))
	if err != nil {
		return nil, fmt.Errorf("read root certificate: %w: %w", err, crypto.ErrIntegrity)
	}
	if pinned.Root != "" && root.Fingerprint() != pinned.Root {
		return nil, fmt.Errorf("root key is %s, not %s: %w", root.Fingerprint(), pinned.Root, crypto.ErrIntegrity)
	}
	b := crypto.Binding{Repository: head.Repository, Kind: Name(head.Number), Version: head.Version}
	if _, err := crypto.Verify(object, []crypto.Signer{{Key: root}}, b, time.Time{}); err != nil {
		return nil, err
	}
	var r recordJSON
	if err := versioned.Parse(claim, &r); err != nil {
		return nil, err
	}
	if r.Number < pinned.Number {
		return nil, fmt.Errorf("number %d was seen before: %w", pinned.Number, ErrRollback)
	}
	if len(r.Features) > 0 {
		return nil, fmt.Errorf("required feature %q: %w", r.Features[0], versioned.ErrNewer)
	}
	if len(r.Hosts) > hostsMax || len(r.Recovery) > recoveryMax || len(r.Content) == 0 || len(r.Metadata) == 0 {
		return nil, errors.New("counts are out of bounds")
	}
	return &Keyring{record: r, root: root, object: object}, nil
}

// checkID refuses what is no repository id: it becomes the name of folders.
func checkID(repository string) error {
	if len(repository) != 32 || strings.Trim(repository, "0123456789abcdef") != "" {
		return fmt.Errorf("repository id %q is malformed: %w", repository, crypto.ErrIntegrity)
	}
	return nil
}

// ID returns the repository's id, 32 hex digits.
func (k *Keyring) ID() string { return k.record.Repository }

// Root returns the root's certificate.
func (k *Keyring) Root() *crypto.Key { return k.root }

// Grace returns how long what prune condemned is kept.
func (k *Keyring) Grace() time.Duration { return time.Duration(k.record.Grace) * time.Second }

// Object returns the keyring as it is stored.
func (k *Keyring) Object() (name string, object []byte) { return Name(k.record.Number), k.object }

// Pin returns what to remember.
func (k *Keyring) Pin() Pin { return Pin{Root: k.root.Fingerprint(), Number: k.record.Number} }

// Recovery returns the fingerprints of the recovery keys.
func (k *Keyring) Recovery() ([]crypto.Fingerprint, error) {
	var out []crypto.Fingerprint
	for _, armored := range k.record.Recovery {
		key, err := crypto.ReadKey([]byte(armored))
		if err != nil {
			return nil, fmt.Errorf("read recovery certificate: %w", err)
		}
		out = append(out, key.Fingerprint())
	}
	return out, nil
}

// HostName returns the name under which the key's owner is enrolled.
func (k *Keyring) HostName(f crypto.Fingerprint) (string, error) { return k.Host(f, "", time.Time{}) }

// Host returns the name of the host whose unmarked certificate f is, if it has the role (empty: any) and the certificate counts at that time (zero: ever).
func (k *Keyring) Host(f crypto.Fingerprint, role Role, at time.Time) (string, error) {
	for _, h := range k.record.Hosts {
		for _, c := range h.Certificates {
			key, err := crypto.ReadKey([]byte(c.Certificate))
			if err != nil || key.Fingerprint() != f {
				continue
			}
			if c.Compromised {
				return "", fmt.Errorf("host key %s is marked compromised: %w", f, crypto.ErrNoKey)
			}
			if !h.has(role) {
				return "", fmt.Errorf("host %q does not have the role %q: %w", h.Name, role, crypto.ErrNoKey)
			}
			if !at.IsZero() && (c.From != nil && at.Before(*c.From) || c.Until != nil && at.After(*c.Until)) {
				return "", fmt.Errorf("host key %s is not in force now, so nobody would accept what it signs: %w", f, crypto.ErrNoKey)
			}
			return h.Name, nil
		}
	}
	return "", fmt.Errorf("key %s is not enrolled in the repository: %w", f, crypto.ErrNoKey)
}

func (h *hostJSON) has(role Role) bool { return role == "" || slices.Contains(h.Roles, role) }

// Signers returns who may have signed objects: all hosts' unmarked certificates, and the root. With names, only those hosts'.
func (k *Keyring) Signers(names ...string) ([]crypto.Signer, error) {
	out := []crypto.Signer{{Key: k.root}}
	for _, h := range k.record.Hosts {
		if len(names) > 0 && !slices.Contains(names, h.Name) {
			continue
		}
		for _, c := range h.Certificates {
			if c.Compromised {
				continue
			}
			key, err := crypto.ReadKey([]byte(c.Certificate))
			if err != nil {
				return nil, fmt.Errorf("read certificate of host %q: %w", h.Name, err)
			}
			s := crypto.Signer{Key: key}
			if c.From != nil {
				s.NotBefore = *c.From
			}
			if c.Until != nil {
				s.NotAfter = *c.Until
			}
			out = append(out, s)
		}
	}
	return out, nil
}

// MetadataKey returns the certificate to which metadata is sealed now.
func (k *Keyring) MetadataKey() (*crypto.Key, error) { return current("metadata", k.record.Metadata) }

// ContentKey returns the certificate to which content is sealed now.
func (k *Keyring) ContentKey() (*crypto.Key, error) { return current("content", k.record.Content) }

// current returns the first key that is not retired.
func current(what string, keys []sealJSON) (*crypto.Key, error) {
	for _, k := range keys {
		if k.Retired == nil {
			key, err := crypto.ReadKey([]byte(k.Certificate))
			if err != nil {
				return nil, fmt.Errorf("read %s certificate: %w", what, err)
			}
			return key, nil
		}
	}
	return nil, fmt.Errorf("no %s key is in force: %w", what, crypto.ErrNoKey)
}
