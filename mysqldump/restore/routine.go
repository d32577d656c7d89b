package restore

import (
	"context"
	"strings"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
)

// regrants returns the statements that give accounts back what they may do with routines that are there and about to be dropped:
// servers take privileges away together with the routine.
func (r *run) regrants(ctx context.Context, s *server.Session, x *object, d *definition) (statements []string, err error) {
	if x.Kind != script.Programs {
		return nil, nil
	}
	for _, m := range d.makes {
		if m.What == "" {
			continue
		}
		query := "SELECT User, Host, Proc_priv FROM mysql.procs_priv WHERE Db=" + server.Literal(x.Database) + " AND Routine_name=" + server.Literal(m.Name) +
			" AND Routine_type=" + server.Literal(m.What)
		err := s.Query(ctx, query, func(row [][]byte) error {
			if statement := regrant(x.Database, m, string(row[0]), string(row[1]), string(row[2])); statement != "" {
				statements = append(statements, statement)
			}
			return nil
		})
		switch server.Number(err) {
		case 1142, 1143, 1044: // it may not read that
			r.note("%s is made anew: privileges that accounts had on it are gone, since the account that restores cannot read them in mysql.procs_priv", x.title())
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
	}
	return statements, nil
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

// grantAgain runs these statements when the routine is there again. One that is refused is named.
func (r *run) grantAgain(ctx context.Context, s *server.Session, x *object, statements []string) error {
	for _, statement := range statements {
		switch err := s.Exec(ctx, statement); {
		case err != nil && (server.Number(err) == 0 || server.Lost(err)):
			return err
		case err != nil:
			r.note("%s was made anew, and an account had a privilege on it that it could not be granted again: %v", x.title(), err)
		}
	}
	if len(statements) > 0 {
		r.note("%s was made anew: accounts got back the privileges that they had on it", x.title())
	}
	return nil
}
