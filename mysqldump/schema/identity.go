package schema

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nightjar/mysqldump/filename"
	"nightjar/mysqldump/server"
)

// An Identity tells an InnoDB table from another that took its name later. RENAME, TRUNCATE, DROP and CREATE, and each ALTER
// that makes a new table change it. ALTER statements that the server does at an instant may not: the definition tells those.
type Identity struct {
	ID string // InnoDB's ids of the table, or of its partitions in the order of their names, and what it says of their columns
}

// Identities returns the identities of all tables in InnoDB, with one query, whatever their number. An
// error is of a server that does not tell: it takes the privilege PROCESS.
func Identities(ctx context.Context, s *server.Session) (map[Name]Identity, error) {
	ids, err := identities(ctx, s, "INNODB_TABLES", "")
	if server.Number(err) == unknownTable || server.Number(err) == noSuchTable {
		ids, err = identities(ctx, s, "INNODB_SYS_TABLES", "")
	}
	if err != nil {
		return nil, fmt.Errorf("read identities of tables: %w", err)
	}
	return ids, nil
}

const unknownTable = 1109

func identities(ctx context.Context, s *server.Session, table, where string) (map[Name]Identity, error) {
	type part struct{ name, id string }
	parts := map[Name][]part{}
	columns := "NAME, TABLE_ID, N_COLS"
	if table == "INNODB_TABLES" {
		columns += ", INSTANT_COLS, TOTAL_ROW_VERSIONS"
	}
	query := "SELECT " + columns + " FROM information_schema." + table + where
	read := func(row [][]byte) error {
		database, rest, ok := strings.Cut(string(row[0]), "/")
		if !ok {
			return nil // InnoDB's own
		}
		rest, partition := cutPartition(rest)
		ids := make([]string, 0, 4)
		for _, v := range row[1:] {
			ids = append(ids, string(v))
		}
		name := Name{filename.Decode(database), filename.Decode(rest)}
		parts[name] = append(parts[name], part{partition, strings.Join(ids, ".")})
		return nil
	}
	err := s.Query(ctx, query, read)
	if err != nil && table == "INNODB_TABLES" && server.Number(err) == unknownColumn { // MySQL 8 before 8.0.29
		clear(parts)
		err = s.Query(ctx, strings.Replace(query, ", INSTANT_COLS, TOTAL_ROW_VERSIONS", "", 1), read)
	}
	if err != nil {
		return nil, err
	}
	all := make(map[Name]Identity, len(parts))
	for name, p := range parts {
		slices.SortFunc(p, func(a, b part) int { return strings.Compare(a.name, b.name) })
		ids := make([]string, len(p))
		for i := range p {
			ids[i] = p[i].id
		}
		all[name] = Identity{strings.Join(ids, ",")}
	}
	return all, nil
}

const unknownColumn = 1054

// cutPartition cuts the partition off the name of a file of InnoDB's: "#P#" or "#p#", and subpartitions behind "#SP#". A "#" of a
// table's name is written as @0023.
func cutPartition(file string) (table, partition string) {
	if i := strings.IndexByte(file, '#'); i > 0 {
		return file[:i], file[i:]
	}
	return file, ""
}

// ErrChanged says that a table is not the one that it was.
var ErrChanged = errors.New("its definition changed, or another table has its name")

// fullTextIndex is an index that InnoDB makes for those of full text.
const fullTextIndex = "FTS_DOC_ID_INDEX"

func (r *reader) readIdentities(ctx context.Context) error {
	ids, err := Identities(ctx, r.s)
	if server.Number(err) == accessDenied {
		r.left("identity", "all tables", "the account lacks the privilege PROCESS")
		return nil
	}
	if err != nil {
		return err
	}
	byID := map[string]*Table{}
	for name, t := range r.tables {
		t.Identity = ids[name]
		id, _, _ := strings.Cut(t.Identity.ID, ".") // of the first partition, all of which have the same indexes
		byID[id] = t
	}
	tables := "INNODB_INDEXES"
	if r.has("INNODB_SYS_TABLES") {
		tables = "INNODB_SYS_INDEXES"
	}
	return r.s.Texts(ctx, "SELECT TABLE_ID, NAME FROM information_schema."+tables, func(row []string) error {
		if t := byID[row[0]]; t != nil && row[1] != "GEN_CLUST_INDEX" && row[1] != fullTextIndex {
			t.indexes = append(t.indexes, row[1])
		} else if t != nil && t.indexes == nil {
			t.indexes = []string{}
		}
		return nil
	})
}

// Changed returns the tables of InnoDB that are not any more what they were when the inventory was read, in order. Those of
// other engines are only told to be changed if InnoDB has a table of their name.
func (i *Inventory) Changed(ctx context.Context, s *server.Session) ([]Name, error) {
	ids, err := Identities(ctx, s)
	if err != nil {
		return nil, err
	}
	var changed []Name
	for _, t := range i.Tables {
		if ids[t.FullName()] != t.Identity {
			changed = append(changed, t.FullName())
		}
	}
	return changed, nil
}
