package restore

import (
	"context"
	"strings"

	"nightjar/mysqldump/definition"
	"nightjar/mysqldump/grantee"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
)

// regrants returns the statements that give accounts back what they may do with routines that are there and about to be dropped:
// servers take privileges away together with the routine.
func (r *run) regrants(ctx context.Context, s *server.Session, x *object, d *definition.Definition) (statements []string, err error) {
	if x.Kind != script.Programs {
		return nil, nil
	}
	for _, m := range d.Makes {
		if m.What == "" {
			continue
		}
		of, err := grantee.OfRoutine(ctx, s, x.Database, m)
		statements = append(statements, of...)
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

// grantAgain runs these statements when the routine is there again. One that is refused is named.
func (r *run) grantAgain(ctx context.Context, s *server.Session, x *object, statements []string) error {
	for _, statement := range statements {
		_, what, _ := strings.Cut(statement, " ON ")
		switch err := definition.RunOn(ctx, s, what, statement); {
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
