package compare_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nightjar/mysqldump/compare"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/replica/replicatest"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

const limit = replicatest.Limit

var opened, positionOf, statusOf, caughtUp = replicatest.Open, replicatest.Position, replicatest.Status, replicatest.CatchUp

// follow has a new server replicate from another one, from now on, and makes a table there.
func follow(t testing.TB, from, to *servertest.Server, o replica.Options) {
	t.Helper()
	from.Exec(t, "SET sql_log_bin=0", "CREATE USER IF NOT EXISTS repl@'%' IDENTIFIED BY 'secret'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
	at := positionOf(t, from)
	if _, err := replica.Point(t.Context(), opened(t, to), replica.Source{Host: from.Host, Port: from.Port, User: "repl", Password: "secret", Position: at}, o); err != nil {
		t.Fatal(err)
	}
	if err := replica.Start(t.Context(), opened(t, to), o.Channel); err != nil {
		t.Fatal(err)
	}
	from.Exec(t, "CREATE DATABASE a", "CREATE TABLE a.t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(100)) ENGINE=InnoDB", "INSERT INTO a.t (v) VALUES ('one'),('two'),(NULL)")
	caughtUp(t, from, to, o.Channel)
}

func verify(t testing.TB, from, to *servertest.Server, o compare.Options) compare.Result {
	t.Helper()
	folder := t.TempDir()
	o.Source, o.Limit, o.Folder, o.Lock.Wait = opened(t, from), limit, folder, limit
	v, err := compare.Run(t.Context(), opened(t, to), o)
	if err != nil {
		t.Fatal(err)
	}
	if s := statusOf(t, to); !s.Runs() {
		t.Fatalf("it does not run any more: %+v", s)
	}
	left, _, err := server.LeftPaused(folder)
	if len(left) > 0 || err != nil {
		t.Fatalf("a note is left: %v, %v", left, err)
	}
	return v
}

func TestCompare(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		parallel := []string{"--slave-parallel-threads=4", "--slave-parallel-mode=optimistic"}
		switch k {
		case servertest.MySQL57:
			parallel = []string{"--slave-parallel-workers=4", "--slave-parallel-type=LOGICAL_CLOCK"}
		case servertest.MySQL97: // four workers by itself
			parallel = nil
		}
		source, to := servertest.Start(t, k), servertest.Start(t, k, parallel...)
		follow(t, source, to, replica.Options{Writable: true})
		source.Exec(t, "CREATE TABLE a.myisam (id INT PRIMARY KEY, f FLOAT) ENGINE=MyISAM", "INSERT INTO a.myisam VALUES (1, 1.5), (2, NULL)",
			"CREATE TABLE a.`od``d ?` (id INT, b BIT(9), x BLOB) ENGINE=InnoDB", "INSERT INTO a.`od``d ?` VALUES (1, 300, x'00ff'), (NULL, NULL, NULL)")
		load := source.StartLoad(t, servertest.LoadOptions{Writers: 4, Hot: true, PerSecond: 100, MyISAM: true})
		v := verify(t, source, to, compare.Options{})
		if len(v.Differences) > 0 || len(v.Uncompared) > 0 || v.Tables != 8 || v.Stood <= 0 {
			t.Errorf("of equal servers: %+v", v)
		}
		load.Stop()
		if v := verify(t, source, to, compare.Options{MaxCovered: 1}); len(v.Differences) > 0 || named(v.Uncompared) != "[myisam: too large to be read under a lock journal: too large to be read under a lock]" {
			t.Errorf("of tables that are too large: %+v", v)
		}
		busy, err := lock.Take(t.Context(), opened(t, source), lock.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := compare.Run(t.Context(), opened(t, to), compare.Options{Source: opened(t, source), Folder: t.TempDir()}); !errors.Is(err, lock.ErrBusy) {
			t.Errorf("beside a backup: %v", err)
		}
		if err := busy.Close(); err != nil {
			t.Error(err)
		}
		changing(t, source, to)
		to.Exec(t, "SET sql_log_bin=0", "UPDATE a.t SET v='changed' WHERE id=2", "UPDATE a.myisam SET f=1 WHERE id=2", "DROP TABLE a.`od``d ?`", "CREATE TABLE a.more (id INT)")
		v = verify(t, source, to, compare.Options{})
		if got, want := named(v.Differences), "[more: missing at the source myisam: other rows od`d ?: missing at the replica t: other rows]"; got != want {
			t.Errorf("differences %v, want %s", got, want)
		}
		v = verify(t, source, to, compare.Options{Chosen: func(_, table string) bool { return table == "t" }})
		if got, want := named(v.Differences), "[t: other rows]"; got != want || v.Tables != 0 {
			t.Errorf("of one table: %v, want %s; %d are equal", got, want, v.Tables)
		}
	})
}

func named(differences []compare.Difference) string {
	var all []string
	for _, d := range differences {
		all = append(all, d.Table+": "+d.What)
	}
	return fmt.Sprint(all)
}

// changing compares while tables are made anew all the time: none of them may be called different, since nobody sees both at one
// position.
func changing(t *testing.T, source, to *servertest.Server) {
	source.Exec(t, "CREATE TABLE a.cut (id INT PRIMARY KEY) ENGINE=InnoDB", "CREATE TABLE a.swapped (id INT PRIMARY KEY) ENGINE=InnoDB")
	ctx, cancel := context.WithCancel(t.Context())
	var ended sync.WaitGroup
	ended.Go(func() {
		c := source.Connect(t)
		defer c.Close()
		for i := 0; ctx.Err() == nil; i++ {
			for _, s := range []string{"TRUNCATE a.cut", fmt.Sprintf("INSERT INTO a.cut VALUES (%d)", i), "CREATE TABLE a.new (id INT PRIMARY KEY) ENGINE=InnoDB", fmt.Sprintf("INSERT INTO a.new VALUES (%d)", i),
				"RENAME TABLE a.swapped TO a.old, a.new TO a.swapped", "DROP TABLE a.old"} {
				_, err := c.ExecContext(t.Context(), s)
				for server.Number(err) == 1213 { // a deadlock with who compares, of which this is the victim
					_, err = c.ExecContext(t.Context(), s)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	v := verify(t, source, to, compare.Options{})
	cancel()
	ended.Wait()
	for _, d := range v.Differences {
		if !strings.HasPrefix(d.What, "missing") || d.Table == "cut" || d.Table == "t" {
			t.Errorf("of tables that are made anew: %+v", d)
		}
	}
	if v.Tables < 7 {
		t.Errorf("the others: %+v", v)
	}
	caughtUp(t, source, to, "")
	if v := verify(t, source, to, compare.Options{}); len(v.Differences)+len(v.Uncompared) > 0 {
		t.Errorf("afterwards: %+v", v)
	}
}

// Between servers whose CHECKSUM TABLE cannot be compared, the sums are our own.
func TestAcross(t *testing.T) {
	for _, ends := range [][2]servertest.Kind{{servertest.MySQL57, servertest.MariaDB1011}, {servertest.MariaDB1011, servertest.MariaDB118}} {
		t.Run(string(ends[0]+" to "+ends[1]), func(t *testing.T) {
			t.Parallel()
			source, to := servertest.Start(t, ends[0]), servertest.Start(t, ends[1])
			follow(t, source, to, replica.Options{Writable: true})
			source.Exec(t, "CREATE TABLE a.types (id INT PRIMARY KEY, f FLOAT, d DOUBLE, n DECIMAL(20,5), b BIT(9), x BLOB, s VARCHAR(9) CHARACTER SET utf8, t TIMESTAMP(3) NULL, e ENUM('a','b')) ENGINE=InnoDB",
				"INSERT INTO a.types VALUES (1, 1.5, 0.1, 12.5, 300, x'00ff', 'ä', '2020-01-01 00:00:00.123', 'b'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)")
			source.StartLoad(t, servertest.LoadOptions{Writers: 4, PerSecond: 100, MyISAM: true})
			if v := verify(t, source, to, compare.Options{}); len(v.Differences) > 0 || len(v.Uncompared) > 0 || v.Tables != 7 {
				t.Errorf("of equal servers: %+v", v)
			}
			to.Exec(t, "SET sql_log_bin=0", "UPDATE a.types SET f=1.25 WHERE id=1")
			if v := verify(t, source, to, compare.Options{}); len(v.Differences) != 1 || v.Differences[0].Table != "types" {
				t.Errorf("of a changed row: %+v", v)
			}
		})
	}
}

// A process that is told to end while a replica stands lets it go on.
func TestEnds(t *testing.T) {
	source, to := servertest.Start(t, servertest.MariaDB1011), servertest.Start(t, servertest.MariaDB1011)
	follow(t, source, to, replica.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	holder := to.Connect(t)
	if _, err := holder.ExecContext(t.Context(), "LOCK TABLES a.t READ"); err != nil {
		t.Fatal(err)
	}
	source.Exec(t, "INSERT INTO a.t (v) VALUES ('held up')")
	folder := t.TempDir()
	var ended sync.WaitGroup
	ended.Go(func() {
		for begin := time.Now(); ; time.Sleep(10 * time.Millisecond) { // until the thread is about to be stopped
			if notes, _ := filepath.Glob(filepath.Join(folder, "*.paused")); len(notes) > 0 || time.Since(begin) > limit {
				break
			}
		}
		cancel()
		_, _ = holder.ExecContext(t.Context(), "UNLOCK TABLES") // only now, so that it can have come to no other end
	})
	_, err := compare.Run(ctx, opened(t, to), compare.Options{Source: opened(t, source), Folder: folder})
	ended.Wait()
	if err == nil {
		t.Error("a replica that is held up is compared")
	}
	caughtUp(t, source, to, "")
}
