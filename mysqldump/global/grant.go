package global

import (
	"slices"
	"strings"

	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/server"
)

// loadableGrant returns a grant without what no server takes any more: privileges for columns that are gone. It is "" for a table or a
// routine that is not in the inventory: servers keep grants when a table is dropped, but refuse them for one that is not there. whole is
// false if something is missing.
func (r *reader) loadableGrant(grant string) (loadable string, whole bool) {
	all := tokensOf(grant)
	on := slices.IndexFunc(all, func(t ddl.Token) bool { return t.Is("ON") })
	if len(all) == 0 || !all[0].Is("GRANT") || on < 0 || on+3 >= len(all) {
		return grant, true
	}
	if routine := strings.ToUpper(string(all[on+1].Text)); slices.Contains([]string{"FUNCTION", "PROCEDURE", "PACKAGE", "LIBRARY"}, routine) {
		return r.routineGrant(grant, all[on+1:])
	}
	if all[on+1].Kind != ddl.Ticked || !all[on+2].Is(".") || all[on+3].Kind != ddl.Ticked {
		return grant, true // of a database, or of all, or a proxy
	}
	database := all[on+1].Name()
	columns, there := r.Columns(database, all[on+3].Name())
	if choose.System(database) {
		return grant, true
	}
	privileges := splitPrivileges(grant[all[0].To:all[on].From], columns)
	create := slices.ContainsFunc(privileges, func(p privilege) bool { return p.name == "CREATE" || p.name == "ALL PRIVILEGES" })
	if !there && !create {
		return "", false
	}
	var kept []string
	whole = true
	for _, p := range privileges {
		if p.columns == nil {
			kept = append(kept, p.name)
			continue
		}
		var names []string
		for _, c := range p.columns {
			if slices.ContainsFunc(columns, func(o string) bool { return strings.EqualFold(o, c) }) {
				names = append(names, server.Quote(c))
			}
		}
		if whole = whole && len(names) == len(p.columns); len(names) > 0 {
			kept = append(kept, p.name+" ("+strings.Join(names, ", ")+")")
		}
	}
	if len(kept) == 0 {
		return "", false
	}
	return "GRANT " + strings.Join(kept, ", ") + " " + grant[all[on].From:], whole
}

// tokensOf splits a grant. MySQL 5.7 has names of columns without quotes in it.
func tokensOf(grant string) []ddl.Token {
	l := ddl.Lexer{Text: []byte(grant), Bare: true}
	return l.All()
}

func (r *reader) routineGrant(grant string, object []ddl.Token) (loadable string, whole bool) {
	kind := strings.ToLower(string(object[0].Text))
	if object = object[1:]; object[0].Is("BODY") {
		kind, object = "package body", object[1:]
	}
	if len(object) < 3 || object[0].Kind != ddl.Ticked || object[2].Kind != ddl.Ticked || choose.System(object[0].Name()) {
		return grant, true
	}
	if !r.HasProgram(kind, object[0].Name(), object[2].Name()) {
		return "", false
	}
	return grant, true
}

// A privilege is one of a grant; columns is nil if it is for the whole table.
type privilege struct {
	name    string
	columns []string
}

// splitPrivileges parses what stands between GRANT and ON. MySQL 5.7 does not quote names of columns: those that the table has are known.
func splitPrivileges(text string, columns []string) (all []privilege) {
	for text = strings.TrimSpace(text); text != ""; text = strings.TrimSpace(strings.TrimPrefix(text, ",")) {
		end := strings.IndexAny(text, ",(")
		if end < 0 {
			return append(all, privilege{name: strings.TrimSpace(text)})
		}
		p := privilege{name: strings.TrimSpace(text[:end])}
		if text[end] == ',' {
			all, text = append(all, p), text[end:]
			continue
		}
		p.columns = []string{}
		for text = text[end+1:]; ; text = strings.TrimPrefix(text, ", ") {
			name, length := firstColumn(text, columns)
			p.columns = append(p.columns, name)
			if text = text[length:]; !strings.HasPrefix(text, ", ") {
				break
			}
		}
		all, text = append(all, p), strings.TrimPrefix(text, ")")
	}
	return all
}

// firstColumn returns the name that a list of columns begins with, and the length of what stands for it.
func firstColumn(text string, columns []string) (name string, length int) {
	if strings.HasPrefix(text, "`") {
		l := ddl.Lexer{Text: []byte(text)}
		t, _ := l.Next()
		return t.Name(), t.To
	}
	for _, c := range columns {
		if rest, ok := strings.CutPrefix(text, c); ok && len(c) > length && (strings.HasPrefix(rest, ", ") || strings.HasPrefix(rest, ")")) {
			name, length = c, len(c)
		}
	}
	if length == 0 {
		length = strings.IndexAny(text+")", ",)")
		name = text[:length]
	}
	return name, length
}
