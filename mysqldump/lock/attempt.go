package lock

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
)

// errAttempt says that an attempt failed as attempts do: another may succeed.
var errAttempt = errors.New("attempt given up")

// Numbers of errors with which statements end that waited for a lock.
var lockErrors = map[uint16]bool{
	1205: true, // lock wait timeout
	1213: true, // deadlock
	1317: true, // interrupted
	1969: true, // max_statement_time, of MariaDB
	3024: true, // max_execution_time, of MySQL
}

// takeLocked makes attempts until one succeeds.
func (t *taker) takeLocked(ctx context.Context) error {
	begin := t.o.Now()
	waitCtx, cancel := context.WithTimeoutCause(ctx, t.o.Wait, ErrWait)
	defer cancel()
	var err error
	if t.canStand, err = t.mayStand(ctx); err != nil {
		return err
	}
	for {
		if t.long, err = t.waitForStatements(waitCtx); err != nil {
			return err
		}
		t.report.Attempts++
		t.report.Waited = t.o.Now().Sub(begin)
		err := t.standing(ctx, t.attempt)
		if !errors.Is(err, errAttempt) {
			return err
		}
		if pause(waitCtx, t.o.Attempt) != nil {
			return fmt.Errorf("%w, in %d attempts in %v: %w", context.Cause(waitCtx), t.report.Attempts, t.o.Wait, err)
		}
	}
}

// pause waits for two to five times as long as an attempt takes, so that writers catch up.
func pause(ctx context.Context, attempt time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(2*attempt + rand.N(3*attempt+1)):
		return nil
	}
}

// waitForStatements waits until no statement runs that has run for a while, which would hold the global read lock back: and that,
// given up, would hold others back for as long as the statement runs. Where no lock is needed it returns the statement.
func (t *taker) waitForStatements(ctx context.Context) (said string, err error) {
	if t.dialect.BackupStage { // which waits for none but writes to non-transactional tables
		return "", nil
	}
	for {
		err := t.guard.do(func(c *server.Session) (err error) {
			said, err = longStatement(ctx, c, c.ID())
			return err
		})
		if err != nil || said == "" || t.canStand {
			return said, err
		}
		if pause(ctx, t.o.Attempt) != nil {
			return "", fmt.Errorf("%w: %s", context.Cause(ctx), said)
		}
	}
}

// held is the lock while it is.
type held struct {
	*taker
	deadline       time.Time // when it has to be given up
	covers, stands time.Time // when the server was asked to hold back DDL, and commits
}

// attempt makes one attempt in a session of its own, with whose end ends all that it may hold.
func (t *taker) attempt(ctx context.Context) (err error) {
	if t.locker, err = t.server.Connect(ctx); err != nil {
		return err
	}
	keep := false
	defer func() {
		if !keep {
			_ = t.locker.Close() // and with it the lock
			t.locker = nil
		}
	}()
	if err := t.setTimers(ctx, t.o.Max); err != nil {
		return err
	}
	now := t.o.Now()
	limit := t.o.Max - t.o.Max/10 // so that we give it up, before the server does
	l := &held{taker: t, covers: now, stands: now, deadline: now.Add(limit)}
	ctx, cancel := context.WithTimeoutCause(ctx, limit, ErrTooLong)
	defer cancel()
	if t.dialect.BackupStage {
		err = l.byStage(ctx)
	} else {
		err = l.byReadLock(ctx)
	}
	if err != nil && !errors.Is(err, errAttempt) && !errors.Is(err, ErrTooLong) && !t.o.Now().Before(l.deadline) {
		err = fmt.Errorf("%w: %w", ErrTooLong, err)
	}
	if err == nil {
		keep = t.dialect.InstanceLock
		err = t.prove(ctx)
	}
	return err
}

// setTimers has the server itself end the session if nothing is heard of it, and statements that wait for a lock.
func (t *taker) setTimers(ctx context.Context, idle time.Duration) error {
	return t.locker.Exec(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout=1, wait_timeout=%d", max(1, idle/time.Second)))
}

// byStage locks as MariaDB does.
func (l *held) byStage(ctx context.Context) error {
	l.report.Method = "BACKUP STAGE"
	for _, stage := range []string{"START", "FLUSH", "BLOCK_DDL"} {
		if err := l.bounded(ctx, "BACKUP STAGE "+stage, l.covers); err != nil {
			return err
		}
	}
	if l.o.Covered != nil {
		if err := l.o.Covered(ctx, l.snapshots); err != nil {
			return l.failed(ctx, err)
		}
		if err := l.setTimers(ctx, l.deadline.Sub(l.o.Now())); err != nil {
			return err
		}
	}
	l.stands = l.o.Now()
	if err := l.bounded(ctx, "BACKUP STAGE BLOCK_COMMIT", l.stands); err != nil {
		return err
	}
	if err := l.snapshot(ctx); err != nil {
		return err
	}
	return l.unlock(ctx, "BACKUP STAGE END")
}

// byReadLock locks as all others do.
func (l *held) byReadLock(ctx context.Context) error {
	l.report.Method = "FLUSH TABLES WITH READ LOCK"
	if l.dialect.InstanceLock {
		if err := l.bounded(ctx, "LOCK INSTANCE FOR BACKUP", l.covers); err != nil {
			return err
		}
	}
	l.stands = l.o.Now()
	if l.long != "" {
		l.report.Method = "none, the position stood still"
		return l.standBeside(ctx, l.long)
	}
	if stands, err := l.readLock(ctx); err != nil {
		return err
	} else if stands {
		l.report.Method += ", waiting"
		return l.unlock(ctx, "UNLOCK TABLES")
	}
	if l.o.Covered != nil {
		if err := l.o.Covered(ctx, l.snapshots); err != nil {
			return l.failed(ctx, err)
		}
		if err := l.setTimers(ctx, l.deadline.Sub(l.o.Now())); err != nil {
			return err
		}
	}
	before, err := l.place(ctx, l.locker)
	if err != nil {
		return err
	}
	if err := l.snapshot(ctx); err != nil {
		return err
	}
	if !samePlace(before, l.position) {
		return fmt.Errorf("the server went from %v to %v under its lock", before, l.position)
	}
	return l.unlock(ctx, "UNLOCK TABLES")
}

// snapshot takes the snapshots and reads the position.
func (l *held) snapshot(ctx context.Context) (err error) {
	if err := l.taker.open(ctx); err != nil {
		return err
	}
	if l.o.Snapshot != nil {
		if err := l.o.Snapshot(ctx, l.snapshots[0]); err != nil {
			return l.failed(ctx, err)
		}
	}
	l.position, err = l.place(ctx, l.locker)
	return err
}

// failed is an error of a callback, with the reason if it was told to end.
func (l *held) failed(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// unlock gives the lock up. That it is still there to be given up proves that it was there all the time.
func (l *held) unlock(ctx context.Context, statement string) error {
	if err := l.watch(ctx, l.covers); err != nil {
		return err
	}
	if err := l.locker.Exec(ctx, statement); err != nil {
		return err
	}
	now := l.o.Now()
	l.report.Held, l.report.Covered = now.Sub(l.stands), now.Sub(l.covers)
	return l.setTimers(ctx, l.o.Max)
}

// watch sees who waits.
func (l *held) watch(ctx context.Context, began time.Time) error {
	return l.guard.do(func(c *server.Session) error {
		wait, err := LongestWait(ctx, c, l.o.Now().Sub(began), l.locker.ID(), c.ID())
		l.report.LongestWait = max(l.report.LongestWait, wait)
		return err
	})
}

// bounded runs a statement that may wait for a lock, and make others wait meanwhile. It kills the session if the statement
// takes longer than an attempt may.
func (l *held) bounded(ctx context.Context, statement string, began time.Time) error {
	done, killed := make(chan struct{}), make(chan error, 1)
	go func() {
		select {
		case <-done:
			killed <- nil
		case <-time.After(l.o.Attempt):
			killed <- errors.Join(errAttempt, l.watch(ctx, began), l.kill(ctx))
		}
	}()
	err := l.locker.Exec(ctx, statement)
	close(done)
	switch kill := <-killed; {
	case kill != nil && context.Cause(ctx) == nil:
		return fmt.Errorf("%s: took longer than %v: %w", statement, l.o.Attempt, kill)
	case lockErrors[server.Number(err)]:
		return fmt.Errorf("%w: %w", errAttempt, err)
	}
	return err
}

func (l *held) kill(ctx context.Context) error {
	return l.guard.do(func(c *server.Session) error { return c.Kill(ctx, l.locker.ID()) })
}

// takeUnlocked takes snapshots until they happen to be at one position. Only MariaDB says of a snapshot where it is.
func (t *taker) takeUnlocked(ctx context.Context) error {
	if t.unlogged {
		return t.takeOne(ctx)
	}
	if t.flavor != mysqldump.MariaDB { // what MySQL says of its position may be of a commit that nobody sees yet
		return errors.New("only a lock proves at which position a snapshot of this server is")
	}
	begin := t.o.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, t.o.Wait, ErrWait)
	defer cancel()
	for {
		t.report.Attempts++
		t.report.Waited = t.o.Now().Sub(begin)
		met := false
		err := t.standing(ctx, func(ctx context.Context) (err error) {
			met, err = t.meet(ctx)
			return err
		})
		if err == nil && met && t.o.Snapshot != nil {
			err = t.o.Snapshot(ctx, t.snapshots[0])
		}
		if err != nil || met {
			return err
		}
		if pause(ctx, t.o.Attempt) != nil {
			return fmt.Errorf("%w: %d snapshots without a lock were at one position in none of %d attempts", context.Cause(ctx),
				len(t.snapshots), t.report.Attempts)
		}
	}
}

// takeOne takes the snapshot of a server that has no position, where one by itself is of one moment.
func (t *taker) takeOne(ctx context.Context) (err error) {
	if len(t.snapshots) > 1 {
		return fmt.Errorf("neither a lock nor a position proves that %d snapshots are of one moment: %w", len(t.snapshots), server.ErrNoBinaryLog)
	}
	t.report.Attempts++
	err = t.standing(ctx, func(ctx context.Context) (err error) {
		if t.position, err = t.place(ctx, t.guard.session); err != nil {
			return err
		}
		return t.open(ctx)
	})
	if err == nil && t.o.Snapshot != nil {
		err = t.o.Snapshot(ctx, t.snapshots[0])
	}
	return err
}

// meet reports whether snapshots are at one position, as MariaDB says of each.
func (t *taker) meet(ctx context.Context) (_ bool, err error) {
	if err := t.open(ctx); err != nil {
		return false, err
	}
	c := t.guard.session
	if t.position, err = c.Position(ctx); err != nil {
		return false, err
	}
	now := t.position
	if t.position.File, t.position.Offset, err = t.snapshots[0].SnapshotPosition(ctx); err != nil {
		return false, err
	}
	if !samePlace(t.position, now) {
		if t.position.GTIDs, err = c.GTIDsAt(ctx, t.position.File, t.position.Offset); err != nil {
			return false, err
		}
	}
	return t.prove(ctx) == nil, nil
}
