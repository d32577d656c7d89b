package replica

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
	"nightjar/mysqldump/server"
)

// VerifyOptions say what to compare, and how.
type VerifyOptions struct {
	Channel string
	Source  *server.Server // that the channel replicates from
	// Required says whether the replica has to have a table of the source; nil: all, but for the servers' own. Tables that both
	// have are compared in any case.
	Required func(database, table string) bool
	// Sessions is how many tables are read at the same time; 0: 2.
	Sessions int
	// Lock is how the source is locked for a moment. What says how many snapshots, and what runs under the lock, is set here.
	Lock lock.Options
	// Limit bounds the wait until the replica has come to the source's position; 0: 10 minutes.
	Limit time.Duration
	// Folder is where a note is kept while the replica's SQL thread stands; empty: nowhere, so that nobody finds it after we were killed.
	Folder string
	// Report is told how many tables have been compared, of how many; nil: nobody is.
	Report func(done, of int)
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// Verified says what was compared.
type Verified struct {
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

// MaxCovered is how many bytes of tables without transactions are summed while a lock holds writers of them back.
const MaxCovered = 256 << 20

// Verify compares tables at one position: the source's in a consistent snapshot, the replica's with its SQL thread stopped right
// there, for as long as it takes to open snapshots at the replica too. The thread is started again whatever happens. That tables
// differ is no error.
func Verify(ctx context.Context, s *server.Server, o VerifyOptions) (Verified, error) {
	o.Sessions = cmp.Or(o.Sessions, 2)
	if o.Now == nil {
		o.Now = time.Now
	}
	v := verifying{replica: s, o: o}
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

type verifying struct {
	replica *server.Server
	o       VerifyOptions
	done    Verified
}

// round compares the tables at a position; only those named, if there are any. It returns those that differ.
func (v *verifying) round(ctx context.Context, only map[name]bool) (doubtful []Difference, err error) {
	r := comparison{v: v, only: only}
	defer func() {
		err = errors.Join(err, r.close())
	}()
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	paused, err := v.pause(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if paused != nil {
			err = errors.Join(err, paused.resume(ctx))
		}
	}()
	if err := r.takeSource(ctx); err != nil {
		return nil, err
	}
	v.done.Position = r.held.Position
	if err := paused.goTo(ctx, r.held.Position, cmp.Or(v.o.Limit, 10*time.Minute)); err != nil {
		return nil, err
	}
	if err := r.takeReplica(ctx, paused.link); err != nil {
		return nil, err
	}
	err = paused.resume(ctx)
	paused = nil
	if err != nil {
		return nil, err
	}
	return r.compare(ctx)
}

// A paused is a channel whose SQL thread was stopped.
type paused struct {
	v     *verifying
	link  *link
	note  *server.PauseNote
	state server.Paused
	since time.Time
}

// pause stops the SQL thread of a replica that runs.
func (v *verifying) pause(ctx context.Context) (*paused, error) {
	l, err := connect(ctx, v.replica, v.o.Channel)
	if err != nil {
		return nil, err
	}
	p := &paused{v: v, link: l}
	if err = p.stop(ctx); err != nil {
		l.Close()
		return nil, err
	}
	return p, nil
}

func (p *paused) stop(ctx context.Context) error {
	id, err := p.link.Identity(ctx)
	if err != nil {
		return err
	}
	status, found, err := p.link.status(ctx)
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("%s is no replica", p.v.replica.Address())
	case !status.Runs():
		thread, failure := "SQL", status.SQLError
		if failure.IsZero() {
			thread, failure = "IO", status.IOError
		}
		return &StoppedError{status.Channel, thread, failure, status}
	}
	p.state = server.Paused{Hostname: id.Hostname, Port: id.Port, ServerID: id.ServerID, UUID: id.ServerUUID, Channel: p.v.o.Channel, From: status.Executed}
	if p.note, err = server.NotePaused(p.v.o.Folder, p.state); err != nil {
		return err
	}
	p.since = p.v.o.Now()
	if err := p.link.about(ctx, "STOP REPLICA SQL_THREAD"); err != nil {
		return errors.Join(err, p.resume(ctx))
	}
	if status, _, err = p.link.status(ctx); err == nil {
		p.state.From = status.Executed // where it stands by now
		err = p.note.Change(p.state)
	}
	if err != nil {
		return errors.Join(err, p.resume(ctx))
	}
	return nil
}

// goTo lets the thread go on to a position of the source, and no further.
func (p *paused) goTo(ctx context.Context, to mysqldump.Position, limit time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: %s", ErrLate, limit))
	defer cancel()
	p.state.Until = to
	if err := p.note.Change(p.state); err != nil {
		return err
	}
	if err := p.link.startUntil(ctx, to); err != nil {
		return err
	}
	for {
		status, _, err := p.link.status(ctx)
		if err != nil {
			return err
		}
		there := status.at(to)
		switch {
		case status.SQL == "No" && there:
			return nil
		case status.SQL == "No":
			return &StoppedError{status.Channel, "SQL", status.SQLError, status}
		case status.IO == "No":
			return &StoppedError{status.Channel, "IO", status.IOError, status}
		case there: // it goes on waiting for an event, which may never come
			if err := p.link.about(ctx, "STOP REPLICA SQL_THREAD"); err != nil {
				return err
			}
			continue
		}
		if err := pause(ctx, pollEvery); err != nil {
			return err
		}
	}
}

// at reports whether the replica has executed all before a position of its source, and nothing after.
func (s Status) at(to mysqldump.Position) bool {
	if to.File == "" {
		return s.Executed.GTIDs.Contains(to.GTIDs)
	}
	return s.Executed.File == to.File && s.Executed.Offset == to.Offset
}

// startUntil starts the SQL thread, to stop at a position of the source.
func (l *link) startUntil(ctx context.Context, to mysqldump.Position) error {
	switch {
	case to.File != "":
		return l.about(ctx, fmt.Sprintf("START REPLICA SQL_THREAD UNTIL %s_LOG_FILE=%s, %s_LOG_POS=%d",
			l.dialect.Source, server.Literal(to.File), l.dialect.Source, to.Offset))
	case l.mariaDB: // takes it only for both threads
		if err := l.about(ctx, "STOP REPLICA IO_THREAD"); err != nil {
			return err
		}
		return l.about(ctx, "START REPLICA UNTIL MASTER_GTID_POS="+server.Literal(to.GTIDs.String()))
	}
	return l.about(ctx, "START REPLICA SQL_THREAD UNTIL SQL_AFTER_GTIDS="+server.Literal(to.GTIDs.String()))
}

// farewell is how long it may take to start a thread again when all else has ended.
const farewell = 30 * time.Second

// resume starts the thread again, although ctx may have ended, and the session with it.
func (p *paused) resume(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	defer p.link.Close()
	l, err := connect(ctx, p.v.replica, p.v.o.Channel)
	if err == nil {
		defer l.Close()
		err = l.resume(ctx)
	}
	p.v.done.Stood += p.v.o.Now().Sub(p.since)
	if err != nil {
		return errors.Join(fmt.Errorf("start the SQL thread of %s again: %w", p.v.replica.Address(), err), p.note.Close())
	}
	return p.note.Remove()
}

// resume starts both threads, without an end.
func (l *link) resume(ctx context.Context) error {
	status, _, err := l.status(ctx)
	if err == nil && status.SQL != "No" { // an end that it was given stays until it stops
		err = l.about(ctx, "STOP REPLICA SQL_THREAD")
	}
	if err == nil {
		err = l.about(ctx, "START REPLICA")
	}
	return err
}

// Resume starts the SQL threads of a replica that were stopped for a moment by a process that was killed, as the notes in a folder
// say, and returns their channels. Threads that run, failed or went on since are left as they are.
func Resume(ctx context.Context, s *server.Server, folder string) (channels []string, err error) {
	left, notes, err := server.LeftPaused(folder)
	for i, p := range left {
		started, ours, err1 := resumeLeft(ctx, s, p)
		if started {
			channels = append(channels, p.Channel)
		}
		if ours && err1 == nil {
			err1 = notes[i].Remove()
		} else {
			err1 = errors.Join(err1, notes[i].Close())
		}
		err = errors.Join(err, err1)
	}
	return channels, err
}

func resumeLeft(ctx context.Context, s *server.Server, p server.Paused) (started, ours bool, err error) {
	l, err := connect(ctx, s, p.Channel)
	if err != nil {
		return false, false, err
	}
	defer l.Close()
	id, err := l.Identity(ctx)
	if err != nil || !p.Of(id) {
		return false, false, err
	}
	status, found, err := l.status(ctx)
	if err != nil || !found || !status.SQLError.IsZero() || !p.Left(status.Executed) || status.SQL != "No" && status.Until == "" {
		return false, true, err
	}
	return true, true, l.resume(ctx)
}
