// Package restore loads a dump into a running server, in parallel, and proves that the server then has what the dump has.
//
// Objects come in an order in which nothing happens by itself: databases, sequences, tables, their rows, their secondary
// keys and constraints, programs, accounts, views with the grants on them, triggers, events. Rows are loaded without checks of foreign keys: the
// dump is of one moment, and what stood in the source then is what is given back, orphans too.
//
// The invariant: rows are neither lost nor doubled, whatever is lost on the way. A file of rows is one transaction, which is
// loaded again only once the server has proven that the session before it is gone; where that does not tell whether the
// rows are there (a commit without an answer, engines without transactions), the table is emptied first. At the end each
// definition is compared with the dump's, and each table's rows by the checksum that was taken when they were read.
//
// The package does not choose the login, and neither opens repositories nor starts programs. What it did not finish it does
// not undo: IfChanged goes on there, and finds what is done by comparing, not by a record of its own.
package restore

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"nightjar/internal/watch"
	"nightjar/mysqldump"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
)

// Existing says what to do with what is there already.
type Existing int

// The choices.
const (
	Refuse    Existing = iota // touch nothing and fail, if something of that name is there
	Replace                   // drop it, and make it anew
	Missing                   // leave it as it is, and restore what is not there
	IfChanged                 // leave what equals the dump, and make anew what does not: goes on with a restore that stopped
)

// Accounts says what to do with accounts. Those that the server needs itself are never touched.
type Accounts int

// The choices.
const (
	LeaveAccounts   Accounts = iota // make those that are missing
	ReplaceAccounts                 // give those that are there the dump's passwords and privileges, too
	SkipAccounts                    // restore none
)

// Options say how to restore. The zero value restores all, on a server that has none of it.
type Options struct {
	Threads   int               // sessions that work at the same time; 0: 4
	Selection []Pattern         // what to restore; none: all. Accounts are restored with all only
	Rename    map[string]string // databases by their names in the dump
	Existing  Existing
	Accounts  Accounts
	NoBinlog  bool // keep what is done out of the server's binary log, so that its replicas do not get it
	KeepKeys  bool // make secondary keys with the tables, not when their rows are there
	NoEvents  bool // restore no events
	Disabled  bool // restore enabled events as DISABLE ON SLAVE, as a replica has them
	// KeepEvents leaves the events of databases with other names as they are. Else they come disabled, since those of the
	// database that the dump is of may run on the same server.
	KeepEvents bool
	// Inside makes all tables in the data directory, also those whose files the dump has elsewhere (DATA DIRECTORY).
	Inside   bool
	NoVerify bool // do not compare with the dump
	// From is where the dump was taken. If it is of another flavor or version than the server, definitions that differ are
	// notes, since servers print them differently; zero: they have to be equal.
	From mysqldump.Position

	Progress *watch.Progress                 // nil: nobody watches
	Problem  func(object string, err error)  // told at once of what failed; may be called from several goroutines; nil: nobody
	Warn     func(text string)               // told of what a person should know; nil: nobody
	pause    func(attempt int) time.Duration // before the next attempt, for tests; nil: longer each time
	Patience time.Duration                   // how long the server may take for a statement that makes a table, loads some of its rows, or commits them; 0: 10 minutes
}

// Errors of Run that callers branch on.
var (
	ErrNothing  = errors.New("the dump has nothing of that name")
	ErrExists   = errors.New("it is there already")
	ErrDiffers  = errors.New("what was restored differs from the dump")
	ErrNoAnswer = errors.New("no answer from the server: if its disk is full, it waits for somebody to make room, and says so in its error log alone")
)

// An Object is something that was restored, or was to be.
type Object struct {
	Kind     script.Kind
	Database string // as it is called now; empty: of none
	Name     string // empty: the database itself
}

// titles are what kinds of objects are called in messages.
var titles = map[script.Kind]string{
	script.Databases: "database", script.Servers: "foreign server", script.Sequences: "sequence", script.Tables: "table", script.Rows: "rows of",
	script.Programs: "program", script.Views: "view", script.Triggers: "triggers of", script.Events: "event", script.Accounts: "account", script.Grants: "grants on views to",
}

// title is what the object is called in messages.
func (o Object) title() string {
	switch {
	case o.Name == "":
		return titles[o.Kind] + " " + o.Database
	case o.Database == "":
		return titles[o.Kind] + " " + o.Name
	}
	return titles[o.Kind] + " " + o.Database + "." + o.Name
}

// key tells objects of a kind apart.
func (o Object) key() string { return o.Database + "\x00" + o.Name }

// A Failure is an object that was not restored, and why.
type Failure struct {
	Object string
	Err    error
}

// A Result is what was done.
type Result struct {
	Done        map[script.Kind]int // objects that are there now, made or left because they were equal
	Left        map[script.Kind]int // of these, those that were there before and equal
	Kept        map[script.Kind]int // objects that were there before and were not looked at
	Rows, Bytes uint64              // of files, that were loaded
	Retries     int                 // sessions that were lost and made again
	Verified    int                 // tables whose rows were compared
	Failures    []Failure           // what could not be restored
	Differences []string            // what differs from the dump, and must not
	Notes       []string            // what a person should know
}

// Run restores a dump. What failed by itself is in the Result; an error says that the restore as a whole did not come to
// its end, or, if it is ErrDiffers, that something is not as in the dump.
func Run(ctx context.Context, srv *server.Server, from mysqldump.Source, o Options) (Result, error) {
	r := &run{srv: srv, from: from, o: o}
	r.result.Done, r.result.Left, r.result.Kept = map[script.Kind]int{}, map[script.Kind]int{}, map[script.Kind]int{}
	if r.o.Threads <= 0 {
		r.o.Threads = 4
	}
	if r.o.Patience <= 0 {
		r.o.Patience = 10 * time.Minute
	}
	if r.o.Progress == nil {
		r.o.Progress = new(watch.Progress)
	}
	err := r.restore(ctx)
	if err == nil && len(r.result.Differences) > 0 {
		err = fmt.Errorf("%w: differences: %d", ErrDiffers, len(r.result.Differences))
	}
	return r.result, err
}

// A run is one restore.
type run struct {
	srv  *server.Server
	from mysqldump.Source
	o    Options
	plan *plan
	have inventory
	lock string // begins the names of the locks that tell our sessions

	accounts accounts // used by one goroutine at a time
	trusting trusting

	mu     sync.Mutex // guards result
	result Result
}

func (r *run) restore(ctx context.Context) (err error) {
	if r.plan, err = newPlan(r.from, &r.o); err != nil {
		return fmt.Errorf("restore dump: %w", err)
	}
	w := &worker{run: r}
	defer w.close()
	defer r.distrust(ctx, w)
	if err := r.look(ctx, w); err != nil {
		return fmt.Errorf("restore dump: %w", err)
	}
	steps := []func(context.Context, *worker) error{
		r.makeDatabases, r.makeSequences, r.makeTables, r.loadTables, r.addConstraints, r.makeOthers, r.verify,
	}
	for _, step := range steps {
		if err := step(ctx, w); err != nil {
			return fmt.Errorf("restore dump: %w", err)
		}
	}
	return nil
}

// fail notes that an object cannot be restored, which stops no other.
func (r *run) fail(x *object, err error) {
	x.failed = true
	r.o.Progress.Problem.Add(1)
	r.mu.Lock()
	r.result.Failures = append(r.result.Failures, Failure{x.title(), err})
	r.mu.Unlock()
	if r.o.Problem != nil {
		r.o.Problem(x.title(), err)
	}
}

// note notes what a person should know.
func (r *run) note(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	r.mu.Lock()
	r.result.Notes = append(r.result.Notes, text)
	r.mu.Unlock()
	if r.o.Warn != nil {
		r.o.Warn(text)
	}
}

// count counts an object.
func (r *run) count(in map[script.Kind]int, x *object) {
	r.mu.Lock()
	defer r.mu.Unlock()
	in[x.Kind]++
}
