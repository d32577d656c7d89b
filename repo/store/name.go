package store

import (
	"fmt"
	"strings"
)

// MaxName is the length in bytes of the longest name.
const MaxName = 200

// ValidName says whether name may name an object: segments of lower-case ASCII
// letters, digits, '-', '_' and '.', separated by '/', MaxName bytes at most.
// No segment is empty or begins with '.', so none is "." or "..", and names
// that begin with '.' are free for what is no object.
func ValidName(name string) bool {
	if len(name) > MaxName {
		return false
	}
	for segment := range strings.SplitSeq(name, "/") {
		if !validSegment(segment) {
			return false
		}
	}
	return true
}

func validSegment(s string) bool {
	if s == "" || s[0] == '.' {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

// CheckName returns an error that wraps ErrName unless ValidName(name).
func CheckName(name string) error {
	if !ValidName(name) {
		return fmt.Errorf("%w %q", ErrName, clip(name))
	}
	return nil
}

// CheckPrefix returns an error that wraps ErrName unless prefix is empty or
// could begin a valid name.
func CheckPrefix(prefix string) error {
	if prefix != "" && !ValidName(prefix+"x") && !(len(prefix) == MaxName && ValidName(prefix)) {
		return fmt.Errorf("%w: prefix %q", ErrName, clip(prefix))
	}
	return nil
}

// clip keeps hostile names from flooding a message.
func clip(s string) string {
	if len(s) > MaxName {
		return s[:MaxName] + "…"
	}
	return s
}
