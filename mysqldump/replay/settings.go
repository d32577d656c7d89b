package replay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nightjar/internal/wire"
	"nightjar/mysqldump/binlog"
	"nightjar/mysqldump/server"
)

// Settings are those of the session in which a statement ran.
type settings struct {
	all     []setting   // in the order of the log
	maria   []setting   // more of them, if it is a log of MariaDB's
	pairs   [][2]uint16 // MariaDB's character_set_collations: a character set, by its default collation, and the collation
	micro   uint32      // of the time
	invoker string      // USER@HOST who ran it; empty if the log does not say
}

// A setting is a session's variable, and its value as SET takes it.
type setting struct{ name, value string }

// The codes of what a Query says of its session, and what it is for. The formats are those of the servers' sources:
// libbinlogevents/include/statement_events.h of MySQL, sql/log_event.h of MariaDB.
const (
	hasFlags          = 0
	hasSQLMode        = 1
	hasOldCatalog     = 2
	hasAutoIncrement  = 3
	hasCharset        = 4
	hasTimeZone       = 5
	hasCatalog        = 6
	hasTimeNames      = 7
	hasDatabaseCset   = 8
	hasTablesToUpdate = 9
	hasWritten        = 10
	hasInvoker        = 11
	hasDatabases      = 12
	hasMicroseconds   = 13
	hasTimestampRule  = 16
	hasXID            = 17
	hasUTF8MB4        = 18
	hasPrimaryKeyRule = 19
	hasEncryption     = 20
	hasCascade        = 21
	hasMariaDBMicro   = 128
	hasMariaDBXID     = 129
	hasMariaDBGTID    = 130
	hasMariaDBCset    = 131

	tooManyDatabases = 254
)

// The bits of hasFlags.
const (
	flagAutoIsNull      = 1 << 14
	flagNoChecks        = 1 << 15 // of MariaDB, as the last three
	flagNotAutocommit   = 1 << 19
	flagTimestampRule   = 1 << 24
	flagNoForeignKeys   = 1 << 26
	flagNoUniqueChecks  = 1 << 27
	flagIfExists        = 1 << 28
	flagInsertedHistory = 1 << 30

	knownFlags = flagAutoIsNull | flagNoChecks | flagNotAutocommit | flagTimestampRule | flagNoForeignKeys | flagNoUniqueChecks | flagIfExists | flagInsertedHistory
)

// The bits of hasMariaDBGTID.
const (
	gtidStartAlter    = 1 << 0
	gtidCommitAlter   = 1 << 1
	gtidRollbackAlter = 1 << 2
)

// parseSettings parses what a Query says of its session.
func parseSettings(b []byte) (s settings, err error) {
	r := wire.NewReader(b)
	for r.Err() == nil && r.Left() > 0 {
		code := r.Byte()
		known := s.number(code, &r)
		if !known {
			known, err = s.other(code, &r)
		}
		switch {
		case r.Err() != nil:
		case err != nil:
			return s, err
		case !known:
			return s, fmt.Errorf("it says something of its session that nobody knows: %d", code)
		}
	}
	return s, r.Err()
}

func (s *settings) set(name string, value uint64) {
	s.all = append(s.all, setting{name, strconv.FormatUint(value, 10)})
}

// number takes a variable that is a number, and reports whether it is one.
func (s *settings) number(code byte, r *wire.Reader[[]byte]) bool {
	switch code {
	case hasSQLMode:
		s.set("sql_mode", r.Uint64())
	case hasAutoIncrement:
		s.set("auto_increment_increment", uint64(take16(r)))
		s.set("auto_increment_offset", uint64(take16(r)))
	case hasCharset:
		s.set(clientCharset, uint64(take16(r)))
		s.set("collation_connection", uint64(take16(r)))
		s.set("collation_server", uint64(take16(r)))
	case hasTimeNames:
		s.set("lc_time_names", uint64(take16(r)))
	case hasDatabaseCset:
		s.set("collation_database", uint64(take16(r)))
	case hasTimestampRule:
		s.set("explicit_defaults_for_timestamp", uint64(r.Byte()))
	case hasUTF8MB4:
		s.set("default_collation_for_utf8mb4", uint64(take16(r)))
	case hasPrimaryKeyRule:
		s.set("sql_require_primary_key", uint64(r.Byte()))
	case hasEncryption:
		s.set("default_table_encryption", uint64(r.Byte()))
	case hasCascade:
		s.set("enable_cascade_triggers", uint64(r.Byte()))
	default:
		return false
	}
	return true
}

// other takes what is no number, and what changes nothing.
func (s *settings) other(code byte, r *wire.Reader[[]byte]) (known bool, err error) {
	switch code {
	case hasFlags:
		return true, s.flags(r.Uint32())
	case hasTimeZone:
		s.all = append(s.all, setting{"time_zone", server.Literal(string(r.Bytes(int(r.Byte()))))})
	case hasOldCatalog:
		r.Bytes(int(r.Byte()) + 1)
	case hasCatalog:
		r.Bytes(int(r.Byte()))
	case hasTablesToUpdate, hasXID, hasMariaDBXID:
		r.Bytes(8)
	case hasWritten:
		r.Bytes(4)
	case hasInvoker:
		user := string(r.Bytes(int(r.Byte())))
		s.invoker = user + "@" + string(r.Bytes(int(r.Byte())))
	case hasDatabases:
		if n := r.Byte(); n != tooManyDatabases {
			for range n {
				for r.Err() == nil && r.Byte() != 0 {
				}
			}
		}
	case hasMicroseconds, hasMariaDBMicro:
		low := take16(r)
		s.micro = uint32(low) | uint32(r.Byte())<<16
	case hasMariaDBGTID:
		if flags := r.Byte(); flags&(gtidStartAlter|gtidCommitAlter|gtidRollbackAlter) != 0 {
			return true, errors.New("it is an ALTER in two parts (binlog_alter_two_phase)")
		}
	case hasMariaDBCset:
		for range r.Byte() {
			s.pairs = append(s.pairs, [2]uint16{take16(r), take16(r)})
		}
	default:
		return false, nil
	}
	return true, nil
}

func (s *settings) flags(flags uint32) error {
	if flags&^knownFlags != 0 {
		return fmt.Errorf("it ran with an option that nobody knows: %#x", flags&^knownFlags)
	}
	s.set("sql_auto_is_null", bit(flags, flagAutoIsNull))
	s.set("foreign_key_checks", 1-bit(flags, flagNoForeignKeys))
	s.set("unique_checks", 1-bit(flags, flagNoUniqueChecks))
	s.maria = []setting{
		{"check_constraint_checks", strconv.FormatUint(1-bit(flags, flagNoChecks), 10)},
		{"explicit_defaults_for_timestamp", strconv.FormatUint(bit(flags, flagTimestampRule), 10)},
		{"sql_if_exists", strconv.FormatUint(bit(flags, flagIfExists), 10)},
		{"system_versioning_insert_history", strconv.FormatUint(bit(flags, flagInsertedHistory), 10)},
	}
	return nil
}

func bit(flags, one uint32) uint64 {
	if flags&one != 0 {
		return 1
	}
	return 0
}

func take16(r *wire.Reader[[]byte]) uint16 {
	var b [2]byte
	r.Into(b[:])
	return binary.LittleEndian.Uint16(b[:])
}

// settingsOf returns what a Query says of its session.
func settingsOf(e *binlog.Event) (settings, error) {
	const fixed = 4 + 4 + 1 + 2 // thread, seconds, length of the database, error
	body := e.Body()
	r := wire.NewReader(body)
	r.Bytes(fixed)
	return parseSettings(r.Bytes(int(take16(&r))))
}

// aborted are the errors of statements that were ended from outside: networks, KILL, shutdowns, locks of others. What they
// had changed in tables without transactions stays, and is not known. Replicas stop there too.
var aborted = []uint16{1053, 1158, 1160, 1184, 1205, 1213, 1317, 1614, 1927}

// unfit returns why an event cannot be replayed, if so.
func unfit(e *binlog.Event) error {
	const ignorable = 0x80
	switch e.Type {
	case binlog.Query, binlog.QueryCompressed:
		s, err := e.Statement()
		if err != nil {
			return err
		}
		if words := strings.Fields(s.Text); len(words) > 1 && strings.EqualFold(words[0], "XA") {
			return errors.New("it is a distributed transaction (XA), whose parts stand apart in the log")
		}
		if slices.Contains(aborted, s.Error) {
			return fmt.Errorf("a statement was ended in the midst at its server (error %d), and nobody knows how much of it was done: %.200q", s.Error, s.Text)
		}
		_, err = settingsOf(e)
		return err
	case binlog.XAPrepare:
		return errors.New("it is a distributed transaction (XA), whose parts stand apart in the log")
	case binlog.BeginLoadQuery, binlog.ExecuteLoadQuery, binlog.AppendBlock, binlog.DeleteFile:
		return errors.New("it is a LOAD DATA that was logged as a statement")
	case binlog.Incident:
		return errors.New("the server says that changes are missing from its log there (incident)")
	case binlog.TransactionPayload:
		return unfitInside(e)
	case binlog.XID, binlog.IntVar, binlog.Rand, binlog.UserVar, binlog.TableMap, binlog.RowsQuery, binlog.AnnotateRows,
		binlog.MySQLGTID, binlog.MariaDBGTID, binlog.AnonymousGTID, binlog.TaggedGTID, binlog.PreviousGTIDs, binlog.GTIDList,
		binlog.FormatDescription, binlog.Rotate, binlog.Stop, binlog.BinlogCheckpoint, binlog.Heartbeat, binlog.HeartbeatV2, binlog.Ignorable:
		return nil
	}
	const transactionContext, viewChange = 36, 37 // of group replication
	if e.Type.IsRows() || e.Flags&ignorable != 0 || e.Type == transactionContext || e.Type == viewChange {
		return nil
	}
	return fmt.Errorf("it has an event that nobody knows: %v", e.Type)
}
