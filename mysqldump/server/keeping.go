package server

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrBinaryLogEngine says that a storage engine keeps the binary log. It has GTIDs, but no offsets in files, and no file of it is
	// in the binary log's format.
	ErrBinaryLogEngine = errors.New("the binary log is kept by a storage engine, and not in files of its own")
	// ErrRedoArchive says that InnoDB's log goes on in one file after the other, of other names and another form.
	ErrRedoArchive = errors.New("InnoDB archives its log, in files that backups do not know")
)

// What newer servers of MariaDB say of where they keep their logs. Older ones do not know the names. See
// https://mariadb.com/docs/server/ha-and-performance/standard-replication/innodb-based-binary-log and
// https://mariadb.com/docs/server/server-usage/storage-engines/innodb/innodb-log-archiving.
const (
	binlogEngine = "binlog_storage_engine" // empty: none
	redoArchive  = "innodb_log_archive"
)

// Keeping says in what other ways than files of the known forms a server keeps its logs. The zero value is none.
type Keeping struct {
	BinaryLog string // the storage engine that keeps the binary log; empty: none
	Redo      bool   // whether InnoDB archives its log
}

// KeepingOf returns what a server's global variables say, by their names in lower case.
func KeepingOf(variables map[string]string) Keeping {
	archives := variables[redoArchive]
	return Keeping{BinaryLog: variables[binlogEngine], Redo: strings.EqualFold(archives, "ON") || archives == "1"}
}

// Keeping asks the server how it keeps its logs.
func (c *Session) Keeping(ctx context.Context) (Keeping, error) {
	said := map[string]string{}
	err := c.Query(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('"+binlogEngine+"', '"+redoArchive+"')", func(row [][]byte) error {
		said[strings.ToLower(string(row[0]))] = string(row[1])
		return nil
	})
	return KeepingOf(said), err
}

// BinaryLogFiles returns an error that wraps ErrBinaryLogEngine unless the binary log is in files of its own.
func (k Keeping) BinaryLogFiles() error {
	if k.BinaryLog == "" {
		return nil
	}
	return fmt.Errorf("%w (%s=%s)", ErrBinaryLogEngine, binlogEngine, k.BinaryLog)
}

// RedoFiles returns an error that wraps ErrRedoArchive if InnoDB archives its log.
func (k Keeping) RedoFiles() error {
	if !k.Redo {
		return nil
	}
	return fmt.Errorf("%w (%s=ON)", ErrRedoArchive, redoArchive)
}
