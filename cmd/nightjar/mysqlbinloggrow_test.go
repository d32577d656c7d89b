package main

import (
	flags "flag"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"nightjar/cmd/nightjar/internal/session"
	"nightjar/mysqldump/login"
	"nightjar/mysqldump/server"
	"nightjar/mysqldump/servertest"
)

var commits = flags.Int("commits", 0, "how many archives of binary logs are made, of one new log each, and measured; 0: a few, with many logs between")

// A cost is what one archive cost: how long it took, bytes of the store, bytes of memory that were allocated.
type cost struct {
	took             time.Duration
	stored, metadata uint64
	allocated        uint64
}

// An archive of binary logs costs the same, however many there are before it.
func TestMySQLBinlogGrows(t *testing.T) {
	s := servertest.Start(t, servertest.MariaDB1011)
	d := &dumper{T: t, home: t.TempDir()}
	d.knows(s)
	d.must("init")
	r := &binlogRun{app: newApp(), flags: &binlogFlags{since: "all", follow: true, interval: time.Minute}}
	r.Settings = session.Settings{
		Repo: filepath.Join(d.home, "repo"), StateDir: filepath.Join(d.home, "state"), CacheDir: filepath.Join(d.home, "cache"), TempDir: t.TempDir(), Passphrase: "p",
		Getenv: func(string) string { return "" }, Now: time.Now, Warn: func(err error) { t.Log(err) }, Stderr: r.stderr,
	}
	r.quiet = true
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
	defer func() { r.s.Close() }()
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
		s.Exec(t, slices.Repeat([]string{"FLUSH BINARY LOGS"}, 400)...)
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
