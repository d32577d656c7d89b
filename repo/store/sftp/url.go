package sftp

import (
	"errors"
	"net/url"
	"path"
	"strconv"
	"strings"

	"nightjar/repo/store"
)

// An address is a folder of a server.
type address struct {
	user string // "": as the configuration says, else the user's own name
	host string // or an alias of the configuration
	port string // "": as the configuration says, else 22
	path string // cleaned; begins with '/', what is below the login folder with "/~"
}

// Parse checks sftp://[user@]host[:port]/path. The path is absolute, with one
// slash or, as restic writes it, two; /~/path begins in the login folder.
func Parse(l store.Location) (store.Location, error) {
	a, err := parse(l)
	if err != nil {
		return store.Location{}, err
	}
	return store.Location{Scheme: scheme, Path: strings.TrimPrefix(a.String(), scheme+"://")}, nil
}

const scheme = "sftp"

// parse does not repeat what may hold a password.
func parse(l store.Location) (address, error) {
	u, err := url.Parse("sftp://" + l.Path)
	if l.Scheme != scheme || err != nil {
		return address{}, errors.New("malformed: sftp://user@host/path wanted")
	}
	a := address{user: u.User.Username(), host: u.Hostname(), port: u.Port()}
	if _, has := u.User.Password(); has {
		return address{}, errors.New("an sftp:// URL may not hold a password: keys are used, see --sftp-key")
	}
	switch {
	case strings.ContainsAny(l.Path, "?#"):
		return address{}, errors.New("'?' and '#' in an sftp:// URL are written %3F and %23")
	case a.host == "" || strings.HasPrefix(a.host, "-") || hasControl(a.host):
		return address{}, errors.New("an sftp:// URL names a host: sftp://user@host/path")
	case hasControl(a.user) || u.User != nil && a.user == "":
		return address{}, errors.New("malformed user in an sftp:// URL")
	case u.Path == "" || u.Path == "/":
		return address{}, errors.New("an sftp:// URL needs a path: sftp://host/path, or sftp://host/~/path below the login folder")
	case strings.ContainsRune(u.Path, 0):
		return address{}, errors.New("the path of an sftp:// URL holds a zero byte")
	}
	if a.port != "" {
		n, err := strconv.ParseUint(a.port, 10, 16)
		if err != nil || n == 0 {
			return address{}, errors.New("malformed port in an sftp:// URL")
		}
		a.port = strconv.FormatUint(n, 10)
	}
	a.path = path.Clean(u.Path)
	if strings.HasPrefix(u.Path, "/~/") || u.Path == "/~" {
		a.path = "/~" + strings.TrimSuffix(path.Clean("/"+strings.TrimPrefix(u.Path, "/~")), "/")
	}
	if a.path == "/" {
		return address{}, errors.New("an sftp:// URL needs a path that is not the root")
	}
	return a, nil
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f })
}

// String is the URL.
func (a address) String() string {
	u := url.URL{Scheme: scheme, Host: a.host, Path: a.path}
	if strings.Contains(a.host, ":") {
		u.Host = "[" + a.host + "]"
	}
	if a.port != "" {
		u.Host += ":" + a.port
	}
	if a.user != "" {
		u.User = url.User(a.user)
	}
	return u.String()
}

// root is what the server is asked for.
func (a address) root() string {
	if a.path == "/~" {
		return "."
	}
	if below, ok := strings.CutPrefix(a.path, "/~/"); ok {
		return "./" + below
	}
	return a.path
}
