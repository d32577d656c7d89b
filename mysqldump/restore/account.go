package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/global"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
)

// The accounts of a server, as they were before any was made.
type accounts struct {
	there  map[string]bool // by their names in statements
	me     string          // who restores
	told   bool            // that this one stays as it is
	failed map[string]bool // those that could not be made
	half   map[string]bool // those that a restore that stopped has made, but not granted all
}

// lookForAccounts finds out which of the dump's accounts are there.
func (r *run) lookForAccounts(ctx context.Context, w *worker) error {
	return w.do(ctx, func(s *server.Session, _ bool) error {
		r.accounts = accounts{there: map[string]bool{}, failed: map[string]bool{}, half: map[string]bool{}}
		row, err := s.Row(ctx, "SELECT CURRENT_USER()")
		if err != nil {
			return err
		}
		r.accounts.me = string(row[0])
		for _, x := range r.plan.others {
			if x.Kind != script.Accounts && x.Kind != script.Grants {
				continue
			}
			if r.accounts.there[x.Name], err = hasAccount(ctx, s, x.Name); err != nil {
				return fmt.Errorf("look for account %s: %w", x.Name, err)
			}
		}
		if r.o.Existing == IfChanged && r.o.Accounts == LeaveAccounts {
			return r.lookForHalf(ctx, s)
		}
		return nil
	})
}

// lookForHalf finds the accounts that a restore that stopped left half made: they log in as the dump says, have no privilege but those
// of the dump, and lack some of these.
func (r *run) lookForHalf(ctx context.Context, s *server.Session) error {
	of := map[string][][]byte{} // the dump's statements
	for _, x := range r.plan.others {
		if x.Kind != script.Accounts && x.Kind != script.Grants || !r.accounts.there[x.Name] || x.Name == "PUBLIC" {
			continue
		}
		d, err := r.define(x)
		if err != nil {
			return err
		}
		of[x.Name] = append(of[x.Name], d.statements...)
	}
	for name, statements := range of {
		said, err := saidOf(ctx, s, name)
		if err != nil {
			return fmt.Errorf("look at account %s: %w", name, err)
		}
		within := func(part []byte, all [][]byte) bool {
			return slices.ContainsFunc(all, func(whole []byte) bool { return ddl.Contains(whole, part) })
		}
		lacks := 0
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
		if r.accounts.half[name] = same && lacks > 0; r.accounts.half[name] {
			r.note("account %s is as the dump has it, but for %d grants that it lacks: it is taken for one that a restore did not finish, and gets them", name, lacks)
		}
	}
	return nil
}

// grantsNothing reports whether a GRANT is what servers print of an account without privileges.
func grantsNothing(statement []byte) bool {
	l := ddl.Lexer{Text: statement}
	return l.Follow("GRANT", "USAGE", "ON")
}

// saidOf returns what the server says of an account: its grants, and how it is made.
func saidOf(ctx context.Context, s *server.Session, name string) (said [][]byte, err error) {
	_ = s.Exec(ctx, "SET SESSION print_identified_with_as_hex=1") // which only some servers know
	err = s.Query(ctx, "SHOW GRANTS FOR "+name, func(row [][]byte) error {
		said = append(said, bytes.Clone(row[0]))
		return nil
	})
	if err != nil {
		return nil, server.Reason(err)
	}
	if user, host := accountName(name); host != "" {
		create, err := global.Show(ctx, s, user, host)
		if err != nil {
			return nil, server.Reason(err)
		}
		said = append(said, []byte(create))
	}
	return said, nil
}

// makeAccount makes an account or grants it something, as one of its files has it, unless it is to be left.
func (r *run) makeAccount(ctx context.Context, w *worker, x *object) error {
	user, host := accountName(x.Name)
	there := r.accounts.there[x.Name]
	switch {
	case global.System(user, host), r.o.Accounts == LeaveAccounts && there && x.Name != "PUBLIC" && !r.accounts.half[x.Name]:
		r.keep(x)
		return nil
	case r.accounts.failed[x.Name]:
		x.failed = true
		return nil
	case user+"@"+host == r.accounts.me:
		if !r.accounts.told {
			r.note("account %s stays as it is: the restore is logged in with it", x.Name)
		}
		r.accounts.told = true
		r.keep(x)
		return nil
	}
	d, err := r.define(x)
	if err != nil {
		return err
	}
	err = w.do(ctx, func(s *server.Session, _ bool) error {
		return runAccount(ctx, s, accountStatements(x, d, there && !r.accounts.half[x.Name]))
	})
	var refused *refusedError
	r.accounts.failed[x.Name] = err != nil && !errors.As(err, &refused)
	return err
}

// A refusedError says that an account was made, but not granted all.
type refusedError struct{ grants []string }

func (e *refusedError) Error() string {
	return fmt.Sprintf("the server refused, of what it is granted: %s", strings.Join(e.grants, "; "))
}

// runAccount runs the statements of an account. A grant that the server refuses stops none of the others.
func runAccount(ctx context.Context, s *server.Session, d *definition) error {
	var refused refusedError
	for _, statement := range d.statements {
		err := server.Reason(s.Exec(ctx, string(statement)))
		switch {
		case err == nil:
		case ctx.Err() != nil || server.Number(err) == 0 || server.Lost(err) || !ddl.Begins(statement, "GRANT"):
			return err
		case server.Number(err) == 1698:
			err = fmt.Errorf("a role that is there can be granted by its administrators only, and the account that restores is none: %w", err)
			fallthrough
		default:
			refused.grants = append(refused.grants, fmt.Sprintf("%s: %v", what(statement), err))
		}
	}
	if len(refused.grants) > 0 {
		return &refused
	}
	return nil
}

// accountStatements returns the statements to run for one of the files of an account. One that is there is changed, not dropped: what
// cannot be changed stays as it was. But ALTER USER has a password expire that it is not told, so that an account without one is made anew.
func accountStatements(x *object, d *definition, there bool) *definition {
	run := &definition{}
	for i, statement := range d.statements {
		what := d.makes[i].What
		l := ddl.Lexer{Text: statement}
		switch {
		case !there || what != "USER" || !l.Follow("CREATE", "USER", "IF", "NOT", "EXISTS"):
			run.statements = append(run.statements, statement)
		case ddl.Has(statement, "AS") || ddl.Has(statement, "BY"):
			run.statements = append(run.statements, append([]byte("ALTER USER"), l.Text[l.At:]...))
		default:
			run.statements = append(run.statements, []byte("DROP USER IF EXISTS "+x.Name), statement)
		}
		if there && (what == "USER" || what == "ROLE") {
			run.statements = append(run.statements, []byte("REVOKE ALL PRIVILEGES, GRANT OPTION FROM "+x.Name))
		}
	}
	return run
}

// hasAccount reports whether the server has an account.
func hasAccount(ctx context.Context, s *server.Session, name string) (bool, error) {
	_, err := s.Rows(ctx, "SHOW GRANTS FOR "+name)
	switch server.Number(err) {
	case 1141, 1133, 3162, 3530: // no such grant, no such user, no such authorization
		return false, nil
	}
	return err == nil, err
}

// accountName returns user and host of an account; a role has no host.
func accountName(name string) (user, host string) {
	l := ddl.Lexer{Text: []byte(name)}
	t, _ := l.Next()
	user = t.Name()
	_, _ = l.Next()
	t, _ = l.Next()
	host = t.Name()
	return user, host
}

// accountDifferences returns what an account has not got that the file says.
func (r *run) accountDifferences(ctx context.Context, s *server.Session, x *object, d *definition) (found []string, err error) {
	said, err := saidOf(ctx, s, x.Name)
	if err != nil {
		return nil, err
	}
	for _, statement := range d.statements {
		isUser := ddl.Begins(statement, "CREATE") && !isRole(statement)
		if !isUser && !ddl.Begins(statement, "GRANT") {
			continue
		}
		is := false
		for _, h := range said {
			is = is || ddl.Contains(h, statement)
		}
		switch {
		case is:
		case r.comparable():
			found = append(found, fmt.Sprintf("%s: it is not as the dump has it: %s", x.title(), what(statement)))
		default:
			r.note("%s: it is not as the dump has it: %s", x.title(), what(statement))
		}
	}
	return found, nil
}

func isRole(statement []byte) bool {
	m, _ := ddl.Makes(statement)
	return m.What == "ROLE"
}

// what says which privileges a statement is about, without what may be secret.
func what(statement []byte) string {
	text := string(statement)
	if ddl.Begins(statement, "CREATE") {
		return "how it logs in, or its limits"
	}
	for _, end := range []string{" IDENTIFIED ", " TO "} {
		text, _, _ = strings.Cut(text, end)
	}
	return fmt.Sprintf("%.200s", text)
}

// makeServer makes a foreign server, unless one of that name is there and is to stay.
func (r *run) makeServer(ctx context.Context, w *worker, x *object) error {
	d, err := r.define(x)
	if err != nil {
		return err
	}
	return w.do(ctx, func(s *server.Session, again bool) error {
		row, err := s.Row(ctx, "SELECT COUNT(*) FROM mysql.servers WHERE Server_name="+server.Literal(x.Name))
		if err != nil {
			return err
		}
		if string(row[0]) != "0" {
			if !again && (r.o.Existing == Refuse || r.o.Existing == Missing) {
				r.keep(x)
				return nil
			}
			if err := s.Exec(ctx, "DROP SERVER IF EXISTS "+server.Quote(x.Name)); err != nil {
				return err
			}
		}
		return server.Reason(d.run(ctx, s))
	})
}
