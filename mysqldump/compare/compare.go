// Package compare compares a replica with its source: all tables, at one position.
//
// The source is read in consistent snapshots, and the replica in others that are taken while its SQL thread stands right there.
// Tables that no snapshot covers are summed under a lock at the source, and while the thread stands.
//
// The invariant: two tables are only called different that were seen at one position of the source. What could not be compared is
// named. The thread is started again whatever happens.
//
// The package mends nothing. It compares rows, and not definitions, accounts or programs.
package compare

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/server"
)

// Options say what to compare, and how.
type Options struct {
	Channel string
	Source  *server.Server // that the channel replicates from
	// Chosen says whether a table is compared; nil: all are, but for the servers' own.
	Chosen func(database, table string) bool
	// Required says whether the replica has to have a table of the source; nil: all, but for the servers' own. Tables that both
	// have are compared in any case.
	Required func(database, table string) bool
	// Sessions is how many tables are read at the same time; 0: 2.
	Sessions int
	// Lock is how the source is locked for a moment. What says how many snapshots, and what runs under the lock, is set here.
	Lock lock.Options
	// MaxCovered is how many bytes of tables without transactions are summed while a lock holds writers back; those beyond are not
	// compared; 0: 256 MiB.
	MaxCovered uint64
	// Limit bounds the wait until the replica has come to the source's position; 0: 10 minutes.
	Limit time.Duration
	// Folder is where a note is kept while the replica's SQL thread stands; empty: nowhere, so that nobody finds it after we were killed.
	Folder string
	// Report is told how many tables have been compared, of how many; nil: nobody is.
	Report func(done, of int)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Result says what was compared.
type Result struct {
	Position    mysqldump.Position // at which both ends were compared; of the last round
	Tables      int                // that are equal
	Differences []Difference
	Uncompared  []Difference  // tables that could not be compared, and why
	Stood       time.Duration // for how long the replica's SQL thread stood still on our account
}

// A Difference is a table that is not the same at both ends.
type Difference struct {
	Database, Table string
	What            string // such as "other rows" or "missing at the replica"
	Source, Replica string // checksums; empty: none
}

// rounds is how often tables are looked at that seem to differ, but may have been made or changed meanwhile.
const rounds = 3

// defaultMaxCovered is read in about a second.
const defaultMaxCovered = 256 << 20

// Run compares tables at one position: the source's in a consistent snapshot, the replica's with its SQL thread stopped right
// there, for as long as it takes to open snapshots at the replica too. The thread is started again whatever happens. That tables
// differ is no error.
func Run(ctx context.Context, s *server.Server, o Options) (Result, error) {
	o.Sessions, o.MaxCovered = cmp.Or(o.Sessions, 2), cmp.Or(o.MaxCovered, defaultMaxCovered)
	if o.Now == nil {
		o.Now = time.Now
	}
	v := comparing{replica: s, o: o}
	var doubtful []Difference
	for round := 1; round <= rounds && (round == 1 || len(doubtful) > 0); round++ {
		only := map[name]bool{}
		for _, d := range doubtful {
			only[name{d.Database, d.Table}] = true
		}
		var err error
		if doubtful, err = v.round(ctx, only); err != nil {
			return v.done, fmt.Errorf("compare %s with %s: %w", s.Address(), o.Source.Address(), err)
		}
	}
	for _, d := range doubtful {
		if d.Source == "" && d.Replica == "" && !strings.HasPrefix(d.What, "missing") {
			v.done.Uncompared = append(v.done.Uncompared, d)
		} else {
			v.done.Differences = append(v.done.Differences, d)
		}
	}
	byName := func(a, b Difference) int {
		return cmp.Or(strings.Compare(a.Database, b.Database), strings.Compare(a.Table, b.Table))
	}
	slices.SortFunc(v.done.Differences, byName)
	slices.SortFunc(v.done.Uncompared, byName)
	return v.done, nil
}

type name struct{ database, table string }

type comparing struct {
	replica *server.Server
	o       Options
	done    Result
	others  int // channels of the replica beside the one that is compared
}

// round compares the tables at a position; only those named, if there are any. It returns those that differ.
func (v *comparing) round(ctx context.Context, only map[name]bool) (doubtful []Difference, err error) {
	r := comparison{v: v, only: only}
	defer func() {
		err = errors.Join(err, r.close())
	}()
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	paused, err := replica.Pause(ctx, v.replica, replica.PauseOptions{Channel: v.o.Channel, Folder: v.o.Folder})
	if err != nil {
		return nil, err
	}
	since := v.o.Now()
	v.others = paused.Others
	resume := func() error {
		defer func() { v.done.Stood += v.o.Now().Sub(since) }()
		return paused.Resume(ctx)
	}
	defer func() {
		if paused != nil {
			err = errors.Join(err, resume())
		}
	}()
	if err := r.checkSource(paused.Status); err != nil {
		return nil, err
	}
	if err := r.takeSource(ctx); err != nil {
		return nil, err
	}
	v.done.Position = r.held.Position
	if err := paused.GoTo(ctx, r.held.Position, cmp.Or(v.o.Limit, 10*time.Minute)); err != nil {
		return nil, err
	}
	if err := r.takeReplica(ctx, paused.Session()); err != nil {
		return nil, err
	}
	err = resume()
	paused = nil
	if err != nil {
		return nil, err
	}
	return r.compare(ctx)
}
