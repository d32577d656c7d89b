package save

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/spf13/cobra"

	"nightjar/backup"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/show/databases"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/mysqldump"
	"nightjar/mysqldump/clone"
	"nightjar/mysqldump/server"
	"nightjar/repo"
)

// cloneFlags say how a server of MySQL clones itself.
type cloneFlags struct {
	dir, program, broken string
}

func (l *cloneFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&l.dir, "clone-dir", "", "MySQL: a `DIR` with room for all of the server's files, in which its clone is made and removed")
	f.StringVar(&l.program, "mysqld", "", "MySQL: the server's `PROGRAM`, which is started on the clone (default: the one in the server's basedir)")
	f.StringVar(&l.broken, "broken", "fail", "MySQL: what becomes of tables whose rows no clone has, such as MyISAM's: fail, or skip")
}

// A cloner has the server copy itself.
type cloner struct {
	a         *app.App
	srv       *server.Server
	h         *hotFlags
	result    clone.Result
	done, all atomic.Uint64 // bytes that the server has cloned, and is to clone; of none it waits, or has not begun
}

func newCloner(a *app.App, srv *server.Server, h *hotFlags) (copier, error) {
	if h.clone.broken != "fail" && h.clone.broken != "skip" {
		return nil, usage.Errorf("--broken %q: it is fail or skip", h.clone.broken)
	}
	if h.clone.dir == "" {
		return nil, usage.Errorf("MySQL clones itself into a folder, which --clone-dir DIR has to name: one with room for all of its files, outside of its data directory")
	}
	return &cloner{a: a, srv: srv, h: h}, nil
}

func (x *cloner) take(ctx context.Context, tree mysqldump.Tree, o backup.Options) (repo.Labels, error) {
	h := x.h
	var err error
	x.result, err = clone.Run(ctx, x.srv, tree, clone.Options{
		Dir: h.clone.dir, Program: h.clone.program, BrokenSkip: h.clone.broken == "skip", Threads: h.o.Threads, LockWait: h.o.LockWait,
		Directory: h.o.Directory, Temp: h.o.Temp, Warn: h.o.Warn, Now: h.o.Now,
		Cloned: x.cloned,
	})
	if err != nil {
		return nil, adviseClone(err)
	}
	for _, t := range x.result.Left {
		if t.Rows {
			o.Progress.Problem.Add(1)
			x.a.Problem("table "+t.Schema+"."+t.Name, fmt.Errorf("left out: clones have no rows of %s", t.Engine))
		}
	}
	labels := repo.Labels{"position": repo.Text(x.result.Position.String()), "server-version": repo.Text(x.result.Version), "method": "clone"}
	dumpfiles.LabelSources(labels, x.result.Sources)
	return labels, nil
}

func (x *cloner) cloned(done, all uint64) {
	x.done.Store(done)
	x.all.Store(all)
}

// meter says how far the server is with its clone, until the first of its files is saved.
func (x *cloner) meter(saved progress.Meter) progress.Meter {
	clones := func() bool { return x.all.Load() > 0 && saved.Current() == 0 }
	m := saved
	m.Text = func() string {
		if !clones() {
			return saved.Text()
		}
		return fmt.Sprintf("the server clones itself: %s of %s", human.Size(x.done.Load()), human.Size(x.all.Load()))
	}
	m.Current = func() int64 {
		if !clones() {
			return saved.Current()
		}
		return int64(x.done.Load())
	}
	m.Total = func() int64 {
		if !clones() {
			return saved.Total()
		}
		return int64(x.all.Load())
	}
	return m
}

func (x *cloner) show(w io.Writer) { databases.Clone(w, &x.result) }

func (x *cloner) json(made *repo.Archive, sums *backup.Statistics, requests map[string]uint64) any {
	return databases.CloneJSON(made, sums, x.a.Problems.Load(), requests, &x.result)
}

// adviseClone says what to do about what keeps a server from cloning itself.
func adviseClone(err error) error {
	const otherwise = "; nightjar mysql dump needs none of this"
	for _, h := range []struct {
		is   error
		hint string
	}{
		{clone.ErrNoPlugin, "as an administrator: INSTALL PLUGIN clone SONAME 'mysql_clone.so'; it stays for good. MySQL 5.7 has none" + otherwise},
		{clone.ErrElsewhere, "run nightjar on the server's own machine, outside of containers" + otherwise},
		{clone.ErrOutside, "a server does not clone these on its own machine. Make them anew without DATA DIRECTORY" + otherwise},
		{clone.ErrEngines, "ALTER TABLE ... ENGINE=InnoDB; or --broken skip saves all the rest, with exit code 3" + otherwise},
		{clone.ErrDDL, "nothing was saved. SHOW FULL PROCESSLIST names the ALTER; or wait longer with --lock-wait"},
		{clone.ErrSpace, "make room, or name a folder on another disk with --clone-dir" + otherwise},
		{clone.ErrFolder, "--clone-dir names a folder that is there, which the server's user may enter: mkdir /srv/clone. A folder nightjar-clone-... in it that a killed run left is removed by itself"},
	} {
		if errors.Is(err, h.is) {
			return usage.Hinted{Err: err, Hint: h.hint}
		}
	}
	return err
}
