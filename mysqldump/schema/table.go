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

// elsewhere are the engines whose tables have no rows of their own.
var elsewhere = map[string]string{
	"FEDERATED": "", "SPIDER": "", "CONNECT": "", "OQGRAPH": "", "SPHINX": "", "VP": "", "MRG_MYISAM": "", "S3": "",
}

func (r *reader) readTables(ctx context.Context) error {
	transactional, known := map[string]bool{}, map[string]bool{}
	err := r.s.Texts(ctx, "SELECT ENGINE, SUPPORT, TRANSACTIONS FROM information_schema.ENGINES", func(row []string) error {
		engine := strings.ToUpper(row[0])
		known[engine], transactional[engine] = row[1] == "YES" || row[1] == "DEFAULT", row[2] == "YES"
		return nil
	})
	if err != nil {
		return err
	}
	var names []string
	for _, d := range r.inv.Databases {
		names = append(names, d.Name)
	}
	if len(names) == 0 {
		return nil
	}
	query := `SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE, ENGINE, TABLE_ROWS, DATA_LENGTH, CREATE_TIME, CREATE_OPTIONS, TABLE_COMMENT
		FROM information_schema.TABLES WHERE TABLE_SCHEMA IN (` + list(names) + ")"
	if err := r.s.Texts(ctx, query, func(row []string) error { return r.addTable(row, transactional, known) }); err != nil {
		return err
	}
	slices.SortFunc(r.inv.Tables, func(a, b Table) int {
		return cmp.Or(-cmp.Compare(rank(a.Kind), rank(b.Kind)), strings.Compare(a.Database, b.Database), strings.Compare(a.Name, b.Name))
	})
	for i := range r.inv.Tables {
		r.tables[r.inv.Tables[i].FullName()] = &r.inv.Tables[i]
	}
	return nil
}

func rank(k Kind) int {
	if k == Sequence {
		return 1
	}
	return 0
}

// addTable adds what a row of TABLES tells.
func (r *reader) addTable(row []string, transactional, known map[string]bool) error {
	name := Name{row[0], row[1]}
	if _, excluded := r.choice.Table(name.Database, name.Name); excluded != "" {
		r.left("table", name.String(), "excluded by "+excluded)
	}
	if !r.chosen(name, row[2]) {
		return nil
	}
	engine := strings.ToUpper(row[3])
	t := Table{Database: name.Database, Name: name.Name, Kind: Base, Engine: row[3], Created: row[6]}
	t.Rows, _ = strconv.ParseUint(row[4], 10, 64) // NULL of a table that cannot be opened
	t.Bytes, _ = strconv.ParseUint(row[5], 10, 64)
	switch row[2] {
	case "VIEW":
		r.views[name] = &View{Database: name.Database, Name: name.Name}
		return nil
	case "TEMPORARY", "LOCAL TEMPORARY", "GLOBAL TEMPORARY":
		r.left("temporary table", name.String(), "it belongs to a session")
		return nil
	case "SEQUENCE":
		t.Kind = Sequence
	case "SYSTEM VERSIONED":
		t.Versioned = true
	case "BASE TABLE":
	default:
		r.left("table", name.String(), "its type is "+row[2])
		return nil
	}
	t.Transactional = transactional[engine]
	if _, t.NoRows = elsewhere[engine]; t.NoRows {
		r.left("rows", name.String(), "they are elsewhere: its engine is "+t.Engine)
	}
	if t.Engine == "" || !known[engine] && !t.NoRows {
		why := row[8] // the comment is the error that the server met when it opened the table
		if t.Engine != "" {
			why = "its engine is not there: " + t.Engine
		}
		r.broken(Base, name.Database, name.Name, fmt.Errorf("open table: %s", why))
		return nil
	}
	if strings.Contains(row[7], "partitioned") {
		t.Partitions = []string{}
	}
	r.inv.Tables = append(r.inv.Tables, t)
	return nil
}

func (r *reader) databaseList() string {
	var names []string
	for _, d := range r.inv.Databases {
		names = append(names, d.Name)
	}
	return list(names)
}

func (r *reader) readColumns(ctx context.Context) error {
	if len(r.inv.Databases) == 0 {
		return nil
	}
	type placed struct {
		column   value.Column
		position int
	}
	all := map[Name][]placed{}
	query := "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, ORDINAL_POSITION, COLUMN_TYPE, DATA_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, IS_NULLABLE, EXTRA, GENERATION_EXPRESSION, " +
		r.column("COLUMNS.SRS_ID") + ", COLUMN_KEY FROM information_schema.COLUMNS WHERE TABLE_SCHEMA IN (" + r.databaseList() + ")"
	err := r.s.Texts(ctx, query, func(row []string) error {
		name := Name{row[0], row[1]}
		t := r.tables[name]
		if t == nil && r.views[name] == nil {
			return nil
		}
		if t != nil && row[12] != "" { // PRI is of a unique key too, where there is no primary key
			t.keyed = true
		}
		position, err := strconv.Atoi(row[3])
		if err != nil {
			return fmt.Errorf("read columns of %s: %w", name, err)
		}
		all[name] = append(all[name], placed{r.newColumn(t, row), position})
		return nil
	})
	if err != nil {
		return err
	}
	for name, columns := range all {
		slices.SortFunc(columns, func(a, b placed) int { return a.position - b.position })
		into := new([]value.Column)
		if t := r.tables[name]; t != nil {
			into = &t.Columns
		} else {
			into = &r.views[name].Columns
		}
		for _, c := range columns {
			*into = append(*into, c.column)
		}
	}
	return r.checkColumns(ctx)
}

// newColumn makes a column of what a row of COLUMNS tells; t is nil for a view's.
func (r *reader) newColumn(t *Table, row []string) value.Column {
	extra := strings.ToUpper(row[9])
	c := value.Column{Name: row[2], Type: row[4], DataType: strings.ToLower(row[5]), Charset: row[6], Collation: row[7], Nullable: row[8] == "YES",
		Generated: strings.Contains(extra, "VIRTUAL GENERATED") || strings.Contains(extra, "STORED GENERATED"), Invisible: strings.Contains(extra, "INVISIBLE"), SRID: row[11]}
	if t != nil && t.Versioned && strings.HasPrefix(row[10], "ROW ") {
		c.Generated, c.Period = false, strings.ToLower(row[10][4:]) // it is written, with history
	}
	return c
}

// checkColumns takes out tables and views that have no columns because the server cannot open them, and adds the columns
// that a system-versioned table does not tell.
func (r *reader) checkColumns(ctx context.Context) error {
	broken := func(kind Kind, name Name) (bool, error) {
		err := r.s.Exec(ctx, "SHOW COLUMNS FROM "+name.String())
		switch {
		case err == nil:
			return false, nil
		case !ofObject(err):
			return false, err
		case server.Number(err) == noSuchTable && kind == Base:
			return true, nil // dropped since it was listed: its absence from the inventory is seen by Changed
		}
		r.broken(kind, name.Database, name.Name, err)
		return true, nil
	}
	for name, v := range r.views {
		if len(v.Columns) == 0 {
			if is, err := broken(ViewKind, name); err != nil {
				return err
			} else if is {
				delete(r.views, name)
			}
		}
	}
	kept := r.inv.Tables[:0]
	for _, t := range r.inv.Tables {
		if len(t.Columns) == 0 {
			is, err := broken(Base, t.FullName())
			if err != nil {
				return err
			}
			if is {
				continue
			}
		}
		if t.Versioned && !r.leaveHistory(&t) {
			t.addPeriod()
		}
		kept = append(kept, t)
	}
	r.inv.Tables = kept
	clear(r.tables)
	for i := range r.inv.Tables {
		r.tables[r.inv.Tables[i].FullName()] = &r.inv.Tables[i]
	}
	return nil
}

// leaveHistory makes a table one without history if its periods are of transactions, not times: no statement writes those.
func (r *reader) leaveHistory(t *Table) bool {
	for i := range t.Columns {
		if c := &t.Columns[i]; c.Period != "" && c.DataType == "bigint" {
			c.Generated, c.Period, t.Versioned = true, "", false
		}
	}
	if !t.Versioned {
		r.left("history", t.FullName().String(), "its periods are of the server's transactions")
	}
	return !t.Versioned
}

// addPeriod adds the columns of a system-versioned table that neither its definition nor information_schema tells.
func (t *Table) addPeriod() {
	for _, name := range []string{"row_start", "row_end"} {
		c := value.Column{Name: name, Type: "timestamp(6)", DataType: "timestamp", Invisible: true, Period: strings.TrimPrefix(name, "row_")}
		if !slices.ContainsFunc(t.Columns, func(o value.Column) bool { return o.Period == c.Period }) {
			t.Columns = append(t.Columns, c)
		}
	}
}

func (r *reader) readPartitions(ctx context.Context) error {
	var databases []string
	for _, t := range r.inv.Tables {
		if t.Partitions != nil && !slices.Contains(databases, t.Database) {
			databases = append(databases, t.Database)
		}
	}
	if len(databases) == 0 {
		return nil
	}
	query := `SELECT TABLE_SCHEMA, TABLE_NAME, PARTITION_NAME, SUBPARTITION_NAME FROM information_schema.PARTITIONS
		WHERE PARTITION_NAME IS NOT NULL AND TABLE_SCHEMA IN (` + list(databases) + ") ORDER BY TABLE_SCHEMA, TABLE_NAME, PARTITION_ORDINAL_POSITION, SUBPARTITION_ORDINAL_POSITION"
	return r.s.Texts(ctx, query, func(row []string) error {
		if t := r.tables[Name{row[0], row[1]}]; t != nil {
			t.Partitions = append(t.Partitions, cmp.Or(row[3], row[2]))
		}
		return nil
	})
}
