package dump

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/queue"
	"nightjar/mysqldump/schema"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// changes are what may happen to table t while the dump is at others, after the snapshot.
var changes = map[string][]string{
	"rename":   {"CREATE TABLE t_new LIKE t", "INSERT INTO t_new VALUES (1,'new')", "RENAME TABLE t TO t_old, t_new TO t"},
	"truncate": {"TRUNCATE TABLE t"},
	"recreate": {"CREATE TABLE keep LIKE t", "DROP TABLE t", "CREATE TABLE t LIKE keep", "INSERT INTO t VALUES (1,'new')", "DROP TABLE keep"},
	"drop":     {"DROP TABLE t"},
	"add":      {"ALTER TABLE t ADD COLUMN more INT DEFAULT 3"},
	"copy":     {"ALTER TABLE t FORCE"},
	"back":     {"RENAME TABLE t TO u", "RENAME TABLE u TO t", "ALTER TABLE t ENGINE=InnoDB"},
}

// A table that is changed after the snapshot fails the dump, which names it; with a retry, the dump has what is there then.
func TestChanges(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		if k == servertest.MySQL97 {
			return // its lock for backups holds DDL back until the last row is read: TestHeldBack
		}
		s := servertest.Start(t, k)
		for name, statements := range changes {
			for _, retries := range []int{0, 1} {
				database := fmt.Sprintf("%s%d", name, retries)
				use := []string{"CREATE DATABASE " + database, "USE " + database}
				// The large table is read first, so that t is not when the file of the large one is closed.
				s.Exec(t, append(use, "CREATE TABLE large (id INT PRIMARY KEY, v VARCHAR(2000))", "INSERT INTO large VALUES (1,REPEAT('x',2000)),(2,REPEAT('x',2000)),(3,REPEAT('x',2000)),(4,REPEAT('x',2000)),"+
					"(5,REPEAT('x',2000)),(6,REPEAT('x',2000)),(7,REPEAT('x',2000)),(8,REPEAT('x',2000)),(9,REPEAT('x',2000)),(10,REPEAT('x',2000))", "ANALYZE TABLE large",
					"CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(10))", "INSERT INTO t VALUES (1,'a'),(2,'b'),(3,'c')", "ANALYZE TABLE t")...)
				var once sync.Once
				m := &memory{closed: func(file string) {
					if strings.Contains(file, "rows."+database+".large.") {
						once.Do(func() { s.Exec(t, append([]string{"USE " + database}, statements...)...) })
					}
				}}
				o := options()
				o.Threads, o.DDLRetries, o.RangeBytes = 1, retries, 1000
				o.Selection = choose.Selection{Databases: []string{database}}
				o.Lock.Directory = t.TempDir()
				var told []error
				o.Warn = func(err error) { told = append(told, err) }
				result, err := Run(t.Context(), connect(t, s), m, o)
				if retries == 0 {
					var changed *ChangedError
					if !errors.As(err, &changed) || changed.Table != database+".t" {
						t.Errorf("%s: %v", name, err)
					}
					continue
				}
				if err != nil || result.Retries != 1 || len(told) != 1 {
					t.Errorf("%s: %v, %d retries, %v", name, err, result.Retries, told)
					continue
				}
				got, want := noted(m), sums(t, s)
				for table, sum := range want {
					if strings.HasPrefix(table, database+".") && got[table] != sum {
						t.Errorf("%s: %s has the sum %q, not %s", name, table, got[table], sum)
					}
				}
				if m.open != 0 || (name == "drop") != (len(m.rowFiles(database, "t")) == 0) {
					t.Errorf("%s: %d files are open, t has %v", name, m.open, m.rowFiles(database, "t"))
				}
			}
		}
	})
}

// What is broken fails the dump, or is left out by name.
func TestBroken(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		if k != servertest.MariaDB1011 && k != servertest.MySQL57 {
			return
		}
		s := servertest.Start(t, k)
		s.Exec(t, "CREATE DATABASE d", "USE d", "CREATE TABLE good (a INT)", "INSERT INTO good VALUES (1)", "CREATE TABLE gone (a INT)", "CREATE VIEW v AS SELECT a FROM gone",
			"CREATE VIEW w AS SELECT a FROM good", "DROP TABLE gone")
		o := options()
		o.Lock.Directory = t.TempDir()
		if _, err := Run(t.Context(), connect(t, s), &memory{}, o); err == nil || !strings.Contains(err.Error(), "d.v") {
			t.Errorf("a broken view: %v", err)
		}
		o.BrokenSkip = true
		m, result := dumpOf(t, s, o)
		if len(result.Broken) != 1 || result.Broken[0].Name != "d.v" || result.Tables != 1 {
			t.Errorf("%+v", result)
		}
		about := m.files["00-about.dump.sql"].String()
		if !strings.Contains(about, "broken, and left out: view d.v") {
			t.Errorf("the archive does not say it:\n%s", about)
		}
	})
}

// A table that only the lock covers is known by its columns.
func TestCoveredChange(t *testing.T) {
	s := servertest.Start(t, servertest.MariaDB1011)
	s.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY) ENGINE=MyISAM", "INSERT INTO d.t VALUES (1)")
	r := &run{srv: connect(t, s), sink: &memory{}, o: options(), files: map[string]bool{}}
	session, err := r.srv.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	a := &attempt{run: r, queue: queue.New[task](), databases: map[string]schema.Database{}, broken: map[schema.Name]bool{}, looking: session}
	if err := a.find(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := a.cover(t.Context(), a.uncovered(), []*server.Session{session}); err != nil {
		t.Fatal(err)
	}
	s.Exec(t, "ALTER TABLE d.t ADD COLUMN more INT")
	var changed *ChangedError
	if err := a.cover(t.Context(), a.uncovered(), []*server.Session{session}); !errors.As(err, &changed) || changed.Table != "d.t" {
		t.Errorf("%v", err)
	}
}

// A dump ends that keeps the server from purging for too long.
func TestMaxSnapshot(t *testing.T) {
	s := servertest.Start(t, servertest.MariaDB1011)
	s.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1)")
	m := &memory{closed: func(string) { // until the server has ended the snapshots
		for s.Query(t, "SELECT COUNT(*) FROM information_schema.innodb_trx")[0][0] != "0" {
			time.Sleep(150 * time.Millisecond) // the server answers from a cache while it is asked more often than ten times a second
		}
	}}
	o := options()
	o.Lock.Directory, o.Lock.MaxSnapshot = t.TempDir(), 300*time.Millisecond
	if _, err := Run(t.Context(), connect(t, s), m, o); !errors.Is(err, lock.ErrSnapshot) {
		t.Errorf("%v", err)
	}
}

// A dump that is ended leaves no file open and no session behind.
func TestCanceled(t *testing.T) {
	s := servertest.Start(t, servertest.MariaDB1011)
	s.Exec(t, "CREATE DATABASE d", "USE d", "CREATE TABLE a (a INT)", "INSERT INTO a VALUES (1)", "CREATE TABLE b (a INT)", "INSERT INTO b VALUES (1)")
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the store is gone")
	m := &memory{closed: func(string) { cancel(gone) }}
	o := options()
	o.Lock.Directory = t.TempDir()
	if _, err := Run(ctx, connect(t, s), m, o); !errors.Is(err, gone) {
		t.Errorf("%v", err)
	}
	if m.open != 0 {
		t.Errorf("%d files are open", m.open)
	}
}

// A server that does not answer any more ends the dump, whatever it had been asked for.
func TestSilent(t *testing.T) {
	s := servertest.Start(t, servertest.MariaDB1011)
	s.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)")
	for _, last := range []string{"", "@@max_allowed_packet", "information_schema.TABLES", "GET_LOCK", "FROM `d`"} {
		proxy := servertest.StartProxy(t, s.Config().Addr)
		proxy.Stall(last == "") // from its greeting on
		proxy.When(last, func() { proxy.Stall(true) })
		config := s.Config()
		config.Addr = proxy.Addr
		srv, err := server.New(config)
		if err != nil {
			t.Fatal(err)
		}
		o := options()
		o.Silence = time.Second
		o.Lock.Directory = t.TempDir()
		if _, err := Run(t.Context(), srv, &memory{}, o); !errors.Is(err, server.ErrSilent) {
			t.Errorf("a server that does not answer to %s: %v", last, err)
		}
	}
}

// Where the server has a lock for backups, a change waits until the last row is read.
func TestHeldBack(t *testing.T) {
	s := servertest.Start(t, servertest.MySQL97)
	s.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY)", "INSERT INTO d.t VALUES (1),(2)", "CREATE TABLE d.u (id INT PRIMARY KEY)", "INSERT INTO d.u VALUES (3)")
	changed := make(chan struct{})
	var once sync.Once
	m := &memory{closed: func(string) {
		once.Do(func() {
			go func() {
				defer close(changed)
				s.Exec(t, "TRUNCATE TABLE d.t", "TRUNCATE TABLE d.u")
			}()
			for s.Query(t, "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE 'Waiting for backup lock%'")[0][0] == "0" {
				select {
				case <-changed:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}}
	o := options()
	o.Lock.Directory = t.TempDir()
	result, err := Run(t.Context(), connect(t, s), m, o)
	if err != nil || result.Rows != 3 || result.Retries != 0 {
		t.Errorf("%+v: %v", result, err)
	}
	<-changed
}

// What is made or defined anew after the dump has looked at what there is, and before its snapshot, is found out.
func TestNew(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		s := servertest.Start(t, k)
		s.Exec(t, "CREATE DATABASE d", "USE d", "CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE left_out (id INT PRIMARY KEY)", "CREATE VIEW v AS SELECT id FROM t", "CREATE PROCEDURE p() SELECT 1",
			"CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET @x=1", "CREATE EVENT e ON SCHEDULE EVERY 1 YEAR DO SELECT 1")
		o := options()
		o.Selection, o.Accounts = choose.Selection{ExcludeTables: []string{"d.left*"}}, true
		r := &run{srv: connect(t, s), sink: &memory{}, o: o, files: map[string]bool{}}
		for _, change := range [][2]string{
			{"", "CREATE TABLE d.left_too (a INT)"}, {"", "DROP TABLE d.left_out"}, {"table d.n", "CREATE TABLE d.n (a INT) ENGINE=MyISAM"}, {"view d.w", "CREATE VIEW d.w AS SELECT 1"},
			{"view d.v", "CREATE OR REPLACE VIEW d.v AS SELECT id+1 FROM d.t"}, {"trigger d.tr", "DROP TRIGGER d.tr"}, {"event d.e", "ALTER EVENT d.e DISABLE"}, {"procedure d.p", "DROP PROCEDURE d.p"},
			{"function d.f", "CREATE FUNCTION d.f() RETURNS INT DETERMINISTIC RETURN 1"}, {"table e.x", "CREATE DATABASE e; CREATE TABLE e.x (a INT)"}, {"table d.n", "DROP TABLE d.n"},
			{"account `u`@`%`", "CREATE USER u@'%'"}, {"account `u`@`%`", "GRANT SELECT ON d.* TO u@'%'"}, {"account `u`@`%`", "DROP USER u@'%'"}, {"", "DO 1"},
			{"foreign server far", "CREATE SERVER far FOREIGN DATA WRAPPER mysql OPTIONS (HOST '192.0.2.1', DATABASE 'x')"},
		} {
			a := &attempt{run: r, queue: queue.New[task](), databases: map[string]schema.Database{}, broken: map[schema.Name]bool{}}
			var err error
			if a.looking, err = r.srv.Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			if err := a.find(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Exec(t, strings.Split(change[1], "; ")...)
			err = a.nothingNew(t.Context())
			a.looking.Close()
			var changed *ChangedError
			if change[0] == "" && err == nil {
				continue
			}
			if !errors.As(err, &changed) || !strings.HasPrefix(err.Error(), change[0]+" was changed") {
				t.Errorf("%s: %v", change[1], err)
			}
		}
	})
}
