// Package tablespace brings single tables of a hot backup into a running server, as files.
//
// The files of the tables, and those that all tables share, lie in a scratch folder and are prepared. A private server on that folder
// says how the tables are defined and what is in them, and lets go of their files; the running server takes these for its own.
//
// The invariant: a table that is there is touched only after the one from the backup has been taken in under another name, was checked, and
// has the checksum that the private server gave. The running server's replicas are told nothing: they could not follow.
//
// The package fetches and prepares nothing, and starts no server (see mysqldump/datadir). It takes tables of InnoDB that are not
// partitioned; others are named.
package tablespace

import (
	"path"
	"slices"
	"strings"

	"nightjar/mysqldump/filename"
)

// A Table is a table that a hot backup has.
type Table struct {
	Database, Name string
	Files          []string // of its own, as they are called in the data directory: shop/orders.ibd
	Why            string   // it cannot be brought back by itself; empty: it can

	folder, base string // as files have them
}

// String returns the table's name.
func (t *Table) String() string { return t.Database + "." + t.Name }

// own are the databases of the server itself.
var own = []string{"mysql", "sys", "performance_schema", "information_schema"}

// Tables returns the tables among the files of a data directory, in order, but for the server's own.
func Tables(files []string) []Table {
	folders := map[string][]string{}
	for _, name := range files {
		folder, base, ok := strings.Cut(name, "/")
		if ok && !strings.Contains(base, "/") && !strings.HasPrefix(base, "#sql") && !slices.Contains(own, folder) {
			folders[folder] = append(folders[folder], base)
		}
	}
	var found []Table
	for folder, names := range folders {
		found = append(found, inFolder(folder, names)...)
	}
	slices.SortFunc(found, func(a, b Table) int { return strings.Compare(a.folder+"/"+a.base, b.folder+"/"+b.base) })
	return found
}

// inFolder returns the tables of a database. Its options, and the names of triggers, come with each of them.
func inFolder(folder string, names []string) (found []Table) {
	slices.Sort(names)
	tables, shared := map[string]*Table{}, []string{}
	for _, name := range names {
		base, end := strings.TrimSuffix(name, path.Ext(name)), path.Ext(name)
		if name == "db.opt" || end == ".TRN" {
			shared = append(shared, folder+"/"+name)
			continue
		}
		base, _, partition := strings.Cut(base, "#P#")
		t := tables[base]
		if t == nil {
			t = &Table{Database: filename.Decode(folder), Name: filename.Decode(base), folder: folder, base: base, Why: "it has no file of InnoDB"}
			tables[base] = t
		}
		t.Files = append(t.Files, folder+"/"+name)
		switch {
		case partition || end == ".par":
			t.Why = "it is partitioned"
		case end == ".ibd" && t.Why == "it has no file of InnoDB":
			t.Why = ""
		case end == ".MYD":
			t.Why = "it is of MyISAM"
		case end == ".MAD":
			t.Why = "it is of Aria"
		}
	}
	for _, t := range tables {
		if strings.HasPrefix(t.base, "FTS_") && len(t.Files) == 1 && strings.HasSuffix(t.Files[0], ".ibd") {
			continue // words of a FULLTEXT key, which no server takes in
		}
		if t.Why == "" && !slices.Contains(t.Files, folder+"/"+t.base+".frm") {
			t.Why = "its definition is missing"
		}
		t.Files = slices.DeleteFunc(append(t.Files, shared...), func(name string) bool { return strings.HasSuffix(name, ".isl") })
		found = append(found, *t)
	}
	return found
}

// Shared reports whether a file of a data directory is one that all tables need.
func Shared(name string) bool { return !strings.Contains(name, "/") }
