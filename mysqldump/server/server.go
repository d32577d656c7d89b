// Package server holds sessions with a MySQL or MariaDB server, and asks it what it is.
//
// A Session is one connection, and never silently another: what is set, locked or seen in it stays so until it is closed.
// Sessions speak bytes: character set binary, an empty sql_mode and UTC, so that what is read is what is stored.
//
// The invariant: what a server can do is found out by asking it, never by its version. A statement that one server refuses
// is told from one that failed by the server's error number.
//
// The package chooses no login (see mysqldump/login), and changes nothing at a server but for Kill.
package server

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// A Server is a server that sessions can be opened with.
type Server struct {
	connector driver.Connector
	config    *mysql.Config
	dialect   dialect
}

// New returns a Server. Nothing is connected yet.
func New(config *mysql.Config) (*Server, error) {
	config = config.Clone()
	config.Collation = "binary"
	config.ParseTime = false
	config.Logger = silent{} // what it would print is in errors too
	config.Params = nil      // the session's variables are set by Connect
	config.MaxAllowedPacket = maxPacket
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", config.Addr, err)
	}
	return &Server{connector: connector, config: config}, nil
}

// maxPacket is what any server takes at most. What this one takes it says itself, when it is asked or given too much.
const maxPacket = 1 << 30

type silent struct{}

func (silent) Print(...any) {}

// Address returns where the server is: host and port, or the path of a socket.
func (s *Server) Address() string { return s.config.Addr }

// A Session is one connection. It is for one goroutine; a context that ends during a call closes it.
type Session struct {
	conn    driver.Conn
	at      string
	id      uint64
	dialect *dialect // of the server
}

// connectTimeout is for how long a server may take to let somebody in.
const connectTimeout = 30 * time.Second

// retries is how often a login is tried again whose packets the driver did not understand: it takes the last byte of
// MariaDB's random challenge for ed25519 for the end of a text if that is 0, which fails one login in 256.
const retries = 4

// A ConnectError says that no session could be opened.
type ConnectError struct {
	Address string
	Err     error
}

func (e *ConnectError) Error() string {
	reason := e.Err
	var dial *net.OpError
	if errors.As(reason, &dial) && dial.Op == "dial" { // which names the address again
		reason = dial.Err
		var call *os.SyscallError
		if errors.As(reason, &call) {
			reason = call.Err
		}
	}
	return fmt.Sprintf("connect to %s: %v", e.Address, reason)
}
func (e *ConnectError) Unwrap() error { return e.Err }

// Connect opens a session. It waits for 30 seconds at most.
func (s *Server) Connect(ctx context.Context) (*Session, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, connectTimeout, fmt.Errorf("no answer in %v", connectTimeout))
	defer cancel()
	conn, err := s.dial(ctx)
	for try := 0; errors.Is(err, mysql.ErrMalformPkt) && try < retries; try++ {
		conn, err = s.dial(ctx)
	}
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, &ConnectError{s.config.Addr, err}
	}
	c := &Session{conn: conn, at: s.config.Addr, dialect: &s.dialect}
	err = c.Exec(ctx, "SET SESSION sql_mode='', time_zone='+00:00', wait_timeout=86400, sql_quote_show_create=1")
	if err == nil {
		var row [][]byte
		if row, err = c.Row(ctx, "SELECT CONNECTION_ID()"); err == nil {
			c.id, err = strconv.ParseUint(string(row[0]), 10, 64)
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Close closes the session. The server rolls back, and gives up its locks.
func (c *Session) Close() error { return c.conn.Close() }

// ID returns what the server calls the session, as KILL takes it.
func (c *Session) ID() uint64 { return c.id }

// Exec runs a statement, and throws away what it returns.
func (c *Session) Exec(ctx context.Context, statement string) error {
	_, err := c.Change(ctx, statement)
	return err
}

// Change runs a statement, and returns how many rows it changed.
func (c *Session) Change(ctx context.Context, statement string) (rows int64, err error) {
	result, err := c.exec(ctx, statement)
	if err != nil {
		return 0, c.failed(ctx, statement, err)
	}
	return result.RowsAffected()
}

// Query runs a statement, and hands its rows to f one by one, as text; nil is NULL. What f is handed is valid until it
// returns. An error of f ends the query, and closes the session too if the rest of the result is long.
func (c *Session) Query(ctx context.Context, statement string, f func(row [][]byte) error) error {
	rows, err := c.query(ctx, statement)
	if err != nil {
		return c.failed(ctx, statement, err)
	}
	defer rows.Close()
	values := make([]driver.Value, len(rows.columns))
	texts := make([][]byte, len(values))
	var numbers []byte
	for {
		if err := rows.Next(values); err == io.EOF {
			break
		} else if err != nil {
			return c.failed(ctx, statement, err)
		}
		numbers = numbers[:0]
		for i, v := range values {
			if texts[i], numbers, err = text(v, numbers); err != nil {
				return fmt.Errorf("%s: column %d: %w", brief(statement), i, err)
			}
		}
		if err := f(texts); err != nil {
			c.abandon(rows, values)
			return err
		}
	}
	return nil
}

// Texts is Query for rows that are small: f is handed them as strings, and may keep them; NULL is empty.
func (c *Session) Texts(ctx context.Context, statement string, f func(row []string) error) error {
	return c.Query(ctx, statement, func(row [][]byte) error {
		texts := make([]string, len(row))
		for i, v := range row {
			texts[i] = string(v)
		}
		return f(texts)
	})
}

// abandoned is how many rows of a result that nobody wants are read for the session's sake.
const abandoned = 1000

// abandon throws away the rest of a result, or closes the session if that is long.
func (c *Session) abandon(rows *rows, values []driver.Value) {
	for range abandoned {
		if rows.Next(values) != nil {
			return
		}
	}
	c.conn.Close()
}

// text returns a value as the server printed it: numbers, which the driver has parsed, are printed again into buffer.
func text(v driver.Value, buffer []byte) (value, rest []byte, err error) {
	from := len(buffer)
	switch v := v.(type) {
	case nil:
		return nil, buffer, nil
	case []byte:
		if v == nil {
			v = []byte{}
		}
		return v, buffer, nil
	case string:
		buffer = append(buffer, v...)
	case int64:
		buffer = strconv.AppendInt(buffer, v, 10)
	case uint64:
		buffer = strconv.AppendUint(buffer, v, 10)
	case float32:
		buffer = strconv.AppendFloat(buffer, float64(v), 'g', -1, 32)
	case float64:
		buffer = strconv.AppendFloat(buffer, v, 'g', -1, 64)
	default:
		return nil, buffer, fmt.Errorf("a value of type %T", v)
	}
	return buffer[from:len(buffer):len(buffer)], buffer, nil
}

// ErrNoRow says that Row found none.
var ErrNoRow = errors.New("no row")

// Row returns the first row of a statement's result; ErrNoRow if there is none.
func (c *Session) Row(ctx context.Context, statement string) (row [][]byte, err error) {
	err = c.Query(ctx, statement, func(r [][]byte) error {
		if row != nil {
			return nil
		}
		row = make([][]byte, len(r))
		for i, v := range r {
			if v != nil {
				row[i] = append([]byte{}, v...)
			}
		}
		return nil
	})
	if err == nil && row == nil {
		err = fmt.Errorf("%s: %w", brief(statement), ErrNoRow)
	}
	return row, err
}

// Rows returns all rows of a statement's result, as strings by the names of their columns; NULL is left out. It is for
// results that are small and whose columns differ between servers, as those of SHOW.
func (c *Session) Rows(ctx context.Context, statement string) ([]map[string]string, error) {
	rows, err := c.query(ctx, statement)
	if err != nil {
		return nil, c.failed(ctx, statement, err)
	}
	defer rows.Close()
	names := rows.columns
	values := make([]driver.Value, len(names))
	var all []map[string]string
	for {
		if err := rows.Next(values); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, c.failed(ctx, statement, err)
		}
		row := map[string]string{}
		for i, v := range values {
			value, _, err := text(v, nil)
			if err != nil {
				return nil, fmt.Errorf("%s: column %d: %w", brief(statement), i, err)
			}
			if v != nil {
				row[names[i]] = string(value)
			}
		}
		all = append(all, row)
	}
}

func (c *Session) failed(ctx context.Context, statement string, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	return fmt.Errorf("%s: %w", brief(statement), err)
}

// brief returns the beginning of a statement in one line, for errors. A statement with a password in it must not come here.
func brief(statement string) string {
	const most = 80
	cut := len(statement) > 4*most
	if cut {
		statement = statement[:4*most] // what is a row of megabytes is not gone through
	}
	statement = strings.Join(strings.Fields(statement), " ")
	if cut || len(statement) > most {
		statement = strings.ToValidUTF8(statement[:min(most, len(statement))], "") + "…"
	}
	return statement
}

// Number returns a server's error number; 0 if err is none of a server's.
func Number(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}
