package lock

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
)

// A Stopped is a server none of whose writers gets on: nothing is committed, and nothing is written to tables that are not transactional, whose files are written back. It has
// to be released. When Options.Max has passed it is not held any more, whatever becomes of this process.
type Stopped struct {
	// Position is where the server stands; of one without a binary log (Options.Unlogged), who it is.
	Position mysqldump.Position
	// Report is what the lock cost. Release brings it up to date.
	Report Report

	mu    sync.Mutex
	lock  *held // nil: writers were let go
	lost  error // why, if it was not Release
	timer *time.Timer
}

// Stop holds all writers back. It waits for the lock as Take does. Of Options, Covered, Snapshot, Sources and None are refused. Nothing is held at the server if it fails.
func Stop(ctx context.Context, s *server.Server, o Options) (*Stopped, error) {
	o, err := o.complete()
	if err == nil && (o.None || o.Covered != nil || o.Snapshot != nil || o.Sources) {
		err = errors.New("an option is for snapshots, which nobody takes")
	}
	if err != nil {
		return nil, fmt.Errorf("stop %s: %w", s.Address(), err)
	}
	t := &taker{o: o, server: s, guard: &guard{}}
	l, err := t.stop(ctx)
	if err != nil {
		return nil, fmt.Errorf("stop %s: %w", s.Address(), errors.Join(err, t.close()))
	}
	stopped := &Stopped{Position: t.position, Report: t.report, lock: l}
	stopped.mu.Lock()
	defer stopped.mu.Unlock()
	stopped.timer = time.AfterFunc(l.deadline.Sub(o.Now()), stopped.expire)
	return stopped, nil
}

// stop makes attempts until one succeeds.
func (t *taker) stop(ctx context.Context) (*held, error) {
	if err := t.prepare(ctx); err != nil {
		return nil, err
	}
	begin := t.o.Now()
	waitCtx, cancel := context.WithTimeoutCause(ctx, t.o.Wait, ErrWait)
	defer cancel()
	for {
		if _, err := t.waitForStatements(waitCtx); err != nil {
			return nil, err
		}
		t.report.Attempts++
		t.report.Waited = t.o.Now().Sub(begin)
		l, err := t.stopOnce(ctx)
		if !errors.Is(err, errAttempt) {
			return l, err
		}
		if pause(waitCtx, t.o.Attempt) != nil {
			return nil, fmt.Errorf("%w, in %d attempts in %v: %w", context.Cause(waitCtx), t.report.Attempts, t.o.Wait, err)
		}
	}
}

// stopOnce makes one attempt in a session of its own, with whose end ends all that it may hold.
func (t *taker) stopOnce(ctx context.Context) (_ *held, err error) {
	if t.locker, err = t.server.Connect(ctx); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = t.locker.Close() // and with it the lock
			t.locker = nil
		}
	}()
	if err := t.setTimers(ctx, t.o.Max); err != nil {
		return nil, err
	}
	now := t.o.Now()
	limit := t.o.Max - t.o.Max/10
	l := &held{taker: t, covers: now, stands: now, deadline: now.Add(limit)}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, ErrTooLong)
	defer cancel()
	statements := []string{"FLUSH TABLES WITH READ LOCK"}
	if t.report.Method = statements[0]; t.dialect.BackupStage {
		t.report.Method = "BACKUP STAGE"
		statements = []string{"BACKUP STAGE START", "BACKUP STAGE FLUSH", "BACKUP STAGE BLOCK_DDL", "BACKUP STAGE BLOCK_COMMIT"}
	}
	for _, statement := range statements {
		l.stands = t.o.Now()
		if err := l.bounded(ctx, statement, l.covers); err != nil {
			return nil, l.failed(ctx, err)
		}
	}
	if t.position, err = t.place(ctx, t.locker); err != nil {
		return nil, err
	}
	return l, t.setTimers(ctx, l.deadline.Sub(t.o.Now()))
}

// expire lets writers go at the limit. The server's own timers do so if this process cannot.
func (s *Stopped) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lose(ErrTooLong)
}

// lose lets writers go for a reason.
func (s *Stopped) lose(why error) {
	if s.lock != nil {
		s.lost = fmt.Errorf("hold writers of %s back: %w", s.lock.server.Address(), errors.Join(why, s.end()))
	}
}

// end closes all sessions.
func (s *Stopped) end() error {
	t := s.lock.taker
	s.lock = nil
	s.timer.Stop()
	locker := t.locker
	t.locker = nil
	_ = locker.Close()
	return t.close()
}

// Check returns an error if writers were let go.
func (s *Stopped) Check(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		return s.lost
	}
	l := s.lock
	ctx, cancel := context.WithDeadlineCause(ctx, l.deadline, ErrTooLong)
	defer cancel()
	if err := l.setTimers(ctx, l.deadline.Sub(l.o.Now())); err != nil { // an answer in the session that holds the lock
		s.lose(l.failed(ctx, err))
	}
	return s.lost
}

// Release lets writers go on. The error says that they were not proven to have been held back until now; they are let go in any case. A second call does nothing.
func (s *Stopped) Release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lock == nil {
		lost := s.lost
		s.lost = nil
		return lost
	}
	l := s.lock
	ctx, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	now, err := l.place(ctx, l.locker)
	if err == nil && !samePlace(now, s.Position) {
		err = fmt.Errorf("the server went from %v to %v under its lock", s.Position, now)
	}
	if err == nil {
		statement := "UNLOCK TABLES"
		if l.dialect.BackupStage {
			statement = "BACKUP STAGE END"
		}
		err = l.unlock(ctx, statement)
		s.Report = l.report
	}
	if err = errors.Join(err, s.end()); err != nil {
		return fmt.Errorf("let writers of %s go: %w", l.server.Address(), err)
	}
	return nil
}
