package schema

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

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
	show := ShowTable
	if t.Kind == Sequence {
		show = showSequence
	}
	create, err := show(ctx, s, t.FullName())
	if n := server.Number(err); n == noSuchTable || n == noSuchDatabase {
		err = fmt.Errorf("%w: %w", ErrChanged, err)
	}
	if err != nil {
		return fmt.Errorf("read definition of %s: %w", t.FullName(), err)
	}
	t.Create, t.After = ddl.Loadable(create), nil
	if t.Kind == Base && t.Columns != nil && !t.agrees() {
		return fmt.Errorf("read definition of %s: %w: it has other columns or indexes than before", t.FullName(), ErrChanged)
	}
	if t.Kind == Sequence {
		return t.readValue(ctx, s)
	}
	t.After = t.withoutDefault()
	return nil
}

// ShowTable returns the definition that the server prints of a table in a session of character set binary.
func ShowTable(ctx context.Context, s *server.Session, name Name) (string, error) {
	row, err := s.Row(ctx, "SHOW CREATE TABLE "+name.String())
	if err != nil {
		return "", err
	}
	create := string(row[1])
	if !TextBounds(create) {
		return create, nil
	}
	// MySQL 8 and newer keep the bounds in UTF-8, and print them through the character set of whoever opened the table first.
	query := "SELECT MIN(PARTITION_DESCRIPTION) FROM information_schema.PARTITIONS WHERE TABLE_SCHEMA=" + server.Literal(name.Database) + " AND TABLE_NAME=" + server.Literal(name.Name) +
		" AND PARTITION_DESCRIPTION IS NOT NULL GROUP BY PARTITION_ORDINAL_POSITION ORDER BY PARTITION_ORDINAL_POSITION"
	var bounds []string
	err = s.Texts(ctx, query, func(row []string) error {
		bounds = append(bounds, row[0])
		return nil
	})
	return ddl.WithBounds(create, bounds), err
}

// Opening does what opens partitioned tables. MySQL 8 and newer read the bounds of partitions in the collation of the connection that opens
// a table; of binary they are others, also for those who use the open table after us.
func Opening(ctx context.Context, s *server.Session, do func() error) error {
	if err := s.Exec(ctx, OpeningSetting); err != nil {
		return err
	}
	err := do()
	if back := s.Exec(ctx, "SET SESSION collation_connection=binary"); err == nil {
		err = back
	}
	return err
}

// OpeningSetting is the statement for sessions in which rows are written to a table with TextBounds.
const OpeningSetting = "SET SESSION collation_connection=utf8mb4_bin"

// TextBounds reports whether a definition may have partitions whose bounds are text beyond ASCII.
func TextBounds(create string) bool {
	return strings.Contains(create, "PARTITION BY") && strings.ContainsFunc(create, func(c rune) bool { return c >= utf8.RuneSelf })
}

func showSequence(ctx context.Context, s *server.Session, name Name) (string, error) {
	row, err := s.Row(ctx, "SHOW CREATE SEQUENCE "+name.String())
	if err != nil {
		return "", err
	}
	return string(row[1]), nil
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
