package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/global"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/value"
)

// A reader reads an inventory.
type reader struct {
	s        *server.Session
	choice   *choose.Choice
	features map[string]bool // tables of information_schema, and their columns as TABLE.COLUMN, in upper case
	inv      *Inventory
	tables   map[Name]*Table
	views    map[Name]*View
}

// Read reads what is in a server. Tables are not defined yet (see Define), all else is. It changes settings of the session that are of no
// consequence for reading rows, and the session's default database.
//
// Accounts and foreign servers belong to the whole server: they are read if the selection chooses neither databases nor tables.
// An error is of the whole inventory; what is wrong with an object is in Broken.
func Read(ctx context.Context, s *server.Session, selection choose.Selection) (*Inventory, error) {
	c, err := selection.Parse()
	if err != nil {
		return nil, err
	}
	r := &reader{s: s, choice: c, features: map[string]bool{}, inv: &Inventory{}, tables: map[Name]*Table{}, views: map[Name]*View{}}
	steps := []func(context.Context) error{r.readFeatures, r.readDatabases, r.readTables, r.readColumns, r.readKeys, r.readPartitions, r.readIdentities,
		r.readViews, r.readRoutines, r.readTriggers, r.readEvents}
	if c.Everything() {
		steps = append(steps, r.readGlobals)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("read schema: %w", err)
		}
	}
	if err := c.Unmatched(); err != nil {
		return nil, err
	}
	return r.inv, nil
}

// has reports whether information_schema has a table, or TABLE.COLUMN.
func (r *reader) has(feature string) bool { return r.features[feature] }

// column returns a column of information_schema for a query's list, or NULL where the server has none of that name.
func (r *reader) column(feature string) string {
	if !r.features[feature] {
		return "NULL"
	}
	_, column, _ := strings.Cut(feature, ".")
	return column
}

func (r *reader) readFeatures(ctx context.Context) error {
	for _, set := range []string{"sql_quote_show_create=1", "show_gipk_in_create_table_and_information_schema=1", "print_identified_with_as_hex=1"} {
		if err := r.s.Exec(ctx, "SET SESSION "+set); err != nil && server.Number(err) != unknownVariable {
			return err
		}
	}
	return r.s.Texts(ctx, `SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA='information_schema' AND TABLE_NAME IN
		('COLUMNS','STATISTICS','SCHEMATA','INNODB_TABLES','INNODB_SYS_TABLES','INNODB_TABLESPACES','INNODB_SYS_TABLESPACES','ROUTINES','LIBRARIES','PERIODS')`,
		func(row []string) error {
			r.features[strings.ToUpper(row[0])] = true
			r.features[strings.ToUpper(row[0]+"."+row[1])] = true
			return nil
		})
}

// The server's error numbers that are answers.
const (
	unknownVariable = 1193
	noSuchTable     = 1146
	noSuchDatabase  = 1049
	accessDenied    = 1227
)

func (r *reader) readDatabases(ctx context.Context) error {
	var names []Database
	err := r.s.Texts(ctx, "SELECT SCHEMA_NAME, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA", func(row []string) error {
		if r.choice.Database(row[0]) {
			names = append(names, Database{Name: row[0], Charset: row[1], Collation: row[2]})
		}
		return nil
	})
	slices.SortFunc(names, func(a, b Database) int { return strings.Compare(a.Name, b.Name) })
	if err != nil {
		return err
	}
	for _, d := range names {
		row, err := r.s.Row(ctx, "SHOW CREATE DATABASE "+server.Quote(d.Name))
		if err != nil {
			return err
		}
		d.Create = string(row[1])
		options, ok := strings.CutPrefix(d.Create, "CREATE DATABASE "+server.Quote(d.Name))
		if !ok {
			return fmt.Errorf("read database %s: the server answers %q", server.Quote(d.Name), d.Create)
		}
		if options = strings.TrimSpace(options); options != "" {
			d.Alter = "ALTER DATABASE " + server.Quote(d.Name) + " " + options
		}
		r.inv.Databases = append(r.inv.Databases, d)
	}
	return nil
}

func (r *reader) left(what, name, why string) {
	r.inv.Left = append(r.inv.Left, LeftOut{what, name, why})
}

func (r *reader) broken(kind Kind, database, name string, err error) {
	r.inv.Broken = append(r.inv.Broken, Broken{kind, database, name, err})
}

// ofObject reports whether an error is a server's answer, of one object, and not the end of the session.
func ofObject(err error) bool { return server.Number(err) != 0 }

// list returns string literals for IN (...).
func list(names []string) string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = server.TextLiteral(n)
	}
	return strings.Join(texts, ",")
}

var errHidden = errors.New("the server hides the definition: the account lacks the privilege to see it")

func (r *reader) readGlobals(ctx context.Context) error {
	g, err := global.Read(ctx, r.s, r, r.left)
	r.inv.Servers, r.inv.Accounts, r.inv.said = g.Servers, g.Accounts, g.Said
	return err
}

// Columns returns the columns of a table or view of the inventory.
func (r *reader) Columns(database, name string) (columns []string, there bool) {
	var of []value.Column
	if t := r.tables[Name{database, name}]; t != nil {
		of, there = t.Columns, true
	} else if i := slices.IndexFunc(r.inv.Views, func(v View) bool { return v.Database == database && v.Name == name }); i >= 0 {
		of, there = r.inv.Views[i].Columns, true
	}
	for _, c := range of {
		columns = append(columns, c.Name)
	}
	return columns, there
}

// IsView reports whether a view was found, even if it is broken.
func (r *reader) IsView(database, name string) bool { return r.views[Name{database, name}] != nil }

// HasProgram reports whether a program is in the inventory.
func (r *reader) HasProgram(kind, database, name string) bool {
	return slices.ContainsFunc(r.inv.Programs, func(p Program) bool {
		return p.Kind == Kind(kind) && p.Database == database && strings.EqualFold(p.Name, name)
	})
}
