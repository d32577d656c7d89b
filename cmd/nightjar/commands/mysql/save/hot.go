package save

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nightjar/backup"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/dbflags"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/show/databases"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/tempdir"
	"nightjar/internal/watch"
	"nightjar/mysqldump"
	"nightjar/mysqldump/hot"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/server"
	"nightjar/repo"
	"nightjar/repo/pack"
)

type hotFlags struct {
	db           dbflags.Flags
	tags, labels []string
	job          string
	needPosition bool
	o            hot.Options
	clone        cloneFlags
}

// A copier copies a server's files: by a program, or by the server's own plugin.
type copier interface {
	take(ctx context.Context, tree mysqldump.Tree, o backup.Options) (repo.Labels, error)
	json(made *repo.Archive, sums *backup.Statistics, requests map[string]uint64) any
	show(w io.Writer)
	meter(saved progress.Meter) progress.Meter
}

// HotCommand makes the command nightjar mysql hot.
func HotCommand(a *app.App) *cobra.Command {
	var h hotFlags
	c := &cobra.Command{
		Use:   "hot",
		Short: "Save the files of a server that runs, as they stand at one position of the binary log",
		Long: `Save the files of a server that runs, as they stand at one position of the binary log. mariadb-backup copies them, which has to
be installed here, on the server's own machine, in the server's version. It writes nothing to a disk: each file goes into the archive by itself,
in the folder ` + dumpfiles.Folder + `, so that a night costs what has changed. Of a server without a binary log the archive has no position.

A server of MySQL 8 or later clones itself into --clone-dir, by its clone plugin. Its clone is saved from there, started once to read the
position that it is at, and removed.

What xtrabackup copies is taken too (--tool xtrabackup); that was never tried with a real one.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return runHot(c.Context(), a, &h) },
	}
	h.db.Bind(c)
	f := c.Flags()
	f.StringVar(&h.o.Tool, "tool", "", "the `PROGRAM` that copies: its name or path (default: mariadb-backup)")
	f.StringVar(&h.o.Datadir, "datadir", "", "where the server's data `DIRECTORY` is seen from here (default: as the server says)")
	f.IntVar(&h.o.Threads, "threads", 4, "files that are copied at the same time")
	f.DurationVar(&h.o.LockWait, "lock-wait", lock.DefaultMax, "how long the program waits for its locks, in whole seconds")
	f.DurationVar(&h.o.MaxLock, "max-lock", lock.DefaultMax, "how long its locks may last; tables that are not of InnoDB are copied meanwhile")
	f.BoolVar(&h.needPosition, "require-position", false, "make no archive of a server without a binary log")
	h.clone.flags(c)
	f.StringArrayVar(&h.tags, "tag", nil, "a `TAG` of the archive; may be repeated")
	f.StringArrayVar(&h.labels, "label", nil, "a label `KEY=VALUE` of the archive; may be repeated")
	f.StringVar(&h.job, "job", "", "name of the job (default: the host and the server)")
	f.TextVar(&a.Compression, "compression", pack.Default, "the `LEVEL` to compress at: fastest, default or better")
	return c
}

// plan checks all that can be wrong with the command line.
func (h *hotFlags) plan() (*repo.Record, error) {
	if h.o.Threads < 1 || h.o.Threads > hot.MaxThreads {
		return nil, usage.Errorf("--threads %d: there may be 1 to %d", h.o.Threads, hot.MaxThreads)
	}
	labels, err := choice.ParseLabels(h.labels)
	for name := range labels {
		switch name {
		case "position", show.NoPosition, "server-version", "method", "tool", "tool-version":
			err = cmp.Or(err, usage.Errorf("label %q is the backup's own", name))
		}
		if strings.HasPrefix(string(name), string(dumpfiles.SourceLabel(1))) {
			err = cmp.Or(err, usage.Errorf("label %q is the backup's own", name))
		}
	}
	h.o.Unlogged = !h.needPosition
	return &repo.Record{Kind: dumpfiles.Hot, Tags: choice.Texts(h.tags), Labels: labels, Program: "nightjar " + app.Version()}, err
}

func runHot(ctx context.Context, a *app.App, h *hotFlags) error {
	template, err := h.plan()
	if err != nil {
		return err
	}
	if h.o.Login, err = h.db.Login(ctx, &a.Settings); err != nil {
		return err
	}
	config, err := h.o.Login.Config()
	if err != nil {
		return err
	}
	srv, err := server.New(config)
	if err != nil {
		return err
	}
	how, err := newCopier(ctx, a, srv, h) // before anything long begins
	if err != nil {
		return err
	}
	s, err := a.Open(ctx, session.Write)
	if err != nil {
		return err
	}
	defer s.Close()
	if h.o.Directory, err = a.StateFolder(); err != nil {
		return err
	}
	if h.o.Temp, err = tempdir.New(cmp.Or(a.TempDir, "/tmp")); err != nil {
		return err
	}
	template.Job = repo.Text(cmp.Or(h.job, strings.TrimSpace(s.Host+":mysql hot "+h.o.Login.Address())))
	o := backup.Options{Progress: new(watch.Progress), Problem: a.Problem, Now: a.Now}
	if o.Previous, err = s.Previous(ctx, template.Job); err != nil {
		return err
	}
	h.o.Environ, h.o.Warn, h.o.Now = a.Children, a.Warn, a.Now
	stop := a.Follow(how.meter(progress.Saved(o.Progress, progress.Expect(ctx, o, false))))
	made, sums, err := backup.Save(ctx, s.Repository, template, o, func(ctx context.Context, run *backup.Run) (repo.Labels, error) {
		return how.take(ctx, treeSink{run, dumpfiles.Folder}, o)
	})
	stop()
	if err != nil {
		return err
	}
	s.Wrote(made)
	if err := app.MadeUntold(made, reportHot(a, made, &sums, how, s.Requests())); err != nil {
		return err
	}
	return madeWithProblems(a, made, o.Previous)
}

func reportHot(a *app.App, made *repo.Archive, sums *backup.Statistics, how copier, requests map[string]uint64) error {
	if a.JSON {
		return a.PrintJSON(how.json(made, sums, requests))
	}
	if !a.Chatty() {
		return nil
	}
	return a.Print(func(w io.Writer) {
		show.Backup(w, made, sums, a.Problems.Load(), requests)
		how.show(w)
	})
}

// newCopier asks the server how its files are copied.
func newCopier(ctx context.Context, a *app.App, srv *server.Server, h *hotFlags) (copier, error) {
	c, err := srv.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	id, err := c.Identity(ctx)
	if err != nil {
		return nil, err
	}
	if id.Flavor == mysqldump.MySQL && h.o.Tool == "" {
		return newCloner(a, srv, h)
	}
	return &streamer{a: a, srv: srv, o: &h.o}, nil
}

// A streamer copies by a program that streams.
type streamer struct {
	a      *app.App
	srv    *server.Server
	o      *hot.Options
	result hot.Result
}

func (x *streamer) take(ctx context.Context, tree mysqldump.Tree, o backup.Options) (repo.Labels, error) {
	var err error
	if x.result, err = hot.Run(ctx, x.srv, tree, *x.o); err != nil {
		return nil, adviseKeeping(err)
	}
	if x.result.Tool.Experimental() {
		x.a.Warn(fmt.Errorf("this backup is experimental: no stream of %s was ever met in a test. Try a restore", x.result.Tool.Name))
	}
	labels := repo.Labels{
		"server-version": repo.Text(x.result.Version), "method": "hot", "tool": repo.Text(x.result.Tool.Name), "tool-version": repo.Text(x.result.Tool.Version),
	}
	labelPosition(x.a, labels, x.result.Position, o.Previous)
	return labels, nil
}

func (x *streamer) json(made *repo.Archive, sums *backup.Statistics, requests map[string]uint64) any {
	return databases.HotJSON(made, sums, requests, &x.result)
}

func (x *streamer) meter(saved progress.Meter) progress.Meter { return saved }

func (x *streamer) show(w io.Writer) { databases.Hot(w, &x.result) }
