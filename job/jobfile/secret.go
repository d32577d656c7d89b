package jobfile

import (
	"io/fs"
	"net/url"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// tokens is what is in a hook that is, or comes with, a secret.
var tokens = regexp.MustCompile(`(?i)token|secret|passw|authorization|bearer|api[-_]?key`)

// given is a secret in a command that may well speak of one that it has elsewhere, as in pass show db/password, --no-password and --password-file=FILE.
var given = regexp.MustCompile(`(?i)(token|secret|passw(or)?d|passphrase|api[-_]?key)['"]?\s*[=:]\s*\S|(^|\s)--?(token|secret|passw(or)?d|passphrase|api[-_]?key)\s+[^\s-]|authorization|bearer\s`)

// logins are arguments of commands of the shell that have a password: curl's -u USER:PASSWORD, and -pPASSWORD of MySQL's programs.
var logins = regexp.MustCompile(`(^|\s)(-u|--user)[\s=]*['"]?[^\s:/]+:[^\s/]|(^|[\s/])(mysql|mariadb)[\w-]*\s(.*\s)?-p[^\s]`)

// userPassword is USER:PASSWORD@HOST.
var userPassword = regexp.MustCompile(`^[^\s:@/=]+:[^\s@/]+@`)

// Secret returns the first key of the file whose value nobody else may read; "": there is none. A passphrase is one, USER:PASSWORD@HOST with a URL or without, a hook that is a URL,
// which by its nature lets whoever knows it report, a hook that speaks of a token, secret, password, key or authorization, and a command that has one, or a login.
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
		switch key {
		case "passphrase", "sign-passphrase":
			return x != ""
		case "passphrase-command", "password-command", "pre", "post":
			return secretCommand(given, strings.Fields(x))
		}
		return hasPassword(x)
	case []string:
		return key == "command" && secretCommand(given, x) || slices.ContainsFunc(x, hasPassword)
	case []any:
		hooks, _ := HooksOf(x)
		return slices.ContainsFunc(hooks, func(h Hook) bool { return h.URL != "" || secretCommand(tokens, h.Command) })
	}
	return false
}

// secretCommand reports whether a command has a secret: what matches, or a login.
func secretCommand(secret *regexp.Regexp, words []string) bool {
	if len(words) == 0 {
		return false
	}
	line := path.Base(words[0]) + " " + strings.Join(words[1:], " ")
	return secret.MatchString(line) || logins.MatchString(line) || slices.ContainsFunc(words, hasPassword)
}

func hasPassword(s string) bool {
	if !strings.Contains(s, "://") {
		return userPassword.MatchString(s)
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
