// Package grantee makes the users and roles of a dump on a server, gives them their privileges, and compares those with what the server says.
//
// The invariant: no privilege is given that the dump does not have, and no password is in an error.
package grantee

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/definition"
	"nightjar/mysqldump/global"
	"nightjar/mysqldump/server"
)

// HalfMade reports whether an account is one that a restore that stopped left half made: it logs in as the dump's statements say, has no
// privilege but theirs, and lacks some of their grants, of which it returns the number.
func HalfMade(ctx context.Context, s *server.Session, name string, statements [][]byte) (lacks int, half bool, err error) {
	said, err := saidOf(ctx, s, name)
	if err != nil {
		return 0, false, err
	}
	within := func(part []byte, all [][]byte) bool {
		return slices.ContainsFunc(all, func(whole []byte) bool { return ddl.Contains(whole, part) })
	}
	same := true
	for _, statement := range statements {
		switch {
		case ddl.Begins(statement, "GRANT") && !within(statement, said):
			lacks++
		case ddl.Begins(statement, "CREATE") && !isRole(statement):
			same = same && within(statement, said)
		}
	}
	for _, has := range said {
		same = same && (!ddl.Begins(has, "GRANT") || grantsNothing(has) || within(has, statements))
	}
	return lacks, same && lacks > 0, nil
}

// Lacking returns, for each of the statements of d that makes a user or grants something, and that is not as the server has it, what it is about.
func Lacking(ctx context.Context, s *server.Session, name string, d *definition.Definition) (what []string, err error) {
	said, err := saidOf(ctx, s, name)
	if err != nil {
		return nil, err
	}
	for _, statement := range d.Statements {
		isUser := ddl.Begins(statement, "CREATE") && !isRole(statement)
		if !isUser && !ddl.Begins(statement, "GRANT") {
			continue
		}
		if !slices.ContainsFunc(said, func(has []byte) bool { return ddl.Contains(has, statement) }) {
			what = append(what, about(statement))
		}
	}
	return what, nil
}

// grantsNothing reports whether a GRANT is what servers print of an account without privileges.
func grantsNothing(statement []byte) bool {
	l := ddl.Lexer{Text: statement}
	return l.Follow("GRANT", "USAGE", "ON")
}

// saidOf returns what the server says of an account: its grants, and how it is made.
func saidOf(ctx context.Context, s *server.Session, name string) (said [][]byte, err error) {
	_ = s.Exec(ctx, "SET SESSION print_identified_with_as_hex=1") // which only some servers know
	user, host := Name(name)
	account := global.Account{User: user, Host: host}
	err = s.Query(ctx, "SHOW GRANTS FOR "+name, func(row [][]byte) error {
		said = append(said, []byte(account.Requote(string(row[0]))))
		return nil
	})
	if err != nil {
		return nil, server.Reason(err)
	}
	if host != "" {
		create, err := global.Show(ctx, s, user, host)
		if err != nil {
			return nil, server.Reason(err)
		}
		said = append(said, []byte(create))
	}
	return said, nil
}

// A RefusedError says that an account was made, but not granted all.
type RefusedError struct{ Grants []string }

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the server refused, of what it is granted: %s", strings.Join(e.Grants, "; "))
}

// Run runs the statements of an account. A grant that the server refuses stops none of the others.
func Run(ctx context.Context, s *server.Session, d *definition.Definition) error {
	var refused RefusedError
	for _, statement := range d.Statements {
		err := server.Reason(s.Exec(ctx, string(statement)))
		switch {
		case err == nil:
		case ctx.Err() != nil || server.Number(err) == 0 || server.Lost(err) || !ddl.Begins(statement, "GRANT"):
			return err
		case server.Number(err) == 1698:
			err = fmt.Errorf("a role that is there can be granted by its administrators only, and the account that restores is none: %w", err)
			fallthrough
		default:
			refused.Grants = append(refused.Grants, fmt.Sprintf("%s: %v", about(statement), err))
		}
	}
	if len(refused.Grants) > 0 {
		return &refused
	}
	return nil
}

// Statements returns the statements to run of d, which is one of the files of an account. One that is there is changed, not dropped: what
// cannot be changed stays as it was. But ALTER USER has a password expire that it is not told, so that an account without one is made anew.
func Statements(name string, d *definition.Definition, there bool) *definition.Definition {
	run := &definition.Definition{}
	for i, statement := range d.Statements {
		what := d.Makes[i].What
		l := ddl.Lexer{Text: statement}
		switch {
		case !there || what != "USER" || !l.Follow("CREATE", "USER", "IF", "NOT", "EXISTS"):
			run.Statements = append(run.Statements, statement)
		case ddl.Has(statement, "AS") || ddl.Has(statement, "BY"):
			run.Statements = append(run.Statements, append([]byte("ALTER USER"), l.Text[l.At:]...))
		default:
			run.Statements = append(run.Statements, []byte("DROP USER IF EXISTS "+name), statement)
		}
		if there && (what == "USER" || what == "ROLE") {
			run.Statements = append(run.Statements, []byte("REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+name))
		}
	}
	return run
}

// Has reports whether the server has an account.
func Has(ctx context.Context, s *server.Session, name string) (bool, error) {
	_, err := s.Rows(ctx, "SHOW GRANTS FOR "+name)
	switch server.Number(err) {
	case 1141, 1133, 3162, 3530: // no such grant, no such user, no such authorization
		return false, nil
	}
	return err == nil, err
}

// Name returns user and host of an account; a role has no host.
func Name(name string) (user, host string) {
	l := ddl.Lexer{Text: []byte(name)}
	t, _ := l.Next()
	user = t.Name()
	_, _ = l.Next()
	t, _ = l.Next()
	host = t.Name()
	return user, host
}

func isRole(statement []byte) bool {
	m, _ := ddl.Makes(statement)
	return m.What == "ROLE"
}

// about says which privileges a statement is about, without what may be secret.
func about(statement []byte) string {
	text := string(statement)
	if ddl.Begins(statement, "CREATE") {
		return "how it logs in, or its limits"
	}
	for _, end := range []string{" IDENTIFIED ", " TO "} {
		text, _, _ = strings.Cut(text, end)
	}
	return fmt.Sprintf("%.200s", text)
}
