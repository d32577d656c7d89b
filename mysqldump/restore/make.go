package restore

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/definition"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
)

// makeDatabases makes the databases, one by one.
func (r *run) makeDatabases(ctx context.Context, w *worker) error {
	for _, x := range r.plan.databases {
		if err := r.finish(ctx, x, r.makeDatabase(ctx, w, x)); err != nil {
			return err
		}
		if x.failed && !r.have.databases[r.have.database(x.Database)] {
			n := r.plan.without(x.Database)
			r.note("%d objects of database %s were not restored", n, x.Database)
		}
	}
	return nil
}

// without takes a database out of a plan, and returns how many objects that are.
func (p *plan) without(database string) int {
	before := len(p.tables) + len(p.others)
	p.tables = slices.DeleteFunc(p.tables, func(t *table) bool { return t.Database == database })
	p.others = slices.DeleteFunc(p.others, func(x *object) bool { return x.Database == database })
	return before - len(p.tables) - len(p.others)
}

// makeDatabase makes a database. One that is there and restored as a whole gets the dump's character set, unless all that is
// there is to stay.
func (r *run) makeDatabase(ctx context.Context, w *worker, x *object) error {
	d, err := r.define(x)
	if err != nil {
		return err
	}
	there := r.have.databases[r.have.database(x.Database)]
	if there && (r.o.Existing == Missing || !r.o.chosen("", x.was, "")) {
		r.keep(x)
		return nil
	}
	d = d.Clone()
	for i, m := range d.Makes {
		if m.What == "DATABASE" && there {
			d.Statements[i] = alteration(d.Statements[i], x.Database)
		}
	}
	d.Statements = slices.DeleteFunc(d.Statements, func(s []byte) bool { return len(s) == 0 })
	return w.do(ctx, func(s *server.Session, again bool) error {
		err := r.patient(ctx, "make "+x.title(), func(ctx context.Context) error { return d.Run(ctx, s) })
		if again && server.Number(err) == 1007 { // it was made by the attempt before
			return nil
		}
		return err
	})
}

// alteration turns a CREATE DATABASE into the ALTER DATABASE that says the same; empty if it says nothing.
func alteration(statement []byte, name string) []byte {
	m, _ := ddl.Makes(statement)
	rest := ddl.Lexer{Text: statement[m.To:]}
	if _, more := rest.Next(); !more {
		return nil
	}
	return []byte("ALTER DATABASE " + server.Quote(name) + string(statement[m.To:]))
}

// makeSequences makes what tables need: foreign servers, and sequences.
func (r *run) makeSequences(ctx context.Context, w *worker) error {
	for _, x := range r.plan.others {
		if x.Kind == script.Servers {
			if err := r.finish(ctx, x, r.makeServer(ctx, w, x)); err != nil {
				return err
			}
		}
		if x.Kind == script.Sequences {
			if err := r.finish(ctx, x, r.makeObject(ctx, w, x)); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeOthers makes what comes after rows. Those of a database are made one by one: of views each may need those before it,
// and programs may need the database to have another collation while they are made. Views may need accounts, as whom the server opens
// the views that they use, and grants on views; grants need programs.
func (r *run) makeOthers(ctx context.Context, w *worker) error {
	if err := r.lookForAccounts(ctx, w); err != nil {
		return err
	}
	for _, kind := range []script.Kind{script.Programs, script.Accounts, script.Views, script.Triggers, script.Events} {
		var of [][]*object // by databases
		for _, x := range r.plan.others {
			if x.Kind != kind && (x.Kind != script.Grants || kind != script.Views) {
				continue
			}
			if n := len(of); kind == script.Views && n > 0 || n > 0 && of[n-1][0].Database == x.Database {
				of[n-1] = append(of[n-1], x)
			} else {
				of = append(of, []*object{x})
			}
		}
		err := r.pool(ctx, r.o.Threads, len(of), func(ctx context.Context, w *worker, i int) error {
			for _, x := range of[i] {
				if err := r.finish(ctx, x, r.makeOther(ctx, w, x)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) makeOther(ctx context.Context, w *worker, x *object) error {
	if x.Kind == script.Accounts || x.Kind == script.Grants {
		return r.makeAccount(ctx, w, x)
	}
	return r.makeObject(ctx, w, x)
}

// makeObject makes a sequence, a view, a program, an event, or the triggers of a table.
func (r *run) makeObject(ctx context.Context, w *worker, x *object) error {
	if x.Kind == script.Triggers {
		if t := r.plan.table(x.Object); t != nil && (t.kept || t.failed) {
			r.keep(x) // they belong to the table
			return nil
		}
	}
	d, err := r.define(x)
	if err != nil {
		return err
	}
	if err := r.oneToMake(x, d); err != nil {
		return err
	}
	done := false
	var grants []string
	return w.do(ctx, func(s *server.Session, again bool) error {
		if !again && r.have.databases[r.have.database(x.Database)] {
			if done, err = r.existing(ctx, s, x, d); err != nil || done {
				return err
			}
		}
		if again || r.o.Existing != Refuse {
			if grants == nil {
				if grants, err = r.regrants(ctx, s, x, d); err != nil {
					return err
				}
			}
			if err := r.clear(ctx, s, x, d); err != nil {
				return err
			}
		}
		define := func(ctx context.Context) error { return d.Run(ctx, s) }
		err := r.patient(ctx, "make "+x.title(), define)
		if number := server.Number(err); number == 1418 || number == 1419 {
			if err = r.trust(ctx, s, err); err == nil {
				err = r.clear(ctx, s, x, d)
			}
			if err == nil {
				err = r.patient(ctx, "make "+x.title(), define)
			}
		}
		if err == nil && x.Kind == script.Events {
			err = r.expired(ctx, s, x, d)
		}
		if err == nil {
			err = r.grantAgain(ctx, s, x, grants)
		}
		return err
	})
}

// oneToMake returns an error if the file makes nothing.
func (r *run) oneToMake(x *object, d *definition.Definition) error {
	if !slices.ContainsFunc(d.Makes, func(m ddl.Made) bool { return m.What != "" }) {
		return &sourceError{x.file, errors.New("it makes nothing")}
	}
	return nil
}

// existing decides about an object that may be there: done means that nothing is to be made.
func (r *run) existing(ctx context.Context, s *server.Session, x *object, d *definition.Definition) (done bool, err error) {
	switch r.o.Existing {
	case Missing:
		if done, err = d.Present(ctx, s, x.Database); done {
			r.keep(x)
		}
	case IfChanged:
		if x.Kind == script.Sequences {
			return false, nil // its value is not in its definition
		}
		if done, err = d.Equal(ctx, s, x.Database); done {
			x.left = true
		}
	}
	return done, err
}

// clear drops what has the object's name.
func (r *run) clear(ctx context.Context, s *server.Session, x *object, d *definition.Definition) error {
	if x.Kind == script.Views || x.Kind == script.Sequences {
		if err := dropTable(ctx, s, x.Object, r.have.tables[r.have.key(x.Object)]); err != nil {
			return err
		}
	}
	return d.Drop(ctx, s, x.Database)
}

// dropTable drops what has a table's name, of the kind that the server says it is of.
func dropTable(ctx context.Context, s *server.Session, x Object, kind string) error {
	what := "TABLE"
	if kind == "VIEW" || kind == "SEQUENCE" {
		what = kind
	}
	return s.Exec(ctx, "DROP "+what+" IF EXISTS "+server.Quote(x.Database)+"."+server.Quote(x.Name))
}

// expired notes an event that the server did not make, since its time is over.
func (r *run) expired(ctx context.Context, s *server.Session, x *object, d *definition.Definition) error {
	there, err := d.Present(ctx, s, x.Database)
	if err == nil && !there {
		r.note("event %s.%s is not there: its time is over, and it is not preserved", x.Database, x.Name)
		x.failed = true
	}
	return err
}

// table returns the plan's table of that name; nil: none.
func (p *plan) table(x Object) *table {
	return p.byKey[x.key()]
}

// keep notes that an object that was there stays as it is.
func (r *run) keep(x *object) {
	x.kept = true
	r.count(r.result.Kept, x)
}

// finish notes how the making of an object ended. Its error ends the run.
func (r *run) finish(ctx context.Context, x *object, err error) error {
	var gone *goneError
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &gone):
		return err
	case errors.Is(err, ErrNoAnswer): // nor will there be one for the others
		return fmt.Errorf("restore %s: %w", x.title(), err)
	case err != nil:
		r.fail(x, err)
	case x.kept || x.failed:
	default:
		r.count(r.result.Done, x)
		if x.left {
			r.count(r.result.Left, x)
		}
	}
	return nil
}
