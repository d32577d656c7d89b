// Package chunk says where content is cut and what a piece of it is called.
//
// Content is cut where a rolling sum over it says so (content-defined chunking), so that an insertion moves no
// boundary but its own. A chunk is called by a keyed hash of its bytes: equal content has one name in a repository, and
// nobody without the repository's secret can test whether a file they know is in it.
//
// The package knows nothing of how chunks are stored.
package chunk

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
)

// MaxSize is the length in bytes that no chunk exceeds.
const MaxSize = 8 << 20

// ID names a chunk: HMAC-SHA-256 over its bytes.
type ID [sha256.Size]byte

// Key is the first half of an ID, enough to find a chunk; who reads the content checks the whole ID.
type Key [16]byte

// Key returns the first half of the ID.
func (id ID) Key() Key { return Key(id[:16]) }

// String returns the ID as 64 lower-case hex digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether the ID is the zero value, which names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText returns what String does.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText parses what String printed.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

// ParseID parses 64 lower-case hex digits.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*len(id) {
		return ID{}, fmt.Errorf("parse id: want %d hex digits, have %d", 2*len(id), len(s))
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("parse id: %w", err)
	}
	if id.String() != s {
		return ID{}, errors.New("parse id: upper-case digits")
	}
	return id, nil
}

// Secret is what all names of a repository hang on. It never changes.
type Secret [32]byte

// A Domain separates names made with one secret, so that what is named in one cannot be taken for another.
type Domain string

// The domains of the format.
const (
	Content  Domain = "nightjar content"  // bytes of files
	Metadata Domain = "nightjar metadata" // trees and lists
	Blocks   Domain = "nightjar blocks"   // sums of blocks
	Names    Domain = "nightjar names"    // where directories are cut
)

// Key derives a domain's key: HMAC-SHA-256 of the domain's name under the secret.
func (s Secret) Key(d Domain) []byte {
	m := hmac.New(sha256.New, s[:])
	m.Write([]byte(d))
	return m.Sum(nil)
}

// A Namer computes IDs in one domain. It is for one goroutine.
type Namer struct{ mac hash.Hash }

// NewNamer returns a Namer for a domain of the secret.
func NewNamer(s Secret, d Domain) *Namer { return &Namer{mac: hmac.New(sha256.New, s.Key(d))} }

// ID returns the name of data.
func (n *Namer) ID(data []byte) ID {
	n.mac.Reset()
	n.mac.Write(data)
	var id ID
	n.mac.Sum(id[:0])
	return id
}
