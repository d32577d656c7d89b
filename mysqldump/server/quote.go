package server

import "strings"

// Quote returns a name as an identifier in backticks.
func Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// Literal returns a string literal that a session with an empty sql_mode reads as text. It has no raw control characters
// that clients change on their way.
func Literal(text string) string { return string(AppendLiteral(nil, []byte(text))) }

// TextLiteral returns a literal that is text in any session, as comparisons with names need.
func TextLiteral(text string) string { return "_utf8" + Literal(text) }

// AppendLiteral appends the literal of text.
func AppendLiteral(to, text []byte) []byte {
	to = append(to, '\'')
	from := 0
	for i, c := range text {
		if c >= firstPlain && c != '\\' || escapes[c] == 0 {
			continue
		}
		to = append(append(to, text[from:i]...), '\\', escapes[c])
		from = i + 1
	}
	to = append(to, text[from:]...)
	return append(to, '\'')
}

// escapes has, for a byte that cannot stand in a literal, what stands there after a backslash.
var escapes = [256]byte{0: '0', '\n': 'n', '\r': 'r', '\x1a': 'Z', '\'': '\'', '\\': '\\'}

// firstPlain is the first byte above all of these but the backslash.
const firstPlain = '\'' + 1
