// Package definition runs the statements with which a dump makes an object, and compares them with what a server prints of it.
//
// The invariant: definitions that are said to be equal are those that the server itself takes for the same; what it hides is no answer.
package definition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/schema"
	"nightjar/mysqldump/server"
)

// A Definition is the statements that make an object, ready to run.
type Definition struct {
	Statements [][]byte
	Makes      []ddl.Made // for each of Statements; What is empty where it makes nothing
}

// Clone returns a copy whose statements can be replaced.
func (d *Definition) Clone() *Definition { return &Definition{slices.Clone(d.Statements), d.Makes} }

// Table returns the index of the statement that makes a table; negative if there is none.
func (d *Definition) Table(name string) int {
	return slices.IndexFunc(d.Makes, func(m ddl.Made) bool { return m.What == "TABLE" && m.Name == name })
}

// Run runs the statements of a definition. What gives a database its collation back is run whatever fails before.
func (d *Definition) Run(ctx context.Context, s *server.Session) error {
	var failed error
	for _, statement := range d.Statements {
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

// Drop drops what the definition makes.
func (d *Definition) Drop(ctx context.Context, s *server.Session, database string) error {
	for _, m := range d.Makes {
		switch m.What {
		case "", "DATABASE", "USER", "ROLE":
			continue
		case "TABLE":
			return errors.New("a table is not dropped so")
		}
		if err := RunOn(ctx, s, m.What, "DROP "+m.What+" IF EXISTS "+server.Quote(database)+"."+server.Quote(m.Name)); err != nil {
			return err
		}
	}
	return nil
}

// RunOn runs a statement about what is of a kind. MariaDB knows those about packages in its mode of Oracle only.
func RunOn(ctx context.Context, s *server.Session, kind, statement string) error {
	if !strings.HasPrefix(kind, "PACKAGE") {
		return s.Exec(ctx, statement)
	}
	if err := s.Exec(ctx, "SET SESSION sql_mode='ORACLE'"); err != nil {
		return err
	}
	err := s.Exec(ctx, statement)
	if back := s.Exec(ctx, "SET SESSION sql_mode=''"); err == nil {
		err = back
	}
	return err
}

// The server's error numbers that say that something is not there.
func isAbsent(err error) bool {
	switch server.Number(err) {
	case 1049, 1146, 1305, 1360, 1539, 4091, 4092, 1932:
		return true
	}
	return false
}

// ErrAbsent says that the server has no object of a name.
var ErrAbsent = errors.New("it is not there")

// Plain is the session in which definitions are read, as they were for the dump: others print them in other quotes, or lose
// bytes.
const Plain = "SET NAMES binary, SESSION sql_mode=''"

// Show asks the server for the definition of what a statement makes.
func Show(ctx context.Context, s *server.Session, database string, m ddl.Made) ([]byte, error) {
	name := server.Quote(database) + "." + server.Quote(m.Name)
	if err := s.Exec(ctx, Plain); err != nil {
		return nil, err
	}
	if m.What == "DATABASE" {
		name = server.Quote(database)
	} else if err := s.Exec(ctx, "USE "+server.Quote(database)); err != nil { // a view names what is in another database
		if isAbsent(err) {
			err = ErrAbsent
		}
		return nil, err
	}
	if m.What == "TABLE" {
		var create string
		err := schema.Opening(ctx, s, func() (err error) {
			create, err = schema.ShowTable(ctx, s, schema.Name{Database: database, Name: m.Name})
			return err
		})
		if isAbsent(err) {
			err = ErrAbsent
		}
		return []byte(create), err
	}
	rows, err := s.Rows(ctx, "SHOW CREATE "+m.What+" "+name)
	if isAbsent(err) {
		return nil, ErrAbsent
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

// Equal reports whether the server has all that the definition makes, as the definition has it.
func (d *Definition) Equal(ctx context.Context, s *server.Session, database string) (bool, error) {
	for i, m := range d.Makes {
		if m.What == "" || m.What == "USER" || m.What == "ROLE" {
			continue
		}
		text, err := Show(ctx, s, database, m)
		if errors.Is(err, ErrAbsent) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if !ddl.Same(text, d.Statements[i]) {
			return false, nil
		}
	}
	return true, nil
}

// Present reports whether the server has any of what the definition makes.
func (d *Definition) Present(ctx context.Context, s *server.Session, database string) (bool, error) {
	for _, m := range d.Makes {
		if m.What == "" || m.What == "USER" || m.What == "ROLE" {
			continue
		}
		_, err := Show(ctx, s, database, m)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, ErrAbsent) {
			return false, err
		}
	}
	return false, nil
}
