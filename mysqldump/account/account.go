// Package account reads what a server says of an account: what it may do, and how it logs in.
//
// The invariant: what is not understood is no privilege, and secrets that a server prints beside them are forgotten at once.
// Privileges on columns and on routines do not count. The package changes no account.
package account

import (
	"context"
	"errors"
	"slices"
	"strings"

	"nightjar/mysqldump/server"
)

// Grants are the privileges that an account has, with those of its active roles.
type Grants struct {
	All     bool     // ALL PRIVILEGES on everything
	global  []string // in upper case
	some    []scoped // on a database or a table
	revoked []string // what a partial revoke takes back somewhere
	Roles   []string // that the account was granted, active or not, as the server quotes them
}

// scoped are privileges on less than everything.
type scoped struct {
	database   string // a pattern of LIKE
	table      string // empty: all
	privileges []string
}

// Has reports whether the account has a privilege, in upper case, on everything.
func (g Grants) Has(privilege string) bool {
	return (g.All || slices.Contains(g.global, privilege)) && !slices.Contains(g.revoked, privilege)
}

// HasOn reports whether the account has a privilege, in upper case, on a table; without a table, on a whole database.
func (g Grants) HasOn(privilege, database, table string) bool {
	return g.Has(privilege) || !slices.Contains(g.revoked, privilege) && slices.ContainsFunc(g.some, func(s scoped) bool {
		return (slices.Contains(s.privileges, privilege) || slices.Contains(s.privileges, "ALL PRIVILEGES")) &&
			(s.table == "" && like(s.database, database) || s.table != "" && s.table == table && s.database == database)
	})
}

// like reports whether a pattern of SQL stands for a name.
func like(pattern, name string) bool {
	star, mark := -1, 0 // where the last "%" is, and how far it reaches
	p, n := 0, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '%':
			star, mark = p, n
			p++
		case p+1 < len(pattern) && pattern[p] == '\\' && pattern[p+1] == name[n]:
			p, n = p+2, n+1
		case p < len(pattern) && pattern[p] != '\\' && (pattern[p] == '_' || pattern[p] == name[n]):
			p, n = p+1, n+1
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "%") == ""
}

// ReadGrants asks for the privileges of the session's own account.
func ReadGrants(ctx context.Context, c *server.Session) (g Grants, err error) {
	statement := "SHOW GRANTS"
	switch role, err := c.Row(ctx, "SELECT CURRENT_ROLE()"); {
	case err != nil && server.Number(err) == 0:
		return g, err
	case err == nil && len(role[0]) > 0 && string(role[0]) != "NONE":
		statement = "SHOW GRANTS FOR CURRENT_USER() USING " + string(role[0]) // MySQL; MariaDB shows active roles by itself
	}
	for {
		g = Grants{}
		err := c.Query(ctx, statement, func(row [][]byte) error { g.add(string(row[0])); return nil })
		if server.Number(err) == 0 || statement == "SHOW GRANTS" {
			return g, err
		}
		statement = "SHOW GRANTS"
	}
}

// Known returns the names of the privileges that the server knows, in upper case.
func Known(ctx context.Context, c *server.Session) (names []string, err error) {
	err = c.Query(ctx, "SHOW PRIVILEGES", func(row [][]byte) error {
		names = append(names, strings.ToUpper(string(row[0])))
		return nil
	})
	return names, err
}

// add reads one row of SHOW GRANTS. What it does not know is no privilege.
func (g *Grants) add(row string) {
	verb, rest, _ := strings.Cut(row, " ")
	words, on, found := cutOutside(rest, " ON ")
	if !found {
		if role, _, ok := cutOutside(rest, " TO "); ok && verb == "GRANT" {
			g.Roles = append(g.Roles, role)
		}
		return
	}
	var privileges []string
	for words != "" {
		var p string
		p, words, _ = cutOutside(words, ",")
		privileges = append(privileges, strings.ToUpper(strings.TrimSpace(p)))
	}
	switch {
	case verb == "REVOKE":
		g.revoked = append(g.revoked, privileges...)
	case verb == "GRANT" && strings.HasPrefix(on, "*.* TO "):
		g.All = g.All || slices.Contains(privileges, "ALL PRIVILEGES") || slices.Contains(privileges, "ALL")
		g.global = append(g.global, privileges...)
	case verb == "GRANT":
		if scope, _, ok := cutOutside(on, " TO "); ok {
			if database, rest, ok := unquote(scope); ok && strings.HasPrefix(rest, ".") {
				table, _, named := unquote(rest[1:])
				if named || rest == ".*" {
					g.some = append(g.some, scoped{database, table, privileges})
				}
			}
		}
	}
}

// unquote reads a name in backticks at the start of s.
func unquote(s string) (name, rest string, ok bool) {
	if !strings.HasPrefix(s, "`") {
		return "", s, false
	}
	for i := 1; i < len(s); i++ {
		if s[i] != '`' {
			continue
		}
		if i+1 < len(s) && s[i+1] == '`' {
			i++
			continue
		}
		return strings.ReplaceAll(s[1:i], "``", "`"), s[i+1:], i > 1
	}
	return "", s, false
}

// cutOutside cuts s around the first sep that is in no quotes and no parentheses.
func cutOutside(s, sep string) (before, after string, found bool) {
	quote, depth := byte(0), 0
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case depth == 0 && strings.HasPrefix(s[i:], sep):
			return s[:i], s[i+len(sep):], true
		case c == '`' || c == '\'' || c == '"':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			depth--
		}
	}
	return s, "", false
}

// Quote quotes what CURRENT_USER() returned, as statements take it.
func Quote(account string) string {
	i := strings.LastIndexByte(account, '@') // a host has none
	if i < 0 {
		return server.Quote(account)
	}
	return server.Quote(account[:i]) + "@" + server.Quote(account[i+1:])
}

// A Login is how an account logs in.
type Login struct {
	Plugins []string // any of which serves
	Row     string   // with what proves who somebody is cut out
}

// ErrUnknown says that the server does not say how the account logs in.
var ErrUnknown = errors.New("the server does not say how the account logs in")

// ReadLogin asks how the session's own account logs in.
func ReadLogin(ctx context.Context, c *server.Session) (a Login, err error) {
	row, err := firstRow(ctx, c, "SHOW CREATE USER CURRENT_USER()", "SHOW CREATE USER")
	if err != nil {
		return a, err
	}
	a = parseLogin(string(row[0]))
	if len(a.Plugins) == 0 {
		return a, ErrUnknown
	}
	return a, nil
}

const syntaxError = 1064

func firstRow(ctx context.Context, c *server.Session, statements ...string) (row [][]byte, err error) {
	for _, s := range statements {
		if row, err = c.Row(ctx, s); server.Number(err) != syntaxError {
			return row, err
		}
	}
	return nil, err
}

// parseLogin reads what SHOW CREATE USER returned, and forgets its secrets.
func parseLogin(row string) (a Login) {
	const password = "mysql_native_password"
	words := fields(row)
	for i, w := range words {
		next := ""
		if i+1 < len(words) {
			next = strings.Trim(words[i+1], "'`\"")
		}
		switch w = strings.ToUpper(w); {
		case (w == "VIA" || w == "OR" || w == "WITH" && words[max(0, i-1)] == "IDENTIFIED") && next != "":
			a.Plugins = append(a.Plugins, next)
		case w == "BY" && i > 0 && words[i-1] == "IDENTIFIED":
			a.Plugins = append(a.Plugins, password)
		}
		if !strings.ContainsAny(w, "'`\"") {
			a.Row += w + " "
		}
	}
	if len(a.Plugins) == 0 && len(words) >= 3 {
		a.Plugins = []string{password} // MariaDB's account without a password
	}
	return a
}

// fields splits s at spaces outside of quotes.
func fields(s string) (words []string) {
	for s != "" {
		var w string
		if w, s, _ = cutOutside(s, " "); w != "" {
			words = append(words, w)
		}
	}
	return words
}
