package s3

import (
	"errors"
	"slices"
	"strings"

	"nightjar/repo/store"
)

// place is a bucket and what all keys in it begin with.
type place struct {
	bucket string
	prefix string // "", or ends with '/'
}

// maxPrefix leaves room for the longest name in a key of at most 1,024 bytes.
const maxPrefix = 1024 - store.MaxName - 1

// Schemes are those of a bucket: s3, and duplicity's s3+http, which means the
// same here.
var Schemes = []string{"s3", "s3+http"}

// Parse checks a location with one of the Schemes and returns it as s3://bucket/prefix.
// It asks nobody. Its errors do not repeat what may hold a password.
func Parse(l store.Location) (store.Location, error) {
	p, err := parse(l)
	if err != nil {
		return store.Location{}, err
	}
	return store.Location{Scheme: Schemes[0], Path: strings.TrimSuffix(p.bucket+"/"+p.prefix, "/")}, nil
}

// parse takes bucket, bucket/ or bucket/some/prefix. Its errors do not repeat
// what may hold a password.
func parse(l store.Location) (place, error) {
	if !slices.Contains(Schemes, l.Scheme) {
		return place{}, errors.New("not an s3:// URL")
	}
	bucket, prefix, _ := strings.Cut(l.Path, "/")
	switch {
	case strings.Contains(bucket, "@"):
		return place{}, errors.New("an s3:// URL may not hold credentials: they come from the environment, a profile or a role")
	case strings.Contains(bucket, ":"):
		return place{}, errors.New("an s3:// URL names bucket and prefix only: s3://bucket/prefix; the server is named as endpoint")
	case !validBucket(bucket):
		return place{}, errors.New("malformed bucket name: 3 to 63 lower-case letters, digits, '-' and '.' wanted, as in s3://bucket/prefix")
	}
	prefix = strings.TrimSuffix(prefix, "/")
	if prefix == "" {
		return place{bucket: bucket}, nil
	}
	if !validPrefix(prefix) {
		return place{}, errors.New("malformed prefix in an s3:// URL: letters, digits and -_.!*'()+=,@~ between single slashes wanted")
	}
	return place{bucket: bucket, prefix: prefix + "/"}, nil
}

func validBucket(s string) bool {
	if len(s) < 3 || len(s) > 63 || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		letter := 'a' <= s[i] && s[i] <= 'z' || '0' <= s[i] && s[i] <= '9'
		if !letter && (i == 0 || i == len(s)-1 || s[i] != '-' && s[i] != '.') {
			return false
		}
	}
	return true
}

func validPrefix(s string) bool {
	if len(s) > maxPrefix {
		return false
	}
	for segment := range strings.SplitSeq(s, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
		for i := range len(segment) {
			c := segment[i]
			if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.!*'()+=,@~", c) >= 0) {
				return false
			}
		}
	}
	return true
}

// key is where the object of that name is kept.
func (p place) key(name string) string { return p.prefix + name }

// name undoes key; it is false for a key that is no object of the store.
func (p place) name(key string) (string, bool) {
	name, ours := strings.CutPrefix(key, p.prefix)
	return name, ours && store.ValidName(name)
}

// url is what messages call an object, or the whole store for "".
func (p place) url(name string) string {
	return strings.TrimSuffix("s3://"+p.bucket+"/"+p.key(name), "/")
}

func (p place) String() string { return p.url("") }
