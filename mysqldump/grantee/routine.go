package grantee

import (
	"context"
	"strings"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/server"
)

// OfRoutine returns the statements that give accounts what they may do with a routine now: servers take privileges away together with it.
func OfRoutine(ctx context.Context, s *server.Session, database string, m ddl.Made) (statements []string, err error) {
	query := "SELECT User, Host, Proc_priv FROM mysql.procs_priv WHERE Db=" + server.Literal(database) + " AND Routine_name=" + server.Literal(m.Name) +
		" AND Routine_type=" + server.Literal(m.What)
	err = s.Query(ctx, query, func(row [][]byte) error {
		if statement := regrant(database, m, string(row[0]), string(row[1]), string(row[2])); statement != "" {
			statements = append(statements, statement)
		}
		return nil
	})
	return statements, err
}

// regrant returns the GRANT of what mysql.procs_priv has of an account; empty if that is nothing.
func regrant(database string, m ddl.Made, user, host, privileges string) string {
	var all []string
	option := ""
	for p := range strings.SplitSeq(privileges, ",") {
		switch {
		case p == "Grant":
			option = " WITH GRANT OPTION"
		case p != "":
			all = append(all, strings.ToUpper(p))
		}
	}
	if len(all) == 0 && option != "" {
		all = []string{"USAGE"}
	}
	if len(all) == 0 {
		return ""
	}
	to := server.Quote(user)
	if host != "" { // else it is a role of MariaDB
		to += "@" + server.Quote(host)
	}
	return "GRANT " + strings.Join(all, ", ") + " ON " + m.What + " " + server.Quote(database) + "." + server.Quote(m.Name) + " TO " + to + option
}
