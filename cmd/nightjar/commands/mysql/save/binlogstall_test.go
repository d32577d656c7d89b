package save

import (
	"errors"
	"testing"
	"time"

	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// A line that neither answers nor closes ends a run, whenever it begins to, and the next one goes on. One that follows says so, and goes on by itself.
func TestMySQLBinlogStalls(t *testing.T) {
	t.Parallel()
	s := servertest.Start(t, servertest.MariaDB1011)
	r := follows(t, s)
	s.Exec(t, "CREATE DATABASE shop", "CREATE TABLE shop.orders (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(40))")
	if _, err := r.save(t.Context()); err != nil {
		t.Fatal(err)
	}
	proxy := servertest.StartProxy(t, s.Config().Addr)
	direct, config := r.srv, s.Config()
	config.Addr = proxy.Addr
	far, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []string{"", "SHOW BINLOG STATUS", "SHOW BINARY LOGS", "@master_binlog_checksum", "bin.000001"} {
		s.Exec(t, "INSERT INTO shop.orders (v) VALUES ('one')")
		r.srv, r.silence = far, time.Second
		proxy.Stall(at == "") // from its greeting on
		proxy.When(at, func() { proxy.Stall(true) })
		if n, err := r.step(t.Context(), false); n != 0 || !errors.Is(err, server.ErrSilent) {
			t.Errorf("a line that stalls at %q: %d, %v", at, n, err)
		}
		proxy.Stall(false)
		r.srv, r.silence = direct, time.Minute
		if n, err := r.step(t.Context(), false); n != 1 || err != nil {
			t.Errorf("after a line that stalled at %q: %d, %v", at, n, err)
		}
	}
	if last := r.entries[len(r.entries)-1]; len(r.entries) != 1 || last.Span.Transactions < 7 {
		t.Errorf("%d logs, %+v", len(r.entries), last)
	}
}
