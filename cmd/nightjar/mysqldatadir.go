package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	backuprestore "nightjar/backup/restore"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/internal/tempdir"
	"nightjar/internal/watch"
	"nightjar/internal/where"
	"nightjar/mysqldump"
	"nightjar/mysqldump/clone"
	"nightjar/mysqldump/datadir"
	"nightjar/repo"
)

// datadirFlags say how a data directory is made of a hot backup.
type datadirFlags struct {
	dir, owner, tool, memory string
}

func (d *datadirFlags) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&d.dir, "datadir", "", "make a data directory of a hot backup in this empty or new `DIR`, on which no server runs")
	f.StringVar(&d.owner, "owner", "", "`USER[:GROUP]` who gets its files (default: who owns DIR; if that is root, mysql)")
	f.StringVar(&d.tool, "tool", "", "the `PROGRAM` that prepares it, of the version that took the backup (default: mariadb-backup; of a clone of MySQL: mysqld)")
	f.StringVar(&d.memory, "use-memory", "", "how much memory that may use, such as 4G (default: half of what is free)")
}

// A seed is a hot backup that becomes a data directory.
type seed struct {
	*opened
	tool     datadir.Tool
	temp     tempdir.Dir
	memory   uint64
	position mysqldump.Position
	clone    bool // the tool is the server, which makes its files whole itself
}

// packages say where the programs are that prepare hot backups.
var packages = map[string]string{
	"mariadb-backup": " (package mariadb-backup of Debian, Ubuntu, RHEL and Fedora, MariaDB-backup of MariaDB's own)",
	"mysqld":         " (package mysql-server of RHEL and Fedora, mysql-server-core-8.0 of Ubuntu, mysql-community-server of MySQL's own)",
}

// openSeed opens the archive of a hot backup, and finds out before anything is fetched whether there is a program to prepare it.
func (a *app) openSeed(ctx context.Context, d *datadirFlags, arg string, c *choice) (_ *seed, err error) {
	x := &seed{}
	if d.memory != "" {
		n, err := human.ParseSize(d.memory)
		if err != nil {
			return nil, usage.Errorf("--use-memory: %w", err)
		}
		x.memory = uint64(n)
	}
	if x.temp, err = tempdir.New(cmp.Or(a.TempDir, "/tmp")); err != nil {
		return nil, err
	}
	if x.opened, err = a.openArchive(ctx, arg, session.ReadContent, c); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			x.Close()
		}
	}()
	return x, a.findTool(ctx, x, d)
}

// findTool finds the program that prepares the files of a seed.
func (a *app) findTool(ctx context.Context, x *seed, d *datadirFlags) (err error) {
	if x.archive.Kind != dumpfiles.Hot {
		return usage.Errorf("archive %s is of kind %s: a data directory is made of one of kind %s", show.ShortID(x.archive), quote.Display(string(x.archive.Kind)), dumpfiles.Hot)
	}
	if x.position, err = positionOf(x.archive); err != nil {
		return err
	}
	taken, usual := "tool-version", cmp.Or(string(x.archive.Labels["tool"]), "mariadb-backup")
	if x.clone = x.archive.Labels["method"] == "clone"; x.clone {
		taken, usual = "server-version", "mysqld"
	}
	if strings.Contains(usual, "/") { // an archive does not say what is run here
		usual = "mariadb-backup"
	}
	recorded := string(x.archive.Labels[repo.Text(taken)])
	if x.tool, err = datadir.FindTool(ctx, cmp.Or(d.tool, usual), x.temp); err != nil {
		return usage.Hinted{Err: err, Hint: fmt.Sprintf("nothing was changed. The backup was taken by %s %s: install that here%s, or name it with --tool PROGRAM",
			quote.Display(usual), quote.Display(recorded), packages[usual])}
	}
	newer, err := x.tool.Fits(recorded)
	if newer {
		a.note("the backup was taken by version %s, and is prepared by %s, which is a later one of the same series", recorded, x.tool.Version)
	}
	return err
}

// A madeDatadir says what became of a data directory.
type madeDatadir struct {
	datadir.Finished
	path  string
	sums  backuprestore.Statistics
	took  [2]time.Duration // to fetch, to prepare
	whole time.Duration
}

// makeDatadir makes a data directory of a hot backup; for a replica, one in which no event is enabled.
func (a *app) makeDatadir(ctx context.Context, x *seed, f *datadirFlags, thaw *thawFlags, replica bool) (m madeDatadir, err error) {
	begin := a.Now()
	if f.dir, err = where.Absolute(f.dir); err != nil {
		return m, fmt.Errorf("find data directory %s: %w", f.dir, err)
	}
	owner, err := datadir.FindOwner(f.owner, f.dir)
	if err != nil {
		return m, usage.Hinted{Err: err, Hint: "nothing was changed. --owner USER says as whom the server runs"}
	}
	d, err := datadir.Claim(f.dir, x.archive.ID)
	if err != nil {
		return m, err
	}
	defer d.Close()
	m.path = d.Path()
	if d.Stage() != datadir.Prepared {
		if err := a.fillDatadir(ctx, x, d, owner, thaw, &m); err != nil {
			return m, a.stoppedDatadir(ctx, err)
		}
	}
	disabled := 0
	if replica && x.archive.Labels["tool"] != "xtrabackup" { // which is no server
		o := datadir.StartOptions{Tool: x.tool, Temp: x.temp, Now: a.Now}
		if x.clone {
			o.Program, o.Flags = x.tool.Program, clone.Flags
		}
		if disabled, err = d.DisableEvents(ctx, o); err != nil {
			return m, a.stoppedDatadir(ctx, err)
		}
	}
	if m.Finished, err = d.Finish(owner); err != nil {
		return m, a.stoppedDatadir(ctx, err)
	}
	if x.clone && x.archive.Labels[sourceLabel(1)] != "" {
		m.Notes = append(m.Notes, "the server of the backup was a replica itself: one on this data directory replicates from nobody, until it is told to")
	}
	if disabled > 0 {
		m.Notes = append(m.Notes, fmt.Sprintf("events that ran at the source, and do not run here, as on every replica: %d", disabled))
	}
	m.whole = a.Now().Sub(begin)
	return m, nil
}

// fillDatadir fetches the files, and prepares them.
func (a *app) fillDatadir(ctx context.Context, x *seed, d *datadir.Dir, owner datadir.Owner, thaw *thawFlags, m *madeDatadir) error {
	of := map[string]bool{}
	o := backuprestore.Options{
		Path: dumpfiles.Folder, Target: d.Path(), Overwrite: backuprestore.IfChanged, Progress: new(watch.Progress), Problem: a.problem, Warn: a.Warn,
		Report: func(path string, _ backuprestore.Action) {
			of[strings.TrimPrefix(strings.TrimPrefix(path, "/"), dumpfiles.Folder+"/")] = true
		},
	}
	if err := d.Fits(x.archive.Statistics["bytes"]); err != nil {
		return err
	}
	need := func(add func(string, int64)) error { return backuprestore.Needs(ctx, x.reader, x.archive, o, add) }
	if err := a.thaw(ctx, x.Session, thaw, need); err != nil {
		return err
	}
	if err := d.Fill(); err != nil {
		return err
	}
	expected := new(atomic.Uint64)
	expected.Store(x.archive.Statistics["bytes"])
	stop := a.follow(progress.Saved(o.Progress, expected))
	begin := a.Now()
	sums, err := backuprestore.Run(ctx, x.reader, x.archive, o)
	stop()
	m.sums, m.took[0] = sums, a.Now().Sub(begin)
	if err != nil {
		return err
	}
	if sums.Problems > 0 {
		what := fmt.Sprintf("archive %s was not restored whole: problems: %d. No server should be started on %s", show.ShortID(x.archive), sums.Problems, d.Path())
		if a.damaged.Load() {
			return outcome.Problems{What: what, Damaged: true}
		}
		return errors.New(what)
	}
	if err := d.Settle(func(name string) bool { return of[name] }); err != nil {
		return err
	}
	if x.clone {
		return clone.Recover(ctx, d, x.position, datadir.StartOptions{Program: x.tool.Program, Temp: x.temp, Owner: owner, Now: a.Now})
	}
	if err := d.CheckPosition(x.position); err != nil {
		return err
	}
	begin = a.Now()
	err = d.Prepare(ctx, datadir.PrepareOptions{Tool: x.tool, Temp: x.temp, Memory: x.memory})
	m.took[1] = a.Now().Sub(begin)
	return err
}

// stoppedDatadir says how to go on.
func (a *app) stoppedDatadir(ctx context.Context, err error) error {
	const goOn = "the same command goes on where it stopped; a server would find half of a data directory until then"
	var problems outcome.Problems
	switch {
	case ctx.Err() != nil:
		a.note("%s", goOn)
		return err
	case errors.Is(err, datadir.ErrUnsafe), errors.Is(err, datadir.ErrPosition):
		return err
	case errors.Is(err, datadir.ErrSpace):
		return usage.Hinted{Err: err, Hint: "nothing was fetched. Make room, or name a folder on another disk"}
	case errors.As(err, &problems):
		return usage.Hinted{Err: err, Hint: "nightjar check --read-data names what is damaged; another copy (--repo) may have it, or an older archive. Then " + goOn}
	}
	return usage.Hinted{Err: err, Hint: "put right what stopped it, such as a full disk; then " + goOn}
}

// restoreDatadir is nightjar mysql restore --datadir.
func (a *app) restoreDatadir(ctx context.Context, r *mysqlRestoreFlags, args []string) error {
	if len(args) > 1 {
		return usage.Errorf("--datadir takes all of a backup: name no databases or tables")
	}
	if err := r.check(nil); err != nil {
		return err
	}
	x, err := a.openSeed(ctx, &r.datadir, args[0], &r.choice)
	if err != nil {
		return err
	}
	defer x.Close()
	m, err := a.makeDatadir(ctx, x, &r.datadir, &r.thaw, false)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(map[string]any{
			"archive": show.Archive(x.archive), "datadir": m.path, "position": x.position.String(), "settings": orNone(m.Settings), "notes": orNone(m.Notes), "bytes": m.sums.Bytes, "files": m.sums.Files,
			"fetch_ms": m.took[0].Milliseconds(), "prepare_ms": m.took[1].Milliseconds(), "whole_ms": m.whole.Milliseconds(), "requests": x.Requests(),
		})
	}
	a.tellDatadir(m)
	if !a.chatty() {
		return nil
	}
	return a.print(func(w io.Writer) {
		fmt.Fprintf(w, "archive %s is a data directory in %s, at %s\n", show.ShortID(x.archive), quote.Display(m.path), quote.Display(x.position.String()))
		fmt.Fprintf(w, "  %s in %s; prepared in %s\n", human.Size(m.sums.Bytes), m.took[0].Round(time.Millisecond), m.took[1].Round(time.Millisecond))
		fmt.Fprintf(w, "its option file needs: %s\n", quote.Display(strings.Join(append(m.Settings, "server_id=N, which no other server has"), ", ")))
	})
}

// tellDatadir tells what people should know of a data directory.
func (a *app) tellDatadir(m madeDatadir) {
	for _, n := range m.Notes {
		a.note("%s", n)
	}
	if len(m.Settings) > 0 {
		a.Warn(fmt.Errorf("the server needs these lines in its option file, or it does not start: %s", strings.Join(m.Settings, ", ")))
	}
}
