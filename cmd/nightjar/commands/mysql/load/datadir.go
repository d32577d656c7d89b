package load

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
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/show/databases"
	"nightjar/cmd/nightjar/internal/thawing"
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

// DatadirFlags say how a data directory is made of a hot backup.
type DatadirFlags struct {
	Dir, Owner, Tool, memory string
}

// Bind gives a command the flags.
func (d *DatadirFlags) Bind(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&d.Dir, "datadir", "", "make a data directory of a hot backup in this empty or new `DIR`, on which no server runs")
	f.StringVar(&d.Owner, "owner", "", "`USER[:GROUP]` who gets its files (default: who owns DIR; if that is root, mysql)")
	f.StringVar(&d.Tool, "tool", "", "the `PROGRAM` that prepares it, of the version that took the backup (default: mariadb-backup; of a clone of MySQL: mysqld)")
	f.StringVar(&d.memory, "use-memory", "", "how much memory that may use, such as 4G (default: half of what is free, or less if the files need less)")
}

// A Seed is a hot backup that becomes a data directory.
type Seed struct {
	*choice.Opened
	tool     datadir.Tool
	Temp     tempdir.Dir
	memory   uint64
	Position mysqldump.Position
	clone    bool // the tool is the server, which makes its files whole itself
}

// packages say where the programs are that prepare hot backups.
var packages = map[string]string{
	"mariadb-backup": " (package mariadb-backup of Debian, Ubuntu, RHEL and Fedora, MariaDB-backup of MariaDB's own)",
	"mysqld":         " (package mysql-server of RHEL and Fedora, mysql-server-core-8.0 of Ubuntu, mysql-community-server of MySQL's own)",
}

// OpenSeed opens the archive of a hot backup, and finds out before anything is fetched whether there is a program to prepare it.
func OpenSeed(ctx context.Context, a *app.App, d *DatadirFlags, arg string, c *choice.Choice) (_ *Seed, err error) {
	x := &Seed{}
	if d.memory != "" {
		n, err := human.ParseSize(d.memory)
		if err != nil {
			return nil, usage.Errorf("--use-memory: %w", err)
		}
		x.memory = uint64(n)
	}
	if x.Temp, err = tempdir.New(cmp.Or(a.TempDir, "/tmp")); err != nil {
		return nil, err
	}
	if x.Opened, err = choice.OpenArchive(ctx, a, arg, session.ReadContent, c); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			x.Close()
		}
	}()
	return x, FindTool(ctx, a, x, d)
}

// FindTool finds the program that prepares the files of a seed.
func FindTool(ctx context.Context, a *app.App, x *Seed, d *DatadirFlags) (err error) {
	if x.Archive.Kind != dumpfiles.Hot {
		return usage.Errorf("archive %s is of kind %s: a data directory is made of one of kind %s", show.ShortID(x.Archive), quote.Display(string(x.Archive.Kind)), dumpfiles.Hot)
	}
	if x.Position, err = dumpfiles.PositionOf(x.Archive); err != nil {
		return err
	}
	taken, usual := "tool-version", cmp.Or(string(x.Archive.Labels["tool"]), "mariadb-backup")
	if x.clone = x.Archive.Labels["method"] == "clone"; x.clone {
		taken, usual = "server-version", "mysqld"
	}
	if strings.Contains(usual, "/") { // an archive does not say what is run here
		usual = "mariadb-backup"
	}
	recorded := string(x.Archive.Labels[repo.Text(taken)])
	if x.tool, err = datadir.FindTool(ctx, cmp.Or(d.Tool, usual), x.Temp); err != nil {
		return usage.Hinted{Err: err, Hint: fmt.Sprintf("nothing was changed. The backup was taken by %s %s: install that here%s, or name it with --tool PROGRAM",
			quote.Display(usual), quote.Display(recorded), packages[usual])}
	}
	newer, err := x.tool.Fits(recorded)
	if newer {
		a.Note("the backup was taken by version %s, and is prepared by %s, which is a later one of the same series", recorded, x.tool.Version)
	}
	return err
}

// A MadeDatadir says what became of a data directory.
type MadeDatadir struct {
	datadir.Finished
	path  string
	Sums  backuprestore.Statistics
	Took  [2]time.Duration // to fetch, to prepare
	whole time.Duration
}

// MakeDatadir makes a data directory of a hot backup; for a replica, one in which no event is enabled.
func MakeDatadir(ctx context.Context, a *app.App, x *Seed, f *DatadirFlags, thaw *thawing.Flags, replica bool) (m MadeDatadir, err error) {
	begin := a.Now()
	if f.Dir, err = where.Absolute(f.Dir); err != nil {
		return m, fmt.Errorf("find data directory %s: %w", f.Dir, err)
	}
	owner, err := datadir.FindOwner(f.Owner, f.Dir)
	if err != nil {
		return m, usage.Hinted{Err: err, Hint: "nothing was changed. --owner USER says as whom the server runs"}
	}
	d, err := datadir.Claim(f.Dir, x.Archive.ID)
	if err != nil {
		return m, err
	}
	defer d.Close()
	m.path = d.Path()
	if d.Stage() != datadir.Prepared {
		if err := fillDatadir(ctx, a, x, d, owner, thaw, &m); err != nil {
			return m, stoppedDatadir(ctx, a, err)
		}
	}
	disabled := 0
	if replica && x.Archive.Labels["tool"] != "xtrabackup" { // which is no server
		o := datadir.StartOptions{Tool: x.tool, Temp: x.Temp, Now: a.Now}
		if x.clone {
			o.Program, o.Flags = x.tool.Program, clone.Flags
		}
		if disabled, err = d.DisableEvents(ctx, o); err != nil {
			return m, stoppedDatadir(ctx, a, err)
		}
	}
	if m.Finished, err = d.Finish(owner); err != nil {
		return m, stoppedDatadir(ctx, a, err)
	}
	if x.clone && x.Archive.Labels[dumpfiles.SourceLabel(1)] != "" {
		m.Notes = append(m.Notes, "the server of the backup was a replica itself: one on this data directory replicates from nobody, until it is told to")
	}
	if disabled > 0 {
		m.Notes = append(m.Notes, fmt.Sprintf("events that ran at the source, and do not run here, as on every replica: %d", disabled))
	}
	m.whole = a.Now().Sub(begin)
	return m, nil
}

// fillDatadir fetches the files, and prepares them.
func fillDatadir(ctx context.Context, a *app.App, x *Seed, d *datadir.Dir, owner datadir.Owner, thaw *thawing.Flags, m *MadeDatadir) error {
	of := map[string]bool{}
	o := backuprestore.Options{
		Path: dumpfiles.Folder, Target: d.Path(), Overwrite: backuprestore.IfChanged, Progress: new(watch.Progress), Problem: a.Problem, Warn: a.Warn,
		Report: func(path string, _ backuprestore.Action) {
			of[strings.TrimPrefix(strings.TrimPrefix(path, "/"), dumpfiles.Folder+"/")] = true
		},
	}
	if err := d.Fits(x.Archive.Statistics["bytes"]); err != nil {
		return err
	}
	need := func(add func(string, int64)) error { return backuprestore.Needs(ctx, x.Reader, x.Archive, o, add) }
	if err := thawing.Ask(ctx, a, x.Session, thaw, need); err != nil {
		return err
	}
	if err := d.Fill(); err != nil {
		return err
	}
	expected := new(atomic.Uint64)
	expected.Store(x.Archive.Statistics["bytes"])
	stop := a.Follow(progress.Saved(o.Progress, expected))
	begin := a.Now()
	sums, err := backuprestore.Run(ctx, x.Reader, x.Archive, o)
	stop()
	m.Sums, m.Took[0] = sums, a.Now().Sub(begin)
	if err != nil {
		return err
	}
	if sums.Problems > 0 {
		what := fmt.Sprintf("archive %s was not restored whole: problems: %d. No server should be started on %s", show.ShortID(x.Archive), sums.Problems, d.Path())
		if a.Damaged.Load() {
			return outcome.Problems{What: what, Damaged: true}
		}
		return errors.New(what)
	}
	if err := d.Settle(func(name string) bool { return of[name] }); err != nil {
		return err
	}
	if x.clone {
		return clone.Recover(ctx, d, x.Position, datadir.StartOptions{Program: x.tool.Program, Temp: x.Temp, Owner: owner, Now: a.Now})
	}
	if err := d.CheckPosition(x.Position); err != nil {
		return err
	}
	begin = a.Now()
	err = d.Prepare(ctx, datadir.PrepareOptions{Tool: x.tool, Temp: x.Temp, Memory: x.memory})
	m.Took[1] = a.Now().Sub(begin)
	return err
}

// stoppedDatadir says how to go on.
func stoppedDatadir(ctx context.Context, a *app.App, err error) error {
	const goOn = "the same command goes on where it stopped; a server would find half of a data directory until then"
	var problems outcome.Problems
	switch {
	case ctx.Err() != nil:
		a.Note("%s", goOn)
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
func restoreDatadir(ctx context.Context, a *app.App, r *Flags, args []string) error {
	if len(args) > 1 {
		return usage.Errorf("--datadir takes all of a backup: name no databases or tables")
	}
	if err := r.Check(nil); err != nil {
		return err
	}
	x, err := OpenSeed(ctx, a, &r.Datadir, args[0], &r.Choice)
	if err != nil {
		return err
	}
	defer x.Close()
	m, err := MakeDatadir(ctx, a, x, &r.Datadir, &r.Thaw, false)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.PrintJSON(map[string]any{
			"archive": show.Archive(x.Archive), "datadir": m.path, "position": x.Position.String(), "settings": app.OrNone(m.Settings), "notes": app.OrNone(m.Notes), "bytes": m.Sums.Bytes, "files": m.Sums.Files,
			"fetch_ms": m.Took[0].Milliseconds(), "prepare_ms": m.Took[1].Milliseconds(), "whole_ms": m.whole.Milliseconds(), "requests": show.Requests(x.Requests()),
		})
	}
	TellDatadir(a, m)
	if !a.Chatty() {
		return nil
	}
	return a.Print(func(w io.Writer) {
		fmt.Fprintf(w, "archive %s is a data directory in %s, %s\n", show.ShortID(x.Archive), quote.Display(m.path), databases.At(x.Position))
		fmt.Fprintf(w, "  %s in %s; prepared in %s\n", human.Size(m.Sums.Bytes), m.Took[0].Round(time.Millisecond), m.Took[1].Round(time.Millisecond))
		fmt.Fprintf(w, "its option file needs: %s\n", quote.Display(strings.Join(append(m.Settings, "server_id=N, which no other server has"), ", ")))
	})
}

// TellDatadir tells what people should know of a data directory.
func TellDatadir(a *app.App, m MadeDatadir) {
	for _, n := range m.Notes {
		a.Note("%s", n)
	}
	if len(m.Settings) > 0 {
		a.Warn(fmt.Errorf("the server needs these lines in its option file, or it does not start: %s", strings.Join(m.Settings, ", ")))
	}
}
