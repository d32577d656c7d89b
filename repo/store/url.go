package store

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"nightjar/internal/where"
)

// SchemeFile is the Scheme of a directory's Location.
const SchemeFile = "file"

// Location says where a store is.
type Location struct {
	Scheme string // SchemeFile for a directory, else what stood before "://"
	Path   string // the directory's absolute path; for other schemes what stood after "://"
}

// ParseLocation parses /path, ./path, ../path, file:///path (percent-encoded)
// and scheme://anything. It does not say whether the scheme is supported, nor
// whether anything is there, but for a folder that ".." goes up from. Errors do not repeat the URL, which may hold a
// password.
func ParseLocation(s string) (Location, error) {
	scheme, rest, hasScheme := strings.Cut(s, "://")
	switch {
	case s == "." || s == "..", strings.HasPrefix(s, "/"), strings.HasPrefix(s, "./"), strings.HasPrefix(s, "../"):
		return directory(s)
	case !hasScheme:
		return Location{}, errors.New("parse repository URL: it is no URL, and a path begins with / or ./")
	case !validScheme(scheme):
		return Location{}, errors.New("parse repository URL: malformed scheme")
	case scheme != SchemeFile:
		return Location{Scheme: scheme, Path: rest}, nil
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return Location{}, errors.New("parse repository URL: malformed file:// URL")
	case u.User != nil || u.Host != "" && u.Host != "localhost":
		return Location{}, errors.New("parse repository URL: a file:// URL names no host: file:///path")
	case !strings.HasPrefix(u.Path, "/"):
		return Location{}, errors.New("parse repository URL: a file:// URL needs an absolute path: file:///path")
	case strings.ContainsAny(s, "?#"):
		return Location{}, errors.New("parse repository URL: '?' and '#' in a file:// URL are written %3F and %23")
	}
	return directory(u.Path)
}

func directory(path string) (Location, error) {
	if strings.ContainsRune(path, 0) {
		return Location{}, errors.New("parse repository URL: path holds a zero byte")
	}
	abs, err := where.Absolute(path)
	if err != nil {
		return Location{}, fmt.Errorf("find repository %s: %w", path, err)
	}
	return Location{Scheme: SchemeFile, Path: abs}, nil
}

// validScheme follows RFC 3986, in lower case.
func validScheme(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return false
		}
	}
	return s != ""
}
