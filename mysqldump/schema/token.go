package schema

import "strings"

// A tokenKind is what a token is.
type tokenKind byte

const (
	word       tokenKind = iota // of letters, digits, "_", "$", "@" and bytes beyond ASCII
	identifier                  // in backticks
	text                        // in quotes
	symbol                      // one byte
)

// A token is a part of a statement that the server printed. White space and comments are between tokens, but what is in a comment that
// servers run, as /*!50100 PARTITION BY ... */, is tokens too.
type token struct {
	kind       tokenKind
	begin, end int // in the statement
}

// tokens splits a statement. Nothing is refused: a quote that does not end does so with the statement.
func tokens(statement string) []token {
	var all []token
	for i := 0; i < len(statement); {
		c := statement[i]
		switch {
		case c == ' ' || '\t' <= c && c <= '\r':
			i++
		case strings.HasPrefix(statement[i:], "/*"):
			i = skipComment(statement, i)
		case strings.HasPrefix(statement[i:], "*/"):
			i += 2
		case c == '`' || c == '\'' || c == '"':
			kind := text
			if c == '`' {
				kind = identifier
			}
			end := quoteEnd(statement, i)
			all = append(all, token{kind, i, end})
			i = end
		case isWord(c):
			end := i + 1
			for end < len(statement) && isWord(statement[end]) {
				end++
			}
			all = append(all, token{word, i, end})
			i = end
		default:
			all = append(all, token{symbol, i, i + 1})
			i++
		}
	}
	return all
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '$' || c == '@' || c >= 0x80
}

// skipComment returns where the content of a comment that servers run begins, and where any other comment ends.
func skipComment(s string, i int) int {
	rest := s[i+2:]
	for _, mark := range []string{"M!", "!"} {
		if after, ok := strings.CutPrefix(rest, mark); ok {
			return len(s) - len(strings.TrimLeft(after, "0123456789"))
		}
	}
	if end := strings.Index(rest, "*/"); end >= 0 {
		return i + 2 + end + 2
	}
	return len(s)
}

// quoteEnd returns where a quoted token that begins at i ends. In quotes, a backslash takes the next byte's meaning; in all, a doubled quote is one.
func quoteEnd(s string, i int) int {
	quote := s[i]
	for j := i + 1; j < len(s); j++ {
		switch {
		case s[j] == '\\' && quote != '`':
			j++
		case s[j] != quote:
		case j+1 < len(s) && s[j+1] == quote:
			j++
		default:
			return j + 1
		}
	}
	return len(s)
}

func (t token) of(statement string) string { return statement[t.begin:t.end] }

// is reports whether a token is a word, in any case, or a symbol.
func (t token) is(statement, what string) bool {
	return (t.kind == word || t.kind == symbol) && strings.EqualFold(t.of(statement), what)
}

// name returns what an identifier or a word names.
func (t token) name(statement string) string {
	s := t.of(statement)
	if t.kind != identifier {
		return s
	}
	return strings.ReplaceAll(strings.TrimSuffix(s[1:], "`"), "``", "`")
}

// matching returns the index of the parenthesis that closes the one at i, or len(all).
func matching(statement string, all []token, i int) int {
	depth := 0
	for ; i < len(all); i++ {
		if all[i].is(statement, "(") {
			depth++
		} else if all[i].is(statement, ")") {
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return i
}
