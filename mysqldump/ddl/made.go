package ddl

import (
	"bytes"
	"strings"

	"nightjar/mysqldump/server"
)

// Made is what a CREATE statement makes.
type Made struct {
	What     string // TABLE, PACKAGE BODY, ...; empty: nothing that is known
	Name     string
	From, To int // where the name stands, with the database's before it
}

var makable = []string{"TABLE", "VIEW", "PROCEDURE", "FUNCTION", "PACKAGE", "TRIGGER", "EVENT", "SEQUENCE", "DATABASE", "USER", "ROLE"}

// Makes reads the head of a CREATE statement; false if it is none that makes something of those.
func Makes(statement []byte) (m Made, ok bool) {
	l := Lexer{Text: statement}
	if t, _ := l.Next(); !t.Is("CREATE") {
		return m, false
	}
	for {
		t, ok := l.Next()
		if !ok || t.Is("(") {
			return m, false
		}
		for _, what := range makable {
			if t.Is(what) {
				return m.read(&l, what)
			}
		}
	}
}

// read reads what comes after the keyword.
func (m Made) read(l *Lexer, what string) (Made, bool) {
	m.What = what
	t, ok := l.Next()
	if what == "PACKAGE" && t.Is("BODY") {
		m.What = "PACKAGE BODY"
		t, ok = l.Next()
	}
	if t.Is("IF") {
		_, _ = l.Next() // NOT
		_, _ = l.Next() // EXISTS
		t, ok = l.Next()
	}
	m.From = t.From
	for ok && t.IsName() {
		m.Name, m.To = t.Name(), t.To
		if rest := bytes.TrimLeft(l.Text[l.At:], " "); !bytes.HasPrefix(rest, []byte(".")) {
			return m, true
		}
		_, _ = l.Next() // the dot: what stands before it is the database
		t, ok = l.Next()
	}
	return m, false
}

// Begins reports whether a statement begins with a keyword.
func Begins(statement []byte, keyword string) bool {
	l := Lexer{Text: statement}
	t, _ := l.Next()
	return t.Is(keyword)
}

// enabled is what an event's definition says of one that runs.
const enabled = "ENABLE"

// What Disable makes of an event that runs.
const (
	Disabled          = "DISABLE"          // it runs nowhere
	DisabledOnReplica = "DISABLE ON SLAVE" // nowhere but where it was defined
)

// Disable returns the definition of an event that is disabled so. One that is disabled stays as it is.
func Disable(statement []byte, so string) []byte {
	l := Lexer{Text: statement}
	for {
		t, ok := l.Next()
		if !ok || t.Is("DO") {
			return statement
		}
		if t.Is(enabled) {
			return bytes.Join([][]byte{statement[:t.From], statement[t.To:]}, []byte(so))
		}
	}
}

// Mentions reports whether a statement names a database: as a quoted name, or as a word with a dot behind it.
func Mentions(statement []byte, database string) bool {
	l := Lexer{Text: statement}
	for {
		t, ok := l.Next()
		if !ok {
			return false
		}
		if t.IsName() && strings.EqualFold(t.Name(), database) && bytes.HasPrefix(bytes.TrimLeft(l.Text[l.At:], " "), []byte(".")) {
			return true
		}
	}
}

// Used returns the database that a USE statement names; false if it is none.
func Used(statement []byte) (string, bool) {
	l := Lexer{Text: statement}
	if t, _ := l.Next(); !t.Is("USE") {
		return "", false
	}
	t, _ := l.Next()
	return t.Name(), t.IsName()
}

// Rename returns the CREATE statement that makes m with another name for it, without a database.
func (m Made) Rename(statement []byte, name string) []byte {
	rest := statement[m.To:]
	if bytes.HasPrefix(rest, []byte("`")) {
		rest = append([]byte(" "), rest...)
	}
	return bytes.Join([][]byte{statement[:m.From], rest}, []byte(server.Quote(name)))
}

// AltersDatabase reports whether a statement is an ALTER DATABASE.
func AltersDatabase(statement []byte) bool {
	l := Lexer{Text: statement}
	return l.Follow("ALTER", "DATABASE")
}

// AlterDatabase gives an ALTER DATABASE statement another name.
func AlterDatabase(statement []byte, name string) []byte {
	l := Lexer{Text: statement}
	_, _ = l.Next()
	_, _ = l.Next()
	t, ok := l.Next()
	if !ok || !t.IsName() {
		return statement
	}
	return bytes.Join([][]byte{statement[:t.From], statement[t.To:]}, []byte(server.Quote(name)))
}

// TriggerOnly takes a database's name from before the table's in the head of a CREATE TRIGGER statement.
func TriggerOnly(statement []byte, database string) []byte {
	l := Lexer{Text: statement}
	for {
		t, ok := l.Next()
		if !ok || t.Is("FOR") {
			return statement
		}
		if !t.Is("ON") {
			continue
		}
		first, _ := l.Next()
		if dot, _ := l.Next(); !first.IsName() || first.Name() != database || !dot.Is(".") {
			return statement
		}
		return append(bytes.Clone(statement[:first.From]), statement[l.At:]...)
	}
}

// Has reports whether a keyword is in a statement.
func Has(statement []byte, keyword string) bool {
	for l := (Lexer{Text: statement}); ; {
		t, ok := l.Next()
		if !ok || t.Is(keyword) {
			return ok
		}
	}
}

// Versioned reports whether a table keeps the history of its rows.
func Versioned(create []byte) bool {
	for l := (Lexer{Text: create}); ; {
		t, ok := l.Next()
		if !ok {
			return false
		}
		if t.Is("WITH") && l.Follow("SYSTEM", "VERSIONING") {
			return true
		}
	}
}

// Definer returns the account after DEFINER=, as it is written, or "".
func Definer(create string) string {
	all := Tokens(create)
	for i, t := range all {
		if t.Is("DEFINER") && i+2 < len(all) && all[i+1].Is("=") {
			end := i + 2
			for end+1 < len(all) && all[end+1].From == all[end].To {
				end++
			}
			return create[all[i+2].From:all[end].To]
		}
		if i > 8 {
			break
		}
	}
	return ""
}
