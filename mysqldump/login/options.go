package login

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightjar/mysqldump/optionfile"
)

// What holds where nothing is said.
const (
	defaultPort    = 3306
	defaultTimeout = 10 * time.Second
	mostPacket     = 1 << 30 // bytes; no server takes more
)

// sockets are where servers listen as they are packaged.
var sockets = []string{"/run/mysqld/mysqld.sock", "/var/lib/mysql/mysql.sock", "/tmp/mysql.sock"}

// A Request says which login is wanted. Of options that are said twice the last counts, in the order of the fields.
type Request struct {
	Defaults []optionfile.Option // weaker than all files
	Files    optionfile.Files
	Explicit []optionfile.Option // a command line's

	User  string // who logs in where no option says so: the clients take the operating system's user; empty: an error then
	Named bool   // it is an error if no option names the server: a host or a socket
}

// ErrUnnamed says that no option names a server that has to be named.
var ErrUnnamed = errors.New("no database server is named")

// Find returns the login that is meant, and warnings of what was ignored in option files.
func Find(r Request) (*Login, []error, error) {
	read, warnings, err := r.Files.Read()
	if err != nil {
		return nil, warnings, err
	}
	w := &wanted{maxPacket: mostPacket}
	strictly := func(options []optionfile.Option) error {
		for _, o := range options {
			if err := w.take(o, true); err != nil {
				return err
			}
		}
		return nil
	}
	if err := strictly(r.Defaults); err != nil {
		return nil, warnings, err
	}
	for _, o := range read {
		if err := w.take(o, o.Own); err != nil {
			return nil, warnings, err
		}
	}
	if err := strictly(r.Explicit); err != nil {
		return nil, warnings, err
	}
	if r.Named && w.Host == "" && w.Socket == "" {
		return nil, warnings, ErrUnnamed
	}
	l, err := w.login(r.User)
	return l, append(warnings, w.warnings...), err
}

// wanted is what the options say so far.
type wanted struct {
	Login
	protocol  string
	maxPacket int
	tls       wantedTLS
	warnings  []error
}

// An option is one that matters here, or that clients know and that does not.
type option struct {
	name    string
	flag    func(*wanted, bool)         // of one that is on or off
	value   func(*wanted, string) error // of one that has a value; both nil: of no concern
	refused bool                        // it would protect the connection, in a way that is not ours
}

func text(to func(*wanted) *string) func(*wanted, string) error {
	return func(w *wanted, v string) error { *to(w) = v; return nil }
}

var options = []option{
	{name: "host", value: text(func(w *wanted) *string { return &w.Host })},
	{name: "port", value: func(w *wanted, v string) error { return number(&w.Port, v, math.MaxUint16) }},
	{name: "socket", value: text(func(w *wanted) *string { return &w.Socket })},
	{name: "user", value: text(func(w *wanted) *string { return &w.User })},
	{name: "password", value: func(w *wanted, v string) error { w.Password = NewPassword(v); return nil }},
	{name: "protocol", value: (*wanted).setProtocol},
	{name: "default-auth", value: text(func(w *wanted) *string { return &w.Auth })},
	{name: "connect-timeout", value: func(w *wanted, v string) error {
		var seconds int
		err := number(&seconds, v, 24*3600)
		w.ConnectTimeout = time.Duration(seconds) * time.Second
		return err
	}},
	{name: "max-allowed-packet", value: func(w *wanted, v string) (err error) { w.maxPacket, err = size(v); return err }},
	{name: "enable-cleartext-plugin", flag: func(w *wanted, on bool) { w.Cleartext = on }},
	{name: "get-server-public-key", flag: func(w *wanted, on bool) { w.FetchServerKey = on }},
	{name: "server-public-key-path", value: text(func(w *wanted) *string { return &w.ServerKey })},

	{name: "ssl", flag: func(w *wanted, on bool) { w.tls.on(on) }},
	{name: "ssl-mode", value: func(w *wanted, v string) (err error) { w.tls.mode, err = parseMode(v); return err }},
	{name: "ssl-verify-server-cert", flag: func(w *wanted, on bool) { w.tls.identity = on }},
	{name: "ssl-ca", value: file(func(w *wanted) *string { return &w.tls.CA })},
	{name: "ssl-capath", value: file(func(w *wanted) *string { return &w.tls.CAPath })},
	{name: "ssl-cert", value: file(func(w *wanted) *string { return &w.tls.Cert })},
	{name: "ssl-key", value: file(func(w *wanted) *string { return &w.tls.Key })},
	{name: "ssl-crl", value: file(func(w *wanted) *string { return &w.tls.CRL })},
	{name: "ssl-cipher", value: file(func(w *wanted) *string { return &w.tls.Ciphers })},
	{name: "tls-version", value: text(func(w *wanted) *string { return &w.tls.Versions })},
	{name: "ssl-crlpath", refused: true},
	{name: "ssl-fp", refused: true},
	{name: "ssl-fplist", refused: true},
	{name: "tls-ciphersuites", refused: true},
	{name: "ssl-passphrase", refused: true},

	{name: "auto-rehash"}, {name: "character-sets-dir"}, {name: "compress"}, {name: "connect-expired-password"},
	{name: "database"}, {name: "debug"}, {name: "default-character-set"}, {name: "delimiter"}, {name: "init-command"},
	{name: "pager"}, {name: "pipe"}, {name: "plugin-dir"}, {name: "print-defaults"}, {name: "prompt"}, {name: "quick"},
	{name: "reconnect"}, {name: "safe-updates"}, {name: "secure-auth"}, {name: "select-limit"}, {name: "server-arg"},
	{name: "show-warnings"}, {name: "sigint-ignore"}, {name: "skip-column-names"}, {name: "ssl-session-data"},
}

// file is text for an option that, with MariaDB's clients, asks for TLS by itself.
func file(to func(*wanted) *string) func(*wanted, string) error {
	return func(w *wanted, v string) error {
		*to(w) = v
		if v != "" {
			w.tls.on(true)
		}
		return nil
	}
}

// find returns the option that a name, or an unambiguous beginning of one, stands for; nil: none of the table.
func find(name string) (*option, error) {
	var found []*option
	for i := range options {
		o := &options[i]
		if o.name == name {
			return o, nil
		}
		if name != "" && strings.HasPrefix(o.name, name) {
			found = append(found, o)
		}
	}
	switch len(found) {
	case 0:
		return nil, nil
	case 1:
		return found[0], nil
	}
	return nil, fmt.Errorf("stands for %s and %s", found[0].name, found[1].name)
}

// resolve finds an option by the name that it is given in a file: prefixes turn one off or on, or let it be unknown.
func resolve(name string) (o *option, on, loose bool, err error) {
	name = strings.ReplaceAll(name, "_", "-")
	name, loose = strings.CutPrefix(name, "loose-")
	if o, err = find(name); o != nil || err != nil {
		return o, true, loose, err
	}
	for _, prefix := range []string{"skip-", "disable-", "enable-"} {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			if o, err = find(rest); o != nil && o.flag == nil && o.value != nil {
				err = errors.New("cannot be turned on or off")
			}
			return o, prefix == "enable-", loose, err
		}
	}
	return nil, false, loose, nil
}

// take adds an option to what is wanted. Unless it is meant for nightjar alone, an unknown one is some client's.
func (w *wanted) take(o optionfile.Option, strict bool) error {
	known, on, loose, err := resolve(o.Name)
	switch {
	case err != nil && strict && !loose:
	case err != nil:
		w.warnings = append(w.warnings, fmt.Errorf("option %v is ignored: %w", o, err))
		return nil
	case known == nil && strict && !loose:
		err = errors.New("unknown")
	case known == nil:
		return nil
	case known.refused && !loose:
		err = errors.New("not supported")
	case known.flag != nil:
		if on, err = boolean(o.Value, on); err == nil {
			known.flag(w, on)
		}
	case known.value == nil:
	case o.Value != nil:
		err = known.value(w, *o.Value)
	case known.name == "password": // the clients ask for one
		w.warnings = append(w.warnings, fmt.Errorf("option %v is ignored: it has no value", o))
	default:
		err = errors.New("needs a value")
	}
	if err != nil {
		return fmt.Errorf("option %v: %w", o, err)
	}
	return nil
}

// boolean reads the value of an option that is on or off; on is what it is without one.
func boolean(value *string, on bool) (bool, error) {
	if value == nil {
		return on, nil
	}
	switch strings.ToLower(*value) {
	case "1", "on", "true", "yes":
		return on, nil
	case "0", "off", "false", "no", "":
		return !on, nil
	}
	return false, errors.New("neither on nor off")
}

func number(to *int, text string, most int) error {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n > uint64(most) {
		return fmt.Errorf("not a number from 0 to %d", most)
	}
	*to = int(n)
	return nil
}

// size reads a number of bytes with K, M or G, of at most mostPacket.
func size(text string) (int, error) {
	shift := 0
	if text != "" {
		if i := strings.IndexByte("KMG", text[len(text)-1]&^0x20); i >= 0 {
			text, shift = text[:len(text)-1], 10*(i+1)
		}
	}
	n, err := strconv.ParseUint(text, 10, 40)
	if err != nil {
		return 0, errors.New("not a size")
	}
	if n<<shift < 1024 || n<<shift > mostPacket {
		return 0, fmt.Errorf("not a size from 1K to %d", mostPacket)
	}
	return int(n << shift), nil
}

func (w *wanted) setProtocol(v string) error {
	v = strings.ToLower(v)
	if v != "tcp" && v != "socket" && v != "" {
		return errors.New("neither tcp nor socket")
	}
	w.protocol = v
	return nil
}

// login draws the conclusions. As with the clients, localhost means a socket unless the protocol says otherwise.
func (w *wanted) login(user string) (*Login, error) {
	l := w.Login
	l.User = cmp.Or(l.User, user)
	l.Port = cmp.Or(l.Port, defaultPort)
	l.ConnectTimeout = cmp.Or(l.ConnectTimeout, defaultTimeout)
	l.MaxPacket = w.maxPacket
	local := l.Host == "" || l.Host == "localhost"
	switch {
	case w.protocol == "tcp" || w.protocol == "" && !local:
		l.Socket = ""
	case !local:
		return nil, fmt.Errorf("log in at %s: protocol socket serves localhost only", l.Host)
	case l.Socket == "":
		l.Socket = sockets[max(0, slices.IndexFunc(sockets, exists))]
	}
	l.Host = cmp.Or(l.Host, "localhost")
	if l.User == "" {
		return nil, fmt.Errorf("log in at %s: no user is named", l.Address())
	}
	var err error
	if l.TLS, err = w.tls.decide(); err != nil {
		return nil, fmt.Errorf("log in at %s: %w", l.Address(), err)
	}
	for name, v := range map[string]string{"user": l.User, "host": l.Host, "socket": l.Socket, "password": l.Password.Reveal()} {
		if strings.ContainsRune(v, 0) {
			return nil, fmt.Errorf("log in at %s: the %s holds a NUL byte", l.Address(), name)
		}
	}
	return &l, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
