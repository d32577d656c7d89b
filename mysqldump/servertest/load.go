package servertest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"golang.org/x/time/rate"
)

// LoadOptions say how a server is written to.
type LoadOptions struct {
	Writers   int  // sessions; 0: 8
	Hot       bool // four of the writers, or all if there are fewer, begin each transaction with an update of one row, which they fight for
	PerSecond int  // transactions of all writers together; 0: as many as they can
	MyISAM    bool // after each transaction a row goes into the MyISAM table `journal` too
}

// hotWriters is how many writers fight for the hot row.
const hotWriters = 4

// Load is writers that never stop: transactions of several inserts, updates and deletes on the tables of database `loadtest`. In each consistent snapshot
// SUM(balance) of `accounts` is 0, and so is the difference between hot.n and COUNT(*) of `hits`.
type Load struct {
	options LoadOptions
	db      *sql.DB
	limit   *rate.Limiter
	stop    context.CancelFunc // no more transactions
	abort   context.CancelFunc // ends those under way
	done    sync.WaitGroup
	commits atomic.Int64

	mu     sync.Mutex
	report LoadReport
}

// LoadReport is what the writers saw.
type LoadReport struct {
	Commits int
	Failed  int            // transactions that ended with an error: a deadlock, a lost connection
	Errors  map[string]int // how often each was met; of the connection's, their text
	MaxWait time.Duration  // the longest time that one statement took, COMMIT among them
	P99     time.Duration
	Waits   []time.Duration // of all statements, shortest first
}

const loadTables = `CREATE DATABASE IF NOT EXISTS loadtest;
	CREATE TABLE IF NOT EXISTS loadtest.accounts (id INT PRIMARY KEY, balance BIGINT NOT NULL) ENGINE=InnoDB;
	CREATE TABLE IF NOT EXISTS loadtest.items (id BIGINT AUTO_INCREMENT PRIMARY KEY, writer INT NOT NULL, n INT NOT NULL, v VARCHAR(100), KEY (n)) ENGINE=InnoDB;
	CREATE TABLE IF NOT EXISTS loadtest.hot (id INT PRIMARY KEY, n BIGINT NOT NULL) ENGINE=InnoDB;
	CREATE TABLE IF NOT EXISTS loadtest.hits (id BIGINT AUTO_INCREMENT PRIMARY KEY, writer INT NOT NULL) ENGINE=InnoDB;
	CREATE TABLE IF NOT EXISTS loadtest.journal (id BIGINT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(100)) ENGINE=MyISAM;
	INSERT IGNORE INTO loadtest.hot VALUES (1, 0)`

const accounts = 100

// StartLoad starts writers, and returns when each has committed. They end with the test, or by Stop.
func (s *Server) StartLoad(t testing.TB, o LoadOptions) *Load {
	t.Helper()
	if o.Writers == 0 {
		o.Writers = 8
	}
	limit := rate.Inf
	if o.PerSecond > 0 {
		limit = rate.Limit(o.PerSecond)
	}
	s.Exec(t, strings.Split(loadTables, ";")...)
	s.Exec(t, "INSERT IGNORE INTO loadtest.accounts VALUES (1, 0)"+manyAccounts())
	db, err := s.open()
	must(t, err)
	l := &Load{options: o, db: db, limit: rate.NewLimiter(limit, 1), report: LoadReport{Errors: map[string]int{}}}
	running, stop := context.WithCancel(context.Background())
	alive, abort := context.WithCancel(context.Background())
	l.stop, l.abort = stop, abort
	var first sync.WaitGroup
	for i := range o.Writers {
		first.Add(1)
		w := &writer{load: l, id: i, hot: o.Hot && i < hotWriters, first: sync.OnceFunc(first.Done)}
		l.done.Go(func() { w.write(running, alive) })
	}
	t.Cleanup(func() { l.Stop() })
	started := make(chan bool)
	go func() { first.Wait(); close(started) }()
	select {
	case <-started:
	case <-time.After(patience):
		t.Fatalf("the writers did not begin in %v: %+v", patience, l.Stop().Errors)
	}
	return l
}

func manyAccounts() string {
	var b strings.Builder
	for id := 2; id <= accounts; id++ {
		fmt.Fprintf(&b, ", (%d, 0)", id)
	}
	return b.String()
}

// Commits is how many transactions are committed by now.
func (l *Load) Commits() int { return int(l.commits.Load()) }

// Stop ends the writers after their transactions, those that hang after 30 seconds, and says what they saw. It can be called again.
func (l *Load) Stop() LoadReport {
	l.stop()
	late := time.AfterFunc(30*time.Second, l.abort)
	l.done.Wait()
	late.Stop()
	l.abort()
	l.db.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &l.report
	slices.Sort(r.Waits)
	if n := len(r.Waits); n > 0 {
		r.MaxWait, r.P99 = r.Waits[n-1], r.Waits[min(n-1, n*99/100)]
	}
	r.Commits = l.Commits()
	return *r
}

// writer is one session of a load.
type writer struct {
	load  *Load
	id    int
	hot   bool
	first func()
	items []int64 // rows that are there, if the server has not lost them
	waits []time.Duration
}

// write runs transactions until the first context ends; the second one interrupts them.
func (w *writer) write(running, alive context.Context) {
	defer w.first() // that nobody waits for a writer that has been stopped
	defer func() {
		w.load.mu.Lock()
		defer w.load.mu.Unlock()
		w.load.report.Waits = append(w.load.report.Waits, w.waits...)
	}()
	for running.Err() == nil {
		err := w.session(running, alive)
		if err == nil || alive.Err() != nil {
			continue
		}
		w.load.failed(err)
		select {
		case <-running.Done():
		case <-time.After(10 * time.Millisecond): // a server that is down is not asked more often
		}
	}
}

func (l *Load) failed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.report.Failed++
	text := err.Error()
	if said := (*mysql.MySQLError)(nil); errors.As(err, &said) {
		text = fmt.Sprint(said.Number)
	}
	l.report.Errors[text]++
}

// session runs transactions in one connection until one fails.
func (w *writer) session(running, alive context.Context) error {
	c, err := w.load.db.Conn(alive)
	if err != nil {
		return err
	}
	defer c.Close()
	for running.Err() == nil {
		if w.load.limit.Wait(running) != nil {
			break
		}
		if err := w.transaction(alive, c); err != nil {
			_ = c.Raw(func(any) error { return driver.ErrBadConn }) // whatever it holds is rolled back
			return err
		}
		w.load.commits.Add(1)
		w.first()
	}
	return nil
}

// transaction moves an amount between two accounts, and adds, changes and removes rows.
func (w *writer) transaction(ctx context.Context, c *sql.Conn) error {
	var failed error
	exec := func(statement string, args ...any) (id int64) {
		if failed != nil {
			return 0
		}
		begin := time.Now()
		result, err := c.ExecContext(ctx, statement, args...)
		w.waits = append(w.waits, time.Since(begin))
		if failed = err; err != nil {
			return 0
		}
		id, failed = result.LastInsertId()
		return id
	}
	exec("BEGIN")
	if w.hot {
		exec("UPDATE loadtest.hot SET n = n + 1 WHERE id = 1")
		exec("INSERT INTO loadtest.hits (writer) VALUES (?)", w.id)
	}
	amount, from, to := rand.IntN(1000), 1+rand.IntN(accounts/2), 1+accounts/2+rand.IntN(accounts/2) // in the order of their ids, so that writers never wait for each other in a ring
	exec("UPDATE loadtest.accounts SET balance = balance - ? WHERE id = ?", amount, from)
	exec("UPDATE loadtest.accounts SET balance = balance + ? WHERE id = ?", amount, to)
	added := exec("INSERT INTO loadtest.items (writer, n, v) VALUES (?, ?, REPEAT('x', ?))", w.id, amount, amount/10)
	if n := len(w.items); n > 0 {
		exec("UPDATE loadtest.items SET n = n + 1 WHERE id = ?", w.items[rand.IntN(n)])
	}
	items := append(w.items, added)
	if len(items) > 50 {
		exec("DELETE FROM loadtest.items WHERE id = ?", items[0])
		items = items[1:]
	}
	exec("COMMIT")
	if failed == nil {
		w.items = items
	}
	if w.load.options.MyISAM { // outside, since GTIDs allow no transaction on both engines
		exec("INSERT INTO loadtest.journal (v) VALUES (?)", fmt.Sprint("writer ", w.id))
	}
	return failed
}
