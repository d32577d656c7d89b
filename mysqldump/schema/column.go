package schema

import (
	"nightjar/mysqldump/server"
)

// Value returns the expression whose text, in a session with character set binary, is the column's value with nothing lost:
// servers print FLOAT with six digits, and BIT as bytes.
func (c Column) Value() string {
	name := server.Quote(c.Name)
	switch c.DataType {
	case "float", "double":
		return name + "+0e0"
	case "bit":
		return name + "+0"
	}
	return name
}

// AppendLiteral appends the literal that, in a session with character set binary, sets the column to what Value printed; nil is NULL.
func (c Column) AppendLiteral(to, text []byte) []byte {
	switch {
	case text == nil:
		return append(to, "NULL"...)
	case c.isNumber():
		return append(to, text...)
	case c.Native:
		to = append(to, "_utf8mb4"...) // MySQL refuses binary text for JSON, with error 3144
	}
	return server.AppendLiteral(to, text)
}

func (c Column) isNumber() bool {
	switch c.DataType {
	case "tinyint", "smallint", "mediumint", "int", "bigint", "float", "double", "decimal", "bit", "year":
		return true
	}
	return false
}
