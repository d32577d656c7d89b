package ddl

import (
	"bytes"
	"fmt"
	"strings"
)

// Canonical returns the definition of a table without what differs between a table and its copy: the next AUTO_INCREMENT, which rows
// change, the character set before a collation, which MySQL 8 prints or not by how the table was made, and DEFAULT NULL, which
// MariaDB does not print of some columns that a query made, and no statement can take away. Two tables are the same if theirs are equal. It is not for loading.
func Canonical(create string) string {
	all := Tokens(create)
	var b strings.Builder
	done := 0
	cut := func(begin, end int) {
		b.WriteString(strings.TrimSuffix(create[done:begin], " "))
		done = end
	}
	for i := 0; i+2 < len(all); i++ {
		switch {
		case all[i].Is("AUTO_INCREMENT") && all[i+1].Is("="):
			cut(all[i].From, all[i+2].To)
		case all[i].Is("DEFAULT") && all[i+1].Is("NULL"):
			cut(all[i].From, all[i+1].To)
		case i+3 < len(all) && all[i].Is("CHARACTER") && all[i+1].Is("SET") && all[i+3].Is("COLLATE"):
			cut(all[i].From, all[i+2].To)
		}
	}
	return b.String() + create[done:]
}

// Inside returns the definition of a table without DATA DIRECTORY and INDEX DIRECTORY, so that its files are made in the data directory.
func Inside(create []byte) []byte {
	all := Tokens(string(create))
	var kept []byte
	done := 0
	for i := 0; i+2 < len(all); i++ {
		if !all[i].Is("DATA") && !all[i].Is("INDEX") || !all[i+1].Is("DIRECTORY") {
			continue
		}
		value := i + 2
		if all[value].Is("=") {
			value++
		}
		if value < len(all) && (all[value].Kind == Text || all[value].Kind == Quoted) {
			kept, done = append(kept, create[done:all[i].From]...), all[value].To
			i = value
		}
	}
	return append(kept, create[done:]...)
}

// Same reports whether two statements make the same. Where they stand on the line, comments for other servers'
// versions, OR REPLACE, IF NOT EXISTS, the next AUTO_INCREMENT, and SLAVE for REPLICA after ON make no difference.
func Same(a, b []byte) bool {
	if Begins(a, "CREATE") {
		a, b = []byte(Canonical(string(a))), []byte(Canonical(string(b)))
	}
	x, y := Lexer{Text: a}, Lexer{Text: b}
	on := false
	for {
		s, more := x.significant()
		t, also := y.significant()
		if !more || !also {
			return more == also
		}
		onReplica := on && (s.Is("SLAVE") || s.Is("REPLICA")) && (t.Is("SLAVE") || t.Is("REPLICA")) // DISABLE ON …, as servers say it
		if !onReplica && (s.Kind != t.Kind || !bytes.Equal(s.Text, t.Text)) {
			return false
		}
		on = s.Is("ON")
	}
}

// significant returns the next token that makes a difference between definitions.
func (l *Lexer) significant() (Token, bool) {
	for {
		t, ok := l.Any()
		switch {
		case !ok:
			return t, false
		case t.Kind == Space:
			continue
		case t.Is("OR") && l.Follow("REPLACE"), t.Is("IF") && l.Follow("NOT", "EXISTS"):
			continue
		case t.Is("AUTO_INCREMENT") && bytes.HasPrefix(l.Text[l.At:], []byte("=")):
			l.At++
			_, _ = l.Next()
			continue
		}
		return t, true
	}
}

// Difference returns the part of a definition with which it begins to differ from another, in quotes and on one line.
func Difference(text, other []byte) string {
	x, y := Lexer{Text: text}, Lexer{Text: other}
	for {
		at := x.At
		s, more := x.significant()
		t, also := y.significant()
		if more && also && s.Kind == t.Kind && string(s.Text) == string(t.Text) {
			continue
		}
		return fmt.Sprintf(`"%.100s"`, strings.Join(strings.Fields(string(text[at:])), " "))
	}
}

// Contains reports whether a statement of a server's has all tokens of another, in order. Names may be quoted differently.
func Contains(whole, part []byte) bool {
	x, y := Lexer{Text: whole}, Lexer{Text: part}
	want, more := y.significant()
	for more {
		is, ok := x.significant()
		if !ok {
			return false
		}
		if strings.EqualFold(is.plain(), want.plain()) && (is.Kind == Sign) == (want.Kind == Sign) {
			want, more = y.significant()
		}
	}
	return true
}

// plain returns a token without its quotes.
func (t Token) plain() string {
	if (t.Kind == Text || t.Kind == Quoted || t.Kind == Ticked) && len(t.Text) > 1 {
		return string(t.Text[1 : len(t.Text)-1])
	}
	return string(t.Text)
}
