// Package replay brings a server that has a backup's data to a later moment, by the binary logs of the backup's source.
//
// MakePlan reads the logs from the backup's position on, finds the transaction at which a Target says to stop, and refuses
// what cannot be replayed, before anything is changed. Run then applies the transactions in between, in one session: rows
// by BINLOG statements, statements under the settings with which they ran. Search finds transactions by what they did.
//
// The invariant: a time is a transaction before anything is applied, and what is applied is exactly what the plan names. A
// transaction that fails ends the replay, and is named. Nothing is passed over.
//
// The package neither fetches logs nor proves that they follow each other (see mysqldump/binlog); what statements mean, the
// server decides. Transactions get GTIDs of the server on which they are replayed.
package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/binlog"
)

// A Log is a binary log. Logs come in the order in which they were written, without a gap.
type Log struct {
	Name string
	Open func() (io.ReadCloser, error) // from its beginning
}

// A Found is a transaction and the log that it is in.
type Found struct {
	Log string
	By  string // USER@HOST who ran a statement of it; empty if the log does not say, as of most
	binlog.Transaction
}

// String returns the transaction's place, and what else names it.
func (f Found) String() string {
	text := fmt.Sprintf("%s:%d", f.Log, f.At)
	if id := f.GTID.String(); id != "" {
		text += " (" + id + ")"
	}
	return text + " of " + f.Committed().UTC().Format("2006-01-02 15:04:05.999999 UTC")
}

// Committed returns when the transaction was committed, as precisely as its log says it.
func (f Found) Committed() time.Time {
	if !f.GTID.Committed.IsZero() {
		return f.GTID.Committed
	}
	return f.Time
}

// Errors about what cannot be replayed.
var (
	// ErrMissing says that the logs do not have what is asked for: the position they are to begin at, or the target.
	ErrMissing = errors.New("the binary logs do not have it")
	// ErrUnfit says that the logs have something that no replay can do right.
	ErrUnfit = errors.New("it cannot be replayed")
)

// A BackwardError says that a time does not name one transaction: Refused is the first that was committed at that time or
// later, but Before, which comes after it, was committed earlier. The target has to be one of them.
type BackwardError struct {
	Refused Found
	Last    Found // the last that was committed before the time
	Between int   // transactions from Refused to Last, both counted
}

func (e *BackwardError) Error() string {
	return fmt.Sprintf("commit times run backwards there: transaction %v comes before %v, which stands %d transactions after it", e.Refused, e.Last, e.Between-1)
}

// A walk goes through the transactions of logs after a position.
type walk struct {
	logs   []Log
	first  int               // the log it begins in
	offset uint64            // in that log; 0: from the beginning
	done   mysqldump.GTIDSet // whose transactions are passed over; empty if the position is an offset
	before mysqldump.GTIDSet // of an offset: the transaction that begins there is none of them
}

// startAt finds out in which log a position is.
func startAt(ctx context.Context, logs []Log, from mysqldump.Position) (w walk, err error) {
	for i, l := range logs {
		if from.File != "" && l.Name == from.File {
			return walk{logs: logs, first: i, offset: from.Offset, before: from.GTIDs}, nil
		}
	}
	if from.GTIDs.IsZero() {
		return w, fmt.Errorf("begin at %s:%d: %w", from.File, from.Offset, ErrMissing)
	}
	// The last log before which nothing is that the position has not.
	for i := len(logs) - 1; i >= 0; i-- {
		before, err := beforeOf(logs[i])
		if err != nil {
			return w, err
		}
		if from.GTIDs.Contains(before) {
			return walk{logs: logs, first: i, done: from.GTIDs}, nil
		}
		if ctx.Err() != nil {
			return w, ctx.Err()
		}
	}
	return w, fmt.Errorf("begin after %v: %w: they begin later", from.GTIDs, ErrMissing)
}

// beforeOf returns what a log says of the transactions in the logs before it.
func beforeOf(l Log) (set mysqldump.GTIDSet, err error) {
	file, err := l.Open()
	if err != nil {
		return set, fmt.Errorf("open binary log %s: %w", l.Name, err)
	}
	defer file.Close()
	r := binlog.NewReader(file)
	for {
		e, err := r.Next()
		if err != nil {
			return set, fmt.Errorf("read binary log %s: it does not say what is before it: %w", l.Name, err)
		}
		if e.Type == binlog.PreviousGTIDs || e.Type == binlog.GTIDList {
			return e.ParseBefore()
		}
	}
}

// A visitor is told what a walk meets. Events between two logs, or of what is passed over, are left out.
type visitor interface {
	// log begins a log, with its first event.
	log(l Log, first *binlog.Event, format binlog.Format) error
	// event is handed the events of transactions, and an Incident, which stands between them.
	event(e *binlog.Event) error
	// end is told of a transaction whose events have come, or will not. An error of errStop ends the walk.
	end(f Found) error
}

// errStop ends a walk that has come far enough.
var errStop = errors.New("it has come far enough")

// run goes through the logs.
func (w *walk) run(ctx context.Context, v visitor) error {
	for i := w.first; i < len(w.logs); i++ {
		offset := uint64(0)
		if i == w.first {
			offset = w.offset
		}
		switch err := w.read(ctx, w.logs[i], offset, i == len(w.logs)-1, v); {
		case errors.Is(err, errStop):
			return nil
		case err != nil:
			return fmt.Errorf("replay binary log %s: %w", w.logs[i].Name, err)
		}
	}
	return nil
}

// read goes through one log, from an offset on at which a transaction begins.
func (w *walk) read(ctx context.Context, l Log, offset uint64, last bool, v visitor) error {
	file, err := l.Open()
	if err != nil {
		return err
	}
	defer file.Close()
	r := binlog.NewReader(file)
	step := stepper{walk: w, log: l.Name, visitor: v}
	reached := offset == 0
	for n := 0; ; n++ {
		if n%1024 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		e, err := r.Next()
		switch {
		case err == io.EOF && !reached && offset == r.At(): // the position is the log's end
			return nil
		case err == io.EOF && !reached:
			return fmt.Errorf("begin at offset %d: %w: it ends at %d", offset, ErrMissing, r.At())
		case err == io.EOF && step.all.Open() && !last:
			return fmt.Errorf("a transaction has no end: %w", ErrUnfit)
		case err == io.EOF, last && errors.Is(err, io.ErrUnexpectedEOF): // what has no end has not been committed
			return nil
		case err != nil:
			return err
		}
		if e.Type == binlog.FormatDescription {
			if err := v.log(l, &e, r.Format()); err != nil {
				return err
			}
		}
		if !reached && (e.At > offset || e.At == offset && step.all.Open()) {
			return fmt.Errorf("begin at offset %d: %w: no transaction begins there", offset, ErrMissing)
		}
		if reached = reached || e.At == offset; !reached {
			_, err = step.all.Add(&e)
		} else {
			err = step.take(&e)
		}
		if err != nil {
			return err
		}
	}
}

// A stepper hands the events of one log to a visitor, but for those of transactions that are passed over.
type stepper struct {
	*walk
	visitor
	log  string
	all  binlog.Assembler
	skip bool // the transaction that is open
}

func (s *stepper) take(e *binlog.Event) (err error) {
	begins := !s.all.Open()
	t, err := s.all.Add(e)
	if err != nil {
		return err
	}
	if t != nil && t.Broken { // e is none of its events
		if err := s.end(Found{Log: s.log, Transaction: *t}); err != nil && !s.skip {
			return err
		}
		t, begins = nil, true
	}
	lost := e.Type == binlog.Incident // goes with what came before it
	if begins && !lost {
		if s.skip, err = s.has(e); err != nil {
			return err
		}
	}
	if s.skip || t == nil && !s.all.Open() && !lost { // it is between transactions
		return nil
	}
	if err := s.event(e); err != nil || t == nil {
		return err
	}
	return s.end(Found{Log: s.log, Transaction: *t})
}

// has reports whether the position has the transaction that an event begins.
func (w *walk) has(e *binlog.Event) (bool, error) {
	switch e.Type {
	case binlog.MariaDBGTID, binlog.MySQLGTID, binlog.TaggedGTID:
	default:
		return false, nil
	}
	if w.done.IsZero() && w.before.IsZero() {
		return false, nil
	}
	id, err := e.GTID()
	if err != nil || id.IsZero() {
		return false, err
	}
	one, err := mysqldump.ParseGTIDSet(id.String())
	if err == nil && w.before.Contains(one) {
		return false, fmt.Errorf("begin at offset %d: %w: transaction %v is there, which the position has: the logs are of another history, with equal names", w.offset, ErrMissing, id)
	}
	w.before = mysqldump.GTIDSet{}
	return err == nil && w.done.Contains(one), err
}
