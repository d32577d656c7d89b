package schema

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/value"
)

// shown reads what SHOW CREATE says of a program, trigger or event: the statement is in a column of one of the names. An error is of the
// session; a definition that the server does not tell is broken, and nil.
func (r *reader) shown(ctx context.Context, kind Kind, database, name, show string, columns ...string) (create string, e *Environment, err error) {
	rows, err := r.s.Rows(ctx, "SHOW CREATE "+show+" "+Name{database, name}.String())
	if err != nil && !ofObject(err) {
		return "", nil, err
	}
	if err == nil {
		err = errHidden
		for _, column := range columns {
			if len(rows) == 1 && rows[0][column] != "" {
				create, err = rows[0][column], nil
			}
		}
	}
	if err != nil {
		r.broken(kind, database, name, err)
		return "", nil, nil
	}
	row := rows[0]
	return create, &Environment{SQLMode: row["sql_mode"], CharacterSetClient: row["character_set_client"], CollationConnection: row["collation_connection"],
		DatabaseCollation: row["Database Collation"], TimeZone: row["time_zone"]}, nil
}

// errOther is of MySQL 5.7, whose cache of programs does not tell names from others in upper case.
var errOther = errors.New("the server shows a program of another name: one in a database whose name differs in case alone")

func (r *reader) readRoutines(ctx context.Context) error {
	var found []Program
	err := r.s.Texts(ctx, "SELECT ROUTINE_SCHEMA, ROUTINE_NAME, ROUTINE_TYPE FROM information_schema.ROUTINES", func(row []string) error {
		if r.choice.Whole(row[0]) {
			found = append(found, Program{Database: row[0], Name: row[1], Kind: Kind(strings.ToLower(row[2]))})
		}
		return nil
	})
	if err == nil && r.has("LIBRARIES") {
		err = r.s.Texts(ctx, "SELECT LIBRARY_SCHEMA, LIBRARY_NAME FROM information_schema.LIBRARIES", func(row []string) error {
			if r.choice.Whole(row[0]) {
				found = append(found, Program{Database: row[0], Name: row[1], Kind: Library})
			}
			return nil
		})
	}
	if err != nil {
		return err
	}
	rank := func(k Kind) int { return slices.Index([]Kind{Library, Package, PackageBody, Function, Procedure}, k) }
	slices.SortFunc(found, func(a, b Program) int {
		return cmp.Or(strings.Compare(a.Database, b.Database), rank(a.Kind)-rank(b.Kind), strings.Compare(a.Name, b.Name))
	})
	for _, p := range found {
		show := strings.ToUpper(string(p.Kind))
		create, e, err := r.shown(ctx, p.Kind, p.Database, p.Name, show, "Create Function", "Create Procedure", "Create Package", "Create Package Body", "Create Library")
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		if quoted := server.Quote(p.Name); ascii(p.Name) && !strings.Contains(p.Name, `"`) && !strings.Contains(create, quoted[1:len(quoted)-1]) {
			r.broken(p.Kind, p.Database, p.Name, errOther)
			continue
		}
		p.Environment, p.Definer = *e, ddl.Definer(create)
		if p.Kind == Function || p.Kind == Procedure {
			create, err = r.recode(ctx, create, *e, ddl.RoutineParts(create, p.Name))
		}
		if p.Create = create; err != nil {
			if !ofObject(err) && err != errCharset {
				return err
			}
			r.broken(p.Kind, p.Database, p.Name, err)
			continue
		}
		r.inv.Programs = append(r.inv.Programs, p)
	}
	return nil
}

func (r *reader) readTriggers(ctx context.Context) error {
	type ordered struct {
		trigger       Trigger
		timing, event string
		order         int
	}
	var found []ordered
	query := "SELECT TRIGGER_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_ORDER FROM information_schema.TRIGGERS"
	err := r.s.Texts(ctx, query, func(row []string) error {
		if r.tables[Name{row[0], row[2]}] == nil {
			return nil
		}
		o := ordered{trigger: Trigger{Database: row[0], Name: row[1], Table: row[2]}, timing: row[3], event: row[4]}
		if _, err := fmt.Sscan(row[5], &o.order); err != nil {
			return fmt.Errorf("read triggers: order %q: %w", row[5], err)
		}
		found = append(found, o)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(found, func(a, b ordered) int {
		return cmp.Or(strings.Compare(a.trigger.Database, b.trigger.Database), strings.Compare(a.trigger.Table, b.trigger.Table),
			strings.Compare(a.timing, b.timing), strings.Compare(a.event, b.event), a.order-b.order, strings.Compare(a.trigger.Name, b.trigger.Name))
	})
	for _, o := range found {
		t := o.trigger
		create, e, err := r.shown(ctx, TriggerKind, t.Database, t.Name, "TRIGGER", "SQL Original Statement")
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		if column := r.missingColumn(t, create); column != "" {
			r.broken(TriggerKind, t.Database, t.Name, fmt.Errorf("table %s has not its column %q", t.Table, column))
			continue
		}
		t.Create, t.Environment, t.Definer = create, *e, ddl.Definer(create)
		r.inv.Triggers = append(r.inv.Triggers, t)
	}
	return nil
}

// missingColumn returns a column that a trigger names after NEW or OLD and that its table has not, since it was dropped or renamed: no server
// would take the trigger; "" if there is none, or none is found.
func (r *reader) missingColumn(t Trigger, create string) string {
	all := ddl.Tokens(create)
	for i := 1; i+2 < len(all); i++ {
		column := all[i+2]
		if !all[i].Is("NEW") && !all[i].Is("OLD") || !all[i+1].Is(".") || all[i-1].Is(".") || all[i-1].Is("@") || column.Kind != ddl.Word && column.Kind != ddl.Ticked {
			continue
		}
		name := column.Name()
		has := func(c value.Column) bool { return strings.EqualFold(c.Name, name) }
		if ascii(name) && !slices.ContainsFunc(r.tables[Name{t.Database, t.Table}].Columns, has) {
			return name
		}
	}
	return ""
}

func (r *reader) readEvents(ctx context.Context) error {
	var found []Event
	err := r.s.Texts(ctx, "SELECT EVENT_SCHEMA, EVENT_NAME, STATUS FROM information_schema.EVENTS", func(row []string) error {
		if r.choice.Whole(row[0]) {
			found = append(found, Event{Database: row[0], Name: row[1], Status: row[2]})
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(found, func(a, b Event) int {
		return cmp.Or(strings.Compare(a.Database, b.Database), strings.Compare(a.Name, b.Name))
	})
	for _, v := range found {
		create, e, err := r.shown(ctx, EventKind, v.Database, v.Name, "EVENT", "Create Event")
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		v.Environment, v.Definer = *e, ddl.Definer(create)
		if v.Create, err = r.recode(ctx, create, *e, ddl.EventParts(create)); err != nil {
			if !ofObject(err) && err != errCharset {
				return err
			}
			r.broken(EventKind, v.Database, v.Name, err)
			continue
		}
		r.inv.Events = append(r.inv.Events, v)
	}
	return nil
}
