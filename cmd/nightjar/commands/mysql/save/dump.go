package save

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"nightjar/backup"
	"nightjar/backup/browse"
	"nightjar/backup/content"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/dbflags"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/show/databases"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/watch"
	"nightjar/mysqldump"
	"nightjar/mysqldump/choose"
	"nightjar/mysqldump/dump"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
	"nightjar/repo"
	"nightjar/repo/pack"
	"nightjar/repo/tree"
)

type dumpFlags struct {
	db           dbflags.Flags
	exclude      []string
	lock, broken string
	accounts     bool
	tags, labels []string
	job          string
	needPosition bool
	o            dump.Options
}

// DumpCommand makes the command nightjar mysql dump.
func DumpCommand(a *app.App) *cobra.Command {
	var d dumpFlags
	c := &cobra.Command{
		Use:   "dump [DATABASE[.TABLE]...]",
		Short: "Save databases as they stand at one position of the binary log",
		Long: `Save databases, or all, as they stand at one position of the binary log. Names are patterns: * stands for any characters, ? for
one, and \ takes its meaning from the next. Writers wait for a moment, while the position is read. Of a server without a binary log all is of one
moment, too, and the archive has no position: no replica can be made of it, and no changes can be replayed after it.

The archive has one file of SQL for each object, and one or more for the rows of a table, in the folder ` + dumpfiles.Folder + `. After a restore of
these files, cat $(ls | sort) | mariadb loads them.`,
		RunE: func(c *cobra.Command, args []string) error {
			if !c.Flags().Changed("accounts") {
				d.accounts = len(args) == 0
			}
			return runDump(c.Context(), a, &d, args)
		},
	}
	d.db.Bind(c)
	f := c.Flags()
	f.StringArrayVar(&d.exclude, "exclude-table", nil, "leave out what matches the `PATTERN` of DATABASE.TABLE; may be repeated")
	f.IntVar(&d.o.Threads, "threads", 4, "sessions that read at the same time")
	f.DurationVar(&d.o.Lock.Attempt, "lock-attempt", lock.DefaultAttempt, "how long one attempt at the lock may keep writers waiting")
	f.DurationVar(&d.o.Lock.Wait, "lock-wait", lock.DefaultWait, "for how long attempts are made")
	dbflags.MaxLock(f, &d.o.Lock.Max)
	f.DurationVar(&d.o.Lock.MaxSnapshot, "max-snapshot", 0, "how long the snapshots may be held, which keep the server from purging old rows; 0: for ever")
	f.StringVar(&d.lock, "lock", "auto", "auto, or none: then no table may be outside of snapshots, and --threads is 1")
	f.IntVar(&d.o.DDLRetries, "ddl-retries", 2, "how often the dump begins again when a table was changed meanwhile")
	f.BoolVar(&d.needPosition, "require-position", false, "make no archive of a server without a binary log")
	f.StringVar(&d.broken, "broken", "fail", "what becomes of tables and views that cannot be read: fail, or skip")
	f.BoolVar(&d.accounts, "accounts", true, "save roles, users and grants too (default: where no databases are chosen)")
	f.Lookup("accounts").DefValue = "false" // the text says it
	f.StringArrayVar(&d.tags, "tag", nil, "a `TAG` of the archive; may be repeated")
	f.StringArrayVar(&d.labels, "label", nil, "a label `KEY=VALUE` of the archive; may be repeated")
	f.StringVar(&d.job, "job", "", "name of the job (default: the host, the server and the names)")
	f.TextVar(&a.Compression, "compression", pack.Default, "the `LEVEL` to compress at: fastest, default or better")
	return c
}

// plan checks all that can be wrong with the command line.
func (d *dumpFlags) plan(names []string) (*repo.Record, error) {
	switch d.lock {
	case "auto":
	case "none":
		d.o.Lock.None, d.o.Threads = true, 1
	default:
		return nil, usage.Errorf("--lock %q: it is auto or none", d.lock)
	}
	switch d.broken {
	case "fail", "skip":
		d.o.BrokenSkip = d.broken == "skip"
	default:
		return nil, usage.Errorf("--broken %q: it is fail or skip", d.broken)
	}
	if d.o.Threads < 1 || d.o.Threads > 64 {
		return nil, usage.Errorf("--threads %d: there may be 1 to 64", d.o.Threads)
	}
	if d.o.DDLRetries < 0 {
		return nil, usage.Errorf("--ddl-retries %d: it is negative", d.o.DDLRetries)
	}
	for _, name := range names {
		if choose.Dotted(name) {
			d.o.Selection.Tables = append(d.o.Selection.Tables, name)
		} else {
			d.o.Selection.Databases = append(d.o.Selection.Databases, name)
		}
	}
	d.o.Selection.ExcludeTables = d.exclude
	if err := d.o.Selection.Check(); err != nil {
		return nil, usage.Error{Err: err}
	}
	d.o.Accounts, d.o.Lock.Unlogged = d.accounts, !d.needPosition
	labels, err := choice.ParseLabels(d.labels)
	for _, taken := range []repo.Text{"position", show.NoPosition, "server-version", "method"} {
		if _, there := labels[taken]; there && err == nil {
			err = usage.Errorf("label %q is the dump's own", taken)
		}
	}
	for name := range labels {
		if strings.HasPrefix(string(name), string(dumpfiles.SourceLabel(1))) && err == nil {
			err = usage.Errorf("label %q is the dump's own", name)
		}
	}
	return &repo.Record{Kind: dumpfiles.Kind, Excludes: choice.Texts(d.exclude), Tags: choice.Texts(d.tags), Labels: labels, Program: "nightjar " + app.Version()}, err
}

func runDump(ctx context.Context, a *app.App, d *dumpFlags, names []string) error {
	template, err := d.plan(names)
	if err != nil {
		return err
	}
	login, err := d.db.Login(ctx, &a.Settings)
	if err != nil {
		return err
	}
	config, err := login.Config()
	if err != nil {
		return err
	}
	srv, err := server.New(config)
	if err != nil {
		return err
	}
	probe, err := srv.Connect(ctx) // before anything long begins
	if err != nil {
		return err
	}
	probe.Close()
	s, err := a.Open(ctx, session.Write)
	if err != nil {
		return err
	}
	defer s.Close()
	if d.o.Lock.Directory, err = a.StateFolder(); err != nil {
		return err
	}
	template.Job = repo.Text(cmp.Or(d.job, strings.TrimSpace(s.Host+":mysql "+login.Address()+" "+strings.Join(names, " "))))
	o := backup.Options{Progress: new(watch.Progress), Problem: a.Problem, Now: a.Now}
	if o.Previous, err = s.Previous(ctx, template.Job); err != nil {
		return err
	}
	if d.o.Previous, err = formerRows(ctx, s, o.Previous); err != nil {
		a.Warn(fmt.Errorf("read the ranges of the dump before: %w", err)) // which costs space
	}
	d.o.Warn, d.o.Now = a.Warn, a.Now
	stop := a.Follow(progress.Saved(o.Progress, progress.Expect(ctx, o, false)))
	var result dump.Result
	made, sums, err := backup.Save(ctx, s.Repository, template, o, func(ctx context.Context, run *backup.Run) (repo.Labels, error) {
		var err error
		if result, err = dump.Run(ctx, srv, sink{run}, d.o); err != nil {
			return nil, adviseKeeping(err)
		}
		for _, b := range result.Broken {
			o.Progress.Problem.Add(1)
			a.Problem(b.What+" "+b.Name, fmt.Errorf("left out: %s", b.Why))
		}
		labels := repo.Labels{"server-version": repo.Text(result.Version), "method": "dump"}
		labelPosition(a, labels, result.Position, o.Previous)
		dumpfiles.LabelSources(labels, result.Sources)
		return labels, nil
	})
	stop()
	if err != nil {
		return err
	}
	s.Wrote(made)
	if err := app.MadeUntold(made, reportDump(a, made, &sums, &result, s.Requests())); err != nil {
		return err
	}
	return madeWithProblems(a, made, o.Previous)
}

func reportDump(a *app.App, made *repo.Archive, sums *backup.Statistics, result *dump.Result, requests map[string]uint64) error {
	if a.JSON {
		return a.PrintJSON(databases.DumpJSON(made, sums, a.Problems.Load(), requests, result))
	}
	for _, l := range result.Left {
		a.Note("left out: %s %s: %s", l.What, l.Name, l.Why)
	}
	if !a.Chatty() {
		return nil
	}
	return a.Print(func(w io.Writer) {
		show.Backup(w, made, sums, a.Problems.Load(), requests)
		databases.Dump(w, result)
	})
}

// formerRows returns the files of rows of an archive, with their notes; none without an archive.
func formerRows(ctx context.Context, s *session.Session, a *repo.Archive) (files []mysqldump.SourceFile, err error) {
	if a == nil || a.Kind != dumpfiles.Kind {
		return nil, nil
	}
	reader, err := s.NewReaderFor(ctx, a)
	if err != nil {
		return nil, err
	}
	err = browse.List(ctx, reader, a, dumpfiles.Folder, false, func(name string, n *tree.Node) error {
		if name = path.Base(name); strings.HasPrefix(name, string(script.Rows)) {
			files = append(files, mysqldump.SourceFile{Name: name, Size: int64(n.Size), Notes: n.Notes()})
		}
		return nil
	})
	return files, err
}

// A sink puts the files of a dump into a run of a backup.
type sink struct{ run *backup.Run }

func (s sink) Create(name string) (mysqldump.File, error) {
	return s.run.Create(dumpfiles.Folder+"/"+name, content.Hint{New: true, Fine: strings.HasPrefix(name, string(script.Rows))})
}

func (s sink) Remove(name string) error { return s.run.Remove(dumpfiles.Folder + "/" + name) }
