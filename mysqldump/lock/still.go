package lock

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
)

// Where writers wait for the row of one of them, and that one for the global read lock, it is never granted: but then nothing is
// committed either. So meanwhile snapshots are taken, and proven to be at one position by what the server says before and after:
//
//   - the position of its binary log, read first and last, is the same: no transaction was written to it between;
//   - after the first reading no GTID was owned, as each is from before its transaction is written until after that is
//     committed: so all of the position was committed before the first snapshot;
//   - the counter of InnoDB's transactions did not move, which those use too that are not written to the binary log.
//
// What is not proven: an insert without a binary log (sql_log_bin=0) that MySQL 5.7 commits within these moments may be in some of
// the snapshots.

// stillPause is how long nobody looks again.
const stillPause = 3 * time.Millisecond

// mayStand reports whether the server can prove a position without a lock, and nothing else needs the lock.
func (t *taker) mayStand(ctx context.Context) (may bool, err error) {
	if t.flavor == mysqldump.MariaDB || t.identity.GTIDMode != "ON" || t.o.Covered != nil || t.o.Snapshot != nil {
		return false, nil
	}
	err = t.guard.do(func(c *server.Session) error {
		rows, err := c.Rows(ctx, t.dialect.BinaryLogStatus)
		may = len(rows) == 1 && rows[0]["Binlog_Do_DB"] == "" && rows[0]["Binlog_Ignore_DB"] == "" // else not all is written to it
		return err
	})
	return may, err
}

// stand takes snapshots, and reports whether they are at one position.
func (t *taker) stand(ctx context.Context) (stands bool, err error) {
	err = t.guard.do(func(c *server.Session) error {
		before, err := c.Position(ctx)
		if err != nil {
			return err
		}
		owned, err := c.Row(ctx, "SELECT @@GLOBAL.gtid_owned")
		if err != nil || len(owned[0]) > 0 {
			return err
		}
		counter, err := transactionCounter(ctx, c)
		if err != nil || counter == "" {
			return err
		}
		if err := t.open(ctx); err != nil {
			return err
		}
		again, err := transactionCounter(ctx, c)
		if err != nil {
			return err
		}
		t.position, err = c.Position(ctx)
		stands = samePlace(before, t.position) && again == counter
		return err
	})
	return stands, err
}

// transactionCounter returns the number that InnoDB gives to what begins or ends a write next; empty if it does not say.
func transactionCounter(ctx context.Context, c *server.Session) (string, error) {
	status, err := innodbStatus(ctx, c)
	_, after, _ := strings.Cut(status, "Trx id counter ")
	counter, _, _ := strings.Cut(after, "\n")
	return counter, err
}

// standBehind tries until done to take snapshots while the locking session waits for its lock, and has it wait no longer when that
// succeeded.
func (l *held) standBehind(ctx context.Context, done <-chan struct{}) (stands bool, err error) {
	pause := l.o.Attempt / 10 // in which most locks are granted
	for took := time.Duration(0); !stands && err == nil; pause = stillPause {
		select {
		case <-done:
			return false, nil
		case <-time.After(pause):
		}
		start := l.o.Now()
		if start.Sub(l.stands)+took > l.o.Attempt { // the end of the attempt would wait for this one
			return false, nil
		}
		stands, err = l.stand(ctx)
		took = l.o.Now().Sub(start)
	}
	if stands {
		err = errors.Join(l.watch(ctx, l.stands), l.guard.do(func(c *server.Session) error { return c.KillStatement(ctx, l.locker.ID()) }))
	}
	return stands, err
}

// readLock has the global read lock; or it reports that snapshots are taken without.
func (l *held) readLock(ctx context.Context) (stands bool, err error) {
	if !l.canStand {
		return false, l.bounded(ctx, l.report.Method, l.stands)
	}
	done, tried := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		stands, err = l.standBehind(ctx, done)
		tried <- err
	}()
	err = l.bounded(ctx, l.report.Method, l.stands)
	close(done)
	if failed := <-tried; failed != nil {
		return false, errors.Join(err, failed)
	}
	if stands && server.Number(err) == errInterrupted {
		return true, nil
	}
	return stands && err == nil, err // it may have come meanwhile
}

const errInterrupted = 1317

// standBeside tries for as long as an attempt takes to take snapshots without any lock: a statement runs that would hold it back.
func (l *held) standBeside(ctx context.Context, statement string) error {
	for start := l.o.Now(); l.o.Now().Sub(start) < l.o.Attempt; {
		if stands, err := l.stand(ctx); stands || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(stillPause):
		}
	}
	return fmt.Errorf("%w: %s, and without the lock transactions were committed while the snapshots were taken", errAttempt, statement)
}
