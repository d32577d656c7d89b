package server

import "strings"

// Quote returns a name as an identifier in backticks.
func Quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// Literal returns a string literal that a session with an empty sql_mode reads as text. It has no raw control characters
// that clients change on their way.
func Literal(text string) string { return string(AppendLiteral(nil, []byte(text))) }

// AppendLiteral appends the literal of text.
func AppendLiteral(to, text []byte) []byte {
	to = append(to, '\'')
	for _, c := range text {
		switch c {
		case 0:
			to = append(to, '\\', '0')
		case '\n':
			to = append(to, '\\', 'n')
		case '\r':
			to = append(to, '\\', 'r')
		case '\x1a':
			to = append(to, '\\', 'Z')
		case '\'', '\\':
			to = append(to, '\\', c)
		default:
			to = append(to, c)
		}
	}
	return append(to, '\'')
}
