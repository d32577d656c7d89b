package restore

import (
	"fmt"

	"nightjar/mysqldump"
	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/script"
)

// A Pattern names databases, or tables in them, by their names in the dump. In it, "*" stands for any text, "?" for any
// character, and "\\" takes its meaning from the next character.
type Pattern struct {
	Database string
	Table    string // empty: the whole database
}

func (p Pattern) String() string {
	if p.Table == "" {
		return p.Database
	}
	return p.Database + "." + p.Table
}

// names reports whether a file of the dump is of what the pattern names: of the database, or of such a table, view or sequence.
func (p Pattern) names(f mysqldump.SourceFile) bool {
	if !choose.Match(p.Database, f.Notes[script.NoteDatabase]) {
		return false
	}
	switch script.Kind(f.Notes[script.NoteKind]) {
	case script.Databases:
		return p.Table == ""
	case script.Tables, script.Views, script.Sequences:
		return p.Table == "" || choose.Match(p.Table, f.Notes[script.NoteObject])
	}
	return false
}

// ParsePattern reads DATABASE or DATABASE.TABLE. A dot in the database's name has a "\\" before it.
func ParsePattern(text string) (p Pattern, err error) {
	dot := -1
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			if i++; i == len(text) {
				return p, fmt.Errorf("%q ends with a backslash", text)
			}
		} else if text[i] == '.' && dot < 0 {
			dot = i
		}
	}
	p.Database = text
	if dot >= 0 {
		p = Pattern{text[:dot], text[dot+1:]}
	}
	if p.Database == "" || dot >= 0 && p.Table == "" {
		return p, fmt.Errorf("%q is not DATABASE or DATABASE.TABLE", text)
	}
	return p, nil
}

// chosen reports whether an object of the dump is to be restored. Of a database of which tables are chosen, what belongs to
// those tables comes with them, and nothing else.
func (o *Options) chosen(kind script.Kind, database, name string) bool {
	switch {
	case kind == script.Accounts || kind == script.Grants:
		return o.Accounts != SkipAccounts && len(o.Selection) == 0
	case kind == script.Servers:
		return len(o.Selection) == 0
	case kind == script.Events && o.NoEvents:
		return false
	case len(o.Selection) == 0:
		return true
	}
	for _, p := range o.Selection {
		if !choose.Match(p.Database, database) {
			continue
		}
		switch kind {
		case script.Databases:
			return true
		case script.Tables, script.Rows, script.Views, script.Sequences, script.Triggers:
			if p.Table == "" || choose.Match(p.Table, name) {
				return true
			}
		default:
			if p.Table == "" {
				return true
			}
		}
	}
	return false
}
