package keyring

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightjar/crypto"
	"nightjar/internal/versioned"
)

// Whoever can write to the store can claim anything, a newer version too: only what finds the signature is read before it is checked.
type claim struct {
	Version    int                 `json:"version"`
	Number     int                 `json:"number"`
	Repository string              `json:"repository"`
	Root       string              `json:"root"`
	Former     [formerMax]struct { // more are passed over
		Certificate string `json:"certificate"`
		Successor   []byte `json:"successor"`
	} `json:"former_roots"`
	text []byte
}

func peek(object []byte) (c claim, err error) {
	if c.text, err = crypto.PeekUnverified(object); err != nil {
		return c, err
	}
	if err := versioned.Peek(c.text, &c); err != nil {
		return c, fmt.Errorf("parse keys: %w: %w", err, crypto.ErrIntegrity)
	}
	if c.Version < 0 || c.Number <= 0 {
		return c, fmt.Errorf("version %d, number %d: %w", c.Version, c.Number, crypto.ErrIntegrity)
	}
	return c, CheckID(c.Repository)
}

// successor returns which root the messages of former roots lead to, from one that is believed.
func (c *claim) successor(root crypto.Fingerprint) crypto.Fingerprint {
	for _, f := range c.Former {
		if shown, err := crypto.PeekFingerprint([]byte(f.Certificate)); err != nil || shown != root {
			continue
		}
		key, err := crypto.ReadKey([]byte(f.Certificate))
		if err != nil {
			return ""
		}
		if root, err = readSuccessor(f.Successor, key, crypto.Binding{Repository: c.Repository, Kind: successorKind, Version: c.Version}); err != nil {
			return ""
		}
	}
	return root
}

// readSuccessor returns whom a root has named as its successor.
func readSuccessor(message []byte, root *crypto.Key, b crypto.Binding) (crypto.Fingerprint, error) {
	opened, err := crypto.Verify(message, []crypto.Signer{{Key: root}}, b, time.Time{})
	return crypto.Fingerprint(opened.Plain), err
}

// Read verifies one keys object. pin says which root is believed; with a zero Pin, any is.
func Read(object []byte, pin func(repository string) (Pin, error)) (*Keyring, error) {
	head, err := peek(object)
	if err != nil {
		return nil, err
	}
	pinned, err := pin(head.Repository)
	if err != nil {
		return nil, err
	}
	// Whose certificate it shows is asked before any work is spent on it.
	shown, err := crypto.PeekFingerprint([]byte(head.Root))
	if err != nil {
		return nil, fmt.Errorf("read root certificate: %w: %w", err, crypto.ErrIntegrity)
	}
	if pinned.Root != "" && shown != pinned.Root && shown != head.successor(pinned.Root) {
		return nil, fmt.Errorf("root key is %s, not %s: %w", shown, pinned.Root, crypto.ErrIntegrity)
	}
	root, err := crypto.ReadKey([]byte(head.Root))
	if err != nil {
		return nil, fmt.Errorf("read root certificate: %w: %w", err, crypto.ErrIntegrity)
	}
	b := crypto.Binding{Repository: head.Repository, Kind: Name(head.Number), Version: head.Version}
	if _, err := crypto.Verify(object, []crypto.Signer{{Key: root}}, b, time.Time{}); err != nil {
		return nil, err
	}
	k := &Keyring{object: object}
	err = versioned.ParseFirst(head.text, &k.contents, bounds)
	if err == nil && head.Number < pinned.Number {
		return nil, fmt.Errorf("%s was seen before: %w", Name(pinned.Number), ErrRollback)
	}
	if err == nil {
		err = k.contents.check()
	}
	if err != nil && !errors.Is(err, versioned.ErrNewer) {
		// A key of a kind that is not known yet, or more of them: it is the root's word all the same, and to go on by an older one would undo it.
		err = fmt.Errorf("%w: %w", versioned.ErrNewer, err)
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// check bounds what the root has signed.
func (c *contents) check() error {
	switch {
	case len(c.Features) > 0:
		return fmt.Errorf("required feature %q: %w", c.Features[0], versioned.ErrNewer)
	case len(c.Hosts) > hostsMax, len(c.Recovery) > recoveryMax, len(c.Content) == 0, len(c.Metadata) == 0, len(c.Former) > formerMax, len(c.Graces) > gracesMax:
		return errors.New("counts are out of bounds")
	}
	for i, e := range append(slices.Clone(c.Graces), earlierGrace{Grace: c.Grace}) {
		if e.Grace < 0 || e.Grace > int64(graceMax/time.Second) {
			return fmt.Errorf("grace of %d seconds is out of bounds", e.Grace)
		}
		if i > 0 && i < len(c.Graces) && e.Until.Before(c.Graces[i-1].Until) {
			return errors.New("earlier graces are not in order")
		}
	}
	keys := slices.Concat(c.Recovery, certificates(c.Content), certificates(c.Metadata))
	for _, h := range c.Hosts {
		if len(h.Trusts) > trustsMax {
			return errors.New("counts are out of bounds")
		}
		for _, x := range h.Certificates {
			keys = append(keys, x.Key)
		}
	}
	for _, f := range c.Former {
		keys = append(keys, f.Key)
	}
	for _, k := range keys {
		switch {
		case k.Key == nil:
			return errors.New("a certificate is missing")
		case !k.Supported():
			return fmt.Errorf("certificate %s is of a kind that is not known", k.Fingerprint())
		}
	}
	return nil
}

// CheckID refuses what is no repository id: it becomes the name of folders. The error is a crypto.ErrIntegrity.
func CheckID(repository string) error {
	if len(repository) != 32 || strings.Trim(repository, "0123456789abcdef") != "" {
		return fmt.Errorf("repository id %q is malformed: %w", repository, crypto.ErrIntegrity)
	}
	return nil
}
