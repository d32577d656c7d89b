// Package ddl says what definitions say, without a server: what a statement makes, what is in a table's, and whether two
// statements make the same.
//
// The invariant: nothing is refused, and what is not understood stays as it is. Statements are read as a session with an empty
// sql_mode reads them; those of other modes are looked at only where that makes no difference. The package knows tokens, not
// the server's grammar.
package ddl

import (
	"bytes"
	"strings"
)

// A Kind is what a token is.
type Kind int

// The kinds of tokens.
const (
	Space   Kind = iota // also what opens or closes a comment that servers execute
	Comment             // with its delimiters
	Word                // a keyword, an unquoted name or a number
	Ticked              // a name in backticks
	Quoted              // in double quotes: text, which is a name in some modes
	Text                // text in single quotes, or quotes that do not end
	Sign                // one byte
)

// A Token is a piece of a statement.
type Token struct {
	Kind     Kind
	Text     []byte
	From, To int // in the statement
}

// Is reports whether the token is a keyword, in any case, or a sign.
func (t Token) Is(what string) bool {
	return (t.Kind == Word || t.Kind == Sign) && strings.EqualFold(string(t.Text), what)
}

// IsName reports whether the token may be a name.
func (t Token) IsName() bool { return t.Kind == Word || t.Kind == Ticked || t.Kind == Quoted }

// Name returns the name that a token is: unquoted, if it is quoted. Of others it is their text.
func (t Token) Name() string {
	if t.Kind != Ticked && t.Kind != Quoted {
		return string(t.Text)
	}
	q := string(t.Text[:1])
	return strings.ReplaceAll(string(t.Text[1:len(t.Text)-1]), q+q, q)
}

// A Lexer cuts a statement into tokens that, one after another, are the statement. A copy of a Lexer looks ahead.
type Lexer struct {
	Text []byte // the statement
	At   int    // where in it the next token begins
	Bare bool   // "#" and "--" begin no comment: grants of MySQL 5.7 have names of columns without quotes
}

// Tokens returns the tokens of a statement that are neither space nor comments.
func Tokens(statement string) []Token {
	l := Lexer{Text: []byte(statement)}
	return l.All()
}

// All returns the next tokens, to the end, that are neither space nor comments.
func (l *Lexer) All() (all []Token) {
	for t, ok := l.Next(); ok; t, ok = l.Next() {
		all = append(all, t)
	}
	return all
}

// Next returns the next token that is neither space nor a comment; false at the end.
func (l *Lexer) Next() (Token, bool) {
	for {
		t, ok := l.Any()
		if !ok || t.Kind != Space && t.Kind != Comment {
			return t, ok
		}
	}
}

// Any returns the next token, false at the end.
func (l *Lexer) Any() (Token, bool) {
	if l.At >= len(l.Text) {
		return Token{}, false
	}
	from := l.At
	k := l.kind()
	return Token{k, l.Text[from:l.At], from, l.At}, true
}

// Follow passes over keywords, and reports whether they are the next; else it stays.
func (l *Lexer) Follow(keywords ...string) bool {
	ahead := *l
	for _, k := range keywords {
		if t, _ := ahead.Next(); !t.Is(k) {
			return false
		}
	}
	*l = ahead
	return true
}

func (l *Lexer) kind() Kind {
	rest := l.Text[l.At:]
	switch c := rest[0]; {
	case isSpace(c):
		l.skip(isSpace)
		return Space
	case isWord(c):
		l.skip(isWord)
		return Word
	case c == '`' || c == '"' || c == '\'':
		n, ends := endOfQuote(rest)
		l.At += n
		switch {
		case c == '`' && ends:
			return Ticked
		case c == '"' && ends:
			return Quoted
		}
		return Text
	case !l.Bare && (c == '#' || bytes.HasPrefix(rest, []byte("-- ")) || bytes.HasPrefix(rest, []byte("--\n")) || bytes.HasPrefix(rest, []byte("--\t"))):
		l.to(bytes.IndexByte(rest, '\n'), 1)
		return Comment
	case bytes.HasPrefix(rest, []byte("/*!")), bytes.HasPrefix(rest, []byte("/*M!")):
		l.At += bytes.IndexByte(rest, '!') + 1
		l.skip(func(c byte) bool { return '0' <= c && c <= '9' })
		return Space
	case bytes.HasPrefix(rest, []byte("*/")):
		l.At += 2
		return Space
	case bytes.HasPrefix(rest, []byte("/*")):
		end := bytes.Index(rest[2:], []byte("*/"))
		if end >= 0 {
			end += 2
		}
		l.to(end, 2)
		return Comment
	}
	l.At++
	return Sign
}

// to goes to an offset in the rest and n bytes past it; with -1, to the end.
func (l *Lexer) to(offset, n int) {
	if offset < 0 {
		l.At = len(l.Text)
		return
	}
	l.At += offset + n
}

func (l *Lexer) skip(is func(byte) bool) {
	for l.At < len(l.Text) && is(l.Text[l.At]) {
		l.At++
	}
}

// endOfQuote returns how long the quoted text is with which rest begins: all of rest, if it does not end. In all quotes, a doubled one is
// one; in all but backticks, a backslash takes the next byte's meaning.
func endOfQuote(rest []byte) (n int, ends bool) {
	q := rest[0]
	for i := 1; i < len(rest); i++ {
		switch {
		case rest[i] == '\\' && q != '`':
			i++
		case rest[i] == q && i+1 < len(rest) && rest[i+1] == q:
			i++
		case rest[i] == q:
			return i + 1, true
		}
	}
	return len(rest), false
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '$' || c >= 0x80
}

// matching returns the index of the parenthesis that closes the one at i, or len(all).
func matching(all []Token, i int) int {
	depth := 0
	for ; i < len(all); i++ {
		if all[i].Is("(") {
			depth++
		} else if all[i].Is(")") {
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return i
}
