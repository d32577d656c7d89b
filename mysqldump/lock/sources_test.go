package lock_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"nightjar/mysqldump"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// follow has a server replicate from another. It is told by file and offset, or by GTID.
func follow(t *testing.T, from, to *servertest.Server, byGTID bool) {
	t.Helper()
	d, err := connect(t, open(t, to)).Dialect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	change := fmt.Sprintf("%s %s_HOST='127.0.0.1', %[2]s_PORT=%d, %[2]s_USER='copy', %[2]s_PASSWORD='copy', ", d.ChangeSource, d.Source, from.Port)
	switch {
	case byGTID && to.Kind.MariaDB():
		change += "MASTER_USE_GTID=slave_pos"
	case byGTID:
		change += d.Source + "_AUTO_POSITION=1"
	default:
		change += fmt.Sprintf("%s_LOG_FILE='bin.000001', %[1]s_LOG_POS=4", d.Source)
		if to.Kind.MariaDB() {
			change += ", MASTER_USE_GTID=no"
		}
	}
	if to.Kind == servertest.MySQL97 {
		change += ", SOURCE_SSL=1, GET_SOURCE_PUBLIC_KEY=1"
	}
	to.Exec(t, change, d.Start("", ""))
}

// transactionsBefore counts what a source has committed before a place in its binary log.
func transactionsBefore(t *testing.T, source *servertest.Server, p mysqldump.Position) (n int) {
	t.Helper()
	for _, event := range source.Query(t, "SHOW BINLOG EVENTS IN '"+p.File+"'") {
		if end, err := strconv.ParseUint(event[4], 10, 64); err != nil {
			t.Fatal(err)
		} else if event[2] == "Xid" && end <= p.Offset {
			n++
		}
	}
	return n
}

func TestSources(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		for _, byGTID := range []bool{true, false} {
			flags := []string{}
			if !byGTID && !k.MariaDB() {
				flags = append(flags, "--gtid-mode=OFF", "--enforce-gtid-consistency=OFF")
			}
			t.Run(fmt.Sprintf("gtid=%t", byGTID), func(t *testing.T) { testSources(t, k, byGTID, flags) })
		}
	})
}

func testSources(t *testing.T, k servertest.Kind, byGTID bool, flags []string) {
	source, replica := servertest.Start(t, k, flags...), servertest.Start(t, k, flags...)
	source.Exec(t, "CREATE USER copy@'%' IDENTIFIED BY 'copy'", "GRANT REPLICATION SLAVE ON *.* TO copy@'%'")
	source.Exec(t, schema...)
	source.Exec(t, "INSERT INTO d.hot VALUES (2, 0)")
	base := transactionsBefore(t, source, mysqldump.Position{File: "bin.000001", Offset: 1 << 40})
	var baseGTIDs int
	if byGTID {
		h := take(t, open(t, source), lock.Options{Sources: true})
		if len(h.Sources) != 0 {
			t.Errorf("sources of one that has none: %v", h.Sources)
		}
		baseGTIDs = transactions(t, h)
		h.Close()
	}
	follow(t, source, replica, byGTID)
	s, c := open(t, replica), connect(t, open(t, replica))
	waitFor(t, func() bool {
		_, err := c.Row(t.Context(), "SELECT n FROM d.hot WHERE id=2")
		return err == nil
	})
	stop := write(t, open(t, source), 2, 2*time.Millisecond, hotRow)
	waitFor(t, func() bool { return number(t, c, "SELECT n FROM d.hot WHERE id=1") > 0 })
	directory := t.TempDir()
	d, err := c.Dialect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	rounds := 5
	if byGTID {
		rounds = 8
	}
	for round := range rounds {
		if round == 5 { // what it has of its source is known without a binary log of its own
			replica.Restart(t, "--skip-log-bin", "--skip-log-slave-updates")
			c = connect(t, s)
			waitFor(t, func() bool { // until the source has said who it is
				rows, err := c.Rows(t.Context(), d.ReplicaStatus)
				return err == nil && len(rows) == 1 && rows[0]["Master_Server_Id"]+rows[0]["Source_Server_Id"] != "0"
			})
		}
		h := take(t, s, lock.Options{Sources: true, Directory: directory, Snapshots: 2, Unlogged: true})
		if len(h.Sources) != 1 || h.Sources[0].Host != "127.0.0.1" || int(h.Sources[0].Port) != source.Port {
			t.Fatalf("sources: %+v", h.Sources)
		}
		p := h.Sources[0].Position
		if h.Position.HasPlace() != (round < 5) {
			t.Fatalf("round %d: position %v", round, h.Position)
		}
		if p.ServerID != source.ServerID || p.GTIDs.IsZero() == byGTID || p.ServerUUID.IsZero() != k.MariaDB() {
			t.Fatalf("position of the source: %v", p)
		}
		want := 0
		if byGTID {
			text := p.GTIDs.String()
			last, err := strconv.Atoi(text[strings.LastIndexAny(text, "-:")+1:])
			if err != nil {
				t.Fatal(err)
			}
			want = last - baseGTIDs
		} else {
			want = transactionsBefore(t, source, p) - base
		}
		for _, c := range h.Sessions {
			if n := number(t, c, "SELECT n FROM d.hot WHERE id=1"); n != want {
				t.Errorf("round %d: a snapshot has %d transactions, the position of the source %v has %d", round, n, p, want)
			}
		}
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
		if round == 4 && want <= 0 {
			t.Errorf("after all rounds the position has %d transactions", want)
		}
		runs(t, c, true)
	}
	if left, err := os.ReadDir(directory); err != nil || len(left) != 1 { // the file that excludes others
		t.Errorf("what is left in the directory: %v, %v", left, err)
	}
	stop()
	if !byGTID {
		testLeftStopped(t, s, c, directory)
	}
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for deadline := time.Now().Add(atMost); !what(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited in vain")
		}
	}
}

// runs has the SQL thread run, or not.
func runs(t *testing.T, c *server.Session, want bool) {
	t.Helper()
	d, err := c.Dialect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	said := ""
	waitFor(t, func() bool {
		rows, err := c.Rows(t.Context(), d.ReplicaStatus)
		if err != nil || len(rows) != 1 {
			t.Fatal(rows, err)
		}
		said = rows[0]["Slave_SQL_Running"] + rows[0]["Replica_SQL_Running"]
		return (said == "Yes") == want
	})
}

// testLeftStopped has a run lose its server's ear while the thread is stopped, and the next one start it.
func testLeftStopped(t *testing.T, s *server.Server, c *server.Session, directory string) {
	if _, err := lock.Take(t.Context(), s, lock.Options{Sources: true}); err == nil {
		t.Error("stopped a thread, and noted it nowhere")
	}
	runs(t, c, true)
	failing := fmt.Errorf("mine")
	_, err := lock.Take(t.Context(), s, lock.Options{Sources: true, Directory: directory, Snapshot: func(ctx context.Context, _ *server.Session) error {
		runs(t, c, false)
		return failing
	}})
	if err == nil {
		t.Error("a failure was lost")
	}
	runs(t, c, true)

	process, _ := other(t, s.Address(), directory)
	runs(t, c, false)
	if err := process.Kill(); err != nil {
		t.Fatal(err)
	}
	runs(t, c, false)
	waitFor(t, func() bool {
		h, err := lock.Take(t.Context(), s, lock.Options{Sources: true, Directory: directory})
		if err != nil {
			return false // the server has not seen the end yet
		}
		h.Close()
		return true
	})
	runs(t, c, true)
}
