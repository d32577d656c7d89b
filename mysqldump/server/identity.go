package server

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"nightjar/mysqldump"
)

// An Identity is what a server says of itself.
type Identity struct {
	Flavor     mysqldump.Flavor // by whose GTIDs it knows, not by its version; empty if it knows none
	Version    string           // as it says, which proves nothing
	ServerID   uint32           // 0 if replicas are refused
	ServerUUID mysqldump.UUID   // zero of MariaDB
	Hostname   string           // as the server's machine calls itself
	Port       uint16           // on which it listens; 0 for none
	GTIDMode   string           // of MySQL: ON, OFF, ON_PERMISSIVE, OFF_PERMISSIVE; empty of MariaDB, which always has GTIDs
}

// Identity asks the server what it is.
func (c *Session) Identity(ctx context.Context) (id Identity, err error) {
	id, _, err = c.identify(ctx)
	if err != nil {
		return Identity{}, fmt.Errorf("identify %s: %w", c.at, err)
	}
	return id, nil
}

// What MariaDB, MySQL and others answer, each with the flavor that it tells, GTIDs, GTID mode and UUID.
var identifying = []struct {
	flavor    mysqldump.Flavor
	variables string
}{
	{mysqldump.MariaDB, "@@GLOBAL.gtid_binlog_pos, '', ''"},
	{mysqldump.MySQL, "'', @@GLOBAL.gtid_mode, @@GLOBAL.server_uuid"}, // its GTIDs come with the status of the binary log
	{"", "'', '', ''"},
}

// said is what changes while the server runs.
type said struct {
	gtids string
	time  time.Time
}

func (c *Session) identify(ctx context.Context) (id Identity, s said, err error) {
	var row [][]byte
	for _, try := range identifying {
		id.Flavor = try.flavor
		row, err = c.Row(ctx, "SELECT "+try.variables+
			", @@GLOBAL.server_id, VERSION(), UTC_TIMESTAMP(6), @@GLOBAL.hostname, @@GLOBAL.port")
		if Number(err) != errUnknownVariable {
			break
		}
	}
	if err != nil {
		return id, s, err
	}
	s.gtids, id.GTIDMode, id.Version, id.Hostname = string(row[0]), string(row[1]), string(row[4]), string(row[6])
	number, err1 := strconv.ParseUint(string(row[3]), 10, 32)
	port, err2 := strconv.ParseUint(string(row[7]), 10, 16)
	id.ServerID, id.Port = uint32(number), uint16(port)
	var err3, err4 error
	if len(row[2]) > 0 {
		id.ServerUUID, err3 = mysqldump.ParseUUID(string(row[2]))
	}
	s.time, err4 = time.Parse("2006-01-02 15:04:05.999999", string(row[5]))
	return id, s, errors.Join(err1, err2, err3, err4)
}

// ErrNoBinaryLog says that a server has no position, since it writes no binary log.
var ErrNoBinaryLog = errors.New("the server writes no binary log")

// Position reads where the server's binary log stands. File and GTIDs are of one moment. GTIDs of MySQL are left out unless
// its mode is ON: transactions without GTIDs would be missing from them. The error is ErrNoBinaryLog if the server has
// no position, and the server's own, which names the privilege, if it is not to be seen.
func (c *Session) Position(ctx context.Context) (mysqldump.Position, error) {
	p, err := c.position(ctx)
	if err == nil {
		err = p.Check()
	}
	if err != nil {
		return mysqldump.Position{}, fmt.Errorf("read position of %s: %w", c.at, err)
	}
	return p, nil
}

// Unlogged returns who a server is that writes no binary log, as a position without a place. GTIDs are what one of MySQL has
// executed as a replica: its own changes have none.
func (c *Session) Unlogged(ctx context.Context) (p mysqldump.Position, err error) {
	id, s, err := c.identify(ctx)
	if err == nil && id.GTIDMode == "ON" {
		var row [][]byte
		if row, err = c.Row(ctx, "SELECT @@GLOBAL.gtid_executed"); err == nil {
			p.GTIDs, err = mysqldump.ParseGTIDSet(string(row[0]))
		}
	}
	if err != nil {
		return mysqldump.Position{}, fmt.Errorf("identify %s: %w", c.at, err)
	}
	p.ServerID, p.ServerUUID, p.Flavor, p.Version, p.Time = id.ServerID, id.ServerUUID, id.Flavor, id.Version, s.time
	return p, nil
}

// positionTries is how often a position is read whose parts are not of one moment.
const positionTries = 5

func (c *Session) position(ctx context.Context) (p mysqldump.Position, err error) {
	file, err := c.binaryLog(ctx)
	if err != nil {
		return p, err
	}
	for try := 1; ; try++ {
		before := file
		id, s, err := c.identify(ctx)
		if err != nil {
			return p, err
		}
		p = mysqldump.Position{
			File: file.name, Offset: file.offset, ServerID: id.ServerID, ServerUUID: id.ServerUUID,
			Flavor: id.Flavor, Version: id.Version, Time: s.time,
		}
		if id.GTIDMode == "ON" {
			s.gtids = file.gtids
		}
		if id.Flavor == mysqldump.MariaDB {
			if file, err = c.binaryLog(ctx); err != nil {
				return p, err
			}
			if file != before && try < positionTries {
				continue
			}
			if file != before {
				if p.GTIDs, err = c.GTIDsAt(ctx, before.name, before.offset); err != nil {
					return p, err
				}
				return p, nil
			}
		}
		p.GTIDs, err = mysqldump.ParseGTIDSet(s.gtids)
		return p, err
	}
}

// binaryLog is a row of the status of the binary log.
type binaryLog struct {
	name   string
	offset uint64
	gtids  string // of MySQL
}

func (c *Session) binaryLog(ctx context.Context) (b binaryLog, err error) {
	d, err := c.Dialect(ctx)
	if err != nil {
		return b, err
	}
	if d.BinaryLogStatus == "" {
		return b, errors.New("the server takes no statement that shows the status of its binary log")
	}
	rows, err := c.Rows(ctx, d.BinaryLogStatus)
	if err != nil {
		return b, err
	}
	if len(rows) == 0 {
		return b, c.noLog(ctx)
	}
	b.name, b.gtids = rows[0]["File"], rows[0]["Executed_Gtid_Set"]
	if offset := rows[0]["Position"]; offset != "" {
		b.offset, err = strconv.ParseUint(offset, 10, 64)
	}
	return b, err
}

// noLog returns ErrNoBinaryLog, unless the server should write a log: one that was closed by a failure does not.
func (c *Session) noLog(ctx context.Context) error {
	row, err := c.Row(ctx, "SELECT @@GLOBAL.log_bin")
	switch {
	case err != nil:
		return err
	case string(row[0]) != "0":
		return errors.New("its binary log is on (log_bin), and closed: the server's error log says why")
	}
	return ErrNoBinaryLog
}

// GTIDsAt has a server of MariaDB look up in its binary log which GTIDs are before an offset, which may take a while.
func (c *Session) GTIDsAt(ctx context.Context, file string, offset uint64) (set mysqldump.GTIDSet, err error) {
	row, err := c.Row(ctx, fmt.Sprintf("SELECT BINLOG_GTID_POS(%s, %d)", Literal(file), offset))
	if err == nil && row[0] == nil {
		err = errors.New("the server does not know them")
	}
	if err == nil {
		set, err = mysqldump.ParseGTIDSet(string(row[0]))
	}
	if err != nil {
		return set, fmt.Errorf("look up GTIDs at offset %d of %s: %w", offset, file, err)
	}
	return set, nil
}

// SnapshotPosition returns the place that the session's consistent snapshot has in the binary log, of MariaDB. A server that
// does not say it, as MySQL, is told by an empty File.
func (c *Session) SnapshotPosition(ctx context.Context) (file string, offset uint64, err error) {
	err = c.Query(ctx, "SHOW SESSION STATUS LIKE 'binlog_snapshot_%'", func(row [][]byte) (err error) {
		switch strings.ToLower(string(row[0])) {
		case "binlog_snapshot_file":
			file = string(row[1])
		case "binlog_snapshot_position":
			offset, err = strconv.ParseUint(string(row[1]), 10, 64)
		}
		return err
	})
	return file, offset, err
}

// Kill ends another session, and with it what it holds. One that has ended already is no error.
func (c *Session) Kill(ctx context.Context, id uint64) error { return c.kill(ctx, "KILL", id) }

// KillStatement ends the statement that another session runs, if it runs any.
func (c *Session) KillStatement(ctx context.Context, id uint64) error {
	return c.kill(ctx, "KILL QUERY", id)
}

func (c *Session) kill(ctx context.Context, verb string, id uint64) error {
	err := c.Exec(ctx, verb+" "+strconv.FormatUint(id, 10))
	if Number(err) == errUnknownThread {
		return nil
	}
	return err
}

// Cluster returns what keeps several servers in step in a way that a lock or a replica would break, in words: Galera, or group
// replication. It is empty if nothing does.
func (c *Session) Cluster(ctx context.Context) (string, error) {
	rows, err := c.Rows(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('wsrep_on', 'group_replication_group_name')")
	if err != nil {
		return "", err
	}
	for _, row := range rows {
		switch name, value := strings.ToLower(row["Variable_name"]), row["Value"]; {
		case name == "wsrep_on" && value == "ON":
			return "Galera (wsrep_on=ON)", nil
		case name == "group_replication_group_name" && value != "":
			return "group replication (group_replication_group_name=" + value + ")", nil
		}
	}
	return "", nil
}
