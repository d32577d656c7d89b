package restore

import (
	"bytes"
	"strings"
)

// A class is what a token is.
type class int

const (
	space   class = iota // also what opens or closes a comment that servers execute
	comment              // with its delimiters
	word                 // a keyword, an unquoted name or a number
	quoted               // a name in backticks, or text in double quotes, which is a name in some modes
	literal              // text in single quotes, or quotes that do not end
	sign                 // one byte
)

// A token is a piece of a statement.
type token struct {
	class    class
	text     []byte
	from, to int // in the statement
}

// is reports whether the token is a keyword.
func (t token) is(keyword string) bool {
	return t.class == word && strings.EqualFold(string(t.text), keyword)
}

// name returns the name that a token is: unquoted, if it is quoted.
func (t token) name() (string, bool) {
	switch t.class {
	case word:
		return string(t.text), true
	case quoted:
		q := string(t.text[:1])
		return strings.ReplaceAll(string(t.text[1:len(t.text)-1]), q+q, q), true
	}
	return "", false
}

// A lexer cuts a statement into tokens that, one after another, are the statement. It reads as a session with an empty
// sql_mode does; statements of other modes are looked at only where that makes no difference.
type lexer struct {
	text []byte
	at   int
}

// next returns the next token that is neither space nor a comment; false at the end.
func (l *lexer) next() (token, bool) {
	for {
		t, ok := l.any()
		if !ok || t.class != space && t.class != comment {
			return t, ok
		}
	}
}

// any returns the next token, false at the end.
func (l *lexer) any() (token, bool) {
	if l.at >= len(l.text) {
		return token{}, false
	}
	from := l.at
	c := l.class()
	return token{c, l.text[from:l.at], from, l.at}, true
}

func (l *lexer) class() class {
	rest := l.text[l.at:]
	switch c := rest[0]; {
	case isSpace(c):
		l.skip(isSpace)
		return space
	case isWord(c):
		l.skip(isWord)
		return word
	case c == '`' || c == '"' || c == '\'':
		n, ends := endOfQuote(rest)
		if l.at += n; c == '\'' || !ends {
			return literal
		}
		return quoted
	case c == '#', bytes.HasPrefix(rest, []byte("-- ")), bytes.HasPrefix(rest, []byte("--\n")), bytes.HasPrefix(rest, []byte("--\t")):
		l.to(bytes.IndexByte(rest, '\n'), 1)
		return comment
	case bytes.HasPrefix(rest, []byte("/*!")), bytes.HasPrefix(rest, []byte("/*M!")):
		l.at += bytes.IndexByte(rest, '!') + 1
		l.skip(func(c byte) bool { return '0' <= c && c <= '9' })
		return space
	case bytes.HasPrefix(rest, []byte("*/")):
		l.at += 2
		return space
	case bytes.HasPrefix(rest, []byte("/*")):
		end := bytes.Index(rest[2:], []byte("*/"))
		if end >= 0 {
			end += 2
		}
		l.to(end, 2)
		return comment
	}
	l.at++
	return sign
}

// to goes to an offset in the rest and n bytes past it; with -1, to the end.
func (l *lexer) to(offset, n int) {
	if offset < 0 {
		l.at = len(l.text)
		return
	}
	l.at += offset + n
}

func (l *lexer) skip(is func(byte) bool) {
	for l.at < len(l.text) && is(l.text[l.at]) {
		l.at++
	}
}

// endOfQuote returns how long the quoted text is with which rest begins: all of rest, if it does not end.
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
