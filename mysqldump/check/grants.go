package check

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nightjar/mysqldump/server"
)

// grants are the privileges that an account has on everything, with those of its active roles.
type grants struct {
	all     bool     // ALL PRIVILEGES
	global  []string // in upper case
	revoked []string // what a partial revoke takes back somewhere
	roles   []string // that the account was granted, active or not, as the server quotes them
}

func (g grants) has(privilege string) bool {
	return (g.all || slices.Contains(g.global, privilege)) && !slices.Contains(g.revoked, privilege)
}

func readGrants(ctx context.Context, c *server.Session) (g grants, err error) {
	statement := "SHOW GRANTS"
	switch role, err := c.Row(ctx, "SELECT CURRENT_ROLE()"); {
	case err != nil && server.Number(err) == 0:
		return g, err
	case err == nil && len(role[0]) > 0 && string(role[0]) != "NONE":
		statement = "SHOW GRANTS FOR CURRENT_USER() USING " + string(role[0]) // MySQL; MariaDB shows active roles by itself
	}
	for {
		g = grants{}
		err := c.Query(ctx, statement, func(row [][]byte) error { g.add(string(row[0])); return nil })
		if server.Number(err) == 0 || statement == "SHOW GRANTS" {
			return g, err
		}
		statement = "SHOW GRANTS"
	}
}

// add reads one row of SHOW GRANTS. What it does not know is no privilege.
func (g *grants) add(row string) {
	verb, rest, _ := strings.Cut(row, " ")
	words, on, found := cutOutside(rest, " ON ")
	if !found {
		if role, _, ok := cutOutside(rest, " TO "); ok && verb == "GRANT" {
			g.roles = append(g.roles, role)
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
		g.all = g.all || slices.Contains(privileges, "ALL PRIVILEGES") || slices.Contains(privileges, "ALL")
		g.global = append(g.global, privileges...)
	}
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

// A need is a privilege, by the names that servers have for it, the newest first.
type need struct {
	names []string
	why   string
	of    []Purpose
	slave bool // only of a server that is a slave
}

var needs = []need{
	{names: []string{"SELECT"}, why: "read rows and accounts", of: []Purpose{Dump}},
	{names: []string{"RELOAD"}, why: "take the short lock", of: []Purpose{Dump, Hot}},
	{names: []string{"PROCESS"}, why: "see what runs, and which table is which", of: []Purpose{Dump, Hot}},
	{names: []string{"LOCK TABLES"}, why: "lock non-transactional tables", of: []Purpose{Dump}},
	{names: []string{"SHOW VIEW"}, why: "read views", of: []Purpose{Dump}},
	{names: []string{"EVENT"}, why: "read events", of: []Purpose{Dump}},
	{names: []string{"TRIGGER"}, why: "read triggers", of: []Purpose{Dump}},
	{names: []string{"BACKUP_ADMIN"}, why: "hold back DDL", of: []Purpose{Dump, Hot}},
	{names: []string{"BINLOG MONITOR", "REPLICATION CLIENT"}, why: "read the position", of: Purposes},
	{names: []string{"SLAVE MONITOR", "REPLICA MONITOR", "REPLICATION CLIENT"}, why: "see whether the server is a slave", of: Purposes},
	{names: []string{"REPLICATION SLAVE"}, why: "read binary logs", of: []Purpose{Binlog, Replica}},
	{names: []string{"REPLICATION SLAVE ADMIN", "REPLICATION_SLAVE_ADMIN", "SUPER"}, why: "stop the slave's SQL thread for the moment of the snapshot", of: []Purpose{Dump}, slave: true},
}

// known returns the names of the privileges that the server knows, in upper case.
func (l *look) known(ctx context.Context) (names []string, err error) {
	err = l.Query(ctx, "SHOW PRIVILEGES", func(row [][]byte) error {
		names = append(names, strings.ToUpper(string(row[0])))
		return nil
	})
	return names, err
}

// lookAtPrivileges names what the account lacks, and the statement that gives it.
func lookAtPrivileges(ctx context.Context, l *look) ([]Finding, error) {
	known, err := l.known(ctx)
	if err != nil {
		return nil, err
	}
	var missing, why []string
	for _, n := range needs {
		i := slices.IndexFunc(n.names, func(name string) bool { return slices.Contains(known, name) })
		if !l.o.is(n.of...) || i < 0 || n.slave && len(l.slave) == 0 || l.grants.has(n.names[i]) {
			continue
		}
		if !slices.Contains(missing, n.names[i]) {
			missing = append(missing, n.names[i])
		}
		why = append(why, fmt.Sprintf("%s to %s", n.names[i], n.why))
	}
	if len(missing) == 0 {
		return none()
	}
	do := fmt.Sprintf("GRANT %s ON *.* TO %s;", strings.Join(missing, ", "), quoteAccount(l.account))
	if len(l.grants.roles) > 0 {
		do += " (or, if one of the roles that it was granted has them, make that its default: " + strings.Join(l.grants.roles, ", ") + ")"
	}
	return []Finding{{Severity: Problem, Object: l.account, Says: "the account lacks " + strings.Join(why, "; "), Do: do}}, nil
}

// quoteAccount quotes what CURRENT_USER() returned.
func quoteAccount(account string) string {
	i := strings.LastIndexByte(account, '@') // a host has none
	if i < 0 {
		return server.Quote(account)
	}
	return server.Quote(account[:i]) + "@" + server.Quote(account[i+1:])
}

// An authentication is how an account logs in.
type authentication struct {
	plugins []string // any of which serves
	row     string   // with what proves who somebody is cut out
}

var errNoAccount = errors.New("the server does not say how the account logs in")

// lookUpAccount asks how the session's own account logs in.
func lookUpAccount(ctx context.Context, c *server.Session) (a authentication, err error) {
	row, err := firstRow(ctx, c, "SHOW CREATE USER CURRENT_USER()", "SHOW CREATE USER")
	if err != nil {
		return a, err
	}
	a = parseAccount(string(row[0]))
	if len(a.plugins) == 0 {
		return a, errNoAccount
	}
	return a, nil
}

func firstRow(ctx context.Context, c *server.Session, statements ...string) (row [][]byte, err error) {
	for _, s := range statements {
		if row, err = c.Row(ctx, s); server.Number(err) != syntaxError {
			return row, err
		}
	}
	return nil, err
}

// parseAccount reads what SHOW CREATE USER returned, and forgets its secrets.
func parseAccount(row string) (a authentication) {
	const password = "mysql_native_password"
	words := fields(row)
	for i, w := range words {
		next := ""
		if i+1 < len(words) {
			next = strings.Trim(words[i+1], "'`\"")
		}
		switch w = strings.ToUpper(w); {
		case (w == "VIA" || w == "OR" || w == "WITH" && words[max(0, i-1)] == "IDENTIFIED") && next != "":
			a.plugins = append(a.plugins, next)
		case w == "BY" && i > 0 && words[i-1] == "IDENTIFIED":
			a.plugins = append(a.plugins, password)
		}
		if !strings.ContainsAny(w, "'`\"") {
			a.row += w + " "
		}
	}
	if len(a.plugins) == 0 && len(words) >= 3 {
		a.plugins = []string{password} // MariaDB's account without a password
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
