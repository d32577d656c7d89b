package dump

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nightjar/mysqldump/schema"
	"nightjar/mysqldump/script"
)

// write writes a file of statements, with its notes.
func (a *attempt) write(name, title, database string, notes map[string]string, f func(s *script.Writer)) error {
	file, err := a.run.create(name)
	if err != nil {
		return err
	}
	defer file.Abort()
	s := script.NewWriter(file, title, database)
	f(s)
	if err := s.Err(); err != nil {
		return err
	}
	if err := note(file, notes); err != nil {
		return err
	}
	return file.Close()
}

// object writes the file of one object.
func (a *attempt) object(kind script.Kind, database, object string, number int, f func(s *script.Writer)) error {
	title := string(kind[3:]) + " " + database
	if object != "" {
		title += "." + object
	}
	in := database
	if kind == script.Databases || kind == script.Servers {
		in = ""
	}
	return a.write(script.Name(kind, database, object, number), title, in, objectNotes(kind, database, object), f)
}

// define writes a definition in its environment.
func (a *attempt) define(s *script.Writer, e schema.Environment, database, create string) {
	before, after := e.Around(a.databases[database])
	for _, statement := range append(before, e.Settings()...) {
		s.Statement(statement)
	}
	s.Program(create)
	s.Statement("SET NAMES binary")
	for _, statement := range after {
		s.Statement(statement)
	}
}

// defineTable writes a table's or a sequence's definition.
func defineTable(s *script.Writer, t *schema.Table) {
	for _, statement := range t.Environment().Settings() {
		s.Statement(statement)
	}
	s.Statement(t.Create)
	for _, statement := range t.After {
		s.Statement(statement)
	}
}

// finish writes the definition of a table whose rows are read, or takes out what there is of it if it is broken.
func (a *attempt) finish(t *table) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.done = true
	if t.broken != nil {
		if err := a.run.remove(t.files); err != nil {
			return err
		}
		return a.leaveOut("table", t.Database, t.Name, t.broken)
	}
	if err := t.count(); err != nil {
		return err
	}
	a.mu.Lock()
	a.result.Tables++
	a.result.Rows += t.sum.Rows
	if t.moments > 0 {
		why := fmt.Sprintf("rows that ended in the moment in which they began, which no server takes: %d", t.moments)
		a.result.Left = append(a.result.Left, schema.LeftOut{What: "history", Name: t.String(), Why: why})
	}
	a.result.Bytes += t.bytes
	a.mu.Unlock()
	return a.write(script.Name(script.Tables, t.Database, t.Name, -1), "table "+t.String(), t.Database, t.notes(), func(s *script.Writer) { defineTable(s, t.Table) })
}

// writeObjects writes all that are no tables.
func (a *attempt) writeObjects(ctx context.Context) error {
	for _, d := range a.inventory.Databases {
		a.result.Databases++
		err := a.object(script.Databases, d.Name, "", -1, func(s *script.Writer) {
			s.Statement(strings.Replace(d.Create, "CREATE DATABASE ", "CREATE DATABASE IF NOT EXISTS ", 1))
			if d.Alter != "" {
				s.Statement(d.Alter)
			}
		})
		if err != nil {
			return err
		}
	}
	for i := range a.inventory.Tables {
		if t := &a.inventory.Tables[i]; t.Kind == schema.Sequence {
			if err := schema.Define(ctx, a.looking, t); errors.Is(err, schema.ErrChanged) {
				return &ChangedError{"", t.Database + "." + t.Name, err}
			} else if err != nil {
				return err
			}
			if err := a.object(script.Sequences, t.Database, t.Name, -1, func(s *script.Writer) { defineTable(s, t) }); err != nil {
				return err
			}
		}
	}
	steps := []func() error{a.writePrograms, a.writeAccounts, a.writeViews, a.writeTriggers, a.writeEvents, a.writeServers, a.writeAbout}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (a *attempt) writePrograms() error {
	numbers := map[schema.Name]int{} // a function and a procedure may have one name; a package's body comes after the package
	for _, p := range a.inventory.Programs {
		name := schema.Name{Database: p.Database, Name: p.Name}
		err := a.object(script.Programs, p.Database, p.Name, numbers[name], func(s *script.Writer) { a.define(s, p.Environment, p.Database, p.Create) })
		if err != nil {
			return err
		}
		numbers[name]++
	}
	return nil
}

func (a *attempt) writeTriggers() error {
	of := map[schema.Name][]schema.Trigger{}
	for _, t := range a.inventory.Triggers {
		table := schema.Name{Database: t.Database, Name: t.Table}
		of[table] = append(of[table], t)
	}
	for table, triggers := range of {
		if a.broken[table] {
			continue
		}
		err := a.object(script.Triggers, table.Database, table.Name, -1, func(s *script.Writer) {
			for _, t := range triggers {
				a.define(s, t.Environment, t.Database, t.Create)
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *attempt) writeEvents() error {
	for _, e := range a.inventory.Events {
		err := a.object(script.Events, e.Database, e.Name, -1, func(s *script.Writer) { a.define(s, e.Environment, e.Database, e.Create) })
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *attempt) writeServers() error {
	for _, f := range a.inventory.Servers {
		err := a.object(script.Servers, f.Name, "", -1, func(s *script.Writer) {
			s.Statement(f.Drop)
			s.Statement(f.Create)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// writeAbout writes what a person wants to know who has nothing but the files.
func (a *attempt) writeAbout() error {
	return a.write(script.Name(script.About, "dump", "", -1), "A dump by nightjar.", "", map[string]string{script.NoteKind: string(script.About)}, func(s *script.Writer) {
		s.Comment("server: " + a.result.Version)
		if position := a.result.Position; position.HasPlace() {
			s.Comment("position: " + position.String())
		} else {
			s.Comment("position: " + script.NoPosition)
		}
		for _, from := range a.result.Sources {
			s.Comment(fmt.Sprintf("position of its source %s:%d (channel %q): %v", from.Host, from.Port, from.Channel, from.Position))
		}
		for _, l := range a.result.Left {
			s.Comment(fmt.Sprintf("left out: %s %s: %s", l.What, l.Name, l.Why))
		}
		for _, l := range a.result.Broken {
			s.Comment(fmt.Sprintf("broken, and left out: %s %s: %s", l.What, l.Name, l.Why))
		}
		s.Comment("The other files, in the order of their names, are loaded by any client of the server. Some take comments out of programs unless told --comments.")
	})
}
