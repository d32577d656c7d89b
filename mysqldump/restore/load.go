package restore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"nightjar/mysqldump/ddl"
	"nightjar/mysqldump/definition"
	"nightjar/mysqldump/queue"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
)

// A loading is how far a table is.
type loading struct {
	create        []byte                 // CREATE TABLE as the dump has it, with its new name
	bare          *definition.Definition // makes the table without keys and constraints
	keys          []string
	constraints   []string
	expected      int // files of rows; -1: not known
	loaded        bool
	transactional bool

	mu       sync.Mutex
	pending  int   // files that are to be loaded
	unsure   bool  // nobody knows which rows are there
	restarts int   // how often the table was emptied
	summed   bool  // its rows were compared with the dump since they were loaded
	err      error // why it cannot be loaded
}

// maxRestarts is how often a table is emptied and loaded from the beginning.
const maxRestarts = 3

// makeTables makes the tables without rows. Secondary keys and constraints come later, if that is quicker.
func (r *run) makeTables(ctx context.Context, _ *worker) error {
	return r.pool(ctx, r.o.Threads, len(r.plan.tables), func(ctx context.Context, w *worker, i int) error {
		t := r.plan.tables[i]
		err := r.makeTable(ctx, w, t)
		if err != nil || t.kept {
			return r.finish(ctx, &t.object, err)
		}
		return nil
	})
}

func (r *run) makeTable(ctx context.Context, w *worker, t *table) error {
	d, err := r.define(&t.object)
	if err != nil {
		return err
	}
	at := d.Table(t.Name)
	if at < 0 {
		return &sourceError{t.file, errors.New("it does not make the table")}
	}
	t.create, t.bare = d.Statements[at], d.Clone()
	if !r.o.KeepKeys {
		var bare string
		bare, t.keys, t.constraints = ddl.SplitKeys(string(t.create))
		t.bare.Statements[at] = []byte(bare)
	}
	kind := r.have.tables[r.have.key(t.Object)]
	if kind != "" && r.o.Existing == Missing {
		r.keep(&t.object)
		return nil
	}
	return w.do(ctx, func(s *server.Session, again bool) error {
		if kind != "" && r.o.Existing == IfChanged && !again {
			if done, err := r.compare(ctx, s, t, t.bare.Statements[at]); err != nil || done {
				return err
			}
		}
		if kind != "" || again {
			if err := dropTable(ctx, s, t.Object, kind); err != nil {
				return err
			}
		}
		return r.create(ctx, s, t)
	})
}

// wantsKey reports whether a server made no table since it lacks a key that the foreign key of a table that is there needs.
func wantsKey(err error) bool {
	number := server.Number(err)
	return number == 1822 || number == 1215 // of MySQL 8 and newer, and of 5.7
}

// create makes a table that is not there, and asks what its engine can.
func (r *run) create(ctx context.Context, s *server.Session, t *table) error {
	run := func(ctx context.Context) error { return t.bare.Run(ctx, s) }
	err := r.patient(ctx, "make "+t.title(), run)
	if wantsKey(err) && len(t.keys) > 0 {
		t.bare.Statements[t.bare.Table(t.Name)], t.keys, t.constraints = t.create, nil, nil
		err = r.patient(ctx, "make "+t.title(), run)
	}
	if err != nil || len(t.parts) == 0 {
		return err
	}
	row, err := s.Row(ctx, `SELECT e.TRANSACTIONS FROM information_schema.TABLES t JOIN information_schema.ENGINES e ON t.ENGINE=e.ENGINE
		WHERE t.TABLE_SCHEMA=`+server.Literal(r.have.database(t.Database))+" AND t.TABLE_NAME="+server.Literal(r.have.database(t.Name)))
	if err == nil {
		t.transactional = string(row[0]) == "YES"
	}
	return err
}

// empty makes a table anew.
func (r *run) empty(ctx context.Context, s *server.Session, t *table) error {
	if err := dropTable(ctx, s, t.Object, "TABLE"); err != nil {
		return err
	}
	return r.create(ctx, s, t)
}

// compare finds out whether a table that is there has the dump's rows, with its keys or as it was made without them.
func (r *run) compare(ctx context.Context, s *server.Session, t *table, bare []byte) (done bool, err error) {
	m, _ := ddl.Makes(t.create)
	text, err := definition.Show(ctx, s, t.Database, m)
	if err != nil {
		return false, err
	}
	whole := ddl.Same(text, t.create)
	is := whole || ddl.Same(text, bare)
	if !is && !r.comparable() {
		if whole, is, err = t.bare.AsPrinted(ctx, s, t.Database, t.create, text); err != nil {
			return false, err
		}
	}
	if !is {
		return false, nil
	}
	if t.sum != nil {
		has, err := r.sumOf(ctx, s, t)
		if err != nil || !has.Same(*t.sum) {
			return false, err
		}
	}
	t.loaded = true
	if whole {
		t.object.left, t.keys, t.constraints = true, nil, nil
	}
	return true, nil
}

// A job is files of a table that one session loads.
type job struct {
	t     *table
	parts []part
	whole bool // they are all that the table has
	sums  bool // its rows are there, and are to be compared
}

// jobs returns the jobs of a table: one for each file, unless its engine has no transactions.
func (t *table) jobs() (all []job) {
	t.pending = max(1, len(t.parts))
	if !t.transactional || len(t.parts) < 2 {
		return []job{{t: t, parts: t.parts, whole: true}}
	}
	for i := range t.parts {
		all = append(all, job{t: t, parts: t.parts[i : i+1]})
	}
	return all
}

// loadTables loads the rows of all tables, the largest first, makes the keys of each when its rows are there, and compares
// these with the dump while others are loaded.
func (r *run) loadTables(ctx context.Context, _ *worker) error {
	q := queue.New[job]()
	for _, t := range r.plan.largestFirst() {
		if !t.failed && !t.kept {
			q.Add(t.jobs()...)
		}
	}
	return r.pool(ctx, r.o.Threads, r.o.Threads, func(ctx context.Context, w *worker, _ int) error {
		for {
			j, ok, err := q.Next(ctx, nil)
			if err != nil || !ok {
				return err
			}
			more, err := w.work(ctx, j)
			if err != nil {
				return err // which ends the others
			}
			if len(more) > 0 && more[0].sums {
				q.Add(more...) // when nothing is to be loaded
			} else {
				q.First(more...)
			}
			q.Done()
		}
	})
}

// work does a job. If it was the table's last, the table is finished, or there are more jobs.
func (w *worker) work(ctx context.Context, j job) (more []job, err error) {
	t := j.t
	if j.sums {
		return nil, w.compareRows(ctx, t)
	}
	t.mu.Lock()
	skip := t.err != nil || t.unsure || t.loaded
	t.mu.Unlock()
	if !skip {
		err = w.load(ctx, j)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.err == nil {
		t.err = err
	}
	if t.pending -= max(1, len(j.parts)); t.pending > 0 {
		return nil, nil
	}
	if t.err == nil && t.unsure {
		t.restarts++
		if t.restarts > maxRestarts {
			t.err = fmt.Errorf("its rows were loaded %d times, and each time a session was lost when it was not known whether they were there", maxRestarts)
		} else if t.err = w.do(ctx, func(s *server.Session, _ bool) error { return w.empty(ctx, s, t) }); t.err == nil {
			t.unsure = false
			return t.jobs(), nil
		}
	}
	if t.err == nil {
		t.err = w.alter(ctx, t, t.keys)
	}
	if t.err == nil && !w.o.NoVerify && t.sum != nil && !t.object.left {
		more = []job{{t: t, sums: true}}
	}
	if t.err == nil && len(t.constraints) > 0 {
		return more, nil // it is finished when it has them
	}
	return more, w.finish(ctx, &t.object, t.err)
}

// errUnsure says that nobody knows whether rows are there.
var errUnsure = errors.New("the answer to a commit was lost")

// load loads files of a table.
func (w *worker) load(ctx context.Context, j job) error {
	t := j.t
	err := w.do(ctx, func(s *server.Session, again bool) error {
		if again && j.whole {
			if err := w.empty(ctx, s, t); err != nil {
				return err
			}
		}
		for _, p := range j.parts {
			if err := w.loadFile(ctx, s, t, p, !j.whole); err != nil {
				w.close() // rolls back
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errUnsure) {
		t.mu.Lock()
		t.unsure = true
		t.mu.Unlock()
		return nil
	}
	return err
}

// loadFile loads one file. Of a table that others load at the same time it says errUnsure when it cannot be loaded again
// for fear of doubling.
func (w *worker) loadFile(ctx context.Context, s *server.Session, t *table, p part, shared bool) error {
	file, err := w.read(p.file)
	if err != nil {
		return err
	}
	defer file.Close()
	var rows int64
	for begun := false; ; {
		statement, err := file.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if !begun && ddl.Begins(statement, "INSERT") {
			begun = true
			if err := w.begin(ctx, s, t); err != nil {
				return err
			}
		}
		if _, ok := ddl.Used(statement); ok && !begun {
			statement = []byte("USE " + server.Quote(t.Database))
		}
		n, err := w.insert(ctx, s, statement)
		if err != nil {
			return err
		}
		rows += n
		w.o.Progress.Bytes.Add(uint64(len(statement)))
	}
	if uint64(rows) != p.rows {
		return fmt.Errorf("load %q: the server took %d rows, not %d", p.file, rows, p.rows)
	}
	if t.transactional {
		err := w.patient(ctx, "commit rows", func(ctx context.Context) error { return s.Exec(ctx, "COMMIT") })
		if err != nil {
			if shared && server.Lost(err) && ctx.Err() == nil {
				err = errUnsure
			}
			return err
		}
	}
	w.o.Progress.Files.Add(1)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.result.Rows += uint64(rows)
	w.result.Bytes += uint64(p.size)
	return nil
}

// begin begins what a file of rows is loaded in. Unique keys are checked where that costs nothing, since there is the primary key alone:
// MariaDB fills an empty table in bulk if it is not to check them. It sorts all rows in temporary files for that, which takes
// twice the CPU time for rows that are sorted already, and lets nobody else fill the table.
func (w *worker) begin(ctx context.Context, s *server.Session, t *table) error {
	if !t.transactional {
		return s.Exec(ctx, "SET SESSION foreign_key_checks=0, unique_checks=0")
	}
	if err := s.Exec(ctx, "SET SESSION foreign_key_checks=0, unique_checks=1"); err != nil {
		return err
	}
	return s.Exec(ctx, "START TRANSACTION")
}

// insert runs a statement in as many as the server's packets need, and returns how many rows it changed.
func (w *worker) insert(ctx context.Context, s *server.Session, statement []byte) (rows int64, err error) {
	pieces, err := script.Split(statement, w.have.packet-script.Spare)
	if err != nil {
		return 0, err
	}
	for _, piece := range pieces {
		var n int64
		err := w.patient(ctx, "load rows", func(ctx context.Context) (err error) { n, err = s.Change(ctx, string(piece)); return err })
		if err != nil {
			return rows, err
		}
		rows += n
	}
	return rows, nil
}

// alter adds keys or constraints to a table that has its rows. What an attempt before added is passed over.
func (w *worker) alter(ctx context.Context, t *table, statements []string) error {
	for _, statement := range statements {
		err := w.do(ctx, func(s *server.Session, again bool) error {
			if err := s.Exec(ctx, "USE "+server.Quote(t.Database)); err != nil {
				return err
			}
			if err := s.Exec(ctx, "SET NAMES utf8mb4, SESSION sql_mode='', foreign_key_checks=0, unique_checks=0"); err != nil {
				return err
			}
			err := w.answered(ctx, "add keys to "+t.title(), func(ctx context.Context) error { return s.Exec(ctx, statement) })
			switch server.Number(err) {
			case 1061, 1826, 1022, 1005: // a key, or a constraint, of that name is there
				if again {
					return nil // verification compares
				}
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// addConstraints adds foreign keys when all tables have their rows and keys.
func (r *run) addConstraints(ctx context.Context, _ *worker) error {
	var some []*table
	for _, t := range r.plan.tables {
		if len(t.constraints) > 0 && !t.failed && !t.kept {
			some = append(some, t)
		}
	}
	return r.pool(ctx, r.o.Threads, len(some), func(ctx context.Context, w *worker, i int) error {
		return r.finish(ctx, &some[i].object, w.alter(ctx, some[i], some[i].constraints))
	})
}
