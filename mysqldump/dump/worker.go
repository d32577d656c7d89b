package dump

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"nightjar/mysqldump/queue"
	"nightjar/mysqldump/ranges"
	"nightjar/mysqldump/schema"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
)

// A worker reads rows in one session, whose transaction has the snapshot.
//
// What it has read it proves: the table that had the name then is the one that was there when the snapshot was made. The
// transaction keeps everybody from changing a table's definition once it has read from it, until the worker has looked.
// Then it gives these locks back, so that nobody waits for the whole dump.
type worker struct {
	a        *attempt
	queue    *queue.Queue[task]
	covered  bool // by the lock, not by a snapshot
	session  *server.Session
	unproven []*table
	looked   time.Time
	took     time.Duration // to look
}

// A task is what a worker does next.
type task struct {
	tables      []*table     // more than one: small ones, each as a whole
	plan        bool         // find the ranges of the one table
	part        bool         // one range of the one table
	from, until ranges.Bound // of the range
	number      int          // of its file
}

// How much a worker reads before it looks whether the tables are still the same. To look takes longer the more tables there are.
const (
	lookAfter  = time.Second
	lookShare  = 10 // times as long as it took last
	lookTables = 512
)

// settings make long reads possible: the server neither ends them nor takes a consumer that waits for one that is gone, and leaves
// out no rows. What a server does not know it refuses.
var settings = []string{
	"SET SESSION net_write_timeout=86400, net_read_timeout=86400, lock_wait_timeout=600",
	"SET SESSION sql_select_limit=18446744073709551615, sql_big_selects=1",
	"SET SESSION max_statement_time=0",
	"SET SESSION max_execution_time=0",
}

const unknownVariable = 1193

// prepare readies the session, in which a transaction has begun unless the lock covers what it reads.
func (w *worker) prepare(ctx context.Context) error {
	for _, s := range settings {
		if err := w.session.Exec(ctx, s); err != nil && server.Number(err) != unknownVariable {
			return err
		}
	}
	w.looked = w.a.run.o.Now()
	if w.covered {
		return nil
	}
	return w.session.Exec(ctx, "SAVEPOINT nightjar")
}

// work does tasks until there are none.
func (w *worker) work(ctx context.Context) error {
	if err := w.prepare(ctx); err != nil {
		return err
	}
	for {
		t, ok, err := w.queue.Next(ctx, func() error { return w.prove(ctx) })
		if err != nil || !ok {
			return err
		}
		err = w.do(ctx, t)
		w.queue.Done()
		if err != nil {
			return err
		}
	}
}

// do does one task.
func (w *worker) do(ctx context.Context, what task) error {
	for _, t := range what.tables {
		if err := w.failed(t, w.one(ctx, t, what)); err != nil {
			return err
		}
		w.unproven = append(w.unproven, t)
		if w.a.run.o.Now().Sub(w.looked) >= max(lookAfter, lookShare*w.took) || len(w.unproven) >= lookTables {
			if err := w.prove(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// one does with a table what a task is about.
func (w *worker) one(ctx context.Context, t *table, what task) error {
	if t.Partitions == nil {
		return w.opened(ctx, t, what)
	}
	return schema.Opening(ctx, w.session, func() error { return w.opened(ctx, t, what) })
}

func (w *worker) opened(ctx context.Context, t *table, what task) error {
	if what.part {
		return w.read(ctx, t, what)
	}
	if t.covered() && !w.covered { // it was read under the lock
		return nil
	}
	if err := schema.Define(ctx, w.session, t.Table); err != nil {
		return err
	}
	switch {
	case t.NoRows:
		return nil
	case what.plan:
		return w.plan(ctx, t)
	case w.covered:
		if err := w.columns(ctx, t); err != nil {
			return err
		}
	}
	return w.read(ctx, t, what)
}

// columns sees that a table has the columns that it had. Only tables in InnoDB have an identity that says so.
func (w *worker) columns(ctx context.Context, t *table) error {
	var now, then []string
	for _, c := range t.Columns {
		then = append(then, c.Name+" "+c.Type)
	}
	name := func(text string) string { return "_utf8" + server.Literal(text) }
	query := "SELECT COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA=" + name(t.Database) + " AND TABLE_NAME=" + name(t.Name) + " ORDER BY ORDINAL_POSITION"
	err := w.session.Query(ctx, query, func(row [][]byte) error {
		now = append(now, string(row[0])+" "+string(row[1]))
		return nil
	})
	if err == nil && !slices.Equal(now, then[:min(len(now), len(then))]) {
		err = &ChangedError{"", t.String(), errors.New("it has other columns")}
	}
	return err
}

// failed returns what an error in a table means for the dump: nothing, if broken tables are left out.
func (w *worker) failed(t *table, err error) error {
	var changed *ChangedError
	switch number := server.Number(err); {
	case err == nil:
		return nil
	case errors.As(err, &changed):
		return err
	case slices.Contains(changedNumbers, number), errors.Is(err, schema.ErrChanged):
		return &ChangedError{"", t.String(), err}
	case !slices.Contains(brokenNumbers, number) || !w.a.run.o.BrokenSkip:
		return fmt.Errorf("read table %s: %w", t, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.broken = errors.Join(t.broken, err)
	return nil
}

// changedNumbers are a server's errors that say that a table is not what it was: unknown database, unknown column, no such
// table, unknown key, a changed definition; or that somebody who changes it is in the way: lock wait timeout, deadlock.
var changedNumbers = []uint16{1049, 1054, 1146, 1176, 1205, 1213, 1412}

// brokenNumbers are a server's errors that say that a table cannot be read.
var brokenNumbers = []uint16{
	126, 127, 134, 144, 145, 1016, 1017, 1030, 1033, 1034, 1035, 1168, 1194, 1195, 1286, 1296, 1429, 1430, 1431, 1712, 1812, 1813, 1814, 1877, 1932,
}

// read reads a range into a file, or several when it has become too large.
func (w *worker) read(ctx context.Context, t *table, what task) error {
	r := &reading{w: w, t: t, from: what.from, until: what.until, number: what.number, ordered: t.Transactional}
	if !what.part {
		r.number = t.number()
	}
	if r.ordered {
		r.bounded = t.key.Bounded()
	}
	defer r.abort()
	if t.split { // the ranges of one table have no gap, and neither have their files
		if err := r.open(); err != nil {
			return err
		}
	}
	if err := w.session.Query(ctx, t.query(what.from, what.until, r.ordered), r.add); err != nil {
		return err
	}
	return r.close(what.until)
}

// A reading is a range on its way into files.
type reading struct {
	w           *worker
	t           *table
	from, until ranges.Bound
	number      int
	ordered     bool
	bounded     int // columns of the key that can stand in a bound; 0: the range stays in one file
	name        string
	file        *rowFile
}

func (r *reading) open() (err error) {
	r.name = script.Name(script.Rows, r.t.Database, r.t.Name, r.number)
	r.file, err = newRowFile(r.w.a.run, r.name, r.t, r.w.a.packet)
	return err
}

func (r *reading) add(row [][]byte) error {
	if r.file != nil && r.bounded > 0 && r.file.size() >= 2*r.w.a.run.o.RangeBytes {
		if b := r.t.key.At(r.t.keyOf(row, r.bounded)); b != nil {
			if err := r.close(b); err != nil {
				return err
			}
			r.from, r.number = b, r.t.number()
		}
	}
	if r.file == nil {
		if err := r.open(); err != nil {
			return err
		}
	}
	return r.file.add(row[:len(r.t.written)])
}

// close ends the file, if there is one.
func (r *reading) close(until ranges.Bound) error {
	if r.file == nil {
		return nil
	}
	if err := r.file.close(r.from, until); err != nil {
		return err
	}
	r.t.take(r.name, r.file)
	r.file = nil
	return nil
}

func (r *reading) abort() {
	if r.file != nil {
		r.file.file.Abort()
	}
}

// plan finds the ranges of a table, and hands them out at once.
func (w *worker) plan(ctx context.Context, t *table) error {
	t.split = true
	give := func(from, until ranges.Bound, number int) {
		t.expect(1)
		w.queue.First(task{tables: []*table{t}, part: true, from: from, until: until, number: number})
	}
	if len(t.former) > 0 {
		for _, f := range t.former {
			give(f.From, f.Until, f.Number)
		}
	} else {
		rows := max(1, t.Rows*w.a.run.o.RangeBytes/max(1, t.Bytes))
		err := t.key.Walk(ctx, w.session, t.from(true), rows, func(from, until ranges.Bound) { give(from, until, t.number()) })
		if err != nil {
			return err
		}
	}
	row, err := w.session.Row(ctx, "SELECT COUNT(*) FROM "+t.from(false))
	if err == nil {
		t.counted, err = strconv.ParseUint(string(row[0]), 10, 64)
	}
	return err
}

// prove looks whether the tables that were read are those that were there when the snapshot was made.
func (w *worker) prove(ctx context.Context) error {
	if len(w.unproven) == 0 || w.covered {
		return nil
	}
	start := w.a.run.o.Now()
	if err := w.a.same(ctx, w.unproven); err != nil {
		return err
	}
	w.looked = w.a.run.o.Now()
	w.took = w.looked.Sub(start)
	if err := w.session.Exec(ctx, "ROLLBACK TO SAVEPOINT nightjar"); err != nil {
		return err
	}
	for _, t := range w.unproven {
		if t.proven() {
			if err := w.a.finish(t); err != nil {
				return err
			}
		}
	}
	w.unproven = w.unproven[:0]
	return nil
}
