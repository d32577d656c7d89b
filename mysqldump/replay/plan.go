package replay

import (
	"context"
	"fmt"
	"strings"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/binlog"
	"nightjar/mysqldump/until"
)

// A Plan is what a replay will apply.
type Plan struct {
	Transactions uint64
	Last         *Found // the last that is applied; nil: none is
	Refused      *Found // the first that is not; nil: the logs end
	Bytes        uint64 // of the logs' events that are applied

	walk walk
}

// MakePlan finds out what is between a position and a target, by reading the logs.
//
// The error is ErrMissing if the logs begin after the position or end before the target, unless that is a time: then what
// there is is before it. It is ErrUnfit if something in between cannot be replayed, and a BackwardError if a time is not
// one transaction.
func MakePlan(ctx context.Context, logs []Log, from mysqldump.Position, target until.Target) (*Plan, error) {
	w, err := startAt(ctx, logs, from)
	if err != nil {
		return nil, err
	}
	p := &planner{plan: Plan{walk: w}, target: target}
	if target.GTID != "" && !w.done.IsZero() {
		if one, err := mysqldump.ParseGTIDSet(target.GTID); err == nil && w.done.Contains(one) {
			return nil, fmt.Errorf("replay to %v: %w: the backup has it already", target, ErrMissing)
		}
	}
	if err := w.run(ctx, p); err != nil {
		return nil, err
	}
	return p.finish()
}

// A planner is the visitor that makes a plan.
type planner struct {
	plan    Plan
	target  until.Target
	current string    // the log
	size    uint64    // of the events of the transaction so far
	reached bool      // the target
	unfit   error     // in the transaction so far, or before it
	lost    time.Time // when changes were lost (incident) after the last transaction; zero: none were
	after   *Found    // the last that comes after plan.Refused, and was committed before the target
	later   int       // transactions from plan.Refused to the latest
	between int       // to after
}

func (p *planner) log(l Log, _ *binlog.Event, _ binlog.Format) error {
	p.current = l.Name
	return nil
}

func (p *planner) event(e *binlog.Event) error {
	if e.Type == binlog.Incident {
		p.lost, p.unfit = e.Time, unfit(e)
		return nil
	}
	if p.size += uint64(len(e.Raw)); p.unfit == nil {
		p.unfit = unfit(e)
	}
	return nil
}

func (p *planner) end(f Found) error {
	size, bad, lost := p.size, p.unfit, p.lost
	p.size, p.unfit, p.lost = 0, nil, time.Time{}
	if f.Broken {
		return nil
	}
	if p.plan.Refused != nil { // whether one of before the time comes late
		if p.later++; f.Committed().Before(p.target.Time) {
			p.after, p.between = &f, p.later
		}
		return nil
	}
	if p.reached || p.refuses(f) {
		if !p.reached && lost.Before(p.target.Time) && !lost.IsZero() {
			return fmt.Errorf("before transaction %v: %w: %w", f, ErrUnfit, bad)
		}
		p.plan.Refused, p.later = &f, 1
		if p.target.Time.IsZero() {
			return errStop
		}
		return nil
	}
	if bad != nil {
		return fmt.Errorf("transaction %v: %w: %w", f, ErrUnfit, bad)
	}
	p.plan.Transactions++
	p.plan.Bytes += size
	p.plan.Last = &f
	p.reached = p.target.GTID != "" && f.GTID.String() == p.target.GTID
	return nil
}

// refuses reports whether a transaction is after the target.
func (p *planner) refuses(f Found) bool {
	switch {
	case !p.target.Time.IsZero():
		return !f.Committed().Before(p.target.Time)
	case p.target.File != "":
		if f.Log == p.target.File {
			if f.At >= p.target.Offset {
				p.reached = true
			}
			return f.Next > p.target.Offset
		}
		return p.past(f.Log)
	case p.target.GTID != "" && p.target.Before && f.GTID.String() == p.target.GTID:
		p.reached = true
		return true
	}
	return false
}

// past reports whether a log comes after the target's.
func (p *planner) past(log string) bool {
	seen := false
	for _, l := range p.plan.walk.logs {
		if l.Name == log {
			return seen
		}
		seen = seen || l.Name == p.target.File
	}
	return false
}

func (p *planner) finish() (*Plan, error) {
	if p.after != nil {
		return nil, &BackwardError{Refused: *p.plan.Refused, Last: *p.after, Between: p.between}
	}
	last, refused := p.plan.Last, p.plan.Refused
	switch t := p.target; {
	case refused == nil && t.GTID == "" && t.File == "" && !p.lost.IsZero() && (t.IsZero() || p.lost.Before(t.Time)):
		return nil, fmt.Errorf("at the end of the logs: %w: %w", ErrUnfit, p.unfit)
	case t.GTID != "" && !p.reached:
		return nil, fmt.Errorf("replay to %v: %w", t, ErrMissing)
	case t.File != "":
		at := last != nil && last.Log == t.File && last.Next == t.Offset
		before := refused != nil && refused.Log == t.File && refused.At == t.Offset
		if !at && !before {
			return nil, fmt.Errorf("replay to %v: %w: no transaction begins or ends there", t, ErrMissing)
		}
	}
	return &p.plan, nil
}

// Search calls f with the transactions after a position that have a statement which matches, in their order, until f returns
// false; with all of them if match is nil. Of one that MySQL compressed it has the statements as well.
func Search(ctx context.Context, logs []Log, from mysqldump.Position, match func(binlog.Statement) bool, f func(Found) bool) error {
	w, err := startAt(ctx, logs, from)
	if err != nil {
		return err
	}
	return w.run(ctx, &searcher{match: match, f: f})
}

type searcher struct {
	match func(binlog.Statement) bool
	f     func(Found) bool

	by     string
	hit    bool
	seen   int                // statements of the transaction
	more   []binlog.Statement // of it, which a Transaction does not have
	packed bool               // what comes is in a compressed transaction
}

// maxMore is how many statements are kept of a transaction, which a Transaction does not have.
const maxMore = 256

func (*searcher) log(Log, *binlog.Event, binlog.Format) error { return nil }

func (s *searcher) event(e *binlog.Event) error {
	switch e.Type {
	case binlog.TransactionPayload:
		s.packed = true
		return unpack(e, s.event)
	case binlog.Query, binlog.QueryCompressed:
		if was, err := settingsOf(e); err == nil && was.invoker != "" {
			s.by = was.invoker
		}
	case binlog.ExecuteLoadQuery, binlog.RowsQuery, binlog.AnnotateRows:
	default:
		return nil
	}
	said, err := e.Statement()
	if err != nil || frames(said.Text) {
		return err
	}
	s.seen++
	hit := s.match != nil && s.match(said)
	s.hit = s.hit || hit
	if (s.packed || hit && s.seen > maxMore) && len(s.more) < maxMore {
		s.more = append(s.more, said)
	}
	return nil
}

func (s *searcher) end(f Found) error {
	hit := s.hit || s.match == nil
	f.By, f.Statements = s.by, append(f.Statements, s.more...)
	*s = searcher{match: s.match, f: s.f}
	if !f.Broken && hit && !s.f(f) {
		return errStop
	}
	return nil
}

// Says returns a match of statements that have a text, whatever its letters' case, white space and the quotes of names,
// which servers add. Rows whose statements are not in the log are not found.
func Says(text string) func(binlog.Statement) bool {
	quotes := strings.NewReplacer("`", "", `"`, "")
	fold := func(s string) string { return strings.ToLower(strings.Join(strings.Fields(quotes.Replace(s)), " ")) }
	text = fold(text)
	return func(s binlog.Statement) bool { return strings.Contains(fold(s.Text), text) }
}
