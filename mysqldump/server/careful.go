package server

import (
	"context"
	"database/sql/driver"
	"fmt"
	"runtime"
	"strings"

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
	all = &rows{c.conn, result, result.Columns()}
	if want := columnsOf(statement); len(all.columns) < want {
		all.Close()
		return nil, fmt.Errorf("%w: it has %d columns, where %d were asked for", mysql.ErrMalformPkt, len(all.columns), want)
	}
	return all, nil
}

// columnsOf returns how many columns the result of a statement has at least, so that none is looked for that is not there: of SELECT as
// many as it names, and of the kinds of SHOW that are read by the places of their columns what all servers have.
func columnsOf(statement string) int {
	list, isSelect := strings.CutPrefix(statement, "SELECT ")
	switch {
	case strings.HasPrefix(statement, "SHOW CREATE USER"):
		return 1
	case strings.HasPrefix(statement, "SHOW CREATE"), strings.HasPrefix(statement, "SHOW GLOBAL STATUS"), strings.HasPrefix(statement, "SHOW SESSION STATUS"):
		return 2
	case strings.HasPrefix(statement, "SHOW ENGINE "):
		return 3
	case !isSelect:
		return 0
	}
	n, depth := 1, 0
	for i := 0; i < len(list); i++ {
		switch c := list[i]; {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == '\'' || c == '"' || c == '`':
			for i++; i < len(list) && list[i] != c; i++ {
				if list[i] == '\\' && c != '`' {
					i++
				}
			}
		case c == ',' && depth == 0:
			n++
		case depth == 0 && (c == ' ' || c == '\n' || c == '\t') && strings.HasPrefix(list[i+1:], "FROM"):
			return n
		}
	}
	return n
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
