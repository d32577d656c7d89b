// Package login finds out how one gets onto a MySQL or MariaDB server, and says it to the driver and to child programs.
//
// Options come from option files, which package optionfile reads, and from what a command line or
// its environment adds. The result is a Login: where the server is, who logs in, and how the connection is protected.
//
// The invariants: a password is in no error, in no argument of a program, and in nothing that fmt prints of a value of
// this package; over a connection that is not encrypted it is never sent so that whoever listens, or answers in the
// server's place, learns it, unless an option allows that. What an option asks for and cannot be had is an error, never
// a weaker connection.
//
// The package does not read the environment, does not ask for passwords, and does not read MySQL's ~/.mylogin.cnf.
package login

import (
	"fmt"
	"net"
	"strconv"
	"time"
)

// A Login is how to get onto one server.
type Login struct {
	User     string
	Password Password // zero: none is sent

	Host   string // name or address; not empty if Socket is
	Port   int    // of Host
	Socket string // path of a Unix socket, which goes before Host; empty: TCP

	TLS TLS

	ConnectTimeout time.Duration // of reaching the server and its first word; never 0
	MaxPacket      int           // bytes in one packet that is sent

	ServerKey      string // file of the RSA key to encrypt the password with where TLS is not in use; empty: none
	FetchServerKey bool   // ask the server for that key: whoever answers in its place then learns the password
	Cleartext      bool   // send the password as it is if the server wants that and TLS has proven who it is
	Auth           string // the plugin that child programs begin with; empty: theirs
}

// Address returns what people call the server: host and port, or the socket's path.
func (l *Login) Address() string {
	if l.Socket != "" {
		return l.Socket
	}
	return net.JoinHostPort(l.Host, strconv.Itoa(l.Port))
}

// String returns the user and the server.
func (l *Login) String() string { return l.User + "@" + l.Address() }

// A Password is a secret that nothing prints by accident. The zero Password is none; an empty one is none either.
type Password struct{ text *string }

// NewPassword returns the Password that text is.
func NewPassword(text string) Password {
	if text == "" {
		return Password{}
	}
	return Password{&text}
}

// Reveal returns the password itself, "" if there is none.
func (p Password) Reveal() string {
	if p.text == nil {
		return ""
	}
	return *p.text
}

// Format prints whether there is a password, whatever the verb.
func (p Password) Format(f fmt.State, _ rune) {
	said := "none"
	if p.text != nil {
		said = "(hidden)"
	}
	fmt.Fprint(f, said)
}
