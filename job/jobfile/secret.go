package jobfile

import (
	"io/fs"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// tokens is what is in an argument of a hook that is, or comes with, a secret.
var tokens = regexp.MustCompile(`(?i)token|secret|passw|authorization|bearer|api[-_]?key`)

// Secret returns the first key of the file whose value nobody else may read; "": there is none. A passphrase is one, a URL with a password, a hook that is a URL, which by its
// nature lets whoever knows it report, and a hook's command that speaks of a token, secret, password, key or authorization.
func (f *File) Secret() string {
	return secretIn(nil, reflect.ValueOf(f).Elem())
}

func secretIn(path []string, v reflect.Value) string {
	for _, field := range fieldsOf(v.Type()) {
		here := append(path[:len(path):len(path)], field.key)
		switch x := v.FieldByIndex(field.index); x.Kind() {
		case reflect.Struct:
			if found := secretIn(here, x); found != "" {
				return found
			}
		case reflect.Map:
			for _, name := range x.MapKeys() {
				if found := secretIn(append(here[:len(here):len(here)], name.String()), x.MapIndex(name).Elem()); found != "" {
					return found
				}
			}
		default:
			if IsSecret(field.key, x.Interface()) {
				return joined(here)
			}
		}
	}
	return ""
}

// IsSecret reports whether the value of a key is one that nobody else may read.
func IsSecret(key string, value any) bool {
	switch x := value.(type) {
	case string:
		return x != "" && (key == "passphrase" || key == "sign-passphrase" || hasPassword(x))
	case []string:
		return slices.ContainsFunc(x, hasPassword)
	case []any:
		hooks, _ := HooksOf(x)
		return slices.ContainsFunc(hooks, func(h Hook) bool { return h.URL != "" || slices.ContainsFunc(h.Command, tokens.MatchString) })
	}
	return false
}

func hasPassword(s string) bool {
	if !strings.Contains(s, "://") {
		return false
	}
	u, err := url.Parse(s)
	if err != nil {
		return strings.Contains(s, "@")
	}
	_, has := u.User.Password()
	return has
}

func owner(info fs.FileInfo) (uid, gid int) {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(s.Uid), int(s.Gid)
	}
	return -1, -1
}
