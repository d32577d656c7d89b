package binlog

import (
	"slices"
	"strings"
	"time"
)

// A Transaction is a group of events that take effect together.
type Transaction struct {
	At, Next uint64 // its events are between
	GTID     GTID   // zero if its server gives none
	ServerID uint32
	Begun    time.Time // of its first event
	Time     time.Time // of its last event: when it was committed; in seconds, and possibly earlier than that of one before
	Events   int

	Statements []Statement // as far as the log says them, without BEGIN and COMMIT
	Tables     []string    // DATABASE.TABLE of its rows, in the order in which they come first
	RowEvents  int
	Cut        bool // there are more statements or tables, or longer ones, than are kept
	Sealed     bool // MySQL compressed it: statements and tables are not known
	Broken     bool // its end is missing: the server crashed, and the log goes on without it
}

// How much of a transaction is kept.
const (
	maxStatements    = 256
	maxStatementText = 64 << 10 // bytes of each
	maxTables        = 1024
)

// An Assembler groups the events of a log into transactions. The zero Assembler is at the beginning of a log.
type Assembler struct {
	t    *Transaction // nil: none is open
	ends ending
}

// An ending says what ends a transaction.
type ending int

const (
	undecided ending = iota // what its first statement says
	byCommit                // XID, COMMIT, ROLLBACK, or a prepared one
	byQuery                 // the first statement
)

// Open reports whether events are missing of the transaction whose events came last.
func (a *Assembler) Open() bool { return a.t != nil }

// Add adds the next event. It returns the transaction which that completes, or one that will never be complete.
func (a *Assembler) Add(e *Event) (done *Transaction, err error) {
	switch e.Type {
	case MariaDBGTID, MySQLGTID, AnonymousGTID, TaggedGTID:
		done = a.broken()
		g, err := e.GTID()
		if err != nil {
			return nil, err
		}
		a.begin(e, g)
		switch {
		case e.Type == MariaDBGTID && g.Standalone:
			a.ends = byQuery
		case e.Type == MariaDBGTID:
			a.ends = byCommit
		}
		return done, nil
	case FormatDescription, PreviousGTIDs, GTIDList, Rotate, Stop, StartEncryption, Incident:
		return a.broken(), nil
	case BinlogCheckpoint, Ignorable, Heartbeat, HeartbeatV2:
		return nil, nil
	}
	if a.t == nil { // as servers without GTIDs have it
		a.begin(e, GTID{})
	}
	a.t.Events++
	a.t.Next, a.t.Time = e.Next, e.Time
	ended, err := a.look(e)
	if err != nil || !ended {
		return nil, err
	}
	done, a.t = a.t, nil
	return done, nil
}

func (a *Assembler) begin(e *Event, g GTID) {
	a.t = &Transaction{At: e.At, Next: e.Next, GTID: g, ServerID: e.ServerID, Begun: e.Time, Time: e.Time}
	a.ends = undecided
	if !g.IsZero() || e.Type == AnonymousGTID {
		a.t.Events = 1
	}
}

func (a *Assembler) broken() *Transaction {
	t := a.t
	if a.t = nil; t != nil {
		t.Broken = true
	}
	return t
}

// look takes from an event what is kept of it, and reports whether it ends the transaction.
func (a *Assembler) look(e *Event) (ended bool, err error) {
	switch {
	case e.Type == XID || e.Type == XAPrepare:
		return true, nil
	case e.Type == TransactionPayload:
		a.t.Sealed = true
		_, err := e.Payload()
		return true, err
	case e.Type == TableMap:
		t, err := e.Table()
		a.table(t)
		return false, err
	case e.Type.IsRows():
		a.t.RowEvents++
		_, err := e.Rows()
		return false, err
	case e.Type == Query || e.Type == QueryCompressed || e.Type == ExecuteLoadQuery || e.Type == RowsQuery || e.Type == AnnotateRows:
		s, err := e.Statement()
		if err != nil {
			return false, err
		}
		return a.statement(s), nil
	}
	return false, nil
}

func (a *Assembler) table(t Table) {
	name := t.Database + "." + t.Name
	switch {
	case slices.Contains(a.t.Tables, name):
	case len(a.t.Tables) == maxTables:
		a.t.Cut = true
	default:
		a.t.Tables = append(a.t.Tables, name)
	}
}

// statement keeps a statement, and reports whether it ends the transaction.
func (a *Assembler) statement(s Statement) (ended bool) {
	text := strings.TrimRight(s.Text, " \t\r\n;\x00")
	if !s.Rows {
		begins := strings.EqualFold(text, "BEGIN") || says(text, "START", "TRANSACTION")
		opens := begins || says(text, "XA", "START") || says(text, "XA", "BEGIN") || endsWith(text, "START TRANSACTION") // of CREATE TABLE … SELECT
		switch {
		case a.ends == undecided && opens:
			a.ends = byCommit
		case a.ends == undecided:
			a.ends = byQuery
		}
		commits := strings.EqualFold(text, "COMMIT") || strings.EqualFold(text, "ROLLBACK")
		ended = a.ends == byQuery || commits || says(text, "XA", "COMMIT") || says(text, "XA", "ROLLBACK")
		if begins || commits {
			return ended
		}
	}
	if len(a.t.Statements) == maxStatements {
		a.t.Cut = true
		return ended
	}
	if len(s.Text) > maxStatementText {
		s.Text, a.t.Cut = s.Text[:maxStatementText], true
	}
	a.t.Statements = append(a.t.Statements, s)
	return ended
}

func endsWith(text, words string) bool {
	return len(text) >= len(words) && strings.EqualFold(text[len(text)-len(words):], words)
}
