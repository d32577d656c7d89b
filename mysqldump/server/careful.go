package server

import (
	"context"
	"database/sql/driver"
	"fmt"
	"runtime"

	"github.com/go-sql-driver/mysql"
)

// caught makes an error of a mistake of the driver's, and closes the connection: the driver does not check all lengths that a server sends.
func caught(conn driver.Conn, err *error) {
	switch p := recover().(type) {
	case nil:
	case runtime.Error:
		if conn != nil {
			_ = conn.Close()
		}
		*err = fmt.Errorf("%w: %v", mysql.ErrMalformPkt, p)
	default:
		panic(p)
	}
}

func (s *Server) dial(ctx context.Context) (conn driver.Conn, err error) {
	defer caught(nil, &err)
	return s.connector.Connect(ctx)
}

func (c *Session) exec(ctx context.Context, statement string) (result driver.Result, err error) {
	defer caught(c.conn, &err)
	return c.conn.(driver.ExecerContext).ExecContext(ctx, statement, nil)
}

// query returns a result. Its names of columns are read.
func (c *Session) query(ctx context.Context, statement string) (all *rows, err error) {
	defer caught(c.conn, &err)
	result, err := c.conn.(driver.QueryerContext).QueryContext(ctx, statement, nil)
	if err != nil {
		return nil, err
	}
	return &rows{c.conn, result, result.Columns()}, nil
}

// rows is a result of the driver's.
type rows struct {
	conn    driver.Conn
	result  driver.Rows
	columns []string
}

func (r *rows) Next(values []driver.Value) (err error) {
	defer caught(r.conn, &err)
	return r.result.Next(values)
}

// Close reads what is left of the result.
func (r *rows) Close() (err error) {
	defer caught(r.conn, &err)
	return r.result.Close()
}
