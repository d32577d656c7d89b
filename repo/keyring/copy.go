package keyring

import (
	"fmt"
	"time"

	"nightjar/crypto"
	"nightjar/internal/versioned"
)

const copyKind = "copy"

var copyBounds = versioned.Bounds{Bytes: 64 << 10, Objects: 16, Values: 256}

// copyClaim says of a place that it is a copy, where objects carry the times of the home.
type copyClaim struct {
	Version int    `json:"version"`
	Place   string `json:"place"`
}

// ClaimCopy returns what says of a place that it is a copy, signed by the root.
func (k *Keyring) ClaimCopy(place string, root *crypto.Key, now time.Time) ([]byte, error) {
	text, err := versioned.Encode(copyClaim{versioned.Version, place}, copyBounds)
	if err != nil {
		return nil, fmt.Errorf("encode claim: %w", err)
	}
	return crypto.Sign(root, text, k.contents.binding(copyKind), now)
}

// IsCopy checks what claims that a place is a copy, as it was stored there at that time: the root, or the one of then, has to say so of just this place. Whoever can
// write there could otherwise give objects any time, also at home; and whoever has a root of the past, any of its time.
func (k *Keyring) IsCopy(claim []byte, place string, stored time.Time) error {
	roots := []crypto.Signer{{Key: k.Root()}}
	for _, f := range k.contents.Former {
		roots = append(roots, crypto.Signer{Key: f.Key.Key, NotAfter: f.Until})
	}
	opened, err := crypto.Verify(claim, roots, k.contents.binding(copyKind), stored)
	if err != nil {
		return fmt.Errorf("verify the claim to be a copy: %w", err)
	}
	var c copyClaim
	if err := versioned.Parse(opened.Plain, &c, copyBounds); err != nil {
		return fmt.Errorf("parse the claim to be a copy: %w", err)
	}
	if c.Place != place {
		return fmt.Errorf("verify the claim to be a copy: it is of %q, not of %s: %w", c.Place, place, crypto.ErrIntegrity)
	}
	return nil
}
