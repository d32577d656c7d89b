package replica_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

// statusOf returns what a replica says of its one channel.
func statusOf(t testing.TB, s *servertest.Server) replica.Status {
	t.Helper()
	c, err := opened(t, s).Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	all, err := replica.Channels(t.Context(), c)
	if err != nil || len(all) != 1 {
		t.Fatalf("channels: %v, %v", all, err)
	}
	return all[0]
}

func verify(t testing.TB, from, to *servertest.Server, folder string) replica.Verified {
	t.Helper()
	v, err := replica.Verify(t.Context(), opened(t, to), replica.VerifyOptions{
		Source: opened(t, from), Limit: limit, Folder: folder, Lock: lock.Options{Wait: limit},
	})
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

func TestVerify(t *testing.T) {
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		source := newSource(t, k)
		source.Exec(t, "CREATE TABLE a.myisam (id INT PRIMARY KEY, f FLOAT) ENGINE=MyISAM", "INSERT INTO a.myisam VALUES (1, 1.5), (2, NULL)",
			"CREATE TABLE a.`od``d ?` (id INT, b BIT(9), x BLOB) ENGINE=InnoDB", "INSERT INTO a.`od``d ?` VALUES (1, 300, x'00ff'), (NULL, NULL, NULL)")
		to := servertest.Start(t, k)
		at := seed(t, source, to)
		source.StartLoad(t, servertest.LoadOptions{Writers: 4, Hot: true, PerSecond: 100, MyISAM: true})
		follow(t, source, to, at, replica.Options{Writable: true})
		folder := t.TempDir()
		v := verify(t, source, to, folder)
		if len(v.Differences) > 0 || len(v.Uncompared) > 0 || v.Tables != 8 || v.Stood <= 0 {
			t.Errorf("of equal servers: %+v", v)
		}
		to.Exec(t, "SET sql_log_bin=0", "UPDATE a.t SET v='changed' WHERE id=2", "UPDATE a.myisam SET f=1 WHERE id=2", "DROP TABLE a.`od``d ?`", "CREATE TABLE a.more (id INT)")
		v = verify(t, source, to, folder)
		var got []string
		for _, d := range v.Differences {
			got = append(got, d.Table+": "+d.What)
		}
		if want := "[more: missing at the source myisam: other rows od`d ?: missing at the replica t: other rows]"; fmt.Sprint(got) != want {
			t.Errorf("differences %v, want %s", got, want)
		}
	})
}

// Between servers whose CHECKSUM TABLE cannot be compared, the sums are our own.
func TestVerifyAcross(t *testing.T) {
	for _, ends := range [][2]servertest.Kind{{servertest.MySQL57, servertest.MariaDB1011}, {servertest.MariaDB1011, servertest.MariaDB118}} {
		t.Run(string(ends[0]+" to "+ends[1]), func(t *testing.T) {
			t.Parallel()
			source, to := newSource(t, ends[0]), servertest.Start(t, ends[1])
			source.Exec(t, "CREATE TABLE a.types (id INT PRIMARY KEY, f FLOAT, d DOUBLE, n DECIMAL(20,5), b BIT(9), x BLOB, s VARCHAR(9) CHARACTER SET utf8, t TIMESTAMP(3) NULL, e ENUM('a','b')) ENGINE=InnoDB",
				"INSERT INTO a.types VALUES (1, 1.5, 0.1, 12.5, 300, x'00ff', 'ä', '2020-01-01 00:00:00.123', 'b'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)")
			at := seed(t, source, to)
			source.StartLoad(t, servertest.LoadOptions{Writers: 4, PerSecond: 100, MyISAM: true})
			follow(t, source, to, at, replica.Options{Writable: true})
			if v := verify(t, source, to, t.TempDir()); len(v.Differences) > 0 || len(v.Uncompared) > 0 || v.Tables != 7 {
				t.Errorf("of equal servers: %+v", v)
			}
			to.Exec(t, "SET sql_log_bin=0", "UPDATE a.types SET f=1.25 WHERE id=1")
			if v := verify(t, source, to, t.TempDir()); len(v.Differences) != 1 || v.Differences[0].Table != "types" {
				t.Errorf("of a changed row: %+v", v)
			}
		})
	}
}

// A thread that was stopped for a moment is started again, by the same process if the comparison fails, by the next one if it was
// killed.
func TestResume(t *testing.T) {
	eachFamily(t, func(t *testing.T, k servertest.Kind) {
		source, to := newSource(t, k), servertest.Start(t, k)
		follow(t, source, to, seed(t, source, to), replica.Options{})
		folder := t.TempDir()
		busy, err := lock.Take(t.Context(), opened(t, source), lock.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = replica.Verify(t.Context(), opened(t, to), replica.VerifyOptions{Source: opened(t, source), Folder: folder})
		if !errors.Is(err, lock.ErrBusy) {
			t.Errorf("beside a backup: %v", err)
		}
		if err := busy.Close(); err != nil {
			t.Error(err)
		}
		if s := statusOf(t, to); !s.Runs() {
			t.Errorf("after a comparison that failed: %+v", s)
		}
		c, err := opened(t, to).Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		id, err := c.Identity(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		killed := server.Paused{Hostname: id.Hostname, Port: id.Port, ServerID: id.ServerID, UUID: id.ServerUUID, From: statusOf(t, to).Executed}
		for _, moved := range []bool{false, true} {
			to.Exec(t, "STOP SLAVE SQL_THREAD")
			if moved {
				killed.From.File, killed.From.Offset = "other.000001", 4
			}
			note, err := server.NotePaused(folder, killed)
			if err != nil {
				t.Fatal(err)
			}
			if resumed, err := replica.Resume(t.Context(), opened(t, to), folder); len(resumed) > 0 || err != nil {
				t.Errorf("resumed what somebody holds: %v, %v", resumed, err)
			}
			if err := note.Close(); err != nil {
				t.Fatal(err)
			}
			resumed, err := replica.Resume(t.Context(), opened(t, to), folder)
			if err != nil || len(resumed) > 0 == moved || statusOf(t, to).SQL == "Yes" == moved {
				t.Errorf("moved %v: resumed %q, %v: %+v", moved, resumed, err, statusOf(t, to))
			}
		}
	})
}

// A process that is told to end while a replica stands lets it go on.
func TestVerifyEnds(t *testing.T) {
	source, to := newSource(t, servertest.MariaDB1011), servertest.Start(t, servertest.MariaDB1011)
	follow(t, source, to, seed(t, source, to), replica.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	holder := to.Connect(t)
	if _, err := holder.ExecContext(t.Context(), "LOCK TABLES a.t READ"); err != nil {
		t.Fatal(err)
	}
	source.Exec(t, "INSERT INTO a.t (v) VALUES ('held up')")
	time.AfterFunc(500*time.Millisecond, cancel)
	time.AfterFunc(time.Second, func() { holder.ExecContext(context.Background(), "UNLOCK TABLES") })
	_, err := replica.Verify(ctx, opened(t, to), replica.VerifyOptions{Source: opened(t, source), Folder: t.TempDir()})
	if err == nil {
		t.Error("a replica that is held up is compared")
	}
	same(t, source, to)
}
