package replica

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
)

func (p *pointing) check(ctx context.Context) error {
	if err := p.source.Position.Check(); err != nil {
		return err
	}
	if p.source.Host == "" || p.source.User == "" {
		return errors.New("the source has no host, or no user")
	}
	status, found, err := p.l.status(ctx)
	if err != nil {
		return err
	}
	p.before = found
	if found && !p.o.Replace {
		return refuse("it replicates from %s:%d already", status.Host, status.Port)
	}
	if err := p.checkIdentity(ctx); err != nil {
		return err
	}
	if err := p.checkMode(ctx); err != nil {
		return err
	}
	if p.o.Server != nil {
		return p.checkLogs(ctx)
	}
	return nil
}

// checkIdentity compares the ends: each must be another server, and the replica no older one.
func (p *pointing) checkIdentity(ctx context.Context) error {
	replica, err := identify(ctx, p.l.Session)
	if err != nil {
		return err
	}
	at := p.source.Position
	source := identity{Identity: server.Identity{Flavor: at.Flavor, Version: at.Version, ServerID: at.ServerID, ServerUUID: at.ServerUUID}}
	if p.o.Server != nil {
		c, err := p.o.Server.Connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		if source, err = identify(ctx, c); err != nil {
			return err
		}
		if !source.logs {
			return refuse("the source writes no binary log (log_bin)")
		}
	}
	p.here, p.there = replica.Identity, source.Identity
	switch {
	case replica.ServerID == 0:
		return refuse("its server_id is 0, with which no server replicates")
	case source.ServerID == replica.ServerID:
		return refuse("both servers have server_id %d", replica.ServerID)
	case !source.ServerUUID.IsZero() && source.ServerUUID == replica.ServerUUID:
		return refuse("both servers have server_uuid %s", replica.ServerUUID)
	case source.Flavor == mysqldump.MariaDB && replica.Flavor == mysqldump.MySQL:
		return refuse("MySQL does not replicate from MariaDB")
	case source.GTIDMode == "ON" && replica.GTIDMode == "OFF", source.GTIDMode == "OFF" && replica.GTIDMode == "ON":
		return refuse("gtid_mode is %s at the source, %s here", source.GTIDMode, replica.GTIDMode)
	case source.Flavor == replica.Flavor && compareVersions(source.Version, replica.Version) > 0 && !p.o.AllowOlder:
		return refuse("the source is %s, newer than the replica's %s", source.Version, replica.Version)
	case source.lowerCase != "" && replica.lowerCase != source.lowerCase:
		return refuse("lower_case_table_names is %s at the source, %s here", source.lowerCase, replica.lowerCase)
	}
	return nil
}

type identity struct {
	server.Identity
	lowerCase string
	logs      bool
}

func identify(ctx context.Context, c *server.Session) (i identity, err error) {
	if i.Identity, err = c.Identity(ctx); err != nil {
		return i, err
	}
	row, err := c.Row(ctx, "SELECT @@GLOBAL.lower_case_table_names, @@GLOBAL.log_bin")
	if err != nil {
		return i, err
	}
	i.lowerCase, i.logs = string(row[0]), string(row[1]) == "1"
	return i, nil
}

// compareVersions compares the first two numbers of versions; 0 if one has none. What servers say of their versions proves
// nothing, so this warns of mistakes and decides nothing else.
func compareVersions(a, b string) int {
	x, y := versionNumbers(a), versionNumbers(b)
	if x == 0 || y == 0 {
		return 0
	}
	return x - y
}

func versionNumbers(v string) int {
	v = strings.TrimPrefix(v, "5.5.5-") // MariaDB's to old clients
	first, rest, _ := strings.Cut(v, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, err1 := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(second)
	if err1 != nil || err2 != nil {
		return 0
	}
	return major*1000 + minor
}

// checkMode finds out whether GTIDs or file and offset are followed, and whether the replica's own binary log is in the way.
func (p *pointing) checkMode(ctx context.Context) (err error) {
	at := p.source.Position
	if p.l.mariaDB {
		if p.executed, _, err = variable(ctx, p.l.Session, "gtid_binlog_pos"); err != nil {
			return err
		}
		p.hasGTIDs = at.GTIDs.Flavor() == mysqldump.MariaDB
	} else {
		if p.executed, _, err = variable(ctx, p.l.Session, "gtid_executed"); err != nil {
			return err
		}
		p.hasGTIDs = at.GTIDs.Flavor() == mysqldump.MySQL && strings.HasPrefix(p.here.GTIDMode, "ON")
	}
	if p.l.others > 0 { // what has been executed of all channels is one set
		if !p.o.NoGTID {
			return refuse("it replicates by %d more channels, beside which GTIDs cannot be set", p.l.others)
		}
		p.hasGTIDs = false
	}
	p.done.GTID = p.hasGTIDs && !p.o.NoGTID
	switch {
	case p.done.GTID:
	case at.File == "" || at.Offset == 0:
		return refuse("the position has no file and offset, and GTIDs cannot be followed here")
	case at.ServerID != 0 && at.ServerID != p.there.ServerID:
		return refuse("the position's file and offset are of server_id %d, the source is server_id %d", at.ServerID, p.there.ServerID)
	}
	return p.checkOwnLog(ctx)
}

// checkOwnLog looks for transactions of the replica's own. MySQL takes no gtid_purged beside them, and MariaDB takes them for a
// part of the source's history.
func (p *pointing) checkOwnLog(ctx context.Context) error {
	own := strings.Trim(p.executed, " \n")
	if !p.hasGTIDs || own == "" {
		return nil
	}
	if !p.l.mariaDB {
		if set, err := mysqldump.ParseGTIDSet(own); err == nil && set.Equal(p.source.Position.GTIDs) {
			return nil
		}
	}
	if !p.o.ResetLog {
		return refuse("its own binary log has transactions: %.200s", own)
	}
	readers, err := p.l.Rows(ctx, "SELECT USER, HOST FROM information_schema.PROCESSLIST WHERE COMMAND LIKE 'Binlog Dump%'")
	if err != nil {
		return err
	}
	if len(readers) > 0 {
		return refuse("its own binary log is read by %s@%s", readers[0]["USER"], readers[0]["HOST"])
	}
	p.resetting = true
	return nil
}

// checkLogs asks the source whether it still has what comes after the position.
func (p *pointing) checkLogs(ctx context.Context) error {
	c, err := p.o.Server.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	at := p.source.Position
	if p.done.GTID && !p.l.mariaDB {
		text, _, err := variable(ctx, c, "gtid_purged")
		if err != nil {
			return err
		}
		purged, err := mysqldump.ParseGTIDSet(text)
		if err == nil && !at.GTIDs.Contains(purged) {
			err = refuse("the source has purged transactions that the replica lacks")
		}
		return err
	}
	if at.File == "" || p.done.GTID && at.ServerID != p.there.ServerID {
		return nil // it says when it is asked
	}
	logs, err := c.Rows(ctx, "SHOW BINARY LOGS")
	if err != nil {
		return err
	}
	for _, log := range logs {
		if log["Log_name"] != at.File {
			continue
		}
		if size, err := strconv.ParseUint(log["File_size"], 10, 64); err == nil && size < at.Offset {
			return refuse("%s at the source has %d bytes, the position is %d", at.File, size, at.Offset)
		}
		return nil
	}
	return refuse("the source has purged %s, or never had it", at.File)
}
