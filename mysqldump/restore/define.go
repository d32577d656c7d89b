package restore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/server"
)

// A definition is the statements that make an object, ready to run.
type definition struct {
	statements [][]byte
	makes      []ddl.Made // for each of statements; What is empty where it makes nothing
}

// define reads an object's file, with the database's name as it is to be.
func (r *run) define(x *object) (*definition, error) {
	if x.definition != nil {
		return x.definition, nil
	}
	all, err := r.script(x.file)
	if err != nil {
		return nil, err
	}
	d := &definition{}
	for _, statement := range all {
		if ddl.Begins(statement, "DROP") { // what is dropped is decided here
			continue
		}
		m, _ := ddl.Makes(statement)
		alters := ddl.AltersDatabase(statement)
		switch name, isUse := ddl.Used(statement); {
		case isUse && name == x.was:
			statement = []byte("USE " + server.Quote(x.Database))
		case isUse:
			return nil, fmt.Errorf("run %q: it is for database %s, not for %s", x.file, name, x.was)
		case m.What == "DATABASE":
			statement = m.Rename(statement, x.Database)
		case alters:
			statement = ddl.AlterDatabase(statement, x.Database)
		case m.What != "" && x.Database != x.was:
			statement = m.Rename(statement, m.Name) // without a database
			m, _ = ddl.Makes(statement)
			if m.What == "TRIGGER" {
				statement = ddl.TriggerOnly(statement, x.was)
			}
			if ddl.Mentions(statement, x.was) {
				r.unrenamed(x, m)
			}
		}
		if m.What == "EVENT" {
			statement = r.event(x, statement)
		}
		d.statements, d.makes = append(d.statements, statement), append(d.makes, m)
	}
	x.definition = d
	return d, nil
}

// event returns the definition of an event as it is to be. In a database that was renamed it would run beside the one that it is of.
func (r *run) event(x *object, statement []byte) []byte {
	if r.o.Disabled {
		return ddl.Disable(statement, ddl.DisabledOnReplica)
	}
	if x.Database == x.was || r.o.KeepEvents {
		return statement
	}
	disabled := ddl.Disable(statement, ddl.Disabled)
	if !bytes.Equal(disabled, statement) {
		r.note("event %s.%s is disabled, since that of database %s may run, too: ALTER EVENT %s.%s ENABLE has it run", x.Database, x.Name, x.was,
			server.Quote(x.Database), server.Quote(x.Name))
	}
	return disabled
}

// unrenamed notes that a definition names the old database, which only its author can change.
func (r *run) unrenamed(x *object, m ddl.Made) {
	r.fail(&object{Object: x.Object}, fmt.Errorf("%s %s was made, but still names database %s: %w", strings.ToLower(m.What), m.Name, x.was, ErrNotRenamed))
}

// ErrNotRenamed says that a definition names its database, so that it means the old one still.
var ErrNotRenamed = errors.New("a name inside of a definition is not changed by renaming")

// run runs the statements of a definition. What gives a database its collation back is run whatever fails before.
func (d *definition) run(ctx context.Context, s *server.Session) error {
	var failed error
	for _, statement := range d.statements {
		if failed != nil && !ddl.AltersDatabase(statement) {
			continue
		}
		if err := s.Exec(ctx, string(statement)); err != nil && failed == nil {
			failed = err
		}
		if server.Lost(failed) || ctx.Err() != nil {
			break
		}
	}
	return failed
}

// drop drops what the definition makes.
func (d *definition) drop(ctx context.Context, s *server.Session, database string) error {
	for _, m := range d.makes {
		switch m.What {
		case "", "DATABASE", "USER", "ROLE":
			continue
		case "TABLE":
			return errors.New("a table is not dropped so")
		}
		if err := s.Exec(ctx, "DROP "+m.What+" IF EXISTS "+server.Quote(database)+"."+server.Quote(m.Name)); err != nil {
			return err
		}
	}
	return nil
}

// The server's error numbers that say that something is not there.
func isAbsent(err error) bool {
	switch server.Number(err) {
	case 1049, 1146, 1305, 1360, 1539, 4091, 4092, 1932:
		return true
	}
	return false
}

// errAbsent says that the server has no object of a name.
var errAbsent = errors.New("it is not there")

// plain is the session in which definitions are read, as they were for the dump: others print them in other quotes, or lose
// bytes.
const plain = "SET NAMES binary, SESSION sql_mode=''"

// shown asks the server for the definition of what a statement makes.
func shown(ctx context.Context, s *server.Session, database string, m ddl.Made) ([]byte, error) {
	name := server.Quote(database) + "." + server.Quote(m.Name)
	if err := s.Exec(ctx, plain); err != nil {
		return nil, err
	}
	if m.What == "DATABASE" {
		name = server.Quote(database)
	} else if err := s.Exec(ctx, "USE "+server.Quote(database)); err != nil { // a view names what is in another database
		if isAbsent(err) {
			err = errAbsent
		}
		return nil, err
	}
	rows, err := s.Rows(ctx, "SHOW CREATE "+m.What+" "+name)
	if isAbsent(err) {
		return nil, errAbsent
	}
	if err != nil {
		return nil, err
	}
	if len(rows) == 1 {
		for column, text := range rows[0] {
			if column == "SQL Original Statement" || strings.HasPrefix(column, "Create ") || strings.HasPrefix(column, "Create") && column != "Created" {
				return []byte(text), nil
			}
		}
	}
	return nil, fmt.Errorf("SHOW CREATE %s %s: the server hides it", m.What, name)
}

// equal reports whether the server has all that the definition makes, as the definition has it.
func (d *definition) equal(ctx context.Context, s *server.Session, database string) (bool, error) {
	for i, m := range d.makes {
		if m.What == "" || m.What == "USER" || m.What == "ROLE" {
			continue
		}
		text, err := shown(ctx, s, database, m)
		if errors.Is(err, errAbsent) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if !ddl.Same(text, d.statements[i]) {
			return false, nil
		}
	}
	return true, nil
}

// present reports whether the server has any of what the definition makes.
func (d *definition) present(ctx context.Context, s *server.Session, database string) (bool, error) {
	for _, m := range d.makes {
		if m.What == "" || m.What == "USER" || m.What == "ROLE" {
			continue
		}
		_, err := shown(ctx, s, database, m)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, errAbsent) {
			return false, err
		}
	}
	return false, nil
}
