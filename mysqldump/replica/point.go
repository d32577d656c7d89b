package replica

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

// A Source is where a replica gets its changes from.
type Source struct {
	Host     string
	Port     int // 0: 3306
	User     string
	Password string
	TLS      TLS
	// Position is what the replica's data has. Its file and offset, or its GTIDs, must be of this source's binary log.
	Position mysqldump.Position
}

// TLS says how the replica connects to its source. The zero value leaves it without.
type TLS struct {
	Use           bool
	Verify        bool   // the source's certificate must be of CA, and name the source's host
	CA, Cert, Key string // paths of files at the replica; empty: none
}

// Options say how a replica is set up. The zero value makes a read-only replica without a channel's name.
type Options struct {
	Channel string
	// Server is the source, to be asked whether it fits; nil: only what the position says of it is compared.
	Server *server.Server
	// NoGTID has the replica follow file and offset although both ends have GTIDs.
	NoGTID bool
	// Replace gives up a source that the channel has already.
	Replace bool
	// ResetLog throws away the replica's own binary log if transactions are in it. It is refused while somebody reads it.
	ResetLog bool
	// Writable leaves read_only and super_read_only as they are.
	Writable bool
	// AllowOlder allows a replica that is older than its source.
	AllowOlder bool
	// Heartbeat is after how long a silent source says that it lives; 0: 5 seconds.
	Heartbeat time.Duration
	// Retry is how long the replica waits before it connects again, in whole seconds; 0: 10 seconds.
	Retry time.Duration
}

// ErrUnsafe is wrapped by what Point refuses.
var ErrUnsafe = errors.New("that would not be safe")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsafe, fmt.Sprintf(format, args...))
}

// Pointed says what Point has set.
type Pointed struct {
	GTID     bool     // whether the replica asks by GTID
	LogReset bool     // whether the replica's own binary log was thrown away
	ReadOnly []string // variables that are on now, and which the option file should have too
}

// Point makes a server ask the source for all that came after the position. It starts nothing. What is unsafe is refused with an
// error that wraps ErrUnsafe, before anything is changed.
func Point(ctx context.Context, s *server.Server, source Source, o Options) (Pointed, error) {
	l, err := connect(ctx, s, o.Channel)
	if err != nil {
		return Pointed{}, err
	}
	defer l.Close()
	p := pointing{l: l, source: source, o: o}
	if p.source.Port == 0 {
		p.source.Port = 3306
	}
	if err := p.check(ctx); err != nil {
		return Pointed{}, fmt.Errorf("point %s at %s: %w", s.Address(), source.Host, err)
	}
	if err := p.set(ctx); err != nil {
		return p.done, fmt.Errorf("point %s at %s: %w", s.Address(), source.Host, err)
	}
	return p.done, nil
}

type pointing struct {
	l      *link
	source Source
	o      Options

	before    bool   // the channel has a source
	executed  string // the replica's gtid_executed or gtid_binlog_pos: what its own binary log has
	hasGTIDs  bool   // the replica takes the position's GTIDs
	resetting bool
	done      Pointed
}

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
	source := identity{id: uint64(at.ServerID), version: at.Version, mariaDB: at.Flavor == mysqldump.MariaDB}
	if !at.ServerUUID.IsZero() {
		source.uuid = at.ServerUUID.String()
	}
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
	switch {
	case replica.id == 0:
		return refuse("its server_id is 0, with which no server replicates")
	case source.id == replica.id:
		return refuse("both servers have server_id %d", replica.id)
	case source.uuid != "" && strings.EqualFold(source.uuid, replica.uuid):
		return refuse("both servers have server_uuid %s", replica.uuid)
	case source.mariaDB && !replica.mariaDB:
		return refuse("MySQL does not replicate from MariaDB")
	case source.mariaDB == replica.mariaDB && compareVersions(source.version, replica.version) > 0 && !p.o.AllowOlder:
		return refuse("the source is %s, newer than the replica's %s", source.version, replica.version)
	case replica.lowerCase != source.lowerCase && source.lowerCase != "":
		return refuse("lower_case_table_names is %s at the source, %s here", source.lowerCase, replica.lowerCase)
	}
	return nil
}

type identity struct {
	id        uint64
	uuid      string
	version   string
	lowerCase string
	mariaDB   bool
	logs      bool
}

func identify(ctx context.Context, c *server.Session) (i identity, err error) {
	row, err := c.Row(ctx, "SELECT @@GLOBAL.server_id, @@GLOBAL.version, @@GLOBAL.lower_case_table_names, @@GLOBAL.log_bin")
	if err != nil {
		return i, err
	}
	if i.id, err = strconv.ParseUint(string(row[0]), 10, 32); err != nil {
		return i, fmt.Errorf("read server_id: %w", err)
	}
	i.version, i.lowerCase, i.logs = string(row[1]), string(row[2]), string(row[3]) == "1"
	if i.uuid, _, err = variable(ctx, c, "server_uuid"); err != nil {
		return i, err
	}
	_, i.mariaDB, err = variable(ctx, c, "gtid_slave_pos")
	return i, err
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
		mode, _, err := variable(ctx, p.l.Session, "gtid_mode")
		if err != nil {
			return err
		}
		p.hasGTIDs = at.GTIDs.Flavor() == mysqldump.MySQL && strings.HasPrefix(mode, "ON")
		if err := p.checkGTIDModes(ctx, mode); err != nil {
			return err
		}
	}
	p.done.GTID = p.hasGTIDs && !p.o.NoGTID
	if !p.done.GTID && (at.File == "" || at.Offset == 0) {
		return refuse("the position has no file and offset, and GTIDs cannot be followed here")
	}
	return p.checkOwnLog(ctx)
}

func (p *pointing) checkGTIDModes(ctx context.Context, here string) error {
	if p.o.Server == nil {
		return nil
	}
	c, err := p.o.Server.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	there, known, err := variable(ctx, c, "gtid_mode")
	if err == nil && known && (there == "ON" && here == "OFF" || there == "OFF" && here == "ON") {
		err = refuse("gtid_mode is %s at the source, %s here", there, here)
	}
	return err
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
	if p.done.GTID {
		text, known, err := variable(ctx, c, "gtid_purged")
		if err != nil || !known {
			return err // MariaDB's says when it is asked
		}
		purged, err := mysqldump.ParseGTIDSet(text)
		if err == nil && !at.GTIDs.Contains(purged) {
			err = refuse("the source has purged transactions that the replica lacks")
		}
		return err
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

func (p *pointing) set(ctx context.Context) error {
	if p.before {
		if err := p.l.about(ctx, "STOP REPLICA"); err != nil {
			return err
		}
		if err := p.l.about(ctx, "RESET REPLICA ALL"); err != nil {
			return err
		}
	}
	if p.resetting {
		if err := p.l.try(ctx, "RESET MASTER", "RESET BINARY LOGS AND GTIDS"); err != nil {
			return err
		}
		p.done.LogReset = true
	}
	if p.hasGTIDs {
		if err := p.setGTIDs(ctx); err != nil {
			return err
		}
	}
	if err := p.change(ctx); err != nil {
		return err
	}
	if p.o.Writable {
		return nil
	}
	return p.setReadOnly(ctx)
}

func (p *pointing) setGTIDs(ctx context.Context) error {
	set := p.source.Position.GTIDs.String()
	if p.l.mariaDB {
		return p.l.Exec(ctx, "SET GLOBAL gtid_slave_pos="+server.Literal(set))
	}
	executed, _, err := variable(ctx, p.l.Session, "gtid_executed")
	if err != nil {
		return err
	}
	if there, err := mysqldump.ParseGTIDSet(executed); err == nil && there.Equal(p.source.Position.GTIDs) {
		return nil // gtid_purged cannot be set twice
	}
	return p.l.Exec(ctx, "SET GLOBAL gtid_purged="+server.Literal(set))
}

func (p *pointing) setReadOnly(ctx context.Context) error {
	for _, name := range []string{"read_only", "super_read_only"} {
		switch err := p.l.Exec(ctx, "SET GLOBAL "+name+"=1"); {
		case err == nil:
			p.done.ReadOnly = append(p.done.ReadOnly, name)
		case !unknown(err):
			return err
		}
	}
	return nil
}

// change tells the replica its source, in the newest words that it knows.
func (p *pointing) change(ctx context.Context) (err error) {
	forms := []struct {
		verb, prefix, key string
		retries           bool
	}{
		{"CHANGE REPLICATION SOURCE TO ", "SOURCE_", "GET_SOURCE_PUBLIC_KEY", true},
		{"CHANGE MASTER TO ", "MASTER_", "GET_MASTER_PUBLIC_KEY", true},
		{"CHANGE MASTER TO ", "MASTER_", "", true},
		{"CHANGE MASTER TO ", "MASTER_", "", false},
	}
	for _, f := range forms {
		words := p.words(f.prefix)
		if f.key != "" && !p.source.TLS.Use {
			words = append(words, f.key+"=1") // else caching_sha2_password asks for TLS
		}
		if f.retries {
			words = append(words, f.prefix+"RETRY_COUNT=86400")
		}
		err = p.l.secret(ctx, "set the source", f.verb+strings.Join(words, ", ")+p.l.forChannel())
		if !unknown(err) {
			return err
		}
	}
	return err
}

func (p *pointing) words(prefix string) (words []string) {
	add := func(name, value string) { words = append(words, prefix+name+"="+value) }
	flag := func(name string, on bool) {
		add(name, map[bool]string{true: "1", false: "0"}[on])
	}
	s := p.source
	add("HOST", server.Literal(s.Host))
	add("PORT", strconv.Itoa(s.Port))
	add("USER", server.Literal(s.User))
	add("PASSWORD", server.Literal(s.Password))
	add("CONNECT_RETRY", strconv.Itoa(max(1, int(orElse(p.o.Retry, 10*time.Second)/time.Second))))
	add("HEARTBEAT_PERIOD", strconv.FormatFloat(orElse(p.o.Heartbeat, 5*time.Second).Seconds(), 'f', 3, 64))
	flag("SSL", s.TLS.Use)
	if s.TLS.Use {
		flag("SSL_VERIFY_SERVER_CERT", s.TLS.Verify)
		for _, file := range [][2]string{{"SSL_CA", s.TLS.CA}, {"SSL_CERT", s.TLS.Cert}, {"SSL_KEY", s.TLS.Key}} {
			if file[1] != "" {
				add(file[0], server.Literal(file[1]))
			}
		}
	}
	switch {
	case p.done.GTID && p.l.mariaDB:
		return append(words, prefix+"USE_GTID=slave_pos")
	case p.done.GTID:
		return append(words, prefix+"AUTO_POSITION=1")
	case p.l.mariaDB:
		add("USE_GTID", "no")
	default:
		add("AUTO_POSITION", "0")
	}
	add("LOG_FILE", server.Literal(s.Position.File))
	add("LOG_POS", strconv.FormatUint(s.Position.Offset, 10))
	return words
}

func orElse(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
