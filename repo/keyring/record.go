package keyring

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"nightjar/crypto"
	"nightjar/internal/versioned"
)

// MaxObject is how many bytes a keys object has at most.
const MaxObject = 16 << 20

const (
	hostsMax    = 10_000
	trustsMax   = 10_000 // of each host, those of the past too
	recoveryMax = 64
	formerMax   = 64
	gracesMax   = 1024
	graceMax    = 10 * 365 * 24 * time.Hour
	prefix      = "keys/"
	nameWidth   = 6

	successorKind = "successor" // what a former root signs
)

// bounds suffice for the hosts, each with a few certificates and roles of the past.
var bounds = versioned.Bounds{Bytes: MaxObject, Objects: 1 << 17, Values: 1 << 20}

// Name returns the name of the keys object of that number.
func Name(number int) string { return fmt.Sprintf("%s%0*d", prefix, nameWidth, number) }

// Number returns the number of a keys object by its name; ok is false if the name is none.
func Number(name string) (number int, ok bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(name, prefix))
	return n, err == nil && n > 0 && Name(n) == name
}

// contents is what a keys object says, as it is encoded.
type contents struct {
	Version        int            `json:"version"`
	Number         int            `json:"number"`
	Repository     string         `json:"repository"`
	Features       []string       `json:"features"`
	Root           certificate    `json:"root"`
	Former         []FormerRoot   `json:"former_roots,omitempty"`
	Config         string         `json:"config,omitempty"`
	Content        []SealKey      `json:"content"`
	Metadata       []SealKey      `json:"metadata"`
	Recovery       []certificate  `json:"recovery"`
	Hosts          []Host         `json:"hosts"`
	Grace          int64          `json:"grace"`
	Graces         []earlierGrace `json:"earlier_graces,omitempty"`
	Secrets        string         `json:"secrets"`
	MetadataSecret string         `json:"metadata_secret"`
}

// A certificate is a key's public half, armored.
type certificate struct{ *crypto.Key }

func (c certificate) MarshalText() ([]byte, error) {
	if c.Key == nil {
		return nil, errors.New("no certificate")
	}
	return c.Public().ArmorPublic()
}

func (c *certificate) UnmarshalText(b []byte) (err error) {
	c.Key, err = crypto.ReadCertificate(b)
	return err
}

// A Span is a piece of time, both ends inclusive. Zero ends are open.
type Span struct {
	From  time.Time `json:"from,omitzero"`
	Until time.Time `json:"until,omitzero"`
}

// Holds reports whether a time lies in the span.
func (s Span) Holds(at time.Time) bool {
	return !at.Before(s.From) && (s.Until.IsZero() || !at.After(s.Until))
}

// both is the piece that two spans share; ok is false if there is none.
func (s Span) both(o Span) (_ Span, ok bool) {
	if s.From.Before(o.From) {
		s.From = o.From
	}
	if s.Until.IsZero() || !o.Until.IsZero() && o.Until.Before(s.Until) {
		s.Until = o.Until
	}
	return s, s.Until.IsZero() || !s.Until.Before(s.From)
}

// A Host is a machine that writes, or did.
type Host struct {
	Name         string        `json:"name"`
	Roles        []Grant       `json:"roles"`
	Certificates []Certificate `json:"certificates"`
	Trusts       []Trust       `json:"trusts,omitempty"`
}

// A Trust says on whose chunks a host may build besides its own, and when.
type Trust struct {
	Host string `json:"host,omitempty"` // empty: on everybody's
	Span
}

// A Grant says when a host has a role.
type Grant struct {
	Role Role `json:"role"`
	Span
}

// A Certificate is one of a host's keys, and when it counts.
type Certificate struct {
	Key certificate `json:"certificate"`
	Span
	Compromised bool `json:"compromised,omitzero"` // of what it signed, whenever that was, only what a verified record names counts
}

// A SealKey is one to which objects are sealed, or were until it was retired.
type SealKey struct {
	Key     certificate `json:"certificate"`
	Retired time.Time   `json:"retired,omitzero"`
}

// A FormerRoot signed until it named its successor.
type FormerRoot struct {
	Key       certificate `json:"certificate"`
	Until     time.Time   `json:"until"`
	Successor []byte      `json:"successor"` // a signed message with the successor's fingerprint
}

// An earlierGrace was in force from the end of the one before it.
type earlierGrace struct {
	Grace int64     `json:"grace"`
	Until time.Time `json:"until"`
}

func (e earlierGrace) duration() time.Duration { return time.Duration(e.Grace) * time.Second }

// sign makes the object.
func (c *contents) sign(root *crypto.Key, now time.Time) ([]byte, error) {
	text, err := versioned.EncodeIndented(c, bounds)
	if errors.Is(err, versioned.ErrTooLarge) {
		err = fmt.Errorf("%w: %w", ErrFull, err)
	}
	if err != nil {
		return nil, fmt.Errorf("encode keys: %w", err)
	}
	return crypto.Sign(root, text, c.binding(Name(c.Number)), now)
}

func (c *contents) binding(kind string) crypto.Binding {
	return crypto.Binding{Repository: c.Repository, Kind: kind, Version: c.Version}
}
