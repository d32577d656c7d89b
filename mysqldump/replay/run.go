package replay

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"nightjar/mysqldump"
	"nightjar/mysqldump/binlog"
	"nightjar/mysqldump/server"
)

// Options say how transactions are replayed.
type Options struct {
	NoBinlog bool               // keep them out of the server's binary log
	Inside   bool               // tables are made in the data directory, whatever the logs say (DATA DIRECTORY)
	Done     func(bytes uint64) // is told of progress in the logs; nil: nobody is
}

// A Result is what was replayed.
type Result struct {
	Transactions uint64
	Last         *Found            // nil: none was
	GTIDs        mysqldump.GTIDSet // theirs; empty if the logs give none, or they make no set
}

// A FailedError says which transaction could not be applied. Those before it were.
type FailedError struct {
	At    Found // as far as it was read
	Doubt bool  // the server did not answer to what may have committed it: whether it was applied is not known
	Err   error
}

func (e *FailedError) Error() string { return fmt.Sprintf("replay transaction %v: %v", e.At, e.Err) }
func (e *FailedError) Unwrap() error { return e.Err }

// Run applies the transactions of a plan. An error that came from a transaction is a FailedError; what was applied before
// it stays.
func Run(ctx context.Context, s *server.Server, p *Plan, o Options) (r Result, err error) {
	if p.Transactions == 0 {
		return r, nil
	}
	a := &applier{ctx: ctx, server: s, plan: p, o: o}
	defer a.close()
	if err := a.connect(); err != nil {
		return r, err
	}
	walk := p.walk
	err = walk.run(ctx, a)
	if set, wrong := a.gtids.Set(); wrong == nil && !a.noSet {
		a.result.GTIDs = set
	}
	if err == nil && a.result.Transactions != p.Transactions {
		err = fmt.Errorf("replay: %d transactions were applied, %d are planned: the logs have changed", a.result.Transactions, p.Transactions)
	}
	return a.result, err
}

// An applier is the visitor that applies what it meets.
type applier struct {
	ctx     context.Context
	server  *server.Server
	session *server.Session
	plan    *Plan
	o       Options
	result  Result
	gtids   binlog.GTIDs
	noSet   bool // they make none

	flavor     mysqldump.Flavor
	packet     int                  // bytes of a statement
	collations map[uint32]collation // name and character set by number; read when they are needed

	current string // the log
	format  binlog.Format
	first   []byte // the log's first event
	summed  bool   // what the server was told of the events that come
	told    bool

	set      map[string]string // the session's settings as they were last set
	database string
	open     bool  // a transaction
	began    Found // what is known of it
	rows     batch
}

func (a *applier) close() {
	if a.session != nil {
		a.session.Close()
		a.session = nil
	}
}

// connect opens the session. Temporary tables of the one before are gone, as they were on the logs' server.
func (a *applier) connect() (err error) {
	a.close()
	if a.session, err = a.server.Connect(a.ctx); err != nil {
		return err
	}
	id, err := a.session.Identity(a.ctx)
	if err != nil {
		return err
	}
	a.flavor, a.database, a.told = id.Flavor, "", false
	a.set = map[string]string{"check_constraint_checks": "1", "sql_if_exists": "0", "system_versioning_insert_history": "0"} // which older servers do not have
	row, err := a.session.Row(a.ctx, "SELECT @@max_allowed_packet")
	if err != nil {
		return err
	}
	if a.packet, err = strconv.Atoi(string(row[0])); err != nil {
		return fmt.Errorf("read max_allowed_packet: %w", err)
	}
	const most, overhead = 1 << 20, 64
	a.rows.limit = min((a.packet-overhead)/4*3, most)
	if a.o.NoBinlog {
		return a.session.Exec(a.ctx, "SET SESSION sql_log_bin=0")
	}
	return nil
}

func (a *applier) log(l Log, first *binlog.Event, format binlog.Format) error {
	restarted := a.current != "" && format.Started
	a.current, a.format, a.told = l.Name, format, false
	a.first = append(a.first[:0], first.Raw...)
	if restarted {
		return a.connect()
	}
	return nil
}

func (a *applier) event(e *binlog.Event) error {
	if !a.open {
		a.open = true
		if a.plan.Last != nil && a.result.Transactions == a.plan.Transactions {
			return errStop
		}
		a.began = Found{Log: a.current, Transaction: binlog.Transaction{At: e.At, Next: e.Next, Time: e.Time, ServerID: e.ServerID}}
		if id, err := e.GTID(); err == nil {
			a.began.GTID = id
		}
	}
	err := a.tell(a.format.Checksums)
	if err == nil {
		err = a.apply(e, a.format.Checksums)
	}
	if err != nil {
		return &FailedError{At: a.began, Doubt: commits(e) && server.Number(err) == 0, Err: err}
	}
	return nil
}

// commits reports whether an event can end a transaction.
func commits(e *binlog.Event) bool {
	return e.Type == binlog.XID || e.Type == binlog.TransactionPayload || e.Type == binlog.Query || e.Type == binlog.QueryCompressed
}

func (a *applier) end(f Found) error {
	if f.Broken {
		a.rows = batch{limit: a.rows.limit}
		a.open = false
		return a.session.Exec(a.ctx, "ROLLBACK")
	}
	if err := a.flush(); err != nil {
		return &FailedError{At: f, Err: err}
	}
	a.open = false
	a.result.Transactions++
	a.result.Last = &f
	a.noSet = a.gtids.Add(f.GTID) != nil || a.noSet
	if a.o.Done != nil {
		a.o.Done(f.Next - f.At)
	}
	if a.result.Transactions == a.plan.Transactions {
		return errStop
	}
	return nil
}

// apply applies an event. summed says whether it has a checksum.
func (a *applier) apply(e *binlog.Event, summed bool) error {
	switch {
	case e.Type == binlog.MariaDBGTID:
		id, err := e.GTID()
		if err != nil || id.Standalone {
			return err
		}
		return a.session.Exec(a.ctx, begin) // which is not in the log
	case e.Type == binlog.TransactionPayload:
		if err := a.tell(false); err != nil {
			return err
		}
		return unpack(e, func(inner *binlog.Event) error {
			if err := unfit(inner); err != nil {
				return err
			}
			return a.apply(inner, false)
		})
	case e.Type == binlog.TableMap || e.Type.IsRows():
		return a.row(e, summed)
	case e.Type == binlog.XID:
		if err := a.flush(); err != nil {
			return err
		}
		return a.session.Exec(a.ctx, "COMMIT")
	case e.Type == binlog.Query || e.Type == binlog.QueryCompressed:
		return a.query(e, summed)
	case e.Type == binlog.IntVar || e.Type == binlog.Rand || e.Type == binlog.UserVar:
		if err := a.flush(); err != nil {
			return err
		}
		return a.variable(e, summed)
	}
	return nil
}

// tell tells the server the format of the events that come. It takes that between transactions only.
func (a *applier) tell(summed bool) error {
	if a.told && a.summed == summed {
		return nil
	}
	format := a.first
	if !summed {
		format = withoutSums(format)
	}
	a.told, a.summed = true, summed
	if err := a.session.Exec(a.ctx, statement(format)); err != nil || a.flavor != mysqldump.MySQL {
		return err
	}
	return a.session.Exec(a.ctx, "SET SESSION gtid_next='AUTOMATIC'") // which a format leaves undecided
}

// row takes an event of a table or of rows.
func (a *applier) row(e *binlog.Event, summed bool) error {
	plain, err := e.Expand()
	if err != nil {
		return err
	}
	full, err := a.rows.add(&plain, summed)
	if err != nil || full == nil {
		return err
	}
	return a.send(full)
}

// flush applies the rows that were gathered.
func (a *applier) flush() error {
	if len(a.rows.events) == 0 {
		return nil
	}
	if !a.rows.rows {
		a.rows.events = nil
		return nil
	}
	return a.send(a.rows.take(a.summed))
}

func (a *applier) send(events []byte) error {
	text := statement(events)
	if len(text) >= a.packet {
		return fmt.Errorf("a statement of %d bytes is larger than the server's max_allowed_packet of %d", len(text), a.packet)
	}
	return a.session.Exec(a.ctx, text)
}

// errUnlike is wrapped where a statement ended in another way than it did.
var errUnlike = errors.New("it did not end as it did at its server")
