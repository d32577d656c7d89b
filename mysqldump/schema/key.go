package schema

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nightjar/mysqldump/server"
	"nightjar/mysqldump/value"
)

// A key is an index that tells rows apart.
type key struct {
	name    string
	columns []string
}

// readKeys finds a key for each table. Servers before MySQL 8 take three times as long to list all parts of all indexes as to list
// those of primary keys, so that the indexes of tables without such are asked for one by one.
func (r *reader) readKeys(ctx context.Context) error {
	if len(r.inv.Databases) == 0 {
		return nil
	}
	if !r.has("INNODB_SYS_TABLES") {
		return r.readIndexes(ctx, "TABLE_SCHEMA IN ("+r.databaseList()+")")
	}
	if err := r.readPrimaryKeys(ctx); err != nil {
		return err
	}
	for i := range r.inv.Tables {
		if t := &r.inv.Tables[i]; t.KeyName == "" && t.keyed {
			if err := r.readIndexes(ctx, "TABLE_SCHEMA="+server.TextLiteral(t.Database)+" AND TABLE_NAME="+server.TextLiteral(t.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *reader) readPrimaryKeys(ctx context.Context) error {
	type part struct {
		column   string
		sequence int
	}
	keys := map[Name][]part{}
	query := `SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION FROM information_schema.KEY_COLUMN_USAGE
		WHERE CONSTRAINT_NAME='PRIMARY' AND REFERENCED_TABLE_NAME IS NULL AND TABLE_SCHEMA IN (` + r.databaseList() + ")"
	err := r.s.Texts(ctx, query, func(row []string) error {
		name := Name{row[0], row[1]}
		sequence, err := strconv.Atoi(row[3])
		if err != nil {
			return fmt.Errorf("read keys of %s: %w", name, err)
		}
		if r.tables[name] != nil {
			keys[name] = append(keys[name], part{row[2], sequence})
		}
		return nil
	})
	for name, parts := range keys {
		slices.SortFunc(parts, func(a, b part) int { return a.sequence - b.sequence })
		k := key{name: "PRIMARY"}
		for _, p := range parts {
			k.columns = append(k.columns, p.column)
		}
		chooseKey(r.tables[name], []key{k})
	}
	return err
}

// readIndexes finds keys among the indexes of some tables.
func (r *reader) readIndexes(ctx context.Context, where string) error {
	type part struct {
		column   string
		sequence int
		useless  bool
	}
	keys := map[Name]map[string][]part{}
	order := map[Name][]string{}
	query := "SELECT TABLE_SCHEMA, TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX, COLUMN_NAME, SUB_PART, NULLABLE, INDEX_TYPE FROM information_schema.STATISTICS WHERE NON_UNIQUE=0 AND " + where
	err := r.s.Texts(ctx, query, func(row []string) error {
		name := Name{row[0], row[1]}
		if r.tables[name] == nil {
			return nil
		}
		sequence, err := strconv.Atoi(row[3])
		if err != nil {
			return fmt.Errorf("read keys of %s: %w", name, err)
		}
		if keys[name] == nil {
			keys[name] = map[string][]part{}
		}
		if len(keys[name][row[2]]) == 0 {
			order[name] = append(order[name], row[2])
		}
		useless := row[4] == "" || row[5] != "" || row[6] == "YES" || row[7] != "BTREE" && row[2] != "PRIMARY"
		keys[name][row[2]] = append(keys[name][row[2]], part{row[4], sequence, useless && (row[2] != "PRIMARY" || row[4] == "")})
		return nil
	})
	if err != nil {
		return err
	}
	for name, indexes := range keys {
		var candidates []key
		for _, index := range order[name] {
			parts := indexes[index]
			slices.SortFunc(parts, func(a, b part) int { return a.sequence - b.sequence })
			k := key{name: index}
			for _, p := range parts {
				k.columns = append(k.columns, p.column)
			}
			if !slices.ContainsFunc(parts, func(p part) bool { return p.useless }) {
				candidates = append(candidates, k)
			}
		}
		chooseKey(r.tables[name], candidates)
	}
	return nil
}

// chooseKey takes the primary key, or else the shortest that is without NULL.
func chooseKey(t *Table, candidates []key) {
	slices.SortStableFunc(candidates, func(a, b key) int {
		return cmp.Or(-cmp.Compare(b2i(a.name == "PRIMARY"), b2i(b.name == "PRIMARY")), len(a.columns)-len(b.columns), strings.Compare(a.name, b.name))
	})
	if len(candidates) == 0 {
		return
	}
	t.Key, t.KeyName = candidates[0].columns, candidates[0].name
	if i := slices.IndexFunc(t.Columns, func(c value.Column) bool { return c.Period == "end" }); i >= 0 && !slices.Contains(t.Key, t.Columns[i].Name) {
		t.Key = append(t.Key, t.Columns[i].Name) // rows of the past have the same key otherwise
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
