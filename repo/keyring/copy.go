package keyring

import (
	"encoding/json"
	"fmt"
	"time"

	"nightjar/crypto"
	"nightjar/internal/versioned"
)

const copyKind = "copy"

// copyClaim says of a place that it is a copy, where objects carry the times of the home.
type copyClaim struct {
	Version int    `json:"version"`
	Place   string `json:"place"`
}

// ClaimCopy returns what says of a place that it is a copy, signed by the root.
func (k *Keyring) ClaimCopy(place string, root *crypto.Key, now time.Time) ([]byte, error) {
	text, err := json.Marshal(copyClaim{versioned.Version, place})
	if err != nil {
		return nil, fmt.Errorf("encode claim: %w", err)
	}
	return crypto.Sign(root, text, k.contents.binding(copyKind), now)
}

// IsCopy checks what claims that a place is a copy: the root, or one before it, has to say so of just this place. Whoever can write
// there could otherwise give objects any time, also at home.
func (k *Keyring) IsCopy(claim []byte, place string) error {
	roots := []crypto.Signer{{Key: k.Root()}}
	for _, f := range k.contents.Former {
		roots = append(roots, crypto.Signer{Key: f.Key.Key})
	}
	opened, err := crypto.Verify(claim, roots, k.contents.binding(copyKind), time.Time{})
	if err != nil {
		return fmt.Errorf("verify the claim to be a copy: %w", err)
	}
	var c copyClaim
	if err := versioned.Parse(opened.Plain, &c); err != nil {
		return fmt.Errorf("parse the claim to be a copy: %w", err)
	}
	if c.Place != place {
		return fmt.Errorf("verify the claim to be a copy: it is of %q, not of %s: %w", c.Place, place, crypto.ErrIntegrity)
	}
	return nil
}
