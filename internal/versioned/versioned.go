// Package versioned reads JSON records, which say of which version of the format they are.
package versioned

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Version is the version of the format that is written and read.
const Version = 0

// ErrNewer says that a record needs a newer program.
var ErrNewer = errors.New("the repository's format is newer than this program")

// Parse parses a record into v and checks its version.
func Parse(content []byte, v any) error {
	var head struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(content, &head); err != nil {
		return fmt.Errorf("parse record: %w", err)
	}
	if head.Version == nil || *head.Version < 0 {
		return errors.New("parse record: no version")
	}
	if *head.Version > Version {
		return fmt.Errorf("parse record: version %d: %w", *head.Version, ErrNewer)
	}
	if err := json.Unmarshal(content, v); err != nil {
		return fmt.Errorf("parse record: %w", err)
	}
	return nil
}
