package schema

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/value"
)

// Define reads the statements that make a table again. Any session with the server will do, so that several can share the work.
//
// ErrChanged is of a table that is gone, or that has not the columns and indexes that Read saw: the server makes some at an instant, so
// that the table's identity does not change.
func Define(ctx context.Context, s *server.Session, t *Table) error {
	if t.hasHiddenKey() {
		if err := s.Exec(ctx, "SET SESSION show_gipk_in_create_table_and_information_schema=1"); err != nil && server.Number(err) != unknownVariable {
			return fmt.Errorf("read definition of %s: %w", t.FullName(), err)
		}
	}
	show := "SHOW CREATE TABLE "
	if t.Kind == Sequence {
		show = "SHOW CREATE SEQUENCE "
	}
	row, err := s.Row(ctx, show+t.FullName().String())
	if n := server.Number(err); n == noSuchTable || n == noSuchDatabase {
		err = fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if err != nil {
		return fmt.Errorf("read definition of %s: %w", t.FullName(), err)
	}
	if len(row) < 2 {
		return fmt.Errorf("read definition of %s: the server answers with %d columns", t.FullName(), len(row))
	}
	t.Create, t.After = ddl.Loadable(string(row[1])), nil
	if t.Kind == Base && t.Columns != nil && !t.agrees() {
		return fmt.Errorf("read definition of %s: %w: it has other columns or indexes than before", t.FullName(), ErrChanged)
	}
	if t.Kind == Sequence {
		return t.readValue(ctx, s)
	}
	t.After = t.withoutDefault()
	return nil
}

// withoutDefault returns the statement that takes DEFAULT NULL from columns that have no default at all: a definition without one
// makes it.
func (t *Table) withoutDefault() []string {
	d, _ := ddl.ParseTable(t.Create)
	var drops []string
	for _, defined := range d.Columns {
		i := slices.IndexFunc(t.Columns, func(c value.Column) bool { return c.Name == defined.Name })
		if i < 0 || defined.Value || !t.Columns[i].Nullable || t.Columns[i].Generated || t.Columns[i].Period != "" || defaultless(t.Columns[i].DataType) {
			continue
		}
		drops = append(drops, "ALTER "+server.Quote(defined.Name)+" DROP DEFAULT")
	}
	if drops == nil {
		return nil
	}
	return []string{"ALTER TABLE " + server.Quote(t.Name) + " " + strings.Join(drops, ", ")}
}

// defaultless reports whether the server never prints DEFAULT NULL of a type.
func defaultless(dataType string) bool {
	switch dataType {
	case "tinytext", "text", "mediumtext", "longtext", "tinyblob", "blob", "mediumblob", "longblob", "json", "geometry", "point", "linestring", "polygon",
		"multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection", "vector":
		return true
	}
	return false
}

// hasHiddenKey reports whether a table has the primary key that MySQL makes for tables without one.
func (t *Table) hasHiddenKey() bool {
	return slices.ContainsFunc(t.Columns, func(c value.Column) bool { return c.Invisible && c.Name == "my_row_id" })
}

// readValue reads where a sequence stands. One row inserted into it sets all of that.
func (t *Table) readValue(ctx context.Context, s *server.Session) error {
	row, err := s.Row(ctx, "SELECT next_not_cached_value, minimum_value, maximum_value, start_value, increment, cache_size, cycle_option, cycle_count FROM "+t.FullName().String())
	if err != nil {
		return fmt.Errorf("read value of sequence %s: %w", t.FullName(), err)
	}
	values := make([]string, len(row))
	for i, v := range row {
		values[i] = string(v)
	}
	t.After = []string{"INSERT INTO " + server.Quote(t.Name) + " VALUES (" + strings.Join(values, ",") + ")"}
	return nil
}

// agrees reports whether the definition has the columns, in order, and the indexes that Read saw. One that is not understood does.
func (t *Table) agrees() bool {
	d, ok := ddl.ParseTable(t.Create)
	if !ok {
		return true
	}
	columns := make([]string, len(d.Columns))
	for i, c := range d.Columns {
		columns[i] = c.Name
	}
	seen := make([]string, 0, len(t.Columns))
	for _, c := range t.Columns {
		if c.Period == "" || slices.Contains(columns, c.Name) {
			seen = append(seen, c.Name)
		}
	}
	hidden := func(name string) bool { return name == fullTextIndex }
	indexes := slices.DeleteFunc(d.Indexes, hidden) // the table may have one of that name, but InnoDB makes it too
	slices.Sort(indexes)
	return slices.Equal(columns, seen) && (t.indexes == nil || slices.Equal(indexes, slices.Sorted(slices.Values(t.indexes))))
}
