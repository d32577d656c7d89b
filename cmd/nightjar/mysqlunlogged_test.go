package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightjar/mysqldump/servertest"
)

// A server without a binary log is dumped under writes, as of one moment, and nothing takes the archive for one with a position.
func TestMySQLUnlogged(t *testing.T) {
	needRoot(t)
	servertest.Each(t, func(t *testing.T, k servertest.Kind) {
		r := newDriller(t, k)
		r.must("init")
		if k == servertest.MariaDB1011 {
			r.dump(0)
		}
		r.s.Restart(t, "--skip-log-bin", "--skip-log-slave-updates")
		load := r.s.StartLoad(t, servertest.LoadOptions{Writers: 4, Hot: true, PerSecond: 100, MyISAM: true})
		if k == servertest.MariaDB1011 {
			r.lost()
		} else if first, said := r.dump(0); !unplaced(first) || strings.Count(said, "note: the server keeps no binary log") != 1 {
			t.Errorf("%+v\n%s", first, said)
		}
		if next, said := r.dump(0); !unplaced(next) || said != "" {
			t.Errorf("the next night: %+v\n%s", next, said)
		}
		if k == servertest.MariaDB1011 {
			r.refused()
			r.hotUnlogged()
			r.told()
		}
		load.Stop()
		login := filepath.Join(r.home, "my.cnf")
		r.must("mysql", "restore", "latest", "--kind", "mysql-dump", "--defaults-file", login, "--rename", "loadtest=back", "loadtest")
		r.balanced(r.s, "back")
	})
}

func unplaced(d dumped) bool {
	_, placed := d.Archive.Labels["position"]
	return !placed && d.Archive.Labels["no-position"] == "binary log off"
}

// balanced sees that what came back of a load is of one moment.
func (r *driller) balanced(s *servertest.Server, database string) {
	r.Helper()
	row := s.QueryRow(r.T, "SELECT (SELECT SUM(balance) FROM "+database+".accounts) balance, (SELECT n FROM "+database+".hot) hot, (SELECT COUNT(*) FROM "+database+".hits) hits")
	if row["balance"] != "0" || row["hot"] != row["hits"] || row["hits"] == "0" {
		r.Errorf("%s is of several moments: %v", database, row)
	}
}

// lost has the archive before a position: that it is gone is a problem, once.
func (r *driller) lost() {
	r.Helper()
	if d, said := r.dump(1, "--require-position"); d.Archive.Kind != "" || !strings.Contains(said, "the server writes no binary log") || !strings.Contains(said, "log_bin=") {
		r.Errorf("a position is required: %s", said)
	}
	d, said := r.dump(3)
	if !unplaced(d) || !strings.Contains(said, "warning: position: lost: the server's binary log is off") || !strings.Contains(said, "it has no position, as the one before had") {
		r.Errorf("a position was lost: %+v\n%s", d, said)
	}
	r.dump(2, "--label=no-position=x")
}

// refused tries what takes a position.
func (r *driller) refused() {
	r.Helper()
	const why = "has no position (binary log off), so that nothing can be re"
	login := []string{"--defaults-file", filepath.Join(r.home, "my.cnf")}
	for _, c := range []struct {
		want string
		args []string
	}{
		{why, []string{"mysql", "restore", "latest", "--kind", "mysql-dump", "--until", "all"}},
		{why, []string{"mysql", "restore", "latest", "--kind", "mysql-dump", "--before", "0-1-5"}},
		{why, []string{"mysql", "replica", "latest", "--kind", "mysql-dump", "--source", "root@" + r.s.Host + ":1", "--replication", "root@" + r.s.Host + ":1"}},
		{"writes no binary log", []string{"mysql", "binlog"}},
		{"problems: 1", []string{"mysql", "check"}},
	} {
		if out, said, code := r.run(append(c.args, login...)...); code != 1 || !strings.Contains(said, c.want) || c.want == why && !strings.Contains(said, "log_bin=mysql-bin") {
			r.Errorf("%q: %d %s%s", c.args, code, out, said)
		}
	}
	if out := r.must(append([]string{"mysql", "check", "--for", "dump,hot"}, login...)...); !strings.Contains(out, "warning: the server keeps no binary log") {
		r.Errorf("check: %s", out)
	}
	if _, said := r.drill(1, "latest", "--kind", "mysql-dump", "--until", "latest"); !strings.Contains(said, why) {
		r.Errorf("a drill of changes that nobody has: %s", said)
	}
}

// hotUnlogged takes a hot backup, proves it and the dump, and starts a server on it.
func (r *driller) hotUnlogged() {
	r.Helper()
	login := []string{"--defaults-file", filepath.Join(r.home, "my.cnf")}
	if _, said, code := r.run(append([]string{"mysql", "hot"}, login...)...); code != 0 || !strings.Contains(said, "note: the server keeps no binary log") {
		r.Errorf("a hot backup: %d %s", code, said)
	}
	found, said := r.drill(0, "--kind", "mysql-dump", "--kind", "mysql-hot")
	for _, d := range found.Drills {
		if !d.Proven || d.Position != "" {
			r.Errorf("%+v\n%s", d, said)
		}
	}
	if len(found.Drills) != 2 {
		r.Errorf("%+v", found)
	}
	fresh := servertest.Start(r.T, r.s.Kind, "--skip-log-bin")
	fresh.Stop(r.T)
	must(r.T, os.RemoveAll(fresh.Datadir))
	if out := r.must("mysql", "restore", "latest", "--kind", "mysql-hot", "--datadir", fresh.Datadir, "--owner", "mysql", "--verbose"); !strings.Contains(out, "without a position") {
		r.Errorf("a data directory: %s", out)
	}
	fresh.Restart(r.T)
	r.balanced(fresh, "loadtest")
}

// told looks for the word in what people read.
func (r *driller) told() {
	r.Helper()
	if out := r.must("list"); strings.Count(out, "no position: binary log off") != 3 {
		r.Errorf("list: %s", out)
	}
	if out := r.must("status"); strings.Count(out, "none: binary log off") != 2 {
		r.Errorf("status: %s", out)
	}
	if out := r.must("report", "--output", "-"); strings.Count(out, "none: binary log off") != 2 {
		r.Errorf("report: %s", out)
	}
}
