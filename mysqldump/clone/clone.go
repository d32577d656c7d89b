// Package clone copies the data directory of a running server of MySQL 8 or later by the server's own clone plugin.
//
// The server clones itself into a folder on its own machine. The files of the clone go into a Tree, under the names that they
// have in a data directory; then a private server is started on the clone. It recovers what the clone is of: the position, which
// the clone alone knows. The folder is removed at the end.
//
// The invariant: a Result's position is what the clone itself recovered when it was started, from the files that were saved, and
// lies between two positions that the source said before and after. The folder that is removed is one that a mark in it says to be
// ours; one that a killed run has left is removed by the next run for the same server.
//
// Writers are not held back. Clones have all of InnoDB, and nothing else: tables of other engines come without rows, and no
// binary log is in them. The package restores nothing.
package clone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"nightjar/internal/tempdir"
	"nightjar/mysqldump"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/server"
)

var (
	// ErrNoPlugin says that a server has no clone plugin that is loaded.
	ErrNoPlugin = errors.New("the clone plugin is not loaded")
	// ErrElsewhere says that the server's files are not on this machine, or under other names.
	ErrElsewhere = errors.New("the server's files are not here")
	// ErrOutside says that tables are in files outside of the data directory, which the server does not clone on its own machine.
	ErrOutside = errors.New("there are tables outside of the data directory")
	// ErrEngines says that there are tables whose rows no clone has.
	ErrEngines = errors.New("clones have only the rows of InnoDB's tables")
	// ErrSpace says that the clone has no room.
	ErrSpace = errors.New("there is not enough space for a clone")
	// ErrDDL says that the clone has waited behind DDL for as long as it may.
	ErrDDL = errors.New("DDL holds the clone up")
	// ErrFolder says that no clone can be made in a folder.
	ErrFolder = errors.New("the folder for the clone will not do")
)

// Options say how to clone.
type Options struct {
	// Dir is a folder on the server's machine, with an absolute path. A folder for the clone is made in it, and removed.
	Dir string
	// Program is the path of the server's program, mysqld, of the server's version; empty: the one in the server's basedir.
	Program string
	// Threads is how many files are saved at the same time; 0 is 1.
	Threads int
	// LockWait is how long the clone may wait for DDL; 0 is lock.DefaultWait.
	LockWait time.Duration
	// BrokenSkip saves the clone though rows of other engines are not in it.
	BrokenSkip bool
	// Directory is where a file excludes other backups from this machine; empty is nowhere.
	Directory string
	// Temp is where the private server has its socket and its scratch files.
	Temp tempdir.Dir
	// Cloned is told how many bytes the server has cloned of how many; nil is nobody. Zero of zero is that it waits.
	Cloned func(done, all uint64)
	// Warn is told of what is not as it should be; nil is nobody.
	Warn func(error)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// MaxThreads is how many files can be saved at the same time.
const MaxThreads = 64

func (o Options) complete() (Options, error) {
	o.Threads, o.LockWait = cmp.Or(o.Threads, 1), cmp.Or(o.LockWait, lock.DefaultWait)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Warn == nil {
		o.Warn = func(error) {}
	}
	if o.Cloned == nil {
		o.Cloned = func(_, _ uint64) {}
	}
	switch {
	case o.Threads < 0 || o.Threads > MaxThreads:
		return o, fmt.Errorf("%d files at the same time: there may be 1 to %d", o.Threads, MaxThreads)
	case o.LockWait < 0:
		return o, errors.New("an option is negative")
	}
	return o, nil
}

// A Result says what was cloned.
type Result struct {
	Position mysqldump.Position
	Sources  []lock.Source // whom the server replicates from, if it does, and what the clone has of that
	Version  string        // of the server, as it says
	Sums     Sums
	Left     []Table       // tables whose rows are not in the clone: none that have any, unless BrokenSkip
	Cloning  time.Duration // how long the server took
	Proving  time.Duration // how long the private server took
}

// Sums count what a clone has.
type Sums struct {
	Files int
	Bytes uint64
	Redo  uint64 // bytes of Bytes that are InnoDB's log: what was not in its files yet, and is new each night
}

// A Table is one that comes without rows.
type Table struct {
	Schema, Name, Engine string
	Rows                 bool // whether its engine keeps rows
}

func (t Table) String() string { return t.Schema + "." + t.Name + " (" + t.Engine + ")" }

// Run clones a server into a tree.
func Run(ctx context.Context, s *server.Server, tree mysqldump.Tree, o Options) (r Result, err error) {
	o, err = o.complete()
	if err == nil {
		r, err = run(ctx, s, tree, o)
	}
	if err != nil {
		return r, fmt.Errorf("clone %s: %w", s.Address(), err)
	}
	return r, nil
}

func run(ctx context.Context, s *server.Server, tree mysqldump.Tree, o Options) (r Result, err error) {
	alone, err := lock.Exclude(ctx, s, o.Directory, 0)
	if err != nil {
		return r, err
	}
	defer alone.Close()
	ctx, cancel := alone.Context(ctx)
	defer cancel()
	c, err := s.Connect(ctx)
	if err != nil {
		return r, err
	}
	defer c.Close()
	src, err := look(ctx, c, o)
	if err != nil {
		return r, err
	}
	r.Version, r.Left = src.identity.Version, src.left
	at, err := place(o.Dir, src)
	if err != nil {
		return r, err
	}
	if err := endLeft(ctx, c, at); err != nil {
		return r, err
	}
	f, err := claim(at, src.owner)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, f.remove()) }()
	if err := src.fits(f.path); err != nil {
		return r, err
	}
	began := o.Now()
	if err := take(ctx, s, c, f, o); err != nil {
		return r, err
	}
	r.Cloning = o.Now().Sub(began)
	after, err := c.Position(ctx)
	if err != nil {
		return r, err
	}
	if err := f.note(src); err != nil {
		return r, err
	}
	if r.Sums, err = save(ctx, f.path, tree, o.Threads); err != nil {
		return r, err
	}
	began = o.Now()
	err = src.prove(ctx, f.path, after, o, &r)
	r.Proving = o.Now().Sub(began)
	return r, err
}
