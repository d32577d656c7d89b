package lock

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
)

// A Source is whom a server replicates from.
type Source struct {
	Channel string // of MySQL, or the name of MariaDB's connection; empty for the one without
	Host    string
	Port    uint16
	// Position is how much of the source's changes the snapshots have: its file and offset, or GTIDs. Zero is nothing yet.
	Position mysqldump.Position
}

// applier is a channel of the server.
type applier struct {
	Source
	runs    bool // its SQL thread
	failed  bool // and did not stop of itself
	byGTID  bool // its GTIDs are in the snapshot
	options string
}

const errAccessDenied = 1227

// findSources reads whom the server replicates from, and starts what a backup left stopped that was killed.
func (t *taker) findSources(ctx context.Context, c *server.Session, position mysqldump.Position) (err error) {
	if !t.o.Sources {
		return nil
	}
	if t.appliers, err = t.readAppliers(ctx, c); err != nil || len(t.appliers) == 0 {
		return err
	}
	restarted, err := t.restart(ctx, c)
	if err == nil && restarted {
		t.appliers, err = t.readAppliers(ctx, c)
	}
	if err != nil {
		return err
	}
	// Of MySQL, what the snapshots have is what has been executed; without a binary log a commit is seen before that says so.
	serves := !position.GTIDs.IsZero() && !t.unlogged
	if t.flavor == mysqldump.MariaDB {
		if serves, err = t.findSlavePositions(ctx, c); err != nil {
			return err
		}
	}
	for i := range t.appliers {
		a := &t.appliers[i]
		a.byGTID = serves && (a.byGTID || t.flavor != mysqldump.MariaDB)
		if !a.byGTID && t.o.Directory == "" {
			return fmt.Errorf("channel %q of this replica has to be stopped for a moment, which is noted in a directory: none is given", a.Channel)
		}
	}
	return nil
}

// older has newer servers' names of columns in the words of older ones.
var older = strings.NewReplacer("Source", "Master", "Replica_", "Slave_")

func (t *taker) readAppliers(ctx context.Context, c *server.Session) (all []applier, err error) {
	rows, err := c.Rows(ctx, t.dialect.ReplicaStatus)
	if server.Number(err) == errAccessDenied {
		return nil, t.noReplica(ctx, c, err)
	}
	for _, newer := range rows {
		row := make(map[string]string, len(newer))
		for name, value := range newer {
			row[older.Replace(name)] = value
		}
		port, err1 := strconv.ParseUint(row["Master_Port"], 10, 16)
		offset, err2 := strconv.ParseUint(row["Exec_Master_Log_Pos"], 10, 64)
		id, err3 := strconv.ParseUint(row["Master_Server_Id"], 10, 32)
		if err := errors.Join(err1, err2, err3); err != nil {
			return nil, fmt.Errorf("%s: %w", t.dialect.ReplicaStatus, err)
		}
		a := applier{
			Source: Source{Channel: row["Connection_name"] + row["Channel_Name"], Host: row["Master_Host"], Port: uint16(port)},
			runs:   row["Slave_SQL_Running"] == "Yes", failed: row["Last_SQL_Errno"] != "0",
			byGTID: row["Using_Gtid"] != "No",
		}
		a.Position = mysqldump.Position{File: row["Relay_Master_Log_File"], Offset: offset, ServerID: uint32(id)}
		if uuid := row["Master_UUID"]; uuid != "" {
			if a.Position.ServerUUID, err = mysqldump.ParseUUID(uuid); err != nil {
				return nil, fmt.Errorf("%s: %w", t.dialect.ReplicaStatus, err)
			}
		}
		if a.Channel == "" && len(rows) > 1 && !t.dialect.Connection {
			a.options = " FOR CHANNEL ''" // else it would be of all channels
		}
		all = append(all, a)
	}
	return all, err
}

// noReplica returns denied, which kept us from seeing the status of a replica, unless the server is none.
func (t *taker) noReplica(ctx context.Context, c *server.Session, denied error) error {
	running, err := c.Row(ctx, "SHOW GLOBAL STATUS LIKE 'Slaves_running'")
	if err != nil || string(running[1]) != "0" {
		return denied
	}
	position, err := c.Row(ctx, "SELECT @@GLOBAL.gtid_slave_pos")
	if err != nil || len(position[0]) != 0 {
		return denied
	}
	return nil
}

// findSlavePositions finds the tables in which MariaDB keeps what it has executed of its sources, and reports whether a snapshot
// has them right.
func (t *taker) findSlavePositions(ctx context.Context, c *server.Session) (bool, error) {
	row, err := c.Row(ctx, "SELECT @@GLOBAL.gtid_slave_pos")
	if err != nil || len(row[0]) == 0 {
		return false, err
	}
	transactional := true
	err = c.Query(ctx, `SELECT table_name, engine FROM information_schema.tables WHERE table_schema='mysql' AND table_name LIKE 'gtid\\_slave\\_pos%'`,
		func(row [][]byte) error {
			t.slavePositions = append(t.slavePositions, string(row[0]))
			transactional = transactional && string(row[1]) == "InnoDB"
			return nil
		})
	return transactional && len(t.slavePositions) > 0, err
}

// slavePosition reads those tables in a snapshot, which then locks them no more.
func (t *taker) slavePosition(ctx context.Context, c *server.Session) (set mysqldump.GTIDSet, err error) {
	if err := c.Exec(ctx, "SAVEPOINT nightjar_sources"); err != nil {
		return set, err
	}
	type last struct {
		sub  uint64
		gtid string
	}
	domains := map[string]last{}
	for _, table := range t.slavePositions {
		err := c.Query(ctx, "SELECT domain_id, server_id, seq_no, sub_id FROM mysql."+server.Quote(table), func(row [][]byte) error {
			sub, err := strconv.ParseUint(string(row[3]), 10, 64)
			if domain := string(row[0]); err == nil && sub >= domains[domain].sub {
				domains[domain] = last{sub, fmt.Sprintf("%s-%s-%s", row[0], row[1], row[2])}
			}
			return err
		})
		if err != nil {
			return set, err
		}
	}
	var gtids []string
	for _, l := range domains {
		gtids = append(gtids, l.gtid)
	}
	if set, err = mysqldump.ParseGTIDSet(strings.Join(gtids, ",")); err != nil {
		return set, err
	}
	return set, c.Exec(ctx, "ROLLBACK TO SAVEPOINT nightjar_sources")
}

// sources returns the sources, with what the snapshots have of each.
func (t *taker) sources(ctx context.Context) ([]Source, error) {
	var all []Source
	var executed mysqldump.GTIDSet
	for _, a := range t.appliers {
		s := a.Source
		if a.byGTID {
			s.Position.File, s.Position.Offset = "", 0 // which went on meanwhile
			s.Position.GTIDs = t.position.GTIDs
			if t.flavor == mysqldump.MariaDB {
				if executed.IsZero() {
					var err error
					if executed, err = t.slavePosition(ctx, t.snapshots[0]); err != nil {
						return nil, fmt.Errorf("read what was executed of the sources: %w", err)
					}
				}
				s.Position.GTIDs = executed
			}
		} else if t.unlogged {
			s.Position.GTIDs = t.position.GTIDs // read while all threads stood
		}
		if s.Position.File == "" && s.Position.GTIDs.IsZero() {
			s.Position = mysqldump.Position{}
		} else if err := s.Position.Check(); err != nil {
			return nil, fmt.Errorf("source of channel %q: %w", a.Channel, err)
		}
		all = append(all, s)
	}
	return all, nil
}

// paused is an SQL thread that does not run for a moment.
type paused struct {
	*applier
	note *server.PauseNote
}

// standing runs f while the SQL threads stand still whose place is in no snapshot, and starts those again that ran.
func (t *taker) standing(ctx context.Context, f func(ctx context.Context) error) (err error) {
	var stopped []paused
	defer func() {
		for _, p := range stopped {
			err = errors.Join(err, t.resume(p))
		}
	}()
	still := false
	for i := range t.appliers {
		a := &t.appliers[i]
		if a.byGTID {
			continue
		}
		still = true
		if a.runs {
			p, err := t.pause(ctx, a)
			if p.note != nil {
				stopped = append(stopped, p)
			}
			if err != nil {
				return err
			}
		}
	}
	if !still {
		return f(ctx)
	}
	before, err := t.standingAt(ctx)
	if err != nil {
		return err
	}
	if err := f(ctx); err != nil {
		return err
	}
	after, err := t.standingAt(ctx)
	for i := range after {
		if err == nil && !after[i].byGTID && (after[i].runs || !after[i].Position.Equal(before[i].Position)) {
			err = fmt.Errorf("the SQL thread of channel %q was started while it had to stand", after[i].Channel)
		}
		if err == nil {
			t.appliers[i].Position = after[i].Position
		}
	}
	return err
}

// standingAt reads the status of all channels, of which none may have come or gone.
func (t *taker) standingAt(ctx context.Context) (all []applier, err error) {
	err = t.guard.do(func(c *server.Session) error {
		all, err = t.readAppliers(ctx, c)
		return err
	})
	if err == nil && len(all) != len(t.appliers) {
		err = errors.New("the channels of this replica have changed")
	}
	for i := range all {
		if err == nil && all[i].Channel != t.appliers[i].Channel {
			err = errors.New("the channels of this replica have changed")
		}
		all[i].byGTID = err == nil && t.appliers[i].byGTID
	}
	return all, err
}

// stopTimeout is for how long an SQL thread may go on with the transaction that it has begun.
const stopTimeout = time.Minute

// pause stops an SQL thread. If it returns a note, the thread has to be started.
func (t *taker) pause(ctx context.Context, a *applier) (paused, error) {
	what := server.Paused{
		Hostname: t.identity.Hostname, Port: t.identity.Port, ServerID: t.identity.ServerID, UUID: t.identity.ServerUUID,
		Channel: a.Channel, From: a.Position,
	}
	note, err := server.NotePaused(t.o.Directory, what)
	if err != nil {
		return paused{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, stopTimeout)
	defer cancel()
	err = t.guard.do(func(c *server.Session) error {
		if err := c.Exec(ctx, t.dialect.Stop(a.Channel, "SQL_THREAD")+a.options); err != nil {
			return err
		}
		all, err := t.readAppliers(ctx, c)
		for _, now := range all {
			if now.Channel == a.Channel {
				what.From = now.Position
			}
		}
		return err
	})
	if err == nil {
		err = note.Change(what)
	}
	return paused{a, note}, err
}

// resume starts an SQL thread again, in a session of its own if need be. If it cannot, the note is left.
func (t *taker) resume(p paused) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	start := t.dialect.Start(p.Channel, "SQL_THREAD") + p.options
	err := t.guard.do(func(c *server.Session) error { return c.Exec(ctx, start) })
	if err != nil {
		var c *server.Session
		if c, err = t.server.Connect(ctx); err == nil {
			err = c.Exec(ctx, start)
			_ = c.Close()
		}
	}
	if err != nil {
		return errors.Join(fmt.Errorf("start the SQL thread of channel %q, which was stopped for a moment: %w", p.Channel, err), p.note.Close())
	}
	return p.note.Remove()
}

// restart starts SQL threads that a backup of this machine had stopped when it was killed, and that nobody has moved since.
func (t *taker) restart(ctx context.Context, c *server.Session) (restarted bool, err error) {
	left, notes, err := server.LeftPaused(t.o.Directory)
	defer func() {
		for _, n := range notes {
			n.Close()
		}
	}()
	for i, p := range left {
		for _, a := range t.appliers {
			if err != nil || !p.Of(t.identity) || p.Channel != a.Channel || !a.runs && (a.failed || !p.Left(a.Position)) {
				continue
			}
			if !a.runs {
				err = c.Exec(ctx, t.dialect.Start(a.Channel, "SQL_THREAD")+a.options)
			}
			if err == nil {
				err, restarted = notes[i].Remove(), true
			}
		}
	}
	return restarted, err
}
