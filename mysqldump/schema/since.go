package schema

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/server"
)

// An Object is something that has a definition.
type Object struct {
	Kind Kind // Base of a sequence, too
	Name      // of accounts and foreign servers without a database
}

// Since returns what was made, dropped or defined anew since the inventory was read, in order: tables and sequences by their names alone (see
// Changed), all else by its definition. The selection is that of the inventory.
func (i *Inventory) Since(ctx context.Context, s *server.Session, selection choose.Selection) ([]Object, error) {
	c, err := selection.Parse()
	if err != nil {
		return nil, err
	}
	r := &reader{s: s, choice: c, features: map[string]bool{}, inv: &Inventory{}, tables: map[Name]*Table{}, views: map[Name]*View{}}
	for k := range i.Tables {
		r.tables[i.Tables[k].FullName()] = &i.Tables[k]
	}
	steps := []func(context.Context) error{r.readFeatures, r.readNames, r.readViews, r.readRoutines, r.readTriggers, r.readEvents}
	if c.Everything() {
		steps = append(steps, r.readGlobals)
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("read schema again: %w", err)
		}
	}
	then, now := i.definitions(), r.inv.definitions()
	var changed []Object
	for o, text := range then {
		if is, there := now[o]; !there || is != text {
			changed = append(changed, o)
		}
		delete(now, o)
	}
	for o := range now {
		changed = append(changed, o)
	}
	slices.SortFunc(changed, func(a, b Object) int {
		return cmp.Or(strings.Compare(string(a.Kind), string(b.Kind)), compareNames(a.Name, b.Name))
	})
	return changed, nil
}

// readNames reads the names of what readTables reads.
func (r *reader) readNames(ctx context.Context) error {
	return r.s.Texts(ctx, "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES", func(row []string) error {
		if name := (Name{row[0], row[1]}); r.chosen(name, row[2]) && row[2] == "VIEW" {
			r.views[name] = &View{Database: name.Database, Name: name.Name}
		}
		return nil
	})
}

// chosen reports whether a table, a view or a sequence is chosen, and notes that it is there. Views are known by their definitions.
func (r *reader) chosen(name Name, kind string) bool {
	chosen, _ := r.choice.Table(name.Database, name.Name)
	if chosen && kind != "VIEW" {
		r.inv.names = append(r.inv.names, Object{Base, name})
	}
	return chosen
}

// definitions returns what Since compares.
func (i *Inventory) definitions() map[Object]string {
	all := map[Object]string{}
	for _, o := range i.names {
		all[o] = ""
	}
	for _, v := range i.Views {
		all[Object{ViewKind, Name{v.Database, v.Name}}] = v.Create
	}
	for _, p := range i.Programs {
		all[Object{p.Kind, Name{p.Database, p.Name}}] = p.Create
	}
	for _, t := range i.Triggers {
		all[Object{TriggerKind, Name{t.Database, t.Name}}] = t.Table + "\x00" + t.Create
	}
	for _, e := range i.Events {
		all[Object{EventKind, Name{e.Database, e.Name}}] = e.Status + "\x00" + e.Create
	}
	for _, f := range i.Servers {
		all[Object{ServerKind, Name{"", f.Name}}] = f.Create
	}
	for name, statements := range i.said { // what of them can be loaded depends on tables
		all[Object{AccountKind, Name{"", name}}] = strings.Join(slices.Sorted(slices.Values(statements)), "\x00")
	}
	return all
}
