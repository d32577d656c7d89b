package schema

import (
	"context"
	"maps"
	"slices"
	"strings"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/server"
)

// readViews reads the views that readTables has found. Each is shown in its own database, so that it names the tables of that without the
// database, and can be made in another.
func (r *reader) readViews(ctx context.Context) error {
	names := slices.SortedFunc(maps.Keys(r.views), compareNames)
	var views []View
	for _, name := range names {
		v := r.views[name]
		if err := r.s.Exec(ctx, "USE "+server.Quote(name.Database)); err != nil {
			return err
		}
		rows, err := r.s.Rows(ctx, "SHOW CREATE VIEW "+name.String())
		if err != nil && !ofObject(err) {
			return err
		}
		if err == nil && (len(rows) != 1 || rows[0]["Create View"] == "") {
			err = errHidden
		}
		if err == nil {
			v.Create = rows[0]["Create View"]
			v.Environment = Environment{CharacterSetClient: rows[0]["character_set_client"], CollationConnection: rows[0]["collation_connection"]}
			v.Definer = ddl.Definer(v.Create)
			err = r.checkView(ctx, v)
		}
		if err != nil && !ofObject(err) && err != errHidden {
			return err
		}
		if err != nil {
			r.broken(ViewKind, name.Database, name.Name, err)
			continue
		}
		for used := range tablesOf(name.Database, v.Create) {
			if r.views[used] != nil && used != name {
				v.Uses = append(v.Uses, used)
			}
		}
		slices.SortFunc(v.Uses, compareNames)
		views = append(views, *v)
	}
	r.inv.Views = inOrder(views)
	return nil
}

// checkView has the server open a view. SHOW COLUMNS did, where information_schema had no columns; but that has columns for some
// views whose tables are gone.
func (r *reader) checkView(ctx context.Context, v *View) error {
	return r.s.Exec(ctx, "SHOW COLUMNS FROM "+Name{v.Database, v.Name}.String())
}

func compareNames(a, b Name) int {
	if a.Database != b.Database {
		return strings.Compare(a.Database, b.Database)
	}
	return strings.Compare(a.Name, b.Name)
}

// tablesOf returns all names in a view's statement that may be tables': a few may be none. The server has put all in backticks, and tables
// of the default database without it, while columns always have a table before them.
func tablesOf(database, create string) map[Name]bool {
	found := map[Name]bool{}
	all := ddl.Tokens(create)
	dot := func(i int) bool { return i >= 0 && i < len(all) && all[i].Is(".") }
	for i, t := range all {
		if t.Kind != ddl.Ticked || dot(i-1) {
			continue
		}
		if dot(i+1) && i+2 < len(all) {
			found[Name{t.Name(), all[i+2].Name()}] = true
		} else if i > 0 && !all[i-1].Is("AS") && all[i-1].Kind != ddl.Ticked {
			found[Name{database, t.Name()}] = true
		}
	}
	return found
}

// inOrder puts each view after those that it uses, and else in the order of names. What seems to be in a ring, since names were
// taken for tables' that are none, keeps that order.
func inOrder(views []View) []View {
	byName := map[Name]int{}
	for i, v := range views {
		byName[Name{v.Database, v.Name}] = i
	}
	ordered := make([]View, 0, len(views))
	state := make([]byte, len(views)) // 1: those that it uses are being added; 2: added
	var add func(i int)
	add = func(i int) {
		if state[i] != 0 {
			return
		}
		state[i] = 1
		for _, used := range views[i].Uses {
			if j, ok := byName[used]; ok {
				add(j)
			}
		}
		state[i] = 2
		ordered = append(ordered, views[i])
	}
	for i := range views {
		add(i)
	}
	return ordered
}
