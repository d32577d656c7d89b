package server

import (
	"context"
	"fmt"
	"sync"
)

// A Dialect is which of several statements of one meaning a server takes. Statements are empty if it takes none.
type Dialect struct {
	BinaryLogStatus string // SHOW BINARY LOG STATUS, SHOW BINLOG STATUS or SHOW MASTER STATUS
	ReplicaStatus   string // of all channels or connections: SHOW ALL SLAVES STATUS, SHOW REPLICA STATUS or SHOW SLAVE STATUS
	Replicas        string // SHOW REPLICAS or SHOW SLAVE HOSTS
	ChangeSource    string // CHANGE REPLICATION SOURCE TO or CHANGE MASTER TO
	Source          string // SOURCE or MASTER: how names of ChangeSource's options begin, as in SOURCE_HOST
	Replica         string // REPLICA or SLAVE: as in START REPLICA, STOP REPLICA SQL_THREAD, RESET REPLICA ALL
	Channel         bool   // whether these statements take FOR CHANNEL 'name' at their end
	Connection      bool   // whether these statements take a connection's 'name' after MASTER or SLAVE
	BackupStage     bool   // whether it has BACKUP STAGE
	InstanceLock    bool   // whether it has LOCK INSTANCE FOR BACKUP
}

// dialect is a server's, asked once.
type dialect struct {
	mu    sync.Mutex
	known bool
	Dialect
}

// Dialect asks the server, once for all sessions, which statements it takes. Nothing is run: it is let parse them.
func (c *Session) Dialect(ctx context.Context) (Dialect, error) {
	c.dialect.mu.Lock()
	defer c.dialect.mu.Unlock()
	if c.dialect.known {
		return c.dialect.Dialect, nil
	}
	d, err := c.askDialect(ctx)
	if err != nil {
		return Dialect{}, fmt.Errorf("find out the dialect of %s: %w", c.at, err)
	}
	c.dialect.Dialect, c.dialect.known = d, true
	return d, nil
}

func (c *Session) askDialect(ctx context.Context) (d Dialect, err error) {
	first := func(statements ...string) string {
		for _, s := range statements {
			var takes bool
			if takes, err = c.takes(ctx, s, err); takes {
				return s
			}
		}
		return ""
	}
	d.BinaryLogStatus = first("SHOW BINARY LOG STATUS", "SHOW BINLOG STATUS", "SHOW MASTER STATUS")
	d.ReplicaStatus = first("SHOW ALL SLAVES STATUS", "SHOW REPLICA STATUS", "SHOW SLAVE STATUS")
	d.Replicas = first("SHOW REPLICAS", "SHOW SLAVE HOSTS")
	switch {
	case first("CHANGE REPLICATION SOURCE TO SOURCE_HOST='h'") != "":
		d.ChangeSource, d.Source = "CHANGE REPLICATION SOURCE TO", "SOURCE"
	case first("CHANGE MASTER TO MASTER_HOST='h'") != "":
		d.ChangeSource, d.Source = "CHANGE MASTER TO", "MASTER"
	}
	switch {
	case first("START REPLICA SQL_THREAD") != "":
		d.Replica = "REPLICA"
	case first("START SLAVE SQL_THREAD") != "":
		d.Replica = "SLAVE"
	}
	d.Channel = first("START "+d.Replica+" SQL_THREAD FOR CHANNEL 'c'") != ""
	d.Connection = first("START "+d.Replica+" 'c' SQL_THREAD") != ""
	d.BackupStage = first("BACKUP STAGE START") != ""
	d.InstanceLock = first("LOCK INSTANCE FOR BACKUP") != ""
	return d, err
}

// Numbers of errors of servers, as Number returns them.
const (
	errParse           = 1064
	errUnknownVariable = 1193
	errUnknownThread   = 1094
)

// takes reports whether the server parses a statement. It is prepared, never executed: of those that cannot be prepared the
// server says so, after it has parsed them. Nothing is asked if before is not nil.
func (c *Session) takes(ctx context.Context, statement string, before error) (bool, error) {
	if before != nil {
		return false, before
	}
	err := c.Exec(ctx, "PREPARE nightjar FROM "+Literal(statement))
	switch n := Number(err); {
	case err == nil:
		return true, c.Exec(ctx, "DEALLOCATE PREPARE nightjar")
	case n == errParse:
		return false, nil
	case n != 0: // such as a missing privilege, or that it cannot be prepared
		return true, nil
	}
	return false, err
}

// Start returns the statement that starts threads of a channel, or connection: "SQL_THREAD", "IO_THREAD", or empty for both.
// The channel is empty for the unnamed one.
func (d Dialect) Start(channel, threads string) string { return d.onChannel("START", channel, threads) }

// Stop returns the statement that stops threads, as Start does.
func (d Dialect) Stop(channel, threads string) string { return d.onChannel("STOP", channel, threads) }

func (d Dialect) onChannel(verb, channel, threads string) string {
	s := verb + " " + d.Replica
	if channel != "" && d.Connection {
		s += " " + Literal(channel)
	}
	if threads != "" {
		s += " " + threads
	}
	if channel != "" && !d.Connection {
		s += " FOR CHANNEL " + Literal(channel)
	}
	return s
}
