package local

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// beside begins the names of entries that a restore needs for a moment: of what is complete but for its name.
const beside = ".nightjar-"

// besideHex is how many digits follow.
const besideHex = 32

// Beside returns a name for what is to get another one. It is the same for the same bytes.
func Beside(of []byte) string {
	sum := sha256.Sum256(of)
	return beside + hex.EncodeToString(sum[:besideHex/2])
}

// IsBeside reports whether an entry with the name, which is no directory, is one of those: left by a restore that was killed, unless it is running.
func IsBeside(name string) bool {
	digits, ok := strings.CutPrefix(name, beside)
	return ok && len(digits) == besideHex && strings.Trim(digits, "0123456789abcdef") == ""
}

// Tidy removes the entries that a restore which was killed has left in the directory, as far as that is possible.
func (d *Dir) Tidy() {
	var left []string
	_ = d.each(func(names []string) {
		for _, name := range names {
			if IsBeside(name) {
				left = append(left, name)
			}
		}
	})
	for _, name := range left {
		_ = d.removeFile(name)
	}
}
