package servertest_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"nightjar/mysqldump/servertest"
)

// paused is how long a test has to see that nothing happens.
const paused = 200 * time.Millisecond

func pause(t *testing.T) {
	select {
	case <-time.After(paused):
	case <-t.Context().Done():
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.MariaDB1011)
	config := s.Config()
	p := servertest.StartProxy(t, config.Addr)
	config.Addr = p.Addr
	connector, err := mysql.NewConnector(config)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	connect := func() *sql.Conn {
		t.Helper()
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	ask := func(c *sql.Conn, within time.Duration, query string) error {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		_, err := c.ExecContext(ctx, query)
		return err
	}
	const long = 5 * time.Minute

	c := connect()
	if err := ask(c, long, "DO 1"); err != nil {
		t.Fatal(err)
	}
	p.Latency(paused)
	if begin := time.Now(); ask(c, long, "DO 1") != nil || time.Since(begin) < 2*paused {
		t.Errorf("an answer in %v over a slow line", time.Since(begin))
	}
	p.Latency(0)
	answer := make(chan error, 1)
	p.Stall(true)
	go func() { answer <- ask(c, long, "DO 1") }()
	select {
	case err := <-answer:
		t.Errorf("an answer over a line that lets nothing pass: %v", err)
	case <-time.After(paused):
	}
	p.Stall(false)
	if err := <-answer; err != nil {
		t.Errorf("after a stall: %v", err)
	}
	p.Cut()
	if ask(c, long, "DO 1") == nil {
		t.Error("an answer over a line that is cut")
	}
	c = connect()
	p.CutAfter(100_000)
	if err := ask(c, long, "DO 1"); err != nil {
		t.Error(err)
	}
	if ask(c, long, "SELECT REPEAT('x', 1000000)") == nil {
		t.Error("a megabyte over a line that is cut after a tenth of it")
	}
	p.Refuse(true)
	if db.PingContext(t.Context()) == nil {
		t.Error("a connection where none is let through")
	}
	p.Refuse(false)
	if err := db.PingContext(t.Context()); err != nil {
		t.Error(err)
	}
}
