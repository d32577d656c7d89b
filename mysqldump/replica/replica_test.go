package replica_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"nightjar/mysqldump"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/replica/replicatest"
	"nightjar/mysqldump/servertest"
)

const password = "it's a secret"

var opened, positionOf, statusOf = replicatest.Open, replicatest.Position, replicatest.Status

// newSource returns a server with a database and a replication account.
func newSource(t testing.TB, k servertest.Kind, flags ...string) *servertest.Server {
	t.Helper()
	s := servertest.Start(t, k, flags...)
	s.Exec(t,
		"CREATE USER repl@'%' IDENTIFIED BY 'it''s a secret'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'",
		"CREATE DATABASE a",
		"CREATE TABLE a.t (id INT PRIMARY KEY AUTO_INCREMENT, v VARCHAR(100)) ENGINE=InnoDB",
		"INSERT INTO a.t (v) VALUES ('one'),('two'),(NULL)",
		"CREATE USER 'an'@'host'", "SET time_zone='+03:00', sql_mode='ANSI_QUOTES'",
		"CREATE DEFINER='an'@'host' EVENT a.e ON SCHEDULE EVERY 1 YEAR DO SELECT 1", "SET time_zone='+00:00', sql_mode=''",
	)
	return s
}

// seed loads what a source has into a new server, and returns the source's position. Nobody may write meanwhile.
func seed(t testing.TB, from, to *servertest.Server) mysqldump.Position {
	t.Helper()
	at := positionOf(t, from)
	dump := append(from.Program("mysqldump"), "--no-defaults", "-uroot", "--socket="+from.Socket, "--skip-lock-tables", "--events", "--databases", "a")
	if from.Kind == servertest.MySQL97 {
		dump = append(dump, "--set-gtid-purged=OFF")
	}
	var errors bytes.Buffer
	c := exec.CommandContext(t.Context(), dump[0], dump[1:]...)
	c.Stderr = &errors
	text, err := c.Output()
	if err != nil {
		t.Fatalf("dump: %v: %s", err, &errors)
	}
	load := to.Client(t, "--init-command=SET sql_log_bin=0")
	load.Stdin = bytes.NewReader(text)
	if out, err := load.CombinedOutput(); err != nil {
		t.Fatalf("load: %v: %s", err, out)
	}
	return at
}

func write(t testing.TB, s *servertest.Server) *servertest.Load {
	t.Helper()
	return s.StartLoad(t, servertest.LoadOptions{Hot: true, PerSecond: 100, MyISAM: true})
}

func sourceOf(s *servertest.Server, at mysqldump.Position) replica.Source {
	return replica.Source{Host: s.Host, Port: s.Port, User: "repl", Password: password, Position: at}
}

const limit = replicatest.Limit

// follow points a replica at a source, and waits until it has what the source has now.
func follow(t testing.TB, from, to *servertest.Server, at mysqldump.Position, o replica.Options) replica.Pointed {
	t.Helper()
	o.Server = opened(t, from)
	pointed, err := replica.Point(t.Context(), opened(t, to), sourceOf(from, at), o)
	if err != nil {
		t.Fatal(err)
	}
	if err := replica.Start(t.Context(), opened(t, to), o.Channel); err != nil {
		t.Fatal(err)
	}
	replicatest.CatchUp(t, from, to, o.Channel)
	return pointed
}

// same fails the test unless the replica gets all that its source has, and has then the same in all tables.
func same(t testing.TB, from, to *servertest.Server) {
	t.Helper()
	replicatest.CatchUp(t, from, to, "")
	if a, b := servertest.Checksums(t, from), servertest.Checksums(t, to); fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("source %v, replica %v", a, b)
	}
}

func TestReplicate(t *testing.T) {
	eachFamily(t, func(t *testing.T, k servertest.Kind) {
		source := newSource(t, k)
		byGTID, byFile := servertest.Start(t, k), servertest.Start(t, k)
		at := seed(t, source, byGTID)
		seed(t, source, byFile)
		load := write(t, source)
		if p := follow(t, source, byGTID, at, replica.Options{}); !p.GTID {
			t.Error("it does not follow GTIDs")
		}
		if p := follow(t, source, byFile, at, replica.Options{NoGTID: true}); p.GTID {
			t.Error("it follows GTIDs")
		}
		load.Stop()
		for _, s := range []*servertest.Server{byGTID, byFile} {
			same(t, source, s)
			if row := s.QueryRow(t, "SELECT @@read_only r"); row["r"] != "1" {
				t.Error("it is not read only")
			}
			event := s.QueryRow(t, "SELECT STATUS, DEFINER, TIME_ZONE, SQL_MODE FROM information_schema.EVENTS")
			if !strings.HasSuffix(event["STATUS"], "SIDE_DISABLED") || event["DEFINER"] != "an@host" || event["TIME_ZONE"] != "+03:00" || event["SQL_MODE"] != "ANSI_QUOTES" {
				t.Errorf("the event is %v", event)
			}
		}
	})
}
