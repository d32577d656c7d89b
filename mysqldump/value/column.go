// Package value says how the values of a column are read from a server with nothing lost, and how they are written again.
//
// The invariant: in sessions with character set binary, what Literal writes of what Value printed makes the same value. The package runs
// no statement: Value is an expression for a query, Literal one for an INSERT.
package value

import (
	"bytes"
	"strings"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/server"
)

// A Column is a column of a table, in the table's order. A system-versioned table has its period's two at the end, if the
// definition does not name them.
type Column struct {
	Name      string
	Type      string // as information_schema.COLUMN_TYPE: "int(10) unsigned"
	DataType  string // as information_schema.DATA_TYPE: "int"
	Charset   string // empty: none
	Collation string
	Nullable  bool
	Generated bool // its value is computed, so that it is not written
	Invisible bool
	SRID      string // of MySQL's geometries: the only one that it takes; empty: any
	Period    string // of a system-versioned table: "start" or "end" of the time in which a row was there
}

// Value returns the expression whose text, in a session with character set binary, is the column's value with nothing lost, and
// of which the server's CRC32 is that of the text. Servers print FLOAT with six digits, BIT as bytes, and an ENUM's value that
// is none of its as the empty string, which may be one. The driver prints numbers anew: those that would be others then are text, or without zeros before
// them. It needs the column's Name, Type and DataType.
func (c Column) Value() string {
	name := server.Quote(c.Name)
	switch {
	case c.DataType == "float":
		return "CONCAT(" + name + "*1e0)" // + would lose the sign of -0
	case c.DataType == "double":
		return "CONCAT(" + name + ")" // of a product, MySQL 9 prints 22 characters at most
	case c.asNumber():
		return name + "+0"
	}
	return name
}

// Literal returns the function that appends the literal that, in a session with character set binary, sets the column to what
// Value printed; nil is NULL.
func (c Column) Literal() func(to, text []byte) []byte {
	switch {
	case c.DataType == "float" || c.DataType == "double":
		return appendFloat
	case c.isNumber():
		return func(to, text []byte) []byte { return append(to, orNull(text)...) }
	case c.DataType == "json": // of MySQL: MariaDB's is longtext
		return notNull(appendJSON)
	case c.DataType == "uuid" || c.DataType == "inet6" || c.DataType == "inet4":
		// MariaDB takes a string of bytes for the bytes of the value, not for its text.
		return notNull(func(to, text []byte) []byte { return server.AppendLiteral(append(to, "_latin1"...), text) })
	}
	return notNull(server.AppendLiteral)
}

var null = []byte("NULL")

func orNull(text []byte) []byte {
	if text == nil {
		return null
	}
	return text
}

func notNull(appendText func(to, text []byte) []byte) func(to, text []byte) []byte {
	return func(to, text []byte) []byte {
		if text == nil {
			return append(to, null...)
		}
		return appendText(to, text)
	}
}

// exactDigits is how long the text of a number may be that is surely a DECIMAL: a DOUBLE(255,0) has more digits than that.
const exactDigits = 30

func appendFloat(to, text []byte) []byte {
	if to = append(to, orNull(text)...); (bytes.HasPrefix(text, []byte("-0")) || len(text) > exactDigits) && !bytes.ContainsAny(text, "eE") {
		to = append(to, "e0"...) // else it is a DECIMAL, which has neither -0 nor that many digits
	}
	return to
}

// asNumber reports whether a value is read as a whole number that its column does not print.
func (c Column) asNumber() bool {
	switch c.DataType {
	case "bit", "year":
		return true
	case "tinyint", "smallint", "mediumint", "int", "bigint":
		return strings.Contains(c.Type, "zerofill")
	case "enum", "set":
		for _, t := range ddl.Tokens(c.Type) {
			if string(t.Text) == "''" { // a member
				return true
			}
		}
	}
	return false
}

func (c Column) isNumber() bool {
	switch c.DataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "float", "double", "decimal", "bit", "year":
		return true
	}
	return c.asNumber()
}
