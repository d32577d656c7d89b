package restore

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/definition"
	"nightjar/mysqldump/server"
)

// define reads an object's file, with the database's name as it is to be.
func (r *run) define(x *object) (*definition.Definition, error) {
	if x.definition != nil {
		return x.definition, nil
	}
	all, err := r.script(x.file)
	if err != nil {
		return nil, err
	}
	d := &definition.Definition{}
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
		if m.What == "TABLE" && r.o.Inside {
			statement = ddl.Inside(statement)
			m, _ = ddl.Makes(statement)
		}
		if m.What == "EVENT" {
			statement = r.event(x, statement)
		}
		d.Statements, d.Makes = append(d.Statements, statement), append(d.Makes, m)
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
