package restore

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"nightjar/mysqldump/schema"
	"nightjar/mysqldump/server"
)

// A made is what a CREATE statement makes.
type made struct {
	what     string // TABLE, PACKAGE BODY, ...
	name     string
	from, to int // where the name stands, with the database's before it
}

var makable = []string{"TABLE", "VIEW", "PROCEDURE", "FUNCTION", "PACKAGE", "TRIGGER", "EVENT", "SEQUENCE", "DATABASE", "USER", "ROLE"}

// makes reads the head of a CREATE statement; false if it is none that makes something of those.
func makes(statement []byte) (m made, ok bool) {
	l := lexer{text: statement}
	if t, _ := l.next(); !t.is("CREATE") {
		return m, false
	}
	for {
		t, ok := l.next()
		if !ok || t.class == sign && t.text[0] == '(' {
			return m, false
		}
		for _, what := range makable {
			if t.is(what) {
				return m.read(&l, what)
			}
		}
	}
}

// read reads what comes after the keyword.
func (m made) read(l *lexer, what string) (made, bool) {
	m.what = what
	t, ok := l.next()
	if what == "PACKAGE" && t.is("BODY") {
		m.what = "PACKAGE BODY"
		t, ok = l.next()
	}
	if t.is("IF") {
		_, _ = l.next() // NOT
		_, _ = l.next() // EXISTS
		t, ok = l.next()
	}
	m.from = t.from
	for ok {
		if m.name, ok = t.name(); !ok {
			return m, false
		}
		m.to = t.to
		if rest := bytes.TrimLeft(l.text[l.at:], " "); !bytes.HasPrefix(rest, []byte(".")) {
			return m, true
		}
		_, _ = l.next() // the dot: what stands before it is the database
		t, ok = l.next()
	}
	return m, false
}

// begins reports whether a statement begins with a keyword.
func begins(statement []byte, keyword string) bool {
	l := lexer{text: statement}
	t, _ := l.next()
	return t.is(keyword)
}

// errTooLarge says that one row alone is larger than a statement may be.
var errTooLarge = errors.New("larger than the server's max_allowed_packet")

// split cuts an INSERT of several rows into statements of at most most bytes, each with as many rows as fit. A statement
// that fits is returned as it is.
func split(statement []byte, most int) ([][]byte, error) {
	if len(statement) <= most {
		return [][]byte{statement}, nil
	}
	head, rows, err := rowsOf(statement)
	if err != nil {
		return nil, fmt.Errorf("split statement of %d bytes: %w", len(statement), err)
	}
	var all [][]byte
	var piece []byte
	for _, row := range rows {
		if need := len(head) + len(row); need > most {
			return nil, fmt.Errorf("a row of %d bytes: %w, which is %d bytes: raise that to %d or more", len(row), errTooLarge, most, need+spare)
		}
		switch {
		case piece == nil:
			piece = append(append(piece, head...), row...)
		case len(piece)+1+len(row) > most:
			all, piece = append(all, piece), append(append([]byte{}, head...), row...)
		default:
			piece = append(append(piece, ','), row...)
		}
	}
	return append(all, piece), nil
}

// rowsOf returns what comes before the rows of an INSERT, and each row with its parentheses.
func rowsOf(statement []byte) (head []byte, rows [][]byte, err error) {
	l := lexer{text: statement}
	depth, from := 0, 0
	for {
		t, ok := l.next()
		switch {
		case !ok && (depth != 0 || len(rows) == 0):
			return nil, nil, errors.New("it is no INSERT of rows")
		case !ok:
			return head, rows, nil
		case head == nil:
			if t.is("VALUES") {
				head = statement[:l.at]
			}
			continue
		case t.class != sign || t.text[0] != '(' && t.text[0] != ')':
			if depth == 0 && (t.class != sign || t.text[0] != ',') {
				return nil, nil, fmt.Errorf("%.20q stands between the rows", t.text)
			}
			continue
		case t.text[0] == '(':
			if depth == 0 {
				from = t.from
			}
			depth++
		default:
			if depth--; depth == 0 {
				rows = append(rows, statement[from:t.to])
			}
		}
	}
}

// enabled is what an event's definition says of one that runs.
const enabled = "ENABLE"

// disableOnReplica returns the definition of an event that runs nowhere but where it was defined. One that is disabled
// stays so.
func disableOnReplica(statement []byte) []byte {
	l := lexer{text: statement}
	for {
		t, ok := l.next()
		if !ok || t.is("DO") {
			return statement
		}
		if t.is(enabled) {
			return bytes.Join([][]byte{statement[:t.from], statement[t.to:]}, []byte("DISABLE ON SLAVE"))
		}
	}
}

// sameDefinition reports whether two statements make the same. Where they stand on the line, comments for other servers'
// versions, OR REPLACE, IF NOT EXISTS, the next AUTO_INCREMENT, and SLAVE for REPLICA after ON make no difference.
func sameDefinition(a, b []byte) bool {
	if begins(a, "CREATE") {
		a, b = []byte(schema.Canonical(string(a))), []byte(schema.Canonical(string(b)))
	}
	x, y := lexer{text: a}, lexer{text: b}
	on := false
	for {
		s, more := x.significant()
		t, also := y.significant()
		if !more || !also {
			return more == also
		}
		onReplica := on && (s.is("SLAVE") || s.is("REPLICA")) && (t.is("SLAVE") || t.is("REPLICA")) // DISABLE ON …, as servers say it
		if !onReplica && (s.class != t.class || !bytes.Equal(s.text, t.text)) {
			return false
		}
		on = s.is("ON")
	}
}

// significant returns the next token that makes a difference between definitions.
func (l *lexer) significant() (token, bool) {
	for {
		t, ok := l.any()
		switch {
		case !ok:
			return t, false
		case t.class == space:
			continue
		case t.is("OR") && l.follow("REPLACE"), t.is("IF") && l.follow("NOT", "EXISTS"):
			continue
		case t.is("AUTO_INCREMENT") && bytes.HasPrefix(l.text[l.at:], []byte("=")):
			l.at++
			_, _ = l.next()
			continue
		}
		return t, true
	}
}

// follow passes over keywords, if they are the next.
func (l *lexer) follow(keywords ...string) bool {
	ahead := *l
	for _, k := range keywords {
		if t, _ := ahead.next(); !t.is(k) {
			return false
		}
	}
	*l = ahead
	return true
}

// mentions reports whether a statement names a database: as a quoted name, or as a word with a dot behind it.
func mentions(statement []byte, database string) bool {
	l := lexer{text: statement}
	for {
		t, ok := l.next()
		if !ok {
			return false
		}
		name, isName := t.name()
		if isName && strings.EqualFold(name, database) && bytes.HasPrefix(bytes.TrimLeft(l.text[l.at:], " "), []byte(".")) {
			return true
		}
	}
}

// used returns the database that a USE statement names.
func used(statement []byte) (string, bool) {
	l := lexer{text: statement}
	if t, _ := l.next(); !t.is("USE") {
		return "", false
	}
	t, _ := l.next()
	return t.name()
}

// renamed returns a CREATE statement with another name for what it makes.
func renamed(statement []byte, m made, name string) []byte {
	rest := statement[m.to:]
	if bytes.HasPrefix(rest, []byte("`")) {
		rest = append([]byte(" "), rest...)
	}
	return bytes.Join([][]byte{statement[:m.from], rest}, []byte(server.Quote(name)))
}
