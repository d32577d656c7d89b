package replica_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/replica/replicatest"
	"nightjar/mysqldump/servertest"
)

// A replica comes back after a restart and a crash: reading alone, since its option file says so, and replicating.
func TestRestarted(t *testing.T) {
	eachFamily(t, func(t *testing.T, k servertest.Kind) {
		source := newSource(t, k)
		readOnly := []string{"--read-only=ON"}
		if k == servertest.MySQL57 {
			readOnly = append(readOnly, "--super-read-only=ON", "--relay-log-recovery=ON")
		}
		to := servertest.Start(t, k, append(readOnly, "--replicate-wild-ignore-table=left.%")...)
		undo, err := replica.AllowWriting(t.Context(), opened(t, to))
		if err != nil {
			t.Fatal(err)
		}
		at := seed(t, source, to)
		if err := undo(); err != nil {
			t.Fatal(err)
		}
		pointed := follow(t, source, to, at, replica.Options{Writable: true, Retry: time.Second})
		if warned := strings.Join(pointed.Warnings, "\n"); !strings.Contains(warned, "Wild_Ignore_Table: left.%") {
			t.Errorf("nobody is told of a filter: %s", warned)
		}
		onlyReads(t, to)
		resumed(t, to)
		load := write(t, source)
		to.Restart(t)
		// MySQL 5.7 leaves a file that it cannot start with if it is killed while a thread starts.
		replicatest.CatchUp(t, source, to, "")
		to.Kill()
		to.Restart(t)
		load.Stop()
		source.Restart(t) // and the source, while it is waited for
		same(t, source, to)
		onlyReads(t, to)
		damaged(t, source, to)
	})
}

func onlyReads(t testing.TB, s *servertest.Server) {
	t.Helper()
	query := "SELECT @@read_only r"
	if s.Kind == servertest.MySQL57 {
		query = "SELECT @@read_only+@@super_read_only-1 r"
	}
	if r := s.QueryRow(t, query)["r"]; r != "1" {
		t.Error("it does not only read")
	}
}

// damaged spoils the relay log that is executed next.
func damaged(t *testing.T, source, to *servertest.Server) {
	to.Exec(t, "STOP SLAVE SQL_THREAD")
	source.Exec(t, "INSERT INTO a.t (v) VALUES ('"+strings.Repeat("spoilt ", 10)+"')", "INSERT INTO a.t (v) VALUES ('after')")
	end := positionOf(t, source)
	begin := time.Now()
	for s := statusOf(t, to); s.Read.Offset < end.Offset || s.Read.File != end.File; s = statusOf(t, to) {
		if time.Since(begin) > limit {
			t.Fatalf("the replica does not receive %v: %+v", end, s)
		}
	}
	files, err := filepath.Glob(filepath.Join(to.Datadir, "relay.0*")) // there is a new one after each connection
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found += strings.Count(string(content), "spoilt spoilt")
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(content), "spoilt spoilt", "spoilt Spoilt")), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if found == 0 {
		t.Fatalf("the row is in none of %q", files)
	}
	to.Exec(t, "START SLAVE SQL_THREAD")
	_, e := stopped(t, source, to, replica.WaitOptions{})
	if e.Thread != "SQL" {
		t.Errorf("the %s thread stands still", e.Thread)
	}
	wantAdvice(t, e, 0, "relay log")
}

// What cannot replicate is refused with the reason, before anything is changed.
func TestUnfit(t *testing.T) {
	mariaDB, mySQL := servertest.Start(t, servertest.MariaDB1011), servertest.Start(t, servertest.MySQL57)
	lower := servertest.Start(t, servertest.MariaDB1011, "--lower-case-table-names=1", "--skip-log-bin")
	noGTID := servertest.Start(t, servertest.MySQL57, "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF")
	for _, c := range []struct {
		from, to *servertest.Server
		want     string
	}{
		{mariaDB, mySQL, "MySQL does not replicate from MariaDB"},
		{mySQL, noGTID, "gtid_mode is ON at the source, OFF here"},
		{noGTID, mySQL, "gtid_mode is OFF at the source, ON here"},
		{mariaDB, lower, "lower_case_table_names is 0 at the source, 1 here"},
		{lower, mariaDB, "the source writes no binary log"},
	} {
		at := mysqldump.Position{File: "bin.000001", Offset: 4}
		err := replica.Fits(t.Context(), opened(t, c.to), sourceOf(c.from, at), replica.Options{Server: opened(t, c.from)})
		if !errors.Is(err, replica.ErrUnsafe) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q: %v", c.want, err)
		}
	}
}
