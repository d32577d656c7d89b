package replica

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/advice"
	"nightjar/mysqldump/server"
)

// Start starts both threads of a channel. That they run, Wait finds out.
func Start(ctx context.Context, s *server.Server, channel string) error {
	l, err := connect(ctx, s, channel)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.about(ctx, "START REPLICA"); err != nil {
		return fmt.Errorf("start replication at %s: %w", s.Address(), err)
	}
	return nil
}

// Stop stops both threads of a channel. A server without that channel is left as it is.
func Stop(ctx context.Context, s *server.Server, channel string) error {
	l, err := connect(ctx, s, channel)
	if err != nil {
		return err
	}
	defer l.Close()
	_, found, err := l.status(ctx)
	if err == nil && found {
		err = l.about(ctx, "STOP REPLICA")
	}
	if err != nil {
		return fmt.Errorf("stop replication at %s: %w", s.Address(), err)
	}
	return nil
}

// WaitOptions say what Wait waits for.
type WaitOptions struct {
	Channel string
	// Target is a position of the source, read after the start.
	Target mysqldump.Position
	// Limit bounds the whole wait; 0: an hour.
	Limit time.Duration
	// Patience is how long errors may last that may go away by themselves; 0: 30 seconds.
	Patience time.Duration
	// Skip is how many transactions that fail may be passed over.
	Skip int
	// Report is told how far the replica is, at every look; nil: nobody is.
	Report func(Status)
}

// Waited says what Wait saw.
type Waited struct {
	Status  Status
	Skipped []Skipped // in their order, in an error's case too
}

// ErrLate is wrapped by the error of a wait that took longer than it may.
var ErrLate = errors.New("the replica did not get there in time")

// Wait returns when both threads run, the source sends what it has, and the target has been executed. If a thread stands still, the
// error is a StoppedError.
func Wait(ctx context.Context, s *server.Server, o WaitOptions) (Waited, error) {
	limit := orElse(o.Limit, time.Hour)
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("%w: %s", ErrLate, limit))
	defer cancel()
	l, err := connect(ctx, s, o.Channel)
	if err != nil {
		return Waited{}, err
	}
	defer l.Close()
	w := waiting{l: l, o: o, patience: time.NewTimer(orElse(o.Patience, 30*time.Second)), steady: time.NewTimer(steady)}
	defer w.patience.Stop()
	defer w.steady.Stop()
	err = w.run(ctx)
	if err != nil {
		err = fmt.Errorf("wait for the replica at %s: %w", s.Address(), err)
	}
	return w.done, err
}

// steady is for how long a replica must be seen to run that had the target before it was looked at: the source may refuse it yet.
const steady = 500 * time.Millisecond

type waiting struct {
	l        *link
	o        WaitOptions
	done     Waited
	patience *time.Timer
	failing  Failure // that may pass
	steady   *time.Timer
	moved    bool // the replica has been seen without the target
}

func (w *waiting) run(ctx context.Context) error {
	for {
		status, found, err := w.l.status(ctx)
		if err != nil {
			return err
		}
		if !found {
			return w.l.noChannel("the server")
		}
		w.done.Status = status
		if w.o.Report != nil {
			w.o.Report(status)
		}
		arrived := false
		again, err := w.judge(ctx, status)
		if err == nil && !again && status.Runs() {
			arrived, err = w.arrived(ctx, status)
		} else {
			w.steady.Reset(steady)
		}
		if err != nil || arrived {
			return err
		}
		if err := sleep(ctx, pollEvery); err != nil {
			return err
		}
	}
}

func (w *waiting) arrived(ctx context.Context, s Status) (bool, error) {
	reached, err := w.l.reached(ctx, s, w.o.Target)
	switch {
	case err != nil:
		return false, err
	case !reached:
		w.moved = true
		return false, nil
	case !s.receives():
		w.steady.Reset(steady)
		return false, nil
	case w.moved:
		return true, nil
	}
	select {
	case <-w.steady.C:
		return true, nil
	default:
		return false, nil
	}
}

// receives reports whether the IO thread has come so far that the source sends it events.
func (s Status) receives() bool {
	return strings.Contains(s.IOState, "to send event") || strings.HasPrefix(s.IOState, "Queueing") || strings.Contains(s.IOState, "relay log space")
}

// judge looks for what stops the replica. It is to be asked again if something was done about it.
func (w *waiting) judge(ctx context.Context, s Status) (again bool, err error) {
	switch {
	case !s.SQLError.IsZero() && s.SQL == "No":
		if len(w.done.Skipped) < w.o.Skip {
			skipped, err := w.l.skip(ctx, s)
			if err == nil {
				w.done.Skipped = append(w.done.Skipped, skipped)
			}
			return true, err
		}
		return false, &StoppedError{s.Channel, "SQL", w.l.detail(ctx, s), s}
	case s.SQL == "No":
		return false, &StoppedError{s.Channel, "", Failure{}, s}
	case s.IO == "Yes":
		w.failing = Failure{}
		return false, nil
	case !s.IOError.IsZero():
		a, known := advice.For(s.IOError.Number, s.IOError.Text)
		if s.IO == "No" || known && !a.Passing {
			return false, &StoppedError{s.Channel, "IO", s.IOError, s}
		}
		if w.failing.IsZero() {
			w.patience.Reset(orElse(w.o.Patience, 30*time.Second))
			w.failing = s.IOError
		}
		select {
		case <-w.patience.C:
			return false, &StoppedError{s.Channel, "IO", s.IOError, s}
		default:
		}
	case s.IO == "No":
		return false, &StoppedError{s.Channel, "", Failure{}, s}
	}
	return false, nil
}

// detail returns the error of the worker that failed, where the SQL thread only says that one did.
func (l *link) detail(ctx context.Context, s Status) Failure {
	if l.mariaDB {
		return s.SQLError
	}
	rows, err := l.Rows(ctx, "SELECT LAST_ERROR_NUMBER AS number, LAST_ERROR_MESSAGE AS message FROM performance_schema.replication_applier_status_by_worker "+
		"WHERE LAST_ERROR_NUMBER<>0 AND CHANNEL_NAME="+server.Literal(s.Channel))
	if err != nil || len(rows) == 0 {
		return s.SQLError // which is what there is
	}
	number, err := strconv.Atoi(rows[0]["number"])
	if err != nil {
		return s.SQLError
	}
	return Failure{number, rows[0]["message"]}
}

// reached reports whether a position of the source has been executed here. It waits for at most a second.
func (l *link) reached(ctx context.Context, s Status, target mysqldump.Position) (bool, error) {
	if s.GTID && !target.GTIDs.IsZero() {
		set := server.Literal(target.GTIDs.String())
		if l.mariaDB {
			value, err := l.value(ctx, "SELECT MASTER_GTID_WAIT("+set+", 1)")
			return value == "0", err
		}
		value, err := l.value(ctx, "SELECT WAIT_FOR_EXECUTED_GTID_SET("+set+", 1)")
		return value == "0", err
	}
	if target.File == "" || target.Offset == 0 {
		return false, errors.New("the position that is waited for has neither GTIDs that the replica follows nor file and offset")
	}
	var err error
	for _, function := range []string{"SOURCE_POS_WAIT", "MASTER_POS_WAIT"} {
		channel := ""
		if l.channel != "" || l.dialect.Channel && !l.mariaDB { // MySQL wants a name as soon as there are several
			channel = ", " + server.Literal(l.channel)
		}
		var row [][]byte
		row, err = l.Row(ctx, fmt.Sprintf("SELECT %s(%s, %d, 1%s)", function, server.Literal(target.File), target.Offset, channel))
		if err == nil {
			return row[0] != nil && string(row[0]) != "-1", nil
		}
		if !unknown(err) {
			return false, err
		}
	}
	return false, err
}
