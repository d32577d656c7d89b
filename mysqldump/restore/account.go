package restore

import (
	"context"
	"errors"
	"fmt"

	"nightjar/mysqldump/definition"
	"nightjar/mysqldump/global"
	"nightjar/mysqldump/grantee"
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
			if r.accounts.there[x.Name], err = grantee.Has(ctx, s, x.Name); err != nil {
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
		of[x.Name] = append(of[x.Name], d.Statements...)
	}
	for name, statements := range of {
		lacks, is, err := grantee.HalfMade(ctx, s, name, statements)
		if err != nil {
			return fmt.Errorf("look at account %s: %w", name, err)
		}
		if r.accounts.half[name] = is; r.accounts.half[name] {
			r.note("account %s is as the dump has it, but for %d grants that it lacks: it is taken for one that a restore did not finish, and gets them", name, lacks)
		}
	}
	return nil
}

// makeAccount makes an account or grants it something, as one of its files has it, unless it is to be left.
func (r *run) makeAccount(ctx context.Context, w *worker, x *object) error {
	user, host := grantee.Name(x.Name)
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
		return grantee.Run(ctx, s, grantee.Statements(x.Name, d, there && !r.accounts.half[x.Name]))
	})
	var refused *grantee.RefusedError
	r.accounts.failed[x.Name] = err != nil && !errors.As(err, &refused)
	return err
}

// accountDifferences returns what an account has not got that the file says.
func (r *run) accountDifferences(ctx context.Context, s *server.Session, x *object, d *definition.Definition) (found []string, err error) {
	lacking, err := grantee.Lacking(ctx, s, x.Name, d)
	for _, what := range lacking {
		if r.comparable() {
			found = append(found, fmt.Sprintf("%s: it is not as the dump has it: %s", x.title(), what))
		} else {
			r.note("%s: it is not as the dump has it: %s", x.title(), what)
		}
	}
	return found, err
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
		return server.Reason(d.Run(ctx, s))
	})
}
