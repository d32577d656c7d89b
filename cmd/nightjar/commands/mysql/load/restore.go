// Package load brings a server back: it loads dumps, makes data directories of hot backups, moves single tables into a running server, and replays binary logs.
//
// Its flags and steps are also those of package replicas, which restores what becomes a replica, and of package drill.
package load

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	backuprestore "nightjar/backup/restore"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/dbflags"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/show/databases"
	"nightjar/cmd/nightjar/internal/thawing"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/watch"
	"nightjar/mysqldump/replay"
	"nightjar/mysqldump/restore"
	"nightjar/mysqldump/server"
)

// Flags say of which archive what is restored, onto which server or into which data directory.
type Flags struct {
	Server                     dbflags.Flags
	Datadir                    DatadirFlags
	until                      UntilFlags
	Choice                     choice.Choice
	Thaw                       thawing.Flags
	rename                     []string
	Existing, Accounts, Events string
	Options                    restore.Options
}

// Command makes the command nightjar mysql restore.
func Command(a *app.App) *cobra.Command {
	var r Flags
	c := &cobra.Command{
		Use:   "restore ARCHIVE [DATABASE[.TABLE]...]",
		Short: "Load a dump into a running server, and prove that it equals; or make a data directory of a hot backup",
		Long: `Load all of a dump, or the databases and tables that are named, into a running server, straight from the repository. Names are patterns: *
stands for any characters, ? for one, and \ takes its meaning from the next. A table comes with its triggers; programs, events and views of
other names come with whole databases, and accounts with everything.

At the end every definition, and the checksum of each table's rows, is compared with the archive.

With --datadir a hot backup becomes a data directory in an empty folder: its files are fetched and prepared, and given to the server's user. Who was killed
runs the same command again.

With --until or --before the binary logs that nightjar mysql binlog has saved are replayed after the restore, up to a time, a place in a log or a
transaction: which one that is, is found out and said before anything is changed.

With --kind ` + dumpfiles.Hot + ` the tables of a hot backup that are named are brought into a running server as files.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage.Errorf("no archive is named: say ARCHIVE, such as latest")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case r.until.given() && (r.Datadir.Dir != "" || len(args) > 1 || len(r.rename) > 0):
				return usage.Errorf("binary logs are replayed as a whole, into a running server: --until, --before and --before-statement go without --datadir, --rename and names")
			case r.until.given():
				return loadDump(c.Context(), a, &r, args)
			case r.Datadir.Dir != "":
				return restoreDatadir(c.Context(), a, &r, args)
			case slices.Equal(r.Choice.Kinds, []string{dumpfiles.Hot}):
				return restoreTables(c.Context(), a, &r, args)
			}
			return loadDump(c.Context(), a, &r, args)
		},
	}
	r.Server.Bind(c)
	r.Datadir.Bind(c)
	r.until.flags(c)
	f := c.Flags()
	f.StringArrayVar(&r.rename, "rename", nil, "restore a database under another name, `OLD=NEW`; may be repeated")
	f.StringVar(&r.Existing, "existing", "refuse", "what becomes of what is there: refuse, if-changed (restore what differs: goes on with a restore that stopped), missing (restore what is not there), replace")
	f.StringVar(&r.Accounts, "accounts", "leave", "what becomes of accounts that are there: leave, replace; or skip: restore none")
	f.StringVar(&r.Events, "events", "", "events: `keep`, disable (as on a replica), or skip (default: keep, but disable those of a database that is renamed)")
	f.BoolVar(&r.Options.NoBinlog, "no-binlog", false, "keep the restore out of the server's binary log: its replicas do not get it")
	f.IntVar(&r.Options.Threads, "threads", 4, "sessions that load at the same time")
	f.BoolVar(&r.Options.KeepKeys, "keys-first", false, "make secondary keys with the tables, not when their rows are there")
	f.BoolVar(&r.Options.NoVerify, "no-verify", false, "do not compare with the archive at the end")
	r.Choice.Bind(c)
	f.Lookup("kind").Usage = "only archives of this `KIND` (default: " + dumpfiles.Kind + ", with --datadir " + dumpfiles.Hot + ")"
	r.Thaw.Bind(c)
	return c
}

// Check makes options of the flags.
func (r *Flags) Check(names []string) error {
	existing := map[string]restore.Existing{"refuse": restore.Refuse, "if-changed": restore.IfChanged, "missing": restore.Missing, "replace": restore.Replace}
	accounts := map[string]restore.Accounts{"leave": restore.LeaveAccounts, "replace": restore.ReplaceAccounts, "skip": restore.SkipAccounts}
	var ok bool
	if r.Options.Existing, ok = existing[r.Existing]; !ok {
		return usage.Errorf("--existing %q: it is refuse, if-changed, missing or replace", r.Existing)
	}
	if r.Options.Accounts, ok = accounts[r.Accounts]; !ok {
		return usage.Errorf("--accounts %q: it is leave, replace or skip", r.Accounts)
	}
	switch r.Events {
	case "":
	case "keep":
		r.Options.KeepEvents = true
	case "disable":
		r.Options.Disabled = true
	case "skip":
		r.Options.NoEvents = true
	default:
		return usage.Errorf("--events %q: it is keep, disable or skip", r.Events)
	}
	if r.Options.Threads < 1 || r.Options.Threads > 64 {
		return usage.Errorf("--threads %d: there may be 1 to 64", r.Options.Threads)
	}
	r.Options.Rename = map[string]string{}
	for _, text := range r.rename {
		from, to, ok := strings.Cut(text, "=")
		if !ok || from == "" || to == "" {
			return usage.Errorf("--rename %q: write OLD=NEW", text)
		}
		if r.Options.Rename[from] != "" {
			return usage.Errorf("--rename: database %q is renamed twice", from)
		}
		r.Options.Rename[from] = to
	}
	for _, name := range names {
		p, err := restore.ParsePattern(name)
		if err != nil {
			return usage.Error{Err: err}
		}
		r.Options.Selection = append(r.Options.Selection, p)
	}
	if len(r.Choice.Kinds) == 0 {
		r.Choice.Kinds = []string{dumpfiles.Kind}
		if r.until.noRestore {
			r.Choice.Kinds = []string{dumpfiles.Kind, dumpfiles.Hot}
		}
		if r.Datadir.Dir != "" {
			r.Choice.Kinds = []string{dumpfiles.Hot}
		}
	}
	if err := r.until.check(time.Local); err != nil {
		return err
	}
	return r.Thaw.Check()
}

func loadDump(ctx context.Context, a *app.App, r *Flags, args []string) error {
	if err := r.Check(args[1:]); err != nil {
		return err
	}
	srv, err := r.Server.Server(ctx, &a.Settings)
	if err != nil {
		return err
	}
	probe, err := srv.Connect(ctx) // before anything long begins
	if err != nil {
		return err
	}
	probe.Close()
	s, err := choice.OpenArchive(ctx, a, args[0], session.ReadContent, &r.Choice)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.Archive.Kind == dumpfiles.Hot && !r.until.noRestore && r.until.statement == "" {
		return usage.Errorf("archive %s is a hot backup: restore it with --datadir, start the server, and then run this with --no-restore", show.ShortID(s.Archive))
	}
	plan, done, err := untilPlan(ctx, a, s, &r.until)
	if err != nil || done {
		return err
	}
	if r.until.noRestore {
		return replayOnly(ctx, a, s, srv, plan, r.Options.NoBinlog)
	}
	need := func(add func(string, int64)) error {
		return backuprestore.Needs(ctx, s.Reader, s.Archive, backuprestore.Options{Path: dumpfiles.Folder}, add)
	}
	if err := thawing.Ask(ctx, a, s.Session, &r.Thaw, need); err != nil {
		return err
	}
	source, err := dumpfiles.Open(ctx, s.Reader, s.Archive)
	if err != nil {
		return err
	}
	if r.Options.From, err = dumpfiles.DumpedAt(s.Archive); err != nil {
		return err
	}
	expected := new(atomic.Uint64)
	if len(r.Options.Selection) == 0 {
		expected.Store(source.Bytes())
	}
	if plan != nil {
		wake, err := restEvents(ctx, a, srv)
		if err != nil {
			return err
		}
		defer wake()
	}
	r.Options.Progress, r.Options.Problem, r.Options.Warn = new(watch.Progress), a.Problem, func(text string) { a.Note("%s", text) }
	stop := a.Follow(progress.Saved(r.Options.Progress, expected))
	start := a.Now()
	result, err := restore.Run(ctx, srv, source, r.Options)
	stop()
	replayed, failed := replayAfter(ctx, a, srv, plan, err == nil && len(result.Failures) == 0, r.Options.NoBinlog)
	if err := loadedDump(ctx, a, s, srv, &result, a.Now().Sub(start), replayed, err); err != nil {
		return err
	}
	return failed
}

// loadedDump reports how a restore went, and returns its error.
func loadedDump(ctx context.Context, a *app.App, s *choice.Opened, srv *server.Server, result *restore.Result, took time.Duration, replayed *replay.Result, err error) error {
	const goOn = "the same command with --existing if-changed keeps what is whole on the server, and restores the rest"
	for _, difference := range result.Differences {
		a.Warn(errors.New(difference))
	}
	if err == nil || errors.Is(err, restore.ErrDiffers) {
		if failed := reportLoaded(a, s, srv, result, took, replayed); failed != nil {
			return failed
		}
	}
	switch {
	case errors.Is(err, restore.ErrExists):
		return usage.Hinted{Err: err, Hint: "nothing was changed. --rename OLD=NEW restores under another name; --existing if-changed goes on with a restore that stopped; there are missing and replace, too"}
	case errors.Is(err, restore.ErrNothing):
		return usage.Hinted{Err: err, Hint: "nothing was changed. nightjar ls ARCHIVE:" + dumpfiles.Folder + " shows what the dump has; --rename is for databases"}
	case errors.Is(err, restore.ErrDiffers):
		return usage.Hinted{Err: err, Hint: "was somebody else writing? If not, " + goOn}
	case err != nil && ctx.Err() != nil:
		a.Note("%s", goOn)
		return err
	case err != nil:
		return usage.Hinted{Err: err, Hint: cmp.Or(refusal(err), goOn)}
	case len(result.Failures) == 0:
		return nil
	}
	hint := "put right what the warnings say"
	for _, f := range result.Failures {
		if said := refusal(f.Err); said != "" {
			hint = said
			break
		}
	}
	done := 0
	for _, n := range result.Done {
		done += n
	}
	if done == 0 && !a.Damaged.Load() {
		err := fmt.Errorf("nothing of archive %s could be restored: problems: %d", show.ShortID(s.Archive), len(result.Failures))
		return usage.Hinted{Err: err, Hint: hint + "; then run the same command again"}
	}
	what := fmt.Sprintf("archive %s was restored, but not all of it: problems: %d", show.ShortID(s.Archive), len(result.Failures))
	return usage.Hinted{Err: outcome.Problems{What: what, Damaged: a.Damaged.Load()}, Hint: hint + "; then " + goOn}
}

// refusal says what can be done about a server that takes no writes, or none of the account; empty if an error is of neither.
func refusal(err error) string {
	switch {
	case server.Number(err) == 1290 && strings.Contains(strings.ReplaceAll(err.Error(), "_", "-"), "read-only"):
		return "the server takes no writes: its read_only or super_read_only is on, as on a replica. If it is the right server: SET GLOBAL read_only=0 (which on MySQL turns super_read_only off, too)"
	case server.Denied(err):
		return "the account may not write there what was to be restored: a restore takes one that may do everything, as root, for as long as it lasts"
	}
	return ""
}

func reportLoaded(a *app.App, s *choice.Opened, srv *server.Server, result *restore.Result, took time.Duration, replayed *replay.Result) error {
	if a.JSON {
		return a.PrintJSON(databases.LoadedJSON(s.Archive, srv.Address(), result, took, replayed, s.Requests()))
	}
	if !a.Chatty() {
		return nil
	}
	return a.Print(func(w io.Writer) {
		databases.Loaded(w, s.Archive, srv.Address(), result, took)
		databases.Replayed(w, replayed)
	})
}
