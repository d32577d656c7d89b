package value

import (
	"bytes"
	"math"
	"strconv"

	"nightjar/mysqldump/server"
)

// appendJSON appends an expression for a JSON value of MySQL's. In the text of one, the server takes every number with a fraction for a
// DOUBLE, though a DECIMAL may have been there, with more digits or zeros at its end: these are put in as numbers of SQL.
func appendJSON(to, text []byte) []byte {
	exact := exactNumbers(text)
	if len(exact) == 0 {
		return server.AppendLiteral(append(to, "_utf8mb4"...), text) // MySQL refuses binary text for JSON, with error 3144
	}
	to = server.AppendLiteral(append(to, "JSON_REPLACE(_utf8mb4"...), text)
	for _, n := range exact {
		to = append(server.AppendLiteral(append(to, ",_utf8mb4"...), n.path), ',')
		to = append(to, n.literal...)
	}
	return append(to, ')')
}

// A jsonNumber is a number in a JSON text, which is at a path.
type jsonNumber struct {
	path    []byte
	literal []byte
}

// exactNumbers returns the numbers in a JSON text, as MySQL prints it, that would not come back as they are.
func exactNumbers(text []byte) (exact []jsonNumber) {
	path := []byte("$")
	type container struct {
		parent int // the length of the path of it
		index  int // of an array's element; -1: an object
	}
	var in []container
	element := func() { // the path of the next element of an array
		if c := in[len(in)-1]; c.index >= 0 {
			path = append(strconv.AppendInt(append(path[:c.parent], '['), int64(c.index), 10), ']')
		}
	}
	for i := 0; i < len(text); {
		switch c := text[i]; {
		case c == '[':
			in = append(in, container{len(path), 0})
			element()
			i++
		case c == '{':
			in = append(in, container{len(path), -1})
			i++
		case (c == ']' || c == '}') && len(in) > 0:
			path, in = path[:in[len(in)-1].parent], in[:len(in)-1]
			i++
		case c == ',' && len(in) > 0:
			if in[len(in)-1].index >= 0 {
				in[len(in)-1].index++
				element()
			}
			i++
		case c == '"':
			end := i + stringEnd(text[i:])
			if len(in) > 0 && in[len(in)-1].index < 0 && bytes.HasPrefix(text[end:], []byte(":")) {
				path = append(append(path[:in[len(in)-1].parent], '.'), text[i:end]...)
			}
			i = end
		case c == '-' || '0' <= c && c <= '9':
			end := i + 1
			for end < len(text) && bytes.IndexByte([]byte("0123456789.eE+-"), text[end]) >= 0 {
				end++
			}
			if literal := exactLiteral(string(text[i:end])); literal != "" {
				exact = append(exact, jsonNumber{bytes.Clone(path), []byte(literal)})
			}
			i = end
		default:
			i++
		}
	}
	return exact
}

// stringEnd returns the length of the JSON string that text begins with.
func stringEnd(text []byte) int {
	for i := 1; i < len(text); i++ {
		if text[i] == '\\' {
			i++
		} else if text[i] == '"' {
			return i + 1
		}
	}
	return len(text)
}

// exactLiteral returns the literal of a number in a JSON text that its text does not make; "" for all others.
func exactLiteral(number string) string {
	if number == "-0" {
		return "-0e0"
	}
	for _, c := range []byte(number) {
		if c == 'e' || c == 'E' {
			return "" // only DOUBLE is printed so
		}
	}
	if _, err := strconv.ParseUint(number, 10, 64); err == nil {
		return ""
	}
	if _, err := strconv.ParseInt(number, 10, 64); err == nil {
		return ""
	}
	f, err := strconv.ParseFloat(number, 64)
	if printed := strconv.FormatFloat(f, 'f', -1, 64); err == nil && math.Abs(f) < 1e15 && (printed == number || printed+".0" == number) {
		return ""
	}
	return number
}
