package main

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
	"nightjar/cmd/nightjar/internal/dbflags"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/watch"
	"nightjar/mysqldump/replay"
	"nightjar/mysqldump/restore"
	"nightjar/mysqldump/server"
)

type mysqlRestoreFlags struct {
	db                         dbflags.Flags
	datadir                    datadirFlags
	until                      untilFlags
	choice                     choice
	thaw                       thawFlags
	rename                     []string
	existing, accounts, events string
	o                          restore.Options
}

func (a *app) mysqlRestoreCommand() *cobra.Command {
	var r mysqlRestoreFlags
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
			case r.until.given() && (r.datadir.dir != "" || len(args) > 1 || len(r.rename) > 0):
				return usage.Errorf("binary logs are replayed as a whole, into a running server: --until, --before and --before-statement go without --datadir, --rename and names")
			case r.until.given():
				return a.loadDump(c.Context(), &r, args)
			case r.datadir.dir != "":
				return a.restoreDatadir(c.Context(), &r, args)
			case slices.Equal(r.choice.Kinds, []string{dumpfiles.Hot}):
				return a.restoreTables(c.Context(), &r, args)
			}
			return a.loadDump(c.Context(), &r, args)
		},
	}
	r.db.Bind(c)
	r.datadir.flags(c)
	r.until.flags(c)
	f := c.Flags()
	f.StringArrayVar(&r.rename, "rename", nil, "restore a database under another name, `OLD=NEW`; may be repeated")
	f.StringVar(&r.existing, "existing", "refuse", "what becomes of what is there: refuse, if-changed (restore what differs: goes on with a restore that stopped), missing (restore what is not there), replace")
	f.StringVar(&r.accounts, "accounts", "leave", "what becomes of accounts that are there: leave, replace; or skip: restore none")
	f.StringVar(&r.events, "events", "", "events: `keep`, disable (as on a replica), or skip (default: keep, but disable those of a database that is renamed)")
	f.BoolVar(&r.o.NoBinlog, "no-binlog", false, "keep the restore out of the server's binary log: its replicas do not get it")
	f.IntVar(&r.o.Threads, "threads", 4, "sessions that load at the same time")
	f.BoolVar(&r.o.KeepKeys, "keys-first", false, "make secondary keys with the tables, not when their rows are there")
	f.BoolVar(&r.o.NoVerify, "no-verify", false, "do not compare with the archive at the end")
	r.choice.flags(c)
	f.Lookup("kind").Usage = "only archives of this `KIND` (default: " + dumpfiles.Kind + ", with --datadir " + dumpfiles.Hot + ")"
	r.thaw.flags(c)
	return c
}

// check makes options of the flags.
func (r *mysqlRestoreFlags) check(names []string) error {
	existing := map[string]restore.Existing{"refuse": restore.Refuse, "if-changed": restore.IfChanged, "missing": restore.Missing, "replace": restore.Replace}
	accounts := map[string]restore.Accounts{"leave": restore.LeaveAccounts, "replace": restore.ReplaceAccounts, "skip": restore.SkipAccounts}
	var ok bool
	if r.o.Existing, ok = existing[r.existing]; !ok {
		return usage.Errorf("--existing %q: it is refuse, if-changed, missing or replace", r.existing)
	}
	if r.o.Accounts, ok = accounts[r.accounts]; !ok {
		return usage.Errorf("--accounts %q: it is leave, replace or skip", r.accounts)
	}
	switch r.events {
	case "":
	case "keep":
		r.o.KeepEvents = true
	case "disable":
		r.o.Disabled = true
	case "skip":
		r.o.NoEvents = true
	default:
		return usage.Errorf("--events %q: it is keep, disable or skip", r.events)
	}
	if r.o.Threads < 1 || r.o.Threads > 64 {
		return usage.Errorf("--threads %d: there may be 1 to 64", r.o.Threads)
	}
	r.o.Rename = map[string]string{}
	for _, text := range r.rename {
		from, to, ok := strings.Cut(text, "=")
		if !ok || from == "" || to == "" {
			return usage.Errorf("--rename %q: write OLD=NEW", text)
		}
		if r.o.Rename[from] != "" {
			return usage.Errorf("--rename: database %q is renamed twice", from)
		}
		r.o.Rename[from] = to
	}
	for _, name := range names {
		p, err := restore.ParsePattern(name)
		if err != nil {
			return usage.Error{Err: err}
		}
		r.o.Selection = append(r.o.Selection, p)
	}
	if len(r.choice.Kinds) == 0 {
		r.choice.Kinds = []string{dumpfiles.Kind}
		if r.until.noRestore {
			r.choice.Kinds = []string{dumpfiles.Kind, dumpfiles.Hot}
		}
		if r.datadir.dir != "" {
			r.choice.Kinds = []string{dumpfiles.Hot}
		}
	}
	if err := r.until.check(time.Local); err != nil {
		return err
	}
	return r.thaw.check()
}

func (a *app) loadDump(ctx context.Context, r *mysqlRestoreFlags, args []string) error {
	if err := r.check(args[1:]); err != nil {
		return err
	}
	srv, err := r.db.Server(ctx, &a.Settings)
	if err != nil {
		return err
	}
	probe, err := srv.Connect(ctx) // before anything long begins
	if err != nil {
		return err
	}
	probe.Close()
	s, err := a.openArchive(ctx, args[0], session.ReadContent, &r.choice)
	if err != nil {
		return err
	}
	defer s.Close()
	if s.archive.Kind == dumpfiles.Hot && !r.until.noRestore && r.until.statement == "" {
		return usage.Errorf("archive %s is a hot backup: restore it with --datadir, start the server, and then run this with --no-restore", show.ShortID(s.archive))
	}
	plan, done, err := a.untilPlan(ctx, s, &r.until)
	if err != nil || done {
		return err
	}
	if r.until.noRestore {
		return a.replayOnly(ctx, s, srv, plan, r.o.NoBinlog)
	}
	need := func(add func(string, int64)) error {
		return backuprestore.Needs(ctx, s.reader, s.archive, backuprestore.Options{Path: dumpfiles.Folder}, add)
	}
	if err := a.thaw(ctx, s.Session, &r.thaw, need); err != nil {
		return err
	}
	source, err := dumpfiles.Open(ctx, s.reader, s.archive)
	if err != nil {
		return err
	}
	if r.o.From, err = positionOf(s.archive); err != nil {
		return err
	}
	expected := new(atomic.Uint64)
	if len(r.o.Selection) == 0 {
		expected.Store(source.Bytes())
	}
	if plan != nil {
		wake, err := a.restEvents(ctx, srv)
		if err != nil {
			return err
		}
		defer wake()
	}
	r.o.Progress, r.o.Problem, r.o.Warn = new(watch.Progress), a.problem, func(text string) { a.note("%s", text) }
	stop := a.follow(progress.Saved(r.o.Progress, expected))
	start := a.Now()
	result, err := restore.Run(ctx, srv, source, r.o)
	stop()
	replayed, failed := a.replayAfter(ctx, srv, plan, err == nil && len(result.Failures) == 0, r.o.NoBinlog)
	if err := a.loadedDump(ctx, s, srv, &result, a.Now().Sub(start), replayed, err); err != nil {
		return err
	}
	return failed
}

// loadedDump reports how a restore went, and returns its error.
func (a *app) loadedDump(ctx context.Context, s *opened, srv *server.Server, result *restore.Result, took time.Duration, replayed *replay.Result, err error) error {
	const goOn = "the same command with --existing if-changed keeps what is whole on the server, and restores the rest"
	for _, difference := range result.Differences {
		a.Warn(errors.New(difference))
	}
	if err == nil || errors.Is(err, restore.ErrDiffers) {
		if failed := a.reportLoaded(s, srv, result, took, replayed); failed != nil {
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
		a.note("%s", goOn)
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
	if done == 0 && !a.damaged.Load() {
		err := fmt.Errorf("nothing of archive %s could be restored: problems: %d", show.ShortID(s.archive), len(result.Failures))
		return usage.Hinted{Err: err, Hint: hint + "; then run the same command again"}
	}
	what := fmt.Sprintf("archive %s was restored, but not all of it: problems: %d", show.ShortID(s.archive), len(result.Failures))
	return usage.Hinted{Err: outcome.Problems{What: what, Damaged: a.damaged.Load()}, Hint: hint + "; then " + goOn}
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

func (a *app) reportLoaded(s *opened, srv *server.Server, result *restore.Result, took time.Duration, replayed *replay.Result) error {
	if a.json {
		return a.printJSON(show.LoadedJSON(s.archive, srv.Address(), result, took, replayed, s.Requests()))
	}
	if !a.chatty() {
		return nil
	}
	return a.print(func(w io.Writer) {
		show.Loaded(w, s.archive, srv.Address(), result, took)
		show.Replayed(w, replayed)
	})
}
