package promote_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"nightjar/mysqldump/promote"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/replica/replicatest"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

const limit = replicatest.Limit

var opened, positionOf = replicatest.Open, replicatest.Position

// sourceOf is a server as a source, from now on.
func sourceOf(t testing.TB, s *servertest.Server) replica.Source {
	t.Helper()
	return replica.Source{Host: s.Host, Port: s.Port, User: "repl", Password: "secret", Position: positionOf(t, s)}
}

// follow has a server replicate from another one, from now on.
func follow(t testing.TB, from, to *servertest.Server, o replica.Options) {
	t.Helper()
	source := sourceOf(t, from)
	o.Server = opened(t, from)
	if _, err := replica.Point(t.Context(), opened(t, to), source, o); err != nil {
		t.Fatal(err)
	}
	if err := replica.Start(t.Context(), opened(t, to), o.Channel); err != nil {
		t.Fatal(err)
	}
	if _, err := replica.Wait(t.Context(), opened(t, to), replica.WaitOptions{Channel: o.Channel, Target: source.Position, Limit: limit}); err != nil {
		t.Fatal(err)
	}
}

// account is what a new server must have, out of its binary log, so that others replicate from it.
var account = []string{"SET sql_log_bin=0", "CREATE USER repl@'%' IDENTIFIED BY 'secret'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'", "SET sql_log_bin=1"}

const events = "SELECT CONCAT(EVENT_NAME, ' ', STATUS, ' ', DEFINER, ' ', TIME_ZONE, ' ', SQL_MODE) FROM information_schema.EVENTS ORDER BY 1"

func TestPromote(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		master, slave, byGTID, byFile := servertest.Start(t, k), servertest.Start(t, k), servertest.Start(t, k), servertest.Start(t, k)
		for _, s := range []*servertest.Server{master, slave} {
			s.Exec(t, account...)
		}
		follow(t, master, slave, replica.Options{})
		follow(t, master, byGTID, replica.Options{})
		follow(t, master, byFile, replica.Options{NoGTID: true})
		master.Exec(t, "CREATE DATABASE a", "CREATE TABLE a.t (id INT PRIMARY KEY) ENGINE=InnoDB", "CREATE USER 'a@n'@'host'", "SET time_zone='+03:00', sql_mode='ANSI_QUOTES'",
			"CREATE DEFINER='a@n'@'host' EVENT a.on_there ON SCHEDULE EVERY 1 YEAR DO SELECT 1", "CREATE EVENT a.off_there ON SCHEDULE EVERY 1 YEAR DISABLE DO SELECT 1")
		load := master.StartLoad(t, servertest.LoadOptions{Writers: 4, PerSecond: 100})
		o := promote.Options{
			Source: opened(t, master), Others: []*server.Server{opened(t, byGTID), opened(t, byFile)}, Host: slave.Host, Limit: limit,
		}
		plan, err := promote.New(t.Context(), opened(t, slave), o)
		if err != nil {
			t.Fatal(err)
		}
		if len(plan.Enable) != 1 || plan.Enable[0].Name != "on_there" || len(plan.Left) != 1 || plan.Left[0].Name != "off_there" {
			t.Errorf("events: %+v, %+v", plan.Enable, plan.Left)
		}
		load.Stop()
		done, err := plan.Run(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if master.QueryRow(t, "SELECT @@read_only r")["r"] != "1" || slave.QueryRow(t, "SELECT @@read_only r")["r"] != "0" {
			t.Error("the old master takes writes, or the new one does not")
		}
		want := "[[off_there %s root@localhost +03:00 ANSI_QUOTES] [on_there ENABLED a@n@host +03:00 ANSI_QUOTES]]"
		disabled := map[bool]string{true: "REPLICA_SIDE_DISABLED", false: "SLAVESIDE_DISABLED"}[k == servertest.MySQL97]
		if got := fmt.Sprint(slave.Query(t, events)); got != fmt.Sprintf(want, disabled) {
			t.Errorf("events %s", got)
		}
		others, err := plan.Tell(t.Context(), done)
		if err != nil {
			t.Fatal(err)
		}
		slave.Exec(t, "INSERT INTO a.t VALUES (1)")
		for i, s := range []*servertest.Server{byGTID, byFile} {
			if others[i].Problem != "" {
				t.Fatalf("%+v", others[i])
			}
			for _, statement := range others[i].Statements {
				s.Exec(t, statement)
			}
		}
		for _, s := range []*servertest.Server{byGTID, byFile} {
			replicatest.CatchUp(t, slave, s, "")
			if a, b := servertest.Checksums(t, slave), servertest.Checksums(t, s); fmt.Sprint(a) != fmt.Sprint(b) {
				t.Errorf("new master %v, other replica %v", a, b)
			}
		}
		if a, b := servertest.Checksums(t, slave), servertest.Checksums(t, master); len(a) != len(b) || a["loadtest.items"] != b["loadtest.items"] {
			t.Errorf("new master %v, old one %v", a, b)
		}
		if _, err := promote.New(t.Context(), opened(t, slave), promote.Options{}); !errors.Is(err, replica.ErrNoReplica) {
			t.Errorf("a master is promoted: %v", err)
		}
	})
}

// A master that is gone is not asked: what was received is executed, and no event is enabled that nobody knows of.
func TestPromoteAlone(t *testing.T) {
	for _, k := range []servertest.Kind{servertest.MariaDB1011, servertest.MySQL57} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			master, slave := servertest.Start(t, k), servertest.Start(t, k)
			master.Exec(t, account...)
			restored := "CREATE EVENT own.restored ON SCHEDULE EVERY 1 YEAR DISABLE ON SLAVE DO SELECT 1"
			slave.Exec(t, "SET sql_log_bin=0", "CREATE DATABASE own", strings.Replace(restored, "SLAVE", map[bool]string{true: "REPLICA", false: "SLAVE"}[k == servertest.MySQL97], 1))
			follow(t, master, slave, replica.Options{})
			master.Exec(t, "CREATE DATABASE a", "CREATE EVENT a.unknown ON SCHEDULE EVERY 1 YEAR DISABLE DO SELECT 1", "CREATE TABLE a.t (id INT PRIMARY KEY) ENGINE=InnoDB")
			load := master.StartLoad(t, servertest.LoadOptions{Writers: 4})
			for load.Commits() < 200 {
				time.Sleep(time.Millisecond)
			}
			master.Kill()
			load.Stop()
			plan, err := promote.New(t.Context(), opened(t, slave), promote.Options{Limit: limit})
			if err != nil {
				t.Fatal(err)
			}
			var left []string
			for _, e := range plan.Left {
				left = append(left, e.Name)
			}
			if len(plan.Enable) != 1 || plan.Enable[0].Name != "restored" || fmt.Sprint(left) != "[unknown]" {
				t.Errorf("events: %+v, %+v", plan.Enable, plan.Left)
			}
			done, err := plan.Run(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if done.Position.IsZero() || done.Steps != len(plan.Steps) {
				t.Errorf("%+v", done)
			}
			sums := slave.QueryRow(t, "SELECT (SELECT SUM(balance) FROM loadtest.accounts) balance, (SELECT COUNT(*) FROM loadtest.hits)-(SELECT n FROM loadtest.hot) hits")
			if sums["balance"] != "0" || sums["hits"] != "0" {
				t.Errorf("half a transaction: %v", sums)
			}
			slave.Exec(t, "INSERT INTO a.t VALUES (1)")
		})
	}
}
