// Package dump writes the databases of a server, as they stood at one position of its binary log, into files of SQL.
//
// Sessions that see one snapshot read tables and ranges of their keys from a queue. Each range goes into a file of its own,
// in the order of the keys, and its bounds and statements end at the same keys night after night. Tables that no snapshot
// covers are read under the lock.
//
// The invariant: a dump that ends without an error has every row of every table that it does not name as left out, once. A table
// that was changed, swapped, emptied or made anew since the snapshot is found out, and the whole dump is made again.
//
// The package takes locks only by package lock, finds definitions by package schema, and does not know where files go.
package dump

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/schema"
	"nightjar/mysqldump/server"
)

// Options say what is dumped, and how.
type Options struct {
	Selection  choose.Selection
	Accounts   bool                   // roles, users and grants too
	Threads    int                    // sessions that read; 0: 4
	Lock       lock.Options           // but for what the dump itself says: Snapshots, Covered, Snapshot
	DDLRetries int                    // how often a dump begins again because a definition was changed; 0: never
	BrokenSkip bool                   // leave out what cannot be read
	Silence    time.Duration          // for how long the server may say nothing to anybody before the dump fails; 0: a minute
	RangeBytes uint64                 // about how large a range of a table is, as the server estimates; 0: 32 MiB
	Previous   []mysqldump.SourceFile // of the last dump: ranges begin where they did
	Warn       func(error)            // told of what stops nothing, such as an attempt that is made again; nil: nobody
	Now        func() time.Time       // required
}

const (
	defaultThreads = 4
	maxThreads     = 64
	defaultRange   = 32 << 20
	defaultSilence = time.Minute
)

// A Result says how a dump went.
type Result struct {
	Position  mysqldump.Position
	Sources   []lock.Source // whom the server replicates from, if it does, and what the dump has of that
	Lock      lock.Report
	Version   string // of the server
	Databases int
	Tables    int
	Rows      uint64
	Bytes     uint64           // of rows, as SQL
	Left      []schema.LeftOut // what is not in the dump, by its nature or by choice
	Broken    []schema.LeftOut // what could not be read
	Retries   int              // attempts that a change of a definition ended
}

// A BrokenError says that something could not be read, which Options.BrokenSkip would leave out.
type BrokenError struct {
	What string // its kind and its name
	Err  error
}

func (e *BrokenError) Error() string { return "read " + e.What + ": " + e.Err.Error() }
func (e *BrokenError) Unwrap() error { return e.Err }

// A ChangedError says that the definition of a table was changed, or another table has its name; or that of something else.
type ChangedError struct {
	Kind  schema.Kind // empty: of a table
	Table string      // or what it is, with its database
	Err   error
}

func (e *ChangedError) Error() string {
	return fmt.Sprintf("%s %s was changed during the dump: %v", cmp.Or(e.Kind, schema.Base), e.Table, e.Err)
}
func (e *ChangedError) Unwrap() error { return e.Err }

// A run is one call of Run.
type run struct {
	srv  *server.Server
	sink mysqldump.Sink
	o    Options

	mu    sync.Mutex
	files map[string]bool // by their names; true: it is closed
}

// Run writes a dump. What an attempt wrote that failed is removed before the next. If Run fails, so is what the sink has.
func Run(ctx context.Context, srv *server.Server, sink mysqldump.Sink, o Options) (Result, error) {
	if o.Threads == 0 {
		o.Threads = defaultThreads
	}
	if o.Threads < 0 || o.Threads > maxThreads {
		return Result{}, fmt.Errorf("dump %s: %d threads: there may be 1 to %d", srv.Address(), o.Threads, maxThreads)
	}
	if o.RangeBytes == 0 {
		o.RangeBytes = defaultRange
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	ctx, stop := srv.Watch(ctx, cmp.Or(o.Silence, defaultSilence), o.Now)
	defer stop()
	r := &run{srv: srv, sink: sink, o: o, files: map[string]bool{}}
	for retries := 0; ; retries++ {
		result, err := r.attempt(ctx)
		result.Retries = retries
		var changed *ChangedError
		if err == nil {
			return result, nil
		}
		if err = fmt.Errorf("dump %s: %w", srv.Address(), err); !errors.As(err, &changed) || retries >= o.DDLRetries || ctx.Err() != nil {
			return result, err
		}
		o.Warn(fmt.Errorf("%w; it is begun again", err))
		if err := r.clear(); err != nil {
			return result, err
		}
	}
}

// create begins a file. No two of a dump have one name, whatever the sink makes of that: rows would be lost.
func (r *run) create(name string) (mysqldump.File, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.files[name]; there {
		return nil, fmt.Errorf("create %s: the dump has a file of this name", name)
	}
	f, err := r.sink.Create(name)
	if err != nil {
		return nil, err
	}
	r.files[name] = false
	return &file{f, r, name}, nil
}

// A file is one whose name the run knows.
type file struct {
	mysqldump.File
	run  *run
	name string
}

func (f *file) Close() error {
	if err := f.File.Close(); err != nil {
		return err
	}
	f.run.mu.Lock()
	defer f.run.mu.Unlock()
	f.run.files[f.name] = true
	return nil
}

func (f *file) Abort() {
	f.File.Abort()
	f.run.mu.Lock()
	defer f.run.mu.Unlock()
	if !f.run.files[f.name] {
		delete(f.run.files, f.name)
	}
}

// clear removes all files.
func (r *run) clear() error {
	r.mu.Lock()
	names := slices.Sorted(maps.Keys(r.files))
	r.mu.Unlock()
	return r.remove(names)
}

func (r *run) remove(names []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range names {
		if !r.files[name] {
			continue
		}
		if err := r.sink.Remove(name); err != nil {
			return fmt.Errorf("remove %s: %w", name, err)
		}
		delete(r.files, name)
	}
	return nil
}
