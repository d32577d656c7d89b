package ddl

import (
	"slices"
	"strings"
)

// SplitKeys takes secondary keys and foreign keys out of the definition of a table in InnoDB, as SHOW CREATE TABLE prints it, so
// that rows can be loaded without them. It returns the rest, the statements that add the keys, and those that add the foreign keys, for when all
// tables have their keys. Then SHOW CREATE TABLE prints the same.
//
// What stays: the primary key, unique keys if there is no primary key, since InnoDB orders rows by one of them, a key that
// AUTO_INCREMENT needs, each key before one that stays, all keys of tables of other engines and of those with
// system versioning, and whatever is not understood.
func SplitKeys(create string) (rest string, keys, foreign []string) {
	d, ok := parseDefinition(create)
	if !ok || !d.option("ENGINE", "InnoDB") || Versioned([]byte(create)) {
		return create, nil, nil
	}
	var kept, removed []item
	last := d.lastNeeded()
	for i, it := range d.items {
		switch {
		case it.kind == foreignKey, it.kind == secondaryKey && i > last:
			removed = append(removed, it)
		default:
			kept = append(kept, it)
		}
	}
	if len(removed) == 0 || len(kept) == 0 {
		return create, nil, nil
	}
	var b strings.Builder
	b.WriteString(create[:d.open+1])
	for i, it := range kept {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(strings.TrimRight(create[it.begin:it.end], "\n"))
	}
	b.WriteString("\n" + create[d.close:])
	keys, foreign = d.alter(removed)
	return b.String(), keys, foreign
}

// An itemKind is what an item of a table's definition is.
type itemKind byte

const (
	otherItem itemKind = iota // a column, a constraint, a period
	primaryKey

	secondaryKey
	foreignKey
)

// An item is one of those between the parentheses of a table's definition.
type item struct {
	kind       itemKind
	begin, end int // in the statement, without the comma
	tokens     []Token
	alone      bool // it takes a statement of its own
}

// A tableDefinition is a CREATE TABLE statement that was parsed.
type tableDefinition struct {
	create      string
	name        Token
	open, close int // where the parentheses are
	items       []item
	options     []Token // what follows them
}

func parseDefinition(create string) (d tableDefinition, ok bool) {
	all := Tokens(create)
	if len(all) < 5 || !all[0].Is("CREATE") || !all[1].Is("TABLE") || all[2].Kind != Ticked || !all[3].Is("(") {
		return d, false
	}
	end := matching(all, 3)
	if end >= len(all) {
		return d, false
	}
	d = tableDefinition{create: create, name: all[2], open: all[3].From, close: all[end].From, options: all[end+1:]}
	depth, first := 0, 4
	for i := 4; i <= end; i++ {
		switch {
		case all[i].Is("("):
			depth++
		case all[i].Is(")") && i < end:
			depth--
		case i == end || depth == 0 && all[i].Is(","):
			if first == i {
				return d, false
			}
			d.items = append(d.items, d.newItem(all[first-1].To, all[i].From, all[first:i]))
			first = i + 1
		}
	}
	return d, true
}

func (d *tableDefinition) newItem(begin, end int, tokens []Token) item {
	it := item{begin: begin, end: end, tokens: tokens}
	is := func(i int, words ...string) bool {
		return i < len(tokens) && slices.ContainsFunc(words, func(w string) bool { return tokens[i].Is(w) })
	}
	switch {
	case is(0, "PRIMARY"):
		it.kind = primaryKey
	case is(0, "UNIQUE", "KEY", "INDEX", "SPATIAL"):
		it.kind = secondaryKey
	case is(0, "FULLTEXT", "VECTOR"):
		it.kind, it.alone = secondaryKey, true
	case is(0, "CONSTRAINT") && is(2, "FOREIGN"):
		it.kind = foreignKey
	}
	return it
}

func (it item) unique() bool { return it.tokens[0].Is("UNIQUE") }

// lastNeeded returns the index of the last secondary key that has to stay. Servers print keys in an order that depends on
// that in which they were made: keys that come before one that stays have to stay too.
func (d *tableDefinition) lastNeeded() int {
	primary, counter := -1, ""
	for i, it := range d.items {
		if it.kind == primaryKey {
			primary = i
		}
		if it.kind == otherItem && slices.ContainsFunc(it.tokens, func(t Token) bool { return t.Is("AUTO_INCREMENT") }) {
			counter = it.tokens[0].Name()
		}
	}
	served := counter == "" || primary >= 0 && d.leads(d.items[primary], counter)
	last := -1
	for i, it := range d.items {
		if it.kind != secondaryKey {
			continue
		}
		withoutOverlaps := slices.ContainsFunc(it.tokens, func(t Token) bool { return t.Is("OVERLAPS") })
		switch {
		case primary < 0 && it.unique(), withoutOverlaps:
			last = i
		case !served && d.leads(it, counter):
			last, served = i, true
		}
	}
	return last
}

// leads reports whether a column is the first of a key.
func (d *tableDefinition) leads(key item, column string) bool {
	for i, t := range key.tokens {
		if t.Is("(") {
			return i+1 < len(key.tokens) && key.tokens[i+1].Kind == Ticked && key.tokens[i+1].Name() == column
		}
	}
	return false
}

// alter returns the statements that add items.
func (d *tableDefinition) alter(items []item) (keys, foreign []string) {
	table := "ALTER TABLE " + string(d.name.Text)
	var together, constraints []string
	flush := func() {
		if len(together) > 0 {
			keys, together = append(keys, table+" "+strings.Join(together, ", ")), nil
		}
	}
	for _, it := range items {
		add := "ADD " + strings.TrimSpace(d.create[it.begin:it.end])
		switch {
		case it.kind == foreignKey:
			constraints = append(constraints, add)
		case it.alone: // the server makes one at a time
			flush()
			keys = append(keys, table+" "+add)
		default:
			together = append(together, add)
		}
	}
	flush()
	if len(constraints) > 0 {
		foreign = []string{table + " " + strings.Join(constraints, ", ")}
	}
	return keys, foreign
}

// option reports whether a table has an option with a value.
func (d *tableDefinition) option(name, value string) bool {
	for i := 0; i+2 < len(d.options); i++ {
		if d.options[i].Is(name) && d.options[i+1].Is("=") {
			return d.options[i+2].Is(value)
		}
	}
	return false
}

// A Table is what its definition says of a table.
type Table struct {
	Columns []Column // in order
	Indexes []string // names of all but those of vectors, which InnoDB does not list; "PRIMARY" of the primary key
}

// A Column is what a table's definition says of a column.
type Column struct {
	Name  string
	Value bool // it says DEFAULT, AS or AUTO_INCREMENT
}

// ParseTable reads a CREATE TABLE statement, as SHOW CREATE TABLE prints it; false if it is not understood.
func ParseTable(create string) (t Table, ok bool) {
	d, ok := parseDefinition(create)
	if !ok {
		return t, false
	}
	for _, it := range d.items {
		switch first := it.tokens[0]; {
		case it.kind == primaryKey:
			t.Indexes = append(t.Indexes, "PRIMARY")
		case it.kind == secondaryKey && !first.Is("VECTOR"):
			if i := slices.IndexFunc(it.tokens, func(t Token) bool { return t.Kind == Ticked }); i >= 0 {
				t.Indexes = append(t.Indexes, it.tokens[i].Name())
			}
		case first.Kind == Ticked:
			value := slices.ContainsFunc(it.tokens, func(t Token) bool { return t.Is("DEFAULT") || t.Is("AS") || t.Is("AUTO_INCREMENT") })
			t.Columns = append(t.Columns, Column{first.Name(), value})
		}
	}
	return t, true
}
