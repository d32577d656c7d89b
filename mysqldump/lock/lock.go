// Package lock takes consistent snapshots of a server, in as many sessions as are asked for, all at one position of its binary
// log, under a lock that is as short as the server allows.
//
// Servers of MariaDB are locked by BACKUP STAGE, others by FLUSH TABLES WITH READ LOCK, and LOCK INSTANCE FOR BACKUP where they
// have it, for as long as the snapshots are held. The global read lock can wait for as long as it may, with all writers
// behind it, so each attempt at a lock is killed after a moment, and made again after a pause. Where MySQL has GTIDs, snapshots
// that are taken while it waits do as well, if the server proves that it stood still meanwhile.
//
// The invariant: all snapshots of a Held are at its position, as the server itself says, or of one moment under the lock if it has
// no binary log to say so (Options.Unlogged), and no lock outlives Options.Max.
// The locking session sets the server's own timers, so that this holds for a client that is stopped, killed or cut off.
//
// Backups of one server exclude each other before they lock. The package reads no tables, and does not know which need the
// lock.
package lock

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
)

// What Options mean where they say nothing.
const (
	DefaultAttempt = 100 * time.Millisecond
	DefaultWait    = 10 * time.Minute
	DefaultMax     = 30 * time.Second
)

var (
	// ErrBusy says that another backup of the server runs.
	ErrBusy = errors.New("another backup of this server runs")
	// ErrWait says that no attempt at the lock succeeded.
	ErrWait = errors.New("no lock could be had in time")
	// ErrTooLong says that what was to be done under the lock took too long.
	ErrTooLong = errors.New("the lock was held for as long as it may be")
	// ErrSnapshot says that snapshots were held for longer than MaxSnapshot.
	ErrSnapshot = errors.New("the snapshots were held for as long as they may be")
	// ErrCluster says that the server is one of several that are kept in step, where a lock may stop all.
	ErrCluster = errors.New("the server is one of a cluster")
)

// Options say how to lock. The zero value takes one snapshot.
type Options struct {
	// Snapshots is how many sessions get a snapshot; 0 is 1.
	Snapshots int
	// Attempt is how long one attempt may make writers wait; 0 is DefaultAttempt.
	Attempt time.Duration
	// Wait is for how long attempts are made; 0 is DefaultWait.
	Wait time.Duration
	// Max is how long the lock may be held, with Covered; 0 is DefaultMax. Servers count seconds: less than one is refused,
	// and a part of one is dropped.
	Max time.Duration
	// MaxSnapshot is how long the snapshots may be held, which keep the server from purging old rows; 0 is for ever. After
	// that they are ended.
	MaxSnapshot time.Duration
	// None takes no lock. The snapshots have to be at one position all the same: under writes, only one snapshot is, and only
	// MariaDB says where. MySQL is refused, and Covered.
	None bool
	// Unlogged is whether a server without a binary log will do: then Held.Position names no place, and the lock alone proves that
	// the snapshots are of one moment. With None there may be one snapshot.
	Unlogged bool
	// Covered runs while DDL and writes to non-transactional tables are held back, in the sessions that then get the
	// snapshots; nil is nothing to do. Its context ends before Max. If it has to be run again for another attempt, what the
	// one before saw is void.
	Covered func(ctx context.Context, s []*server.Session) error
	// Snapshot runs in the first session's snapshot while the lock is held. It may run again, as Covered.
	Snapshot func(ctx context.Context, s *server.Session) error
	// Sources is whether the sources of a server that is itself a replica are to be in Held. Where a snapshot does not have
	// their positions, the server's SQL threads are stopped for the moment, and started again whatever happens.
	Sources bool
	// Directory is where a file excludes other backups from this machine, beside the server's own means, and where it is noted
	// which SQL threads are stopped; empty is nowhere.
	Directory string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

func (o Options) complete() (Options, error) {
	o.Snapshots = cmp.Or(o.Snapshots, 1)
	o.Attempt, o.Wait, o.Max = cmp.Or(o.Attempt, DefaultAttempt), cmp.Or(o.Wait, DefaultWait), cmp.Or(o.Max, DefaultMax)
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Max = o.Max.Truncate(time.Second)
	switch {
	case o.Snapshots < 0 || o.Attempt < 0 || o.Wait < 0 || o.MaxSnapshot < 0:
		return o, errors.New("an option is negative")
	case o.Max < time.Second:
		return o, errors.New("a lock may be held for a second at least, as servers count")
	case o.None && o.Covered != nil:
		return o, errors.New("without a lock nothing is covered by it")
	}
	return o, nil
}

// A Report says what the lock cost.
type Report struct {
	Method   string        // the statement that locked, or was waiting (see still.go); empty with Options.None
	Attempts int           // those that failed, and the one that did not
	Waited   time.Duration // before the attempt that succeeded began
	// Held is for how long commits were held back, at most: from before the server was asked until it had let go.
	Held time.Duration
	// Covered is for how long DDL and writes to non-transactional tables were held back, at most.
	Covered time.Duration
	// LongestWait is the longest wait of a session for the lock, of any attempt, as the server's list of processes had it right
	// before the lock was given up; never less than the truth but by the moments between. 0 is that nobody was seen to wait.
	LongestWait time.Duration
	// History is how many old versions of rows the server kept when the snapshots were taken, and HistoryNow when Check was
	// called last: its list of undo logs. Less than 0 if the server does not say.
	History, HistoryNow int64
}

// Take takes snapshots, and gives the lock up. Nothing is held at the server if it fails.
func Take(ctx context.Context, s *server.Server, o Options) (*Held, error) {
	o, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", s.Address(), err)
	}
	t := &taker{o: o, server: s, guard: &guard{}}
	h, err := t.take(ctx)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", s.Address(), errors.Join(err, t.close()))
	}
	return h, nil
}

// taker is a Take on its way.
type taker struct {
	o         Options
	server    *server.Server
	dialect   server.Dialect
	flavor    mysqldump.Flavor
	identity  server.Identity
	guard     *guard
	snapshots []*server.Session
	locker    *server.Session // that of the attempt; stays if it holds the instance lock
	position  mysqldump.Position
	began     time.Time // when the snapshots did
	report    Report
	unlogged  bool   // the server writes no binary log
	canStand  bool   // whether snapshots can be proven without a lock: see still.go
	long      string // a statement that holds the global read lock back

	appliers       []applier
	slavePositions []string // MariaDB's tables of what has been executed
	replicates     []Source
}

func (t *taker) take(ctx context.Context) (*Held, error) {
	if err := t.prepare(ctx); err != nil {
		return nil, err
	}
	var err error
	if t.o.None {
		err = t.takeUnlocked(ctx)
	} else {
		err = t.takeLocked(ctx)
	}
	if err == nil {
		t.replicates, err = t.sources(ctx)
	}
	if t.unlogged {
		t.position.GTIDs = mysqldump.GTIDSet{} // of its sources: its own changes are in no log
	}
	if err != nil {
		return nil, err
	}
	return t.hold(), nil
}

// prepare does all that can fail before there is a lock.
func (t *taker) prepare(ctx context.Context) error {
	if err := t.guard.open(ctx, t.server, t.o); err != nil {
		return err
	}
	c := t.guard.session
	cluster, err := c.Cluster(ctx)
	if err == nil && cluster != "" {
		err = fmt.Errorf("%w: %s", ErrCluster, cluster)
	}
	if err != nil {
		return err
	}
	keeping, err := c.Keeping(ctx)
	if err == nil {
		err = keeping.BinaryLogFiles()
	}
	if err != nil {
		return err
	}
	if t.dialect, err = c.Dialect(ctx); err != nil {
		return err
	}
	position, err := c.Position(ctx)
	if t.unlogged = t.o.Unlogged && errors.Is(err, server.ErrNoBinaryLog); t.unlogged {
		position, err = c.Unlogged(ctx)
	}
	if err != nil {
		return err
	}
	t.flavor = position.Flavor
	if t.identity, err = c.Identity(ctx); err != nil {
		return err
	}
	if err := t.findSources(ctx, c, position); err != nil {
		return err
	}
	if t.report.History, err = history(ctx, c); err != nil {
		return err
	}
	t.report.HistoryNow = t.report.History
	for i := range t.o.Snapshots {
		session, err := t.server.Connect(ctx)
		if err != nil {
			return fmt.Errorf("open session %d of %d: %w", i+1, t.o.Snapshots, err)
		}
		t.snapshots = append(t.snapshots, session)
		if err := session.Exec(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
			return err
		}
	}
	return nil
}

// place reads where the server stands; of one without a binary log, who it is.
func (t *taker) place(ctx context.Context, c *server.Session) (mysqldump.Position, error) {
	if t.unlogged {
		return c.Unlogged(ctx)
	}
	return c.Position(ctx)
}

// open begins all snapshots.
func (t *taker) open(ctx context.Context) error {
	t.began = t.o.Now()
	g, ctx := errgroup.WithContext(ctx)
	for _, s := range t.snapshots {
		g.Go(func() error { return s.Exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY") })
	}
	return g.Wait()
}

// prove has each snapshot say where it is, on servers that can; others have not moved between two positions read under the
// lock.
func (t *taker) prove(ctx context.Context) error {
	if t.flavor != mysqldump.MariaDB {
		return nil
	}
	for i, s := range t.snapshots {
		file, offset, err := s.SnapshotPosition(ctx)
		if err != nil {
			return err
		}
		if file != t.position.File || offset != t.position.Offset {
			return fmt.Errorf("snapshot %d is at %s:%d, not at the position %v", i+1, file, offset, t.position)
		}
	}
	return nil
}

// samePlace reports whether a server has not moved between two positions.
func samePlace(p, q mysqldump.Position) bool {
	return p.File == q.File && p.Offset == q.Offset && p.GTIDs.Equal(q.GTIDs)
}

// close ends all sessions, with what may still run in them at the server. A second call does nothing.
func (t *taker) close() error {
	t.guard.forEach(t.snapshots, (*server.Session).KillStatement) // else it runs on until the server sees the end
	for _, s := range t.snapshots {
		_ = s.Close()
	}
	if t.locker != nil {
		leave(t.locker, "UNLOCK INSTANCE")
	}
	g := t.guard
	t.snapshots, t.locker, t.guard = nil, nil, &guard{}
	return g.close()
}
