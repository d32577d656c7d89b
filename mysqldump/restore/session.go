package restore

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"nightjar/mysqldump/server"
)

// settings are those of a session that loads, where the server knows them and allows it: each is tried.
var settings = []string{
	"foreign_key_checks=0", "unique_checks=0",
	"lock_wait_timeout=60", "net_read_timeout=600", "net_write_timeout=600",
	"wait_timeout=120", // MySQL 5.7 can miss that an idle session was killed; this is when it looks again
	"max_statement_time=0", "max_execution_time=0",
	"innodb_strict_mode=0",              // or tables whose rows could become too long are refused
	"explicit_defaults_for_timestamp=1", // or a TIMESTAMP gets defaults that it did not have
	"restrict_fk_on_non_standard_key=0", // or MySQL 8.4 and newer refuse foreign keys that the source has
	"sql_require_primary_key=0", "sql_generate_invisible_primary_key=0",
}

// A worker has one session at a time, which it makes when it is needed. It is for one goroutine.
type worker struct {
	*run
	number  int
	session *server.Session
}

func (w *worker) close() {
	if w.session != nil {
		w.session.Close() // what was not committed is rolled back, and lost is known to be lost
		w.session = nil
	}
}

// open makes the session, once no session that the worker had before is left at the server: a connection that broke on
// this side can go on for long on the other.
func (w *worker) open(ctx context.Context) error {
	if w.session != nil {
		return nil
	}
	s, err := w.srv.Connect(ctx)
	if err != nil {
		return err
	}
	if err := w.setUp(ctx, s); err != nil {
		s.Close()
		return err
	}
	w.session = s
	return nil
}

func (w *worker) setUp(ctx context.Context, s *server.Session) error {
	for _, setting := range settings {
		if err := s.Exec(ctx, "SET SESSION "+setting); err != nil && (server.Number(err) == 0 || server.Lost(err)) {
			return err
		}
	}
	if w.o.NoBinlog {
		if err := s.Exec(ctx, "SET SESSION sql_log_bin=0"); err != nil {
			return fmt.Errorf("keep the restore out of the binary log: %w", err)
		}
	}
	name := server.Literal(w.lock + strconv.Itoa(w.number))
	holder, err := s.Row(ctx, "SELECT IS_USED_LOCK("+name+")")
	if err != nil {
		return err
	}
	if holder[0] != nil {
		_ = s.Exec(ctx, "KILL "+string(holder[0])) // it may have ended by itself
	}
	got, err := s.Row(ctx, "SELECT GET_LOCK("+name+",60)")
	if err == nil && string(got[0]) != "1" {
		err = errHeld
	}
	return err
}

var errHeld = errors.New("the session that was lost still runs at the server")

// A goneError says that the server cannot be reached any more. It ends the restore: all else would wait for as long, in vain.
type goneError struct{ err error }

func (e *goneError) Error() string { return e.err.Error() }
func (e *goneError) Unwrap() error { return e.err }

// attempts is how often something is begun before it is given up.
const attempts = 10

// do runs f in the worker's session, and runs it again in a new one when that was lost. again tells f that an earlier call
// may have done anything of what it does.
func (w *worker) do(ctx context.Context, f func(s *server.Session, again bool) error) error {
	again := false
	for attempt := 1; ; attempt++ {
		err := w.open(ctx)
		opened := err == nil
		if opened {
			err = f(w.session, again)
			again = true
		}
		if err == nil {
			return nil
		}
		if !w.passes(ctx, err) || attempt == attempts {
			if attempt > 1 {
				err = fmt.Errorf("attempt %d: %w", attempt, err)
			}
			if !opened && server.Lost(err) {
				err = &goneError{err}
			}
			return err
		}
		w.mu.Lock()
		w.result.Retries++
		w.mu.Unlock()
		w.close()
		pause := min(100*time.Millisecond<<(attempt-1), 15*time.Second)
		if w.o.pause != nil {
			pause = w.o.pause(attempt)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// passes reports whether an error is worth another attempt. If the session cannot be used any more, it is closed.
func (w *worker) passes(ctx context.Context, err error) bool {
	var source *sourceError
	return ctx.Err() == nil && !errors.As(err, &source) && !errors.Is(err, ErrNoAnswer) && (server.Lost(err) || errors.Is(err, errHeld))
}

// patient runs f, and bounds how long the server may take. After a tenth of that time somebody is told.
func (r *run) patient(ctx context.Context, what string, f func(ctx context.Context) error) error {
	bounded, cancel := context.WithTimeoutCause(ctx, r.o.Patience, ErrNoAnswer)
	defer cancel()
	some := r.o.Patience / 10
	told := make(chan struct{})
	timer := time.AfterFunc(some, func() {
		defer close(told)
		r.note("%s: in %v there was %v", what, some, ErrNoAnswer)
	})
	defer func() {
		if !timer.Stop() {
			<-told // nothing is noted after the end
		}
	}()
	err := f(bounded)
	if err != nil && ctx.Err() == nil && context.Cause(bounded) == ErrNoAnswer {
		return fmt.Errorf("%s: in %v there was %w", what, r.o.Patience, ErrNoAnswer)
	}
	return err
}

// pool calls f for each of so many things, in order, by several workers. f returns an error only if all is to end.
func (r *run) pool(ctx context.Context, threads, things int, f func(ctx context.Context, w *worker, i int) error) error {
	next := make(chan int)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(next)
		for i := range things {
			select {
			case next <- i:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		return nil
	})
	for n := range min(threads, things) {
		group.Go(func() error {
			w := &worker{run: r, number: n + 1}
			defer w.close()
			for i := range next {
				if err := f(ctx, w, i); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// An inventory is what a server is, and what it has of the plan's databases, before the restore.
type inventory struct {
	version   string
	packet    int  // how long a statement may be
	fold      bool // names of databases and tables are the same in either case
	logs      bool // there is a binary log
	databases map[string]bool
	tables    map[string]string // kinds of tables and views by their keys
	programs  map[string]int    // how many routines and events a database has
}

func (h *inventory) key(x Object) string {
	if h.fold {
		return strings.ToLower(x.key())
	}
	return x.key()
}

func (h *inventory) database(name string) string {
	if h.fold {
		return strings.ToLower(name)
	}
	return name
}

// look asks the server what it is and has, and refuses it if that is in the way.
func (r *run) look(ctx context.Context, w *worker) error {
	r.lock = "nightjar_restore_" + rand.Text()[:16] + "_"
	if err := w.open(ctx); err != nil {
		return err
	}
	row, err := w.session.Row(ctx, "SELECT VERSION(), @@max_allowed_packet, @@lower_case_table_names, @@log_bin")
	if err != nil {
		return err
	}
	h := inventory{version: string(row[0]), databases: map[string]bool{}, tables: map[string]string{}, programs: map[string]int{}}
	if h.packet, err = strconv.Atoi(string(row[1])); err != nil {
		return fmt.Errorf("read max_allowed_packet: %w", err)
	}
	h.fold, h.logs = string(row[2]) != "0", string(row[3]) == "1"
	names := map[string]bool{}
	for _, x := range r.plan.all() {
		if x.Database != "" {
			names[x.Database] = true
		}
	}
	for name := range names {
		if err := h.read(ctx, w.session, name); err != nil {
			return err
		}
	}
	r.have = h
	if err := r.refuse(); err != nil {
		return err
	}
	switch {
	case h.logs && r.o.NoBinlog:
		r.note("nothing of the restore is in the server's binary log: replicas of this server do not get it")
	case h.logs:
		r.note("the restore is in the server's binary log: replicas of this server get all of it")
	}
	return nil
}

// read reads what a database has.
func (h *inventory) read(ctx context.Context, s *server.Session, database string) error {
	of := server.Literal(database)
	row, err := s.Row(ctx, "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME="+of)
	if err != nil || string(row[0]) == "0" {
		return err
	}
	h.databases[h.database(database)] = true
	err = s.Query(ctx, "SELECT TABLE_NAME, TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA="+of, func(row [][]byte) error {
		h.tables[h.key(Object{Database: database, Name: string(row[0])})] = string(row[1])
		return nil
	})
	if err != nil {
		return err
	}
	for _, from := range []string{"ROUTINES WHERE ROUTINE_SCHEMA=", "EVENTS WHERE EVENT_SCHEMA="} {
		row, err := s.Row(ctx, "SELECT COUNT(*) FROM information_schema."+from+of)
		if err != nil {
			return err
		}
		n, _ := strconv.Atoi(string(row[0]))
		h.programs[h.database(database)] += n
	}
	return nil
}

// all returns all objects of a plan, in order.
func (p *plan) all() (all []*object) {
	all = append(all, p.databases...)
	for _, t := range p.tables {
		all = append(all, &t.object)
	}
	return append(all, p.others...)
}

// refuse returns an error if the server has what the dump has, and the options do not say what to do.
func (r *run) refuse() error {
	if r.o.Existing != Refuse {
		return nil
	}
	var there []string
	seen := map[string]bool{}
	for _, x := range r.plan.all() {
		whole := r.o.chosen("", x.was, "")
		name := r.have.database(x.Database)
		switch {
		case x.Database == "" || seen[name]:
			continue
		case whole:
			seen[name] = true
			if n := r.have.contents(name); n > 0 {
				there = append(there, fmt.Sprintf("database %s with %d tables, views and programs", x.Database, n))
			}
		case x.Name != "" && r.have.tables[r.have.key(x.Object)] != "":
			there = append(there, x.title())
		}
	}
	const most = 10
	if len(there) > most {
		there = append(there[:most], fmt.Sprintf("%d more", len(there)-most))
	}
	if len(there) > 0 {
		return fmt.Errorf("%s: %w", strings.Join(there, ", "), ErrExists)
	}
	return nil
}

// contents returns how much is in a database.
func (h *inventory) contents(database string) int {
	n := h.programs[database]
	for key := range h.tables {
		if strings.HasPrefix(key, database+"\x00") {
			n++
		}
	}
	return n
}
