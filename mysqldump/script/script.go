// Package script knows the files of a dump: what they are called, and how SQL statements stand in them.
//
// Names sort, byte by byte and in every locale, so that `cat $(ls | sort) | mariadb` loads everything: databases, sequences,
// tables, rows, programs, accounts, views with the grants on them, triggers, events. Each file sets its own session.
//
// The invariant: what is read from a file are the statements that were written to it, whatever is in them, and the server's own
// clients read the same.
//
// The package neither connects to servers nor knows what is in tables.
package script

// A Kind is what a file of a dump holds. Kinds sort in the order in which they are loaded.
type Kind string

// The kinds of files.
const (
	About     Kind = "00-about"    // comments: of which server, where it stood, what was left out
	Databases Kind = "10-database" // one per database
	Servers   Kind = "15-server"   // one per foreign server, which federated tables name
	Sequences Kind = "20-sequence" // one per sequence
	Tables    Kind = "30-table"    // one per table: its definition
	Rows      Kind = "40-rows"     // of one table or one range of its keys
	Programs  Kind = "50-program"  // one per routine or package
	Accounts  Kind = "55-account"  // roles, users and their grants, but for those on views
	Views     Kind = "60-view"     // one per view, numbered in the order of their dependence
	Grants    Kind = "65-grant"    // on views, one per account; those that another view needs are named and numbered as Views
	Triggers  Kind = "70-trigger"  // one per table: its triggers in their order
	Events    Kind = "80-event"    // one per event
)

// NoPosition is what About says in the place of a position.
const NoPosition = "none: the server wrote no binary log"

// The notes of files, as a Sink's Note has them.
const (
	NoteKind     = "kind"     // as Kind
	NoteDatabase = "database" // the true name, which the file's may shorten
	NoteObject   = "object"   // the true name of the table, view ...
	NoteColumns  = "columns"  // of Rows and Tables: the columns written, as a JSON list of names
	NoteRows     = "rows"     // of Rows: how many; of Tables: of the whole table
	NoteSum      = "sum"      // of Rows and Tables: the sum.Sum of these rows
	NoteFrom     = "from"     // of Rows: the first key of the range, as a JSON list of literals; none: from the beginning
	NoteUntil    = "until"    // of Rows: the first key that is not in it, likewise
	NoteParts    = "parts"    // of Tables: how many files its rows are in
)
