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
	// KeepEvents leaves events that are enabled as they are, so that they run at both ends.
	KeepEvents bool
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
	Events   int      // that were enabled, and are disabled now as on a slave
	Warnings []string // about the replica's settings
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
	undo, err := AllowWriting(ctx, s) // events are written
	if err == nil {
		if err = p.set(ctx); err != nil || o.Writable {
			err = errors.Join(err, undo())
		}
	}
	if err != nil {
		return p.done, fmt.Errorf("point %s at %s: %w", s.Address(), source.Host, err)
	}
	return p.done, nil
}

// Fits checks all that Point does before it changes anything.
func Fits(ctx context.Context, s *server.Server, source Source, o Options) error {
	l, err := connect(ctx, s, o.Channel)
	if err != nil {
		return err
	}
	defer l.Close()
	p := pointing{l: l, source: source, o: o}
	if err := p.check(ctx); err != nil {
		return fmt.Errorf("point %s at %s: %w", s.Address(), source.Host, err)
	}
	return nil
}

type pointing struct {
	l      *link
	source Source
	o      Options

	here, there server.Identity

	before    bool   // the channel has a source
	executed  string // the replica's gtid_executed or gtid_binlog_pos: what its own binary log has
	hasGTIDs  bool   // the replica takes the position's GTIDs
	resetting bool
	done      Pointed
}

func (p *pointing) set(ctx context.Context) (err error) {
	if p.before {
		if err := p.l.about(ctx, "STOP REPLICA"); err != nil {
			return err
		}
		if err := p.l.about(ctx, "RESET REPLICA ALL"); err != nil {
			return err
		}
	}
	if p.resetting {
		if err := p.l.resetLog(ctx); err != nil {
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
	if !p.o.KeepEvents {
		if p.done.Events, err = DisableEvents(ctx, p.l.Session); err != nil {
			return err
		}
	}
	if p.done.Warnings, err = p.l.advise(ctx, p.done.GTID); err != nil || p.o.Writable {
		return err
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

// AllowWriting turns super_read_only off, as an option file may have it, which keeps out administrators too. The function that it
// returns turns it on again, though ctx may have ended.
func AllowWriting(ctx context.Context, s *server.Server) (undo func() error, err error) {
	set := func(ctx context.Context, c *server.Session, to string) error {
		return c.Exec(ctx, "SET GLOBAL super_read_only="+to)
	}
	c, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if on, _, err := variable(ctx, c, "super_read_only"); err != nil || on != "1" {
		return func() error { return nil }, err
	}
	if err := set(ctx, c, "0"); err != nil {
		return nil, fmt.Errorf("allow writing at %s: %w", s.Address(), err)
	}
	return func() error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		c, err := s.Connect(ctx)
		if err == nil {
			defer c.Close()
			err = set(ctx, c, "1")
		}
		if err != nil {
			return fmt.Errorf("forbid writing at %s again: %w", s.Address(), err)
		}
		return nil
	}, nil
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

// change tells the replica its source. Options that not each server has are left out from one try to the next.
func (p *pointing) change(ctx context.Context) (err error) {
	prefix := p.l.dialect.Source + "_"
	more := []string{prefix + "RETRY_COUNT=86400", "GET_" + prefix + "PUBLIC_KEY=1"}
	if p.source.TLS.Use {
		more = more[:1] // caching_sha2_password needs no key then
	}
	for n := len(more); n >= 0; n-- {
		words := append(p.words(prefix), more[:n]...)
		err = p.l.secret(ctx, "set the source", p.l.dialect.ChangeSource+" "+strings.Join(words, ", ")+p.l.forChannel())
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

// resetLog throws away the server's own binary log.
func (l *link) resetLog(ctx context.Context) error {
	err := l.Exec(ctx, "RESET BINARY LOGS AND GTIDS")
	if unknown(err) {
		err = l.Exec(ctx, "RESET MASTER")
	}
	return err
}
