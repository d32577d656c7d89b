// Package schema says what is in a server: databases, tables with their columns and keys, views, programs, accounts, each
// with the statement that makes it again.
//
// The invariant: nothing is left out silently. What cannot be carried to another server, or cannot be read, is named.
//
// The package reads in the session that it is given, so that it sees what that session's snapshot and locks hold still. It
// neither reads rows nor writes files.
package schema

// A Kind is what an object is.
type Kind string

// The kinds of objects.
const (
	Base     Kind = "table"
	View     Kind = "view"
	Sequence Kind = "sequence"
)

// A Table is a table, a view or a sequence.
type Table struct {
	Database, Name string
	Kind           Kind
	Engine         string // empty: of a view
	Transactional  bool   // whether a consistent snapshot covers its rows
	NoRows         bool   // its rows are elsewhere: federated, Spider, CONNECT; only its definition is dumped
	Versioned      bool   // system-versioned, with history
	Rows, Bytes    uint64 // as the server estimates
	Columns        []Column
	Key            []string // columns of the primary key, or of a unique key without NULL; empty: none
	KeyName        string   // its name
	Identity       Identity
	Create         string // the statement that makes it, without a semicolon
	Partitions     []string
}

// An Identity tells a table from another that took its name later.
type Identity struct {
	ID      string // InnoDB's table id; empty if it is not known
	Created string // as the server says
}

// A Column is a column of a table, in the table's order.
type Column struct {
	Name      string
	Type      string // as information_schema.COLUMN_TYPE: "int(10) unsigned"
	DataType  string // as information_schema.DATA_TYPE: "int"
	Charset   string // empty: none
	Collation string
	Nullable  bool
	Generated bool // its value is computed, so that it is not written
	Invisible bool
}
