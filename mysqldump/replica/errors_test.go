package replica_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/advice"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/servertest"
)

// words puts a statement about replication in a kind's words.
func words(k servertest.Kind, statement string) string {
	if k == servertest.MySQL97 {
		return strings.NewReplacer("CHANGE MASTER", "CHANGE REPLICATION SOURCE", "MASTER_", "SOURCE_", "SLAVE", "REPLICA").Replace(statement)
	}
	return statement
}

// eachFamily runs a subtest for the server of each family that is always there, in parallel.
func eachFamily(t *testing.T, f func(t *testing.T, k servertest.Kind)) {
	for _, k := range []servertest.Kind{servertest.MariaDB1011, servertest.MySQL57} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			f(t, k)
		})
	}
}

// local runs statements at a replica, out of its binary log, whatever read_only says.
func local(t testing.TB, s *servertest.Server, statements ...string) {
	t.Helper()
	s.Exec(t, append([]string{"SET sql_log_bin=0"}, statements...)...)
}

// stopped waits for a replica that cannot get there, and returns what stops it.
func stopped(t testing.TB, from, to *servertest.Server, o replica.WaitOptions) (replica.Waited, *replica.StoppedError) {
	t.Helper()
	o.Target, o.Limit = positionOf(t, from), limit
	waited, err := replica.Wait(t.Context(), opened(t, to), o)
	var stopped *replica.StoppedError
	if !errors.As(err, &stopped) {
		t.Fatalf("it is not stopped: %+v, %v", waited, err)
	}
	if strings.Contains(err.Error(), "secret") {
		t.Errorf("the password is in %v", err)
	}
	return waited, stopped
}

func wantAdvice(t testing.TB, e *replica.StoppedError, number int, problem string) {
	t.Helper()
	a, ok := advice.For(e.Failure.Number, e.Failure.Text)
	if !ok || !strings.Contains(a.Problem, problem) {
		t.Errorf("advice %+v for %s", a, e.Failure)
	}
	if number != 0 && e.Failure.Number != number {
		t.Errorf("error %d, want %d: %s", e.Failure.Number, number, e.Failure)
	}
}

// What stops the SQL thread is told with its number, has an advice, and can be passed over; what was passed over is counted.
func TestSQLErrors(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		source := newSource(t, k)
		for _, gtid := range []bool{true, false} {
			if !gtid && (k == servertest.MariaDB118 || k == servertest.MySQL97) {
				continue // as the older of its family
			}
			to := servertest.Start(t, k)
			follow(t, source, to, seed(t, source, to), replica.Options{NoGTID: !gtid, Writable: true})
			skipAll(t, k, source, to)
		}
	})
}

func skipAll(t *testing.T, k servertest.Kind, source, to *servertest.Server) {
	local(t, to, "INSERT INTO a.t VALUES (1000, 'here')", "DELETE FROM a.t WHERE id=2", "CREATE USER there@localhost", "CREATE TABLE a.narrow (id INT PRIMARY KEY, v VARCHAR(5))")
	provoke := []struct {
		number  int
		problem string
		by      []string
	}{
		{1062, "a row is there already", []string{"INSERT INTO a.t VALUES (1000, 'there')", "DELETE FROM a.t WHERE id=1000"}},
		{1032, "a row is missing", []string{"UPDATE a.t SET v='changed' WHERE id=2"}},
		{1396, "something is there already", []string{"CREATE USER there@localhost"}},
		{1677, "a column has another type", []string{"SET sql_log_bin=0", "CREATE TABLE a.narrow (id INT PRIMARY KEY, v INT)", "SET sql_log_bin=1", "INSERT INTO a.narrow VALUES (1, 2)", "SET sql_log_bin=0", "DROP TABLE a.narrow"}},
		{1146, "a table or a database is missing", []string{"SET sql_log_bin=0", "CREATE TABLE a.only (id INT)", "SET sql_log_bin=1", "INSERT INTO a.only VALUES (1)", "SET sql_log_bin=0", "DROP TABLE a.only"}},
	}
	for i, p := range provoke {
		if i == 0 {
			source.Exec(t, p.by[0])
		} else {
			source.Exec(t, p.by...)
		}
		waited, e := stopped(t, source, to, replica.WaitOptions{})
		if e.Thread != "SQL" || len(waited.Skipped) != 0 {
			t.Errorf("%d: %+v, skipped %v", p.number, e, waited.Skipped)
		}
		wantAdvice(t, e, 0, p.problem)
		if got := e.Failure; got.Number != p.number && (p.number != 1677 || got.Number != 13146) && !strings.Contains(got.Text, fmt.Sprint(p.number)) {
			t.Errorf("want error %d: %s", p.number, got)
		}
		waited, err := replica.Wait(t.Context(), opened(t, to), replica.WaitOptions{Target: positionOf(t, source), Limit: limit, Skip: 1})
		if err != nil || len(waited.Skipped) != 1 || waited.Skipped[0].Failure != e.Failure || waited.Skipped[0].At.File == "" {
			t.Fatalf("%d: pass over one: %+v, %v", p.number, waited.Skipped, err)
		}
	}
	source.Exec(t, "DELETE FROM a.t WHERE id=1000", "INSERT INTO a.t VALUES (3000, 'after all')")
	same := replica.WaitOptions{Target: positionOf(t, source), Limit: limit}
	if _, err := replica.Wait(t.Context(), opened(t, to), same); err != nil {
		t.Fatal(err)
	}
	if n := to.QueryRow(t, "SELECT COUNT(*) n FROM a.t WHERE id=3000")["n"]; n != "1" {
		t.Error("what came after is not there")
	}
	source.Exec(t, "DROP USER there@localhost", "DELETE FROM a.t WHERE id=3000", "UPDATE a.t SET v='two' WHERE id=2")
}

// What keeps the IO thread from reading is told with its number and an advice.
func TestIOErrors(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		ca, flags := certificates(t)
		source, to := newSource(t, k, flags...), servertest.Start(t, k)
		source.Exec(t, "CREATE USER few@'%' IDENTIFIED BY 'it''s a secret'")
		at := seed(t, source, to)
		followWithTLS(t, source, to, at, ca)
		follow(t, source, to, at, replica.Options{Replace: true, ResetLog: true})
		fails := func(number int, problem string, change string, o replica.Options, s replica.Source) {
			t.Helper()
			o.Replace, o.ResetLog = true, true
			if _, err := replica.Point(t.Context(), opened(t, to), s, o); err != nil {
				t.Fatal(err)
			}
			if change != "" {
				to.Exec(t, change)
			}
			if err := replica.Start(t.Context(), opened(t, to), ""); err != nil {
				t.Fatal(err)
			}
			_, e := stopped(t, source, to, replica.WaitOptions{Patience: 300 * time.Millisecond})
			if e.Thread != "IO" {
				t.Errorf("the %s thread stands still", e.Thread)
			}
			wantAdvice(t, e, number, problem)
		}
		s := sourceOf(source, at)
		wrong, away, unable := s, s, s
		wrong.Password, away.Port, unable.User = "no secret", 1, "few"
		fails(1045, "refuses the replication account", "", replica.Options{}, wrong)
		fails(2003, "does not reach the source", "", replica.Options{}, away)
		fails(0, "lacks a privilege", "", replica.Options{}, unable)
		number := 1593
		if k == servertest.MySQL97 {
			number = 13117
		}
		fails(number, "the same server_id", fmt.Sprintf("SET GLOBAL server_id=%d", source.ServerID), replica.Options{}, s)
		to.Exec(t, fmt.Sprintf("SET GLOBAL server_id=%d", to.ServerID))

		source.Exec(t, "FLUSH LOGS", "INSERT INTO a.t (v) VALUES ('later')", "FLUSH LOGS")
		to.Exec(t, words(k, "STOP SLAVE"))
		source.PurgeLogs(t)
		number = 1236
		if k == servertest.MySQL97 {
			number = 13114
		}
		fails(number, "purged", "", replica.Options{NoGTID: true}, s)
		fails(number, "purged", "", replica.Options{}, s)
		if k.MariaDB() {
			unknown := s
			unknown.Position.GTIDs, _ = mysqldump.ParseGTIDSet(fmt.Sprintf("0-%d-999999", source.ServerID))
			fails(1236, "does not know the GTID", "", replica.Options{}, unknown)
		}
		// A source that is asked says it beforehand.
		for _, noGTID := range []bool{true, false} {
			_, err := replica.Point(t.Context(), opened(t, to), s, replica.Options{Server: opened(t, source), NoGTID: noGTID, Replace: true})
			if !errors.Is(err, replica.ErrUnsafe) {
				t.Errorf("purged logs, GTIDs %v: %v", !noGTID, err)
			}
		}
	})
}

// followWithTLS follows an account that requires TLS: with TLS, which names its certificate's authority.
func followWithTLS(t *testing.T, source, to *servertest.Server, at mysqldump.Position, ca string) {
	source.Exec(t, "SET sql_log_bin=0", "ALTER USER repl@'%' REQUIRE SSL")
	defer source.Exec(t, "SET sql_log_bin=0", "ALTER USER repl@'%' REQUIRE NONE")
	s := sourceOf(source, at)
	if _, err := replica.Point(t.Context(), opened(t, to), s, replica.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := replica.Start(t.Context(), opened(t, to), ""); err != nil {
		t.Fatal(err)
	}
	_, e := stopped(t, source, to, replica.WaitOptions{})
	wantAdvice(t, e, 0, "refuses the replication account")
	for _, verify := range []bool{true, false} {
		s.TLS = replica.TLS{Use: true, Verify: verify, CA: ca}
		if _, err := replica.Point(t.Context(), opened(t, to), s, replica.Options{Replace: true}); err != nil {
			t.Fatal(err)
		}
		if err := replica.Start(t.Context(), opened(t, to), ""); err != nil {
			t.Fatal(err)
		}
		if _, err := replica.Wait(t.Context(), opened(t, to), replica.WaitOptions{Target: positionOf(t, source), Limit: limit}); err != nil {
			t.Fatalf("verify %v: %v", verify, err)
		}
	}
	s.TLS.CA, s.TLS.Verify = filepath.Join(t.TempDir(), "none.pem"), true
	if _, err := replica.Point(t.Context(), opened(t, to), s, replica.Options{Replace: true}); err != nil {
		t.Fatal(err)
	}
	if err := replica.Start(t.Context(), opened(t, to), ""); err != nil {
		t.Fatal(err)
	}
	_, e = stopped(t, source, to, replica.WaitOptions{})
	wantAdvice(t, e, 2026, "TLS fails")
}

// What is unsafe is refused, and nothing is changed.
func TestRefused(t *testing.T) {
	eachFamily(t, func(t *testing.T, k servertest.Kind) {
		source, to := newSource(t, k), servertest.Start(t, k)
		at := seed(t, source, to)
		refused := func(why string, s replica.Source, o replica.Options) {
			t.Helper()
			_, err := replica.Point(t.Context(), opened(t, to), s, o)
			if !errors.Is(err, replica.ErrUnsafe) || !strings.Contains(err.Error(), why) {
				t.Errorf("want %q: %v", why, err)
			}
			if row := to.QueryRow(t, "SELECT @@read_only r"); row["r"] != "0" {
				t.Error("a refused replica is read only")
			}
		}
		with := func(change func(*mysqldump.Position)) replica.Source {
			p := at
			change(&p)
			return sourceOf(source, p)
		}
		refused("server_id", with(func(p *mysqldump.Position) { p.ServerID = to.ServerID }), replica.Options{})
		refused("newer", with(func(p *mysqldump.Position) { p.Version = "99.9.9" }), replica.Options{})
		refused("no file and offset", with(func(p *mysqldump.Position) { p.File, p.Offset = "", 0 }), replica.Options{NoGTID: true})
		ask := replica.Options{Server: opened(t, source), NoGTID: true}
		refused("never had it", with(func(p *mysqldump.Position) { p.File = "bin.999999" }), ask)
		refused("bytes", with(func(p *mysqldump.Position) { p.Offset = 1 << 40 }), ask)
		refused("server_id", sourceOf(to, at), replica.Options{Server: opened(t, to)})
		to.Exec(t, "CREATE DATABASE own")
		refused("its own binary log", sourceOf(source, at), replica.Options{})
		follow(t, source, to, at, replica.Options{ResetLog: true})
		if _, err := replica.Point(t.Context(), opened(t, to), sourceOf(source, at), replica.Options{}); !errors.Is(err, replica.ErrUnsafe) {
			t.Errorf("another source in place of one: %v", err)
		}
		reader := servertest.Start(t, k)
		to.Exec(t, "SET GLOBAL read_only=0", "SET sql_log_bin=0", "CREATE USER IF NOT EXISTS repl@'%' IDENTIFIED BY 'it''s a secret'", "GRANT REPLICATION SLAVE ON *.* TO repl@'%'")
		follow(t, to, reader, seed(t, to, reader), replica.Options{})
		source.Exec(t, "INSERT INTO a.t (v) VALUES ('through two')") // a slave of a slave
		same(t, source, to)
		if _, err := replica.Wait(t.Context(), opened(t, reader), replica.WaitOptions{Target: positionOf(t, to), Limit: limit}); err != nil {
			t.Fatal(err)
		}
		if _, err := replica.Point(t.Context(), opened(t, to), sourceOf(source, at), replica.Options{Replace: true, ResetLog: true}); !errors.Is(err, replica.ErrUnsafe) || !strings.Contains(err.Error(), "is read by") {
			t.Errorf("a log that is read is thrown away: %v", err)
		}
	})
}

// A server of MySQL whose data directory was copied has its source's UUID.
func TestEqualUUIDs(t *testing.T) {
	source, to := newSource(t, servertest.MySQL57), servertest.Start(t, servertest.MySQL57)
	at := seed(t, source, to)
	to.Stop(t)
	auto, err := os.ReadFile(filepath.Join(source.Datadir, "auto.cnf"))
	if err == nil {
		err = os.WriteFile(filepath.Join(to.Datadir, "auto.cnf"), auto, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	to.Restart(t)
	if _, err := replica.Point(t.Context(), opened(t, to), sourceOf(source, at), replica.Options{}); !errors.Is(err, replica.ErrUnsafe) || !strings.Contains(err.Error(), "server_uuid") {
		t.Errorf("equal UUIDs: %v", err)
	}
	at.ServerUUID = mysqldump.UUID{}
	if _, err := replica.Point(t.Context(), opened(t, to), sourceOf(source, at), replica.Options{NoGTID: true, ResetLog: true}); err != nil {
		t.Fatal(err)
	}
	if err := replica.Start(t.Context(), opened(t, to), ""); err != nil {
		t.Fatal(err)
	}
	_, e := stopped(t, source, to, replica.WaitOptions{})
	wantAdvice(t, e, 1593, "the same server_uuid")
}
