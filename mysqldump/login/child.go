package login

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"nightjar/internal/tempdir"
	"nightjar/mysqldump/optionfile"
)

// A Family says whose client programs are meant, which differ in their options for TLS.
type Family int

const (
	MariaDB Family = iota
	MySQL
)

// OptionFile returns an open file that says this login to a client program: mariadb-dump, mysqlbinlog and the like. It
// has no name, so nothing stays behind when somebody is killed; close it when the program has ended. The program
// inherits it as a descriptor and reads it as its only option file:
//
//	child.Command{Args: []string{"mariadb-dump", login.FileArgument(3), …}, Files: []*os.File{file}}
//
// It says what all programs of a family know; an unknown option would end them. So the time to connect is not in it.
//
// MariaDB's clients before 11.4 give up TLS silently where a server has none, unless the mode is VerifyIdentity: they
// have no option for Required and VerifyCA. Later ones verify identities wherever a certificate is verified.
func (l *Login) OptionFile(dir tempdir.Dir, family Family) (*os.File, error) {
	content, err := l.optionFile(family)
	if err != nil {
		return nil, fmt.Errorf("write option file for a program: %w", err)
	}
	f, err := dir.Create("login.cnf")
	if err != nil {
		return nil, err
	}
	if _, err := f.WriteString(content); err != nil {
		f.Close()
		return nil, fmt.Errorf("write option file for a program: %w", err)
	}
	return f, nil
}

// FileArgument returns the argument that makes a client program read the option file that it inherits as a descriptor.
// It has to be the first.
func FileArgument(descriptor int) string {
	return "--defaults-file=/proc/self/fd/" + strconv.Itoa(descriptor)
}

func (l *Login) optionFile(family Family) (string, error) {
	var b strings.Builder
	var wrong error
	set := func(name, value string) {
		line, err := optionfile.Line(name, value)
		if err != nil {
			wrong = err
		}
		b.WriteString(line)
	}
	given := func(name, value string) {
		if value != "" {
			set(name, value)
		}
	}
	b.WriteString("[client]\n")
	set("user", l.User)
	given("password", l.Password.Reveal())
	if l.Socket != "" {
		set("protocol", "socket")
		set("socket", l.Socket)
	} else {
		set("protocol", "tcp")
		set("host", l.Host)
		set("port", strconv.Itoa(l.Port))
	}
	given("default-auth", l.Auth)
	l.TLS.options(family, set, given)
	if family == MySQL {
		given("server-public-key-path", l.ServerKey)
		if l.FetchServerKey {
			set("get-server-public-key", "1")
		}
		if l.Cleartext {
			set("loose-enable-cleartext-plugin", "1") // mysqlbinlog has none
		}
	}
	return b.String(), wrong
}

// options says how the connection is protected, in the words of a family.
func (t *TLS) options(family Family, set, given func(name, value string)) {
	if t.Mode != Disabled {
		given("ssl-ca", t.CA)
		given("ssl-capath", t.CAPath)
		given("ssl-cert", t.Cert)
		given("ssl-key", t.Key)
		given("ssl-crl", t.CRL)
		given("ssl-cipher", t.Ciphers)
		given("tls-version", t.Versions)
	}
	switch {
	case family == MySQL:
		set("ssl-mode", t.Mode.String())
	case t.Mode == Disabled:
		set("ssl", "0")
	default:
		set("ssl", "1")
		if t.Mode == VerifyIdentity {
			set("ssl-verify-server-cert", "1")
		} else if t.CA == "" && t.CAPath == "" {
			set("ssl-verify-server-cert", "0")
		}
	}
}
