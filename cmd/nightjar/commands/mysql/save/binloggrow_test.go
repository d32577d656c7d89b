package save

import (
	"bytes"
	flags "flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/sessiontest"
	"nightjar/mysqldump/login"
	"nightjar/mysqldump/logs"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

var (
	commits = flags.Int("commits", 0, "how many archives of binary logs are made, of one new log each, and measured; 0: a few, with many logs between")
	between = flags.Int("logs", 400, "how many logs that is")
)

// A cost is what one archive cost: how long it took, bytes of the store, bytes of memory that were allocated.
type cost struct {
	took             time.Duration
	stored, metadata uint64
	allocated        uint64
}

// follows opens what a follower has of a server.
func follows(t *testing.T, s *servertest.Server) *binlogRun {
	t.Helper()
	m, _ := sessiontest.WithRepository(t)
	m.TempDir, m.Warn = t.TempDir(), func(err error) { t.Log(err) }
	r := &binlogRun{App: &app.App{Settings: *m.Settings, Quiet: true, Out: os.Stdout, Err: os.Stderr}, flags: &binlogFlags{since: "all", follow: true, interval: time.Minute}}
	var err error
	if r.template, r.since, err = r.flags.plan(time.Now()); err != nil {
		t.Fatal(err)
	}
	r.login = &login.Login{Socket: s.Socket, User: "root"}
	if r.srv, err = server.New(s.Config()); err != nil {
		t.Fatal(err)
	}
	if err := r.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.s.Close() })
	return r
}

// Before a server throws away what is not saved, by age or by size, a run says so; and not too early.
func TestMySQLBinlogWarns(t *testing.T) {
	for k, set := range map[servertest.Kind]string{
		servertest.MariaDB118: "SET GLOBAL binlog_expire_logs_seconds=86400, max_binlog_total_size=1048576", servertest.MySQL57: "SET GLOBAL expire_logs_days=1",
	} {
		t.Run(string(k), func(t *testing.T) {
			t.Parallel()
			s := servertest.Start(t, k)
			r := follows(t, s)
			var said bytes.Buffer
			r.Settings.Warn = func(err error) { fmt.Fprintln(&said, err) }
			wants := func(ahead time.Duration, want string) {
				t.Helper()
				r.Now = func() time.Time { return time.Now().Add(ahead) }
				said.Reset()
				r.warnOfPurge(t.Context(), logs.FromServer(r.srv))
				if want == "" && said.Len() > 0 || !strings.Contains(said.String(), want) {
					t.Errorf("%v later: %q, not %q", ahead, said.String(), want)
				}
			}
			wants(24*time.Hour, "") // nothing was saved yet, and a dump is no archive
			if _, err := r.save(t.Context()); err != nil {
				t.Fatal(err)
			}
			s.Exec(t, set)
			wants(11*time.Hour, "")
			wants(13*time.Hour, "the server throws logs away after 1D")
			if k != servertest.MariaDB118 {
				return
			}
			s.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (v LONGTEXT) ENGINE=InnoDB", "INSERT INTO d.t VALUES (REPEAT('x', 400000))")
			wants(0, "")
			s.Exec(t, "INSERT INTO d.t VALUES (REPEAT('x', 200000))")
			wants(0, "since the last archive, and throws the oldest away at 1.0 MiB")
			if _, err := r.save(t.Context()); err != nil {
				t.Fatal(err)
			}
			wants(0, "")
		})
	}
}

// An archive of binary logs costs the same, however many there are before it.
func TestMySQLBinlogGrows(t *testing.T) {
	s := servertest.Start(t, servertest.MariaDB1011)
	r := follows(t, s)
	s.Exec(t, "CREATE DATABASE d", "CREATE TABLE d.t (id INT PRIMARY KEY AUTO_INCREMENT) ENGINE=InnoDB")
	done, last := 0, []cost{}
	commit := func() {
		s.Exec(t, "INSERT INTO d.t VALUES ()", "FLUSH BINARY LOGS")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		begun := time.Now()
		result, err := r.save(t.Context())
		took := time.Since(begun)
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		last = append(last, cost{took, result.sums.BytesStored, result.sums.MetadataNew, after.TotalAlloc - before.TotalAlloc})
		if done++; done%foldAfter == 0 {
			if err := r.again(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
	measure := func() (median cost) {
		last = last[max(0, len(last)-9):]
		of := func(f func(cost) uint64) uint64 {
			var all []uint64
			for _, c := range last {
				all = append(all, f(c))
			}
			slices.Sort(all)
			return all[len(all)/2]
		}
		median.took = time.Duration(of(func(c cost) uint64 { return uint64(c.took) }))
		median.stored, median.metadata = of(func(c cost) uint64 { return c.stored }), of(func(c cost) uint64 { return c.metadata })
		median.allocated = of(func(c cost) uint64 { return c.allocated })
		t.Logf("%d archives, %d logs: %v, %d bytes stored, %d of metadata, %d KiB allocated", done, len(r.entries), median.took, median.stored, median.metadata, median.allocated>>10)
		return median
	}
	for range 15 {
		commit()
	}
	tenth := measure()
	if *commits == 0 {
		s.Exec(t, slices.Repeat([]string{"FLUSH BINARY LOGS"}, *between)...)
		commit()
		s.PurgeLogs(t) // a server with many takes long to list them
		for range 10 {
			commit()
		}
	}
	for done < *commits {
		if commit(); done == 100 || done == 1000 || done == 3000 {
			measure()
		}
	}
	if many := measure(); many.stored > 2*tenth.stored || many.metadata > 2*tenth.metadata {
		t.Errorf("%+v, and the tenth cost %+v", many, tenth)
	}
}
