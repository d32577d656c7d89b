// Package keyring is who may do what in a repository: the objects keys/NNNNNN, and the recovery kit.
//
// A Keyring is one such object that was verified: it names the root, the recovery keys and the hosts with their roles, and holds the
// repository's secret keys, sealed to those. Everything else is believed because a Keyring says who may have signed it. A Draft is
// the next one in the making, for who holds a recovery key.
//
// Invariants: nothing in a keys object is believed before its signature is checked by a root that is pinned, or that a pinned one named as
// its successor; what is sealed in it opens with every key that it lists, and with no other. The package knows of no other object's
// content. doc/format.md, section 3, is the format.
package keyring

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

	"nightjar/crypto"
)

// Errors that callers branch on.
var (
	ErrNoRepository = errors.New("not a nightjar repository")
	// ErrRollback says that the store shows older keys than were seen before, or another repository: somebody put it back.
	ErrRollback = fmt.Errorf("the store shows something older or other than before: %w", crypto.ErrIntegrity)
	// ErrNotEnrolled says that a key is of none of the repository's hosts.
	ErrNotEnrolled = fmt.Errorf("it is not enrolled in the repository: %w", crypto.ErrNoKey)
)

// A Pin is what a host remembers of a repository. The zero value is nothing.
type Pin struct {
	Root   crypto.Fingerprint `json:"root"`   // of the root key
	Number int                `json:"number"` // of the highest keys seen
}

// A Keyring is the keys/N in force: who may do what.
type Keyring struct {
	contents contents
	object   []byte // as it is stored

	once    sync.Once
	members map[crypto.Fingerprint]member // made when one is first looked for
}

// Follows reports whether a root is that of the keyring, or has named it as its successor, be it through others.
func (k *Keyring) Follows(root crypto.Fingerprint) bool {
	c := &k.contents
	named := root
	for _, f := range c.Former {
		if f.Key.Key == nil || f.Key.Fingerprint() != named {
			continue
		}
		next, err := readSuccessor(f.Successor, f.Key.Key, c.binding(successorKind))
		if err != nil {
			return false
		}
		named = next
	}
	return named == c.Root.Fingerprint()
}

// ID returns the repository's id, 32 hex digits.
func (k *Keyring) ID() string { return k.contents.Repository }

// Number returns which keys these are.
func (k *Keyring) Number() int { return k.contents.Number }

// Root returns the root's certificate.
func (k *Keyring) Root() *crypto.Key { return k.contents.Root.Key }

// Grace returns how long what prune condemned at a time is kept at least: as long as the grace then in force, and as one before it while that is not over.
func (k *Keyring) Grace(at time.Time) time.Duration {
	longest := k.Allowance(at)
	start := time.Time{}
	for _, e := range k.contents.Graces {
		if grace := e.duration(); !at.Before(start) && at.Before(e.Until.Add(grace)) {
			longest = max(longest, grace)
		}
		start = e.Until
	}
	return longest
}

// Allowance returns how long after a view an archive may be stored: the grace that was in force at the view.
func (k *Keyring) Allowance(view time.Time) time.Duration {
	for _, e := range k.contents.Graces {
		if view.Before(e.Until) {
			return e.duration()
		}
	}
	return time.Duration(k.contents.Grace) * time.Second
}

// Object returns the keyring as it is stored.
func (k *Keyring) Object() (name string, object []byte) { return Name(k.contents.Number), k.object }

// Pin returns what to remember.
func (k *Keyring) Pin() Pin {
	return Pin{Root: k.Root().Fingerprint(), Number: k.contents.Number}
}

// Hosts returns all hosts, those of the past too.
func (k *Keyring) Hosts() []Host { return k.contents.Hosts }

// RecoveryKeys returns the certificates of the recovery keys.
func (k *Keyring) RecoveryKeys() []*crypto.Key {
	var out []*crypto.Key
	for _, c := range k.contents.Recovery {
		out = append(out, c.Key)
	}
	return out
}

// FormerRoots returns the roots of the past, oldest first.
func (k *Keyring) FormerRoots() []FormerRoot { return k.contents.Former }

// ContentKeys returns all content keys, those of the past too.
func (k *Keyring) ContentKeys() []SealKey { return k.contents.Content }

// MetadataKeys returns all metadata keys, those of the past too.
func (k *Keyring) MetadataKeys() []SealKey { return k.contents.Metadata }

// Recovery returns the fingerprints of the recovery keys.
func (k *Keyring) Recovery() []crypto.Fingerprint {
	var out []crypto.Fingerprint
	for _, c := range k.RecoveryKeys() {
		out = append(out, c.Fingerprint())
	}
	return out
}

// MetadataKey returns the certificate to which metadata is sealed now.
func (k *Keyring) MetadataKey() (*crypto.Key, error) { return current("metadata", k.contents.Metadata) }

// ContentKey returns the certificate to which content is sealed now.
func (k *Keyring) ContentKey() (*crypto.Key, error) { return current("content", k.contents.Content) }

// current returns the first key that is not retired.
func current(what string, keys []SealKey) (*crypto.Key, error) {
	for _, k := range keys {
		if k.Retired.IsZero() {
			return k.Key.Key, nil
		}
	}
	return nil, fmt.Errorf("no %s key is in force: %w", what, crypto.ErrNoKey)
}

func certificates(keys []SealKey) (all []certificate) {
	for _, k := range keys {
		all = append(all, k.Key)
	}
	return all
}

// CheckConfig refuses a config that is not the one that a former root has signed: such a root may have come into other hands since.
func (k *Keyring) CheckConfig(object []byte) error {
	sum := sha256.Sum256(object)
	if want := k.contents.Config; want != "" && want != hex.EncodeToString(sum[:]) {
		return fmt.Errorf("it is not the config that the keys name: %w", crypto.ErrIntegrity)
	}
	return nil
}
