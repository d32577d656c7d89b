// Package replica makes a server that has a backup's data replicate from the backup's source, and proves that it does.
//
// Point sets where the changes come from, Start and Wait bring the replica up to a position that the source had after the
// start. Pause stops it right at a position, so that it can be compared there. What stops a replica is a StoppedError: what the
// server says, and the advice that fits.
//
// The invariant: a replica is never said to be well that was not seen to be. Each wait is bounded. What is stopped for a
// moment is started again whatever happens, and a mark outlives the process that was killed in between. A password is
// neither in an error nor in a report.
//
// The package restores nothing (see mysqldump/restore), chooses no login (see mysqldump/login), and configures nothing that
// outlives a restart but what servers themselves keep: what belongs into option files is said, not written.
package replica

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"nightjar/mysqldump/server"
)

// errors of servers that mean that they do not know a statement, so that another form may be tried.
const (
	errSyntax          = 1064
	errNoDatabase      = 1046
	errUnknownVariable = 1193
	errNoFunction      = 1305
	errNotSupported    = 1235
)

func unknown(err error) bool {
	switch server.Number(err) {
	case errSyntax, errUnknownVariable, errNoFunction, errNoDatabase, errNotSupported:
		return true
	}
	return false
}

// A link is a session with the replica, and the channel that it is about.
type link struct {
	*server.Session
	dialect server.Dialect
	channel string // empty: the one without a name
	mariaDB bool
	others  int // channels beside it, when the status was last read
}

func connect(ctx context.Context, s *server.Server, channel string) (*link, error) {
	c, err := s.Connect(ctx)
	if err != nil {
		return nil, err
	}
	l := &link{Session: c, channel: channel}
	if l.dialect, err = c.Dialect(ctx); err == nil {
		_, l.mariaDB, err = variable(ctx, c, "gtid_slave_pos")
	}
	if err == nil && l.mariaDB {
		err = c.Exec(ctx, "SET @@SESSION.default_master_connection="+server.Literal(channel))
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return l, nil
}

// forChannel is what ends a statement of MySQL's about the channel: without it, it would be about all. MariaDB's sessions have a
// default channel instead.
func (l *link) forChannel() string {
	if l.mariaDB || !l.dialect.Channel {
		return ""
	}
	return " FOR CHANNEL " + server.Literal(l.channel)
}

// about runs a statement about the channel: "START REPLICA SQL_THREAD", in the server's words.
func (l *link) about(ctx context.Context, statement string) error {
	if l.dialect.Replica == "SLAVE" {
		statement = olderStatement.Replace(statement)
	}
	return l.Exec(ctx, statement+l.forChannel())
}

var olderStatement = strings.NewReplacer("REPLICA", "SLAVE", "SOURCE_", "MASTER_")

// value returns the first column of a row that a query has; "" if it is NULL.
func (l *link) value(ctx context.Context, query string) (string, error) {
	row, err := l.Row(ctx, query)
	if err != nil {
		return "", err
	}
	return string(row[0]), nil
}

// variable returns a global variable; known is false if the server has none of that name.
func variable(ctx context.Context, c *server.Session, name string) (value string, known bool, err error) {
	row, err := c.Row(ctx, "SELECT @@GLOBAL."+name)
	switch {
	case unknown(err):
		return "", false, nil
	case err != nil:
		return "", false, err
	}
	return string(row[0]), true, nil
}

// secret runs a statement that has secrets. No error has a part of it.
func (l *link) secret(ctx context.Context, what, statement string) error {
	err := l.Exec(ctx, statement)
	if err == nil {
		return nil
	}
	var e *mysql.MySQLError
	if !errors.As(err, &e) {
		return fmt.Errorf("%s: %w", what, errors.Unwrap(err))
	}
	message := e.Message
	if e.Number == errSyntax { // quotes the statement
		message = "the server does not understand the statement"
	}
	return fmt.Errorf("%s: %w", what, &mysql.MySQLError{Number: e.Number, SQLState: e.SQLState, Message: message})
}

// sleep waits between two looks at a server.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

const pollEvery = 50 * time.Millisecond
