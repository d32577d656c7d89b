// Package choose says which databases and tables are chosen, by patterns of their names.
//
// The invariant: nothing that is the server's own is ever chosen, and a pattern that chose nothing can be named.
package choose

import (
	"fmt"
	"strings"
)

// A Selection chooses databases and tables. The zero value is all that is not the server's own.
//
// Patterns are names in which "*" stands for any characters, "?" for one, and "\" takes its meaning from the next character.
// Those of tables have the database's pattern, a dot, and the table's.
type Selection struct {
	Databases     []string // patterns of databases; empty: all
	Tables        []string // patterns of tables, views and sequences; empty: all of the databases, with programs and events
	ExcludeTables []string // patterns of tables, views and sequences that are left out
}

// System reports whether a database is the server's own.
func System(database string) bool {
	switch strings.ToLower(database) {
	case "mysql", "sys", "information_schema", "performance_schema", "ndbinfo":
		return true
	}
	return false
}

// A Choice is a Selection that was parsed, and knows what it has chosen so far.
type Choice struct {
	databases       []pattern
	tables, exclude []tablePattern
	matched         map[string]bool // patterns that something matched
}

type tablePattern struct {
	text            string
	database, table pattern
}

// Check returns an error if a pattern is none.
func (s Selection) Check() error {
	_, err := s.Parse()
	return err
}

// Tester returns a function that says whether a table is chosen.
func (s Selection) Tester() (func(database, table string) bool, error) {
	c, err := s.Parse()
	return func(database, table string) bool {
		chosen, excluded := c.Table(database, table)
		return chosen && excluded == ""
	}, err
}

// Parse parses all patterns. An error is of one that is none.
func (s Selection) Parse() (*Choice, error) {
	c := &Choice{matched: map[string]bool{}}
	for _, text := range s.Databases {
		p, rest, err := parsePattern(text, false)
		if err != nil || rest != "" || len(p) == 0 {
			return nil, fmt.Errorf("choose databases: %q is no pattern of a name", text)
		}
		c.databases = append(c.databases, p)
	}
	var err error
	if c.tables, err = parseTables(s.Tables); err != nil {
		return nil, fmt.Errorf("choose tables: %w", err)
	}
	if c.exclude, err = parseTables(s.ExcludeTables); err != nil {
		return nil, fmt.Errorf("exclude tables: %w", err)
	}
	return c, nil
}

func parseTables(texts []string) (all []tablePattern, err error) {
	for _, text := range texts {
		p := tablePattern{text: text}
		var rest string
		if p.database, rest, err = parsePattern(text, true); err == nil {
			p.table, _, err = parsePattern(rest, false)
		}
		if err != nil || len(p.database) == 0 || len(p.table) == 0 {
			return nil, fmt.Errorf("%q is no pattern of a database, a dot and a table", text)
		}
		all = append(all, p)
	}
	return all, nil
}

// Everything reports whether neither databases nor tables are named, so that what belongs to the whole server is chosen too.
func (c *Choice) Everything() bool { return len(c.databases) == 0 && len(c.tables) == 0 }

// Database reports whether anything of a database is chosen.
func (c *Choice) Database(name string) bool {
	if System(name) {
		return false
	}
	found := c.Everything()
	for _, p := range c.databases {
		if p.match(name) {
			c.matched["database "+p.String()], found = true, true
		}
	}
	for _, p := range c.tables {
		found = found || p.database.match(name)
	}
	return found
}

// Whole reports whether all of a database is chosen, with its programs and events.
func (c *Choice) Whole(name string) bool {
	if len(c.tables) > 0 && len(c.databases) == 0 {
		return false
	}
	return c.Database(name) && (len(c.databases) == 0 || c.inDatabases(name))
}

func (c *Choice) inDatabases(name string) bool {
	for _, p := range c.databases {
		if p.match(name) {
			return true
		}
	}
	return false
}

// Table reports whether a table is chosen, and the pattern that left it out.
func (c *Choice) Table(database, name string) (chosen bool, excluded string) {
	if System(database) {
		return false, ""
	}
	chosen = c.Everything() || c.inDatabases(database)
	for _, p := range c.tables {
		if p.database.match(database) && p.table.match(name) {
			c.matched["table "+p.text], chosen = true, true
		}
	}
	if !chosen {
		return false, ""
	}
	for _, p := range c.exclude {
		if p.database.match(database) && p.table.match(name) {
			return false, p.text
		}
	}
	return true, ""
}

// Unmatched returns an error that names the first pattern that chose nothing.
func (c *Choice) Unmatched() error {
	for _, p := range c.databases {
		if !c.matched["database "+p.String()] {
			return fmt.Errorf("choose databases: the server has none that is called %s", p)
		}
	}
	for _, p := range c.tables {
		if !c.matched["table "+p.text] {
			return fmt.Errorf("choose tables: the server has none that is called %s", p.text)
		}
	}
	return nil
}

// Match reports whether a pattern stands for all of a name. A pattern that is none stands for nothing.
func Match(text, name string) bool {
	p, _, err := parsePattern(text, false)
	return err == nil && p.match(name)
}

// A pattern is runes, of which anyRunes and anyRune stand for others.
type pattern []rune

const (
	anyRunes rune = -1
	anyRune  rune = -2
)

// parsePattern parses a pattern until its end, or until a dot.
func parsePattern(text string, dot bool) (p pattern, rest string, err error) {
	escaped := false
	for i, r := range text {
		switch {
		case escaped:
			p, escaped = append(p, r), false
		case r == '\\':
			escaped = true
		case r == '*':
			p = append(p, anyRunes)
		case r == '?':
			p = append(p, anyRune)
		case r == '.' && dot:
			return p, text[i+1:], nil
		default:
			p = append(p, r)
		}
	}
	if escaped || dot {
		return nil, "", fmt.Errorf("%q ends too early", text)
	}
	return p, "", nil
}

// String returns the pattern as it was written, but for needless "\".
func (p pattern) String() string {
	var b strings.Builder
	for _, r := range p {
		switch r {
		case anyRunes:
			b.WriteByte('*')
		case anyRune:
			b.WriteByte('?')
		case '*', '?', '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// match reports whether a name matches, in time that grows with the product of both lengths at worst.
func (p pattern) match(name string) bool {
	runes := []rune(name)
	i, j := 0, 0
	star, from := -1, 0 // the last anyRunes, and where what it stands for ends
	for j < len(runes) {
		switch {
		case i < len(p) && p[i] == anyRunes:
			star, from = i, j
			i++
		case i < len(p) && (p[i] == anyRune || p[i] == runes[j]):
			i++
			j++
		case star >= 0:
			from++
			i, j = star+1, from
		default:
			return false
		}
	}
	for i < len(p) && p[i] == anyRunes {
		i++
	}
	return i == len(p)
}
