package script

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// maxPart is how many bytes of a name each of database and object may take: the longest names of a server are 64 characters,
// which are up to 768 bytes when each is escaped, and file systems take 255.
const maxPart = 96

// Name returns the name of a file of a dump: kind, database and object, and a number if it is not negative, joined by dots.
// In database and object, bytes other than ASCII letters, digits, "_" and "-" are =XX. One that is too long for a file system is shortened,
// with the beginning of its SHA-256, so that different objects have different names. The object may be empty.
//
// The number comes before the names where it says the order of loading, as of Views, else after them.
func Name(kind Kind, database, object string, number int) string {
	parts := []string{string(kind)}
	if kind == Views && number >= 0 {
		parts = append(parts, fmt.Sprintf("%06d", number))
	}
	parts = append(parts, escape(database))
	if object != "" {
		parts = append(parts, escape(object))
	}
	if kind != Views && number >= 0 {
		parts = append(parts, fmt.Sprintf("%06d", number))
	}
	return strings.Join(parts, ".") + ".sql"
}

func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		switch c := name[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '_', c == '-':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	text := b.String()
	if len(text) > maxPart {
		sum := sha256.Sum256([]byte(name))
		text = text[:maxPart-17] + "~" + hex.EncodeToString(sum[:8])
	}
	return text
}
