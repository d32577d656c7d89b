package servertest

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Config is what connects the driver over TCP as root, without a password. The caller may change it.
func (s *Server) Config() *mysql.Config {
	c := mysql.NewConfig()
	c.User, c.Net, c.Addr = "root", "tcp", net.JoinHostPort(s.Host, strconv.Itoa(s.Port))
	c.Logger = &mysql.NopLogger{}
	return c
}

// open is for our own statements, over the socket, which is this server's alone.
func (s *Server) open() (*sql.DB, error) {
	c := s.Config()
	c.Net, c.Addr, c.InterpolateParams, c.MultiStatements = "unix", s.Socket, true, true
	connector, err := mysql.NewConnector(c)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func (s *Server) ping() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return s.db.PingContext(ctx)
}

// Connect is a session of root's over the socket, until the end of the test.
func (s *Server) Connect(t testing.TB) *sql.Conn {
	t.Helper()
	db, err := s.open()
	must(t, err)
	t.Cleanup(func() { db.Close() })
	c, err := db.Conn(t.Context())
	must(t, err)
	t.Cleanup(func() { c.Close() }) // else the database's Close leaves it open
	return c
}

// Exec runs statements as root in one session, a new one for each call.
func (s *Server) Exec(t testing.TB, statements ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	db, err := s.open()
	must(t, err)
	defer db.Close()
	c, err := db.Conn(ctx)
	must(t, err)
	defer c.Close() // else the database's Close leaves it open
	for _, statement := range statements {
		if _, err := c.ExecContext(ctx, statement); err != nil {
			t.Fatalf("%s: %v: %.300s", s.Kind, err, statement)
		}
	}
}

// Query runs a query as root and returns its rows as the server writes them, NULL as "NULL".
func (s *Server) Query(t testing.TB, query string, args ...any) [][]string {
	t.Helper()
	rows, _, err := s.query(query, args...)
	if err != nil {
		t.Fatalf("%s: %v: %.300s", s.Kind, err, query)
	}
	return rows
}

// QueryRow is Query for the one row there must be, by its columns' names.
func (s *Server) QueryRow(t testing.TB, query string, args ...any) map[string]string {
	t.Helper()
	rows, columns, err := s.query(query, args...)
	if err == nil && len(rows) != 1 {
		err = fmt.Errorf("%d rows, not one", len(rows))
	}
	if err != nil {
		t.Fatalf("%s: %v: %.300s", s.Kind, err, query)
	}
	row := map[string]string{}
	for i, name := range columns {
		row[name] = rows[0][i]
	}
	return row
}

func (s *Server) query(query string, args ...any) ([][]string, []string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	rows, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, nil, err
	}
	var all [][]string
	for rows.Next() {
		values, into := make([]sql.RawBytes, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, nil, err
		}
		row := make([]string, len(columns))
		for i, v := range values {
			row[i] = string(v)
			if v == nil {
				row[i] = "NULL"
			}
		}
		all = append(all, row)
	}
	return all, columns, rows.Err()
}

// Checksums is what CHECKSUM TABLE says of each table that is not the server's own, under `database.table`.
func Checksums(t testing.TB, s *Server) map[string]string {
	t.Helper()
	sums := map[string]string{}
	tables := s.Query(t, `SELECT table_schema, table_name FROM information_schema.tables WHERE table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'SEQUENCE')
		AND table_schema NOT IN ('mysql', 'information_schema', 'performance_schema', 'sys')`)
	for _, table := range tables {
		sum := s.Query(t, "CHECKSUM TABLE "+quote(table[0])+"."+quote(table[1]))
		sums[table[0]+"."+table[1]] = sum[0][1]
	}
	return sums
}

func quote(name string) string { return "`" + strings.ReplaceAll(name, "`", "``") + "`" }

// PurgeLogs removes all binary logs but the current one. A log that is still read, or that recovery may still need, stays
// without an error, so that it is asked for again.
func (s *Server) PurgeLogs(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		logs := s.Query(t, "SHOW BINARY LOGS")
		if len(logs) < 2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server keeps its binary logs: %v", logs)
		}
		s.Exec(t, "PURGE BINARY LOGS TO '"+logs[len(logs)-1][0]+"'")
	}
}
