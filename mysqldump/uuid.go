package mysqldump

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// A UUID names a MySQL server. MariaDB's servers have none. The zero value names nothing.
type UUID [16]byte

// ParseUUID parses 32 hex digits in groups of 8, 4, 4, 4 and 12, in either case.
func ParseUUID(s string) (id UUID, err error) {
	if len(s) == 36 && s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' {
		_, err = hex.Decode(id[:], []byte(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:]))
	} else {
		err = errors.New("want 32 hex digits in groups of 8, 4, 4, 4 and 12")
	}
	if err != nil {
		return UUID{}, fmt.Errorf("parse UUID %q: %w", clip(s), err)
	}
	return id, nil
}

// String returns the UUID in lower case.
func (id UUID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
}

// IsZero reports whether the UUID is the zero value.
func (id UUID) IsZero() bool { return id == UUID{} }
