package server_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// atMost is how long what is to end soon may take on a slow machine.
const atMost = 2 * time.Minute

func open(t *testing.T, s *servertest.Server, user string) *server.Server {
	t.Helper()
	config := s.Config()
	if user != "" {
		config.User = user
	}
	opened, err := server.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func connect(t *testing.T, s *server.Server) *server.Session {
	t.Helper()
	c, err := s.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var dialects = map[servertest.Kind]server.Dialect{
	servertest.MariaDB1011: {
		BinaryLogStatus: "SHOW BINLOG STATUS", ReplicaStatus: "SHOW ALL SLAVES STATUS", Replicas: "SHOW SLAVE HOSTS",
		ChangeSource: "CHANGE MASTER TO", Source: "MASTER", Replica: "REPLICA", Channel: true, Connection: true, BackupStage: true,
	},
	servertest.MySQL57: {
		BinaryLogStatus: "SHOW MASTER STATUS", ReplicaStatus: "SHOW SLAVE STATUS", Replicas: "SHOW SLAVE HOSTS",
		ChangeSource: "CHANGE MASTER TO", Source: "MASTER", Replica: "SLAVE", Channel: true,
	},
	servertest.MariaDB118: {
		BinaryLogStatus: "SHOW BINARY LOG STATUS", ReplicaStatus: "SHOW ALL SLAVES STATUS", Replicas: "SHOW SLAVE HOSTS",
		ChangeSource: "CHANGE MASTER TO", Source: "MASTER", Replica: "REPLICA", Channel: true, Connection: true, BackupStage: true,
	},
	servertest.MySQL97: {
		BinaryLogStatus: "SHOW BINARY LOG STATUS", ReplicaStatus: "SHOW REPLICA STATUS", Replicas: "SHOW REPLICAS",
		ChangeSource: "CHANGE REPLICATION SOURCE TO", Source: "SOURCE", Replica: "REPLICA", Channel: true, InstanceLock: true,
	},
}

func TestServer(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		real := servertest.Start(t, k)
		s := open(t, real, "")
		c := connect(t, s)
		t.Run("dialect", func(t *testing.T) { testDialect(t, real, c) })
		t.Run("identity", func(t *testing.T) { testIdentity(t, real, c) })
		t.Run("position", func(t *testing.T) { testPosition(t, real, c) })
		t.Run("privileges", func(t *testing.T) {
			real.Exec(t, "CREATE USER nobody@'%'")
			if _, err := connect(t, open(t, real, "nobody")).Position(t.Context()); err == nil || !strings.Contains(err.Error(), "privilege") {
				t.Fatalf("position of one who may not read it: %v", err)
			}
		})
		t.Run("kill", func(t *testing.T) { testKill(t, s, c) })
		t.Run("abandon", func(t *testing.T) { testAbandon(t, s) })
		t.Run("stopped", func(t *testing.T) { testStopped(t, real, s) })
		real.Restart(t, "--skip-log-bin", "--skip-log-slave-updates")
		if _, err := connect(t, s).Position(t.Context()); !errors.Is(err, server.ErrNoBinaryLog) {
			t.Fatalf("position without a binary log: %v", err)
		}
		p, err := connect(t, s).Unlogged(t.Context())
		if err != nil || p.File != "" || p.ServerID != real.ServerID || p.Flavor == "" || p.Version == "" || p.Time.IsZero() || p.GTIDs.IsZero() != k.MariaDB() {
			t.Fatalf("who it is without a binary log: %+v, %v", p, err)
		}
	})
}

func testDialect(t *testing.T, real *servertest.Server, c *server.Session) {
	d, err := c.Dialect(t.Context())
	if err != nil || d != dialects[real.Kind] {
		t.Fatalf("dialect: %+v, %v", d, err)
	}
	for _, channel := range []string{"", "it's"} {
		for _, threads := range []string{"", "SQL_THREAD", "IO_THREAD"} {
			for _, statement := range []string{d.Start(channel, threads), d.Stop(channel, threads)} {
				if err := c.Exec(t.Context(), statement); server.Number(err) == 1064 {
					t.Errorf("%s: %v", statement, err)
				}
			}
		}
	}
	if rows, err := c.Rows(t.Context(), d.ReplicaStatus); err != nil || len(rows) != 0 {
		t.Errorf("%s: %v, %v", d.ReplicaStatus, rows, err)
	}
	if _, err := c.Rows(t.Context(), d.Replicas); err != nil {
		t.Error(err)
	}
	if cluster, err := c.Cluster(t.Context()); cluster != "" || err != nil {
		t.Errorf("cluster: %q, %v", cluster, err)
	}
	if k, err := c.Keeping(t.Context()); k != (server.Keeping{}) || err != nil {
		t.Errorf("logs that are kept in other ways: %+v, %v", k, err)
	}
}

func testIdentity(t *testing.T, real *servertest.Server, c *server.Session) {
	id, err := c.Identity(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := mysqldump.MySQL
	if real.Kind.MariaDB() {
		want = mysqldump.MariaDB
	}
	if id.Flavor != want || id.ServerID != real.ServerID || int(id.Port) != real.Port || id.Version == "" || id.Hostname == "" ||
		id.ServerUUID.IsZero() != real.Kind.MariaDB() || (id.GTIDMode == "ON") == real.Kind.MariaDB() {
		t.Fatalf("identity: %+v", id)
	}
}

func testPosition(t *testing.T, real *servertest.Server, c *server.Session) {
	read := func() mysqldump.Position {
		t.Helper()
		p, err := c.Position(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	if p := read(); !p.GTIDs.IsZero() {
		t.Fatalf("a new server has GTIDs: %v", p)
	}
	real.Exec(t, "CREATE DATABASE p", "CREATE TABLE p.t (id INT PRIMARY KEY AUTO_INCREMENT) ENGINE=InnoDB")
	before := read()
	if before.GTIDs.IsZero() || before.File == "" || before.Time.IsZero() || before.ServerID != real.ServerID {
		t.Fatalf("position: %v", before)
	}
	real.Exec(t, "INSERT INTO p.t VALUES ()")
	after := read()
	if n, err := before.CompareFiles(after); err != nil || n >= 0 || !after.GTIDs.Contains(before.GTIDs) || before.GTIDs.Equal(after.GTIDs) {
		t.Fatalf("%v is not before %v: %v", before, after, err)
	}

	ctx, cancel := context.WithCancel(t.Context())
	wrote, w := make(chan error, 1), connect(t, open(t, real, ""))
	go func() {
		var err error
		for err == nil {
			err = w.Exec(ctx, "INSERT INTO p.t VALUES ()")
		}
		wrote <- err
	}()
	for range 20 {
		p := read()
		if !real.Kind.MariaDB() {
			continue
		}
		row, err := c.Row(t.Context(), "SELECT BINLOG_GTID_POS("+server.Literal(p.File)+","+strconv.FormatUint(p.Offset, 10)+")")
		if err != nil || string(row[0]) != p.GTIDs.String() {
			t.Errorf("file and GTIDs of %v are not of one moment: %s, %v", p, row, err)
		}
	}
	cancel()
	if err := <-wrote; !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

func testKill(t *testing.T, s *server.Server, c *server.Session) {
	victim := connect(t, s)
	if err := c.Kill(t.Context(), victim.ID()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(atMost); victim.Exec(t.Context(), "DO 1") == nil; time.Sleep(10 * time.Millisecond) { // MySQL 5.7 may miss that an idle session is to end
		if time.Now().After(deadline) {
			t.Fatal("a session outlived its end")
		}
	}
	if err := c.Kill(t.Context(), 1<<31); err != nil {
		t.Fatalf("kill a session that nobody has: %v", err)
	}
}

const rows1000000 = `SELECT REPEAT('x', 100) FROM information_schema.collations a, information_schema.collations b, information_schema.collations c LIMIT 1000000`

func testAbandon(t *testing.T, s *server.Server) {
	enough := errors.New("enough")
	c := connect(t, s)
	if err := c.Query(t.Context(), "SELECT 1 UNION SELECT 2", func([][]byte) error { return enough }); err != enough {
		t.Fatal(err)
	}
	if err := c.Exec(t.Context(), "DO 1"); err != nil {
		t.Fatalf("a session after a short result that nobody wanted: %v", err)
	}
	if err := c.Query(t.Context(), rows1000000, func([][]byte) error { return enough }); err != enough {
		t.Fatal(err)
	}
	if err := c.Exec(t.Context(), "DO 1"); err == nil {
		t.Fatal("the session has read a long result that nobody wanted")
	}
}

// testStopped has calls to a server that hangs end with their contexts.
func testStopped(t *testing.T, real *servertest.Server, s *server.Server) {
	asking, reading := connect(t, s), connect(t, s)
	for name, call := range map[string]func(context.Context) error{
		"connect": func(ctx context.Context) error { _, err := s.Connect(ctx); return err },
		"ask":     func(ctx context.Context) error { return asking.Exec(ctx, "DO 1") },
		"read": func(ctx context.Context) error {
			real.Resume(t)
			n := 0
			return reading.Query(ctx, rows1000000, func([][]byte) error {
				if n++; n == 10 {
					real.Pause(t)
				}
				return nil
			})
		},
	} {
		real.Pause(t)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		start := time.Now()
		if err := call(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(start); took > atMost {
			t.Errorf("%s: took %v", name, took)
		}
		cancel()
	}
	start := time.Now()
	asking.Close()
	reading.Close()
	if took := time.Since(start); took > atMost {
		t.Errorf("close took %v", took)
	}
	real.Resume(t)
}
