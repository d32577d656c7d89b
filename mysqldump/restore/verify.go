package restore

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nightjar/mysqldump"
	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/definition"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/sum"
	"nightjar/mysqldump/value"
)

// verify compares all that was restored, or left because it was equal, with the dump.
func (r *run) verify(ctx context.Context, _ *worker) error {
	if r.o.NoVerify {
		return nil
	}
	var some, all []*object
	for _, t := range r.plan.largestFirst() { // or the last worker is long alone
		all = append(all, &t.object)
	}
	for _, x := range append(append(all, r.plan.databases...), r.plan.others...) {
		if !x.kept && !x.failed && x.Kind != script.Servers { // their passwords are hidden
			some = append(some, x)
		}
	}
	return r.pool(ctx, r.o.Threads, len(some), func(ctx context.Context, w *worker, i int) error {
		x := some[i]
		var found []string
		err := w.do(ctx, func(s *server.Session, _ bool) (err error) {
			found, err = r.differences(ctx, s, x)
			return err
		})
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return r.finish(ctx, &object{Object: x.Object}, fmt.Errorf("compare with the dump: %w", err))
		}
		r.differ(found)
		return nil
	})
}

// differences returns what differs between an object and the dump.
func (r *run) differences(ctx context.Context, s *server.Session, x *object) (found []string, err error) {
	if x.Kind == script.Databases && !r.o.chosen("", x.was, "") {
		return nil, nil // tables were restored into it
	}
	d, err := r.define(x)
	if err != nil {
		return nil, err
	}
	if x.Kind == script.Accounts || x.Kind == script.Grants {
		return r.accountDifferences(ctx, s, x, d)
	}
	for i, m := range d.Makes {
		if m.What == "" {
			continue
		}
		text, err := definition.Show(ctx, s, x.Database, m)
		switch {
		case errors.Is(err, definition.ErrAbsent):
			found = append(found, fmt.Sprintf("%s %s of %s is not there", strings.ToLower(m.What), m.Name, x.Database))
		case err != nil:
			return nil, err
		case ddl.Same(text, d.Statements[i]):
		case r.comparable():
			found = append(found, fmt.Sprintf("%s: the server has %s, the dump %s", x.title(), ddl.Difference(text, d.Statements[i]), ddl.Difference(d.Statements[i], text)))
		default:
			r.note("%s: the server has %s, the dump %s", x.title(), ddl.Difference(text, d.Statements[i]), ddl.Difference(d.Statements[i], text))
		}
	}
	t := r.plan.table(x.Object)
	if x.Kind != script.Tables || t.sum == nil {
		return found, nil
	}
	if x.left { // it was compared before anything was done
		r.verified()
		return found, nil
	}
	if t.summed {
		return found, nil
	}
	other, err := r.rowDifference(ctx, s, t)
	return append(found, other...), err
}

// compareRows compares a table's rows with the dump when they have been loaded.
func (w *worker) compareRows(ctx context.Context, t *table) error {
	var found []string
	err := w.do(ctx, func(s *server.Session, _ bool) (err error) {
		found, err = w.rowDifference(ctx, s, t)
		return err
	})
	t.summed = true
	if err != nil {
		return w.finish(ctx, &object{Object: t.Object}, fmt.Errorf("compare with the dump: %w", err))
	}
	w.differ(found)
	return nil
}

// differ notes what differs from the dump.
func (r *run) differ(found []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Differences = append(r.result.Differences, found...)
}

// rowDifference returns how a table's rows differ from the dump's.
func (r *run) rowDifference(ctx context.Context, s *server.Session, t *table) (found []string, err error) {
	has, err := r.sumOf(ctx, s, t)
	switch {
	case err != nil:
		return nil, err
	case has.Rows != t.sum.Rows:
		found = append(found, fmt.Sprintf("%s: the server has %d rows, the dump %d", t.title(), has.Rows, t.sum.Rows))
	case !has.Same(*t.sum):
		found = append(found, fmt.Sprintf("%s: the checksum of its %d rows is %d, that of the dump %d", t.title(), has.Rows, has.Total, t.sum.Total))
	}
	r.verified()
	return found, nil
}

func (r *run) verified() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.Verified++
}

// sumOf has the server sum a table's rows.
func (r *run) sumOf(ctx context.Context, s *server.Session, t *table) (sum.Sum, error) {
	if err := s.Exec(ctx, definition.Plain); err != nil {
		return sum.Sum{}, err
	}
	types := map[string]value.Column{}
	query := "SELECT COLUMN_NAME, COLUMN_TYPE, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=" +
		server.Literal(r.have.database(t.Database)) + " AND TABLE_NAME=" + server.Literal(r.have.database(t.Name))
	err := s.Query(ctx, query, func(row [][]byte) error {
		types[string(row[0])] = value.Column{Name: string(row[0]), Type: string(row[1]), DataType: string(row[2])}
		return nil
	})
	if err != nil {
		return sum.Sum{}, err
	}
	var values []string
	for _, name := range t.columns {
		c, ok := types[name]
		if !ok {
			c = value.Column{Name: name} // of a period, which information_schema does not have
		}
		values = append(values, c.Value())
	}
	from := server.Quote(t.Database) + "." + server.Quote(t.Name)
	if ddl.Versioned(t.create) {
		from += " FOR SYSTEM_TIME ALL"
	}
	var row [][]byte
	err = r.answered(ctx, "compare "+t.title(), func(ctx context.Context) (err error) { row, err = s.Row(ctx, sum.Query(from, values)); return err })
	if err != nil {
		return sum.Sum{}, err
	}
	return sum.FromRow(row)
}

// comparable reports whether the server prints definitions as the dump's did: it is of the same flavor, and of the same
// version but for the last number.
func (r *run) comparable() bool {
	from := r.o.From
	if from.Version == "" {
		return true
	}
	flavor := mysqldump.MySQL
	if strings.Contains(r.have.version, "MariaDB") {
		flavor = mysqldump.MariaDB
	}
	return (from.Flavor == "" || from.Flavor == flavor) && family(from.Version) == family(r.have.version)
}

// family returns the first two numbers of a version.
func family(version string) string {
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	return first + "." + second
}
