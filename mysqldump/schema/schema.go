// Package schema says what is in a server: databases, tables with their columns and keys, views, programs, accounts, each
// with the statement that makes it again.
//
// The invariant: nothing is left out silently. What cannot be carried to another server, or cannot be read, is named.
//
// Definitions are read as bytes, in a session with character set binary: any other loses what it cannot express. Each says
// the session in which it has to be run, since the same bytes mean something else in another character set.
//
// The package reads in the session that it is given, so that it sees what that session's snapshot and locks hold still.
// Servers before MySQL 8 keep definitions outside of snapshots: only Identities tell whether a table is still the one that it
// was. The package neither reads rows, except those of sequences, nor writes files.
package schema

import (
	"nightjar/mysqldump/global"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/value"
)

// A Kind is what an object is.
type Kind string

// The kinds of objects.
const (
	Base        Kind = "table"
	ViewKind    Kind = "view"
	Sequence    Kind = "sequence"
	Function    Kind = "function"
	Procedure   Kind = "procedure"
	Package     Kind = "package"
	PackageBody Kind = "package body"
	Library     Kind = "library"
	TriggerKind Kind = "trigger"
	EventKind   Kind = "event"
	ServerKind  Kind = "foreign server"
	AccountKind Kind = "account"
)

// A Name names an object of a database.
type Name struct{ Database, Name string }

// String returns the name with its database, as an SQL statement has it.
func (n Name) String() string { return server.Quote(n.Database) + "." + server.Quote(n.Name) }

// A Database is a database.
type Database struct {
	Name      string
	Charset   string
	Collation string
	Create    string // fails where the database exists
	Alter     string // gives an existing database the same options; run it with the database as it is loaded
}

// A Table is a base table or a sequence.
type Table struct {
	Database, Name string
	Kind           Kind   // Base or Sequence
	Engine         string // empty if the server does not know it
	Transactional  bool   // whether a consistent snapshot covers its rows
	NoRows         bool   // its rows are elsewhere: federated, Spider, CONNECT; only its definition is dumped
	Versioned      bool   // system-versioned, with history: see From
	Rows, Bytes    uint64 // as the server estimates
	Columns        []value.Column
	Key            []string // columns that together tell rows apart; empty: none
	KeyName        string   // the name of the key that has them
	Identity       Identity // zero if it is not known
	Created        string   // when, as the server says
	Partitions     []string // and subpartitions
	Create         string   // the statement that makes it, without a semicolon; empty until Define
	After          []string // statements that complete it, such as a sequence's value; empty until Define
	keyed          bool     // has an index
	indexes        []string // names of all its indexes in InnoDB, in any order; nil: not known
}

// FullName returns the table's name.
func (t *Table) FullName() Name { return Name{t.Database, t.Name} }

// From returns what follows FROM in a query of all rows: a system-versioned table has those of its history too, which can
// be inserted again in a session with HistorySetting.
func (t *Table) From() string {
	if t.Versioned {
		return t.FullName().String() + " FOR SYSTEM_TIME ALL"
	}
	return t.FullName().String()
}

// HistorySetting is what a session sets that inserts the rows of a system-versioned table with their history.
const HistorySetting = "SET SESSION system_versioning_insert_history=1"

// Environment is what a table's Create and After are to be run in.
func (t *Table) Environment() Environment { return definition }

// A View is a view.
type View struct {
	Database, Name string
	Definer        string
	Create         string
	Environment    Environment
	Columns        []value.Column
	Uses           []Name // views that it is made from
}

// A Program is a routine, a package or the body of a package.
type Program struct {
	Database, Name string
	Kind           Kind
	Definer        string
	Create         string
	Environment    Environment
}

// A Trigger is a trigger of a table.
type Trigger struct {
	Database, Name string
	Table          string
	Definer        string
	Create         string
	Environment    Environment
}

// An Event is a scheduled event.
type Event struct {
	Database, Name string
	Status         string // ENABLED, DISABLED, or SLAVESIDE_DISABLED under any of its names
	Definer        string
	Create         string
	Environment    Environment
}

// A LeftOut is what an Inventory has not got, or not all of.
type LeftOut struct {
	What string // such as "plugin" or "table"
	Name string
	Why  string
}

// A Broken object is there, but the server does not tell its definition.
type Broken struct {
	Kind           Kind
	Database, Name string
	Err            error // the server's
}

// An Inventory is what is in a server. All lists are in an order in which they can be loaded, one after another.
type Inventory struct {
	Databases []Database
	Tables    []Table // sequences first
	Programs  []Program
	Views     []View    // a view after those that it uses
	Triggers  []Trigger // in the order in which the server runs them
	Events    []Event
	Servers   []global.ForeignServer
	Accounts  []global.Account
	Left      []LeftOut
	Broken    []Broken

	names []Object            // of all tables and sequences that are chosen
	said  map[string][]string // of accounts, by the server
}
