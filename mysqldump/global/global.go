// Package global says what belongs to a whole server and to none of its databases: accounts with their privileges, and foreign servers, each
// with the statements that make it again.
//
// The invariant: nothing is left out silently. What cannot be carried to another server, or cannot be read, is named.
//
// The package knows the objects of databases only by what it asks of them: a grant on one that is not there cannot be loaded.
package global

import (
	"context"

	"nightjar/mysqldump/server"
)

// Objects are what is there, or is made before grants are.
type Objects interface {
	// Columns returns the columns of a table or a view, and whether it is there.
	Columns(database, name string) (columns []string, there bool)
	// IsView reports whether there is a view of a name.
	IsView(database, name string) bool
	// HasProgram reports whether there is a routine, a package or a library, whose names do not tell upper case from lower. The kind is the
	// word of statements, in lower case.
	HasProgram(kind, database, name string) bool
}

// A Globals is what belongs to a whole server.
type Globals struct {
	Servers  []ForeignServer
	Accounts []Account
	Said     map[string][]string // by the server of each account, by its name, in any order: it changes when the account does
}

// A reader reads Globals.
type reader struct {
	Objects
	s        *server.Session
	left     func(what, name, why string)
	accounts []Account // all that may be named in grants
	servers  []ForeignServer
	found    []Account
	said     map[string][]string
}

// Read reads what belongs to a server. What it leaves out is told to left.
func Read(ctx context.Context, s *server.Session, objects Objects, left func(what, name, why string)) (Globals, error) {
	r := &reader{Objects: objects, s: s, left: left}
	for _, step := range []func(context.Context) error{r.readServers, r.readAccounts, r.readLeft} {
		if err := step(ctx); err != nil {
			return Globals{}, err
		}
	}
	return Globals{r.servers, r.found, r.said}, nil
}

// ofObject reports whether an error is a server's answer, of one object, and not the end of the session.
func ofObject(err error) bool { return server.Number(err) != 0 }

// The server's error numbers that are answers.
const (
	noSuchTable   = 1146
	unknownTable  = 1109
	unknownColumn = 1054
	tableDenied   = 1142
	columnDenied  = 1143
)
