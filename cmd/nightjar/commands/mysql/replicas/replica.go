package replicas

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	backuprestore "nightjar/backup/restore"
	"nightjar/cmd/nightjar/commands/mysql/load"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/dbflags"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/thawing"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/quote"
	"nightjar/internal/watch"
	"nightjar/mysqldump"
	"nightjar/mysqldump/compare"
	"nightjar/mysqldump/lock"
	"nightjar/mysqldump/login"
	"nightjar/mysqldump/replica"
	"nightjar/mysqldump/restore"
	"nightjar/mysqldump/script"
	"nightjar/mysqldump/server"
	"nightjar/repo"
)

// Flags say what becomes a replica, and of which source.
type Flags struct {
	load.Flags
	Source, Replication dbflags.Flags
	position            string
	noRestore, NoVerify bool
	skip                int
	Wait                time.Duration
	Point               replica.Options
	Lock                lock.Options
	Start               StartFlags
}

// ReplicaCommand makes the command nightjar mysql replica.
func ReplicaCommand(a *app.App) *cobra.Command {
	var r Flags
	c := &cobra.Command{
		Use:   "replica ARCHIVE --source HOST --replication USER@HOST",
		Short: "Make a fresh server a replica: load a dump, or make its data directory of a hot backup, and replicate from there",
		Long: `Load a dump into a fresh server, have it replicate from the dump's position on, and wait until it has what the source has. At the end all tables are compared
with the source's, at one position.

--source is where the dump was taken, into which one logs in as an administrator; --replication is the account by which the replica reaches it, and how it
reaches it. The password of that account is kept by the replica, as every replica keeps it. Events come as DISABLE ON SLAVE, and the replica is read only.

With --datadir a hot backup becomes the fresh server's data directory, and the server is started on it; its accounts are then the source's.

The dump of a slave has the slave's position, and its master's too. Which of them holds is decided by whom --source names: the server of the dump, or its master.
Another server must have all transactions of the dump, by GTID.`,
		Args: usage.OneArgument("ARCHIVE"),
		RunE: func(c *cobra.Command, args []string) error { return runReplica(c.Context(), a, &r, args[0]) },
	}
	r.Server.Bind(c)
	r.Source.BindOther(c, "source")
	r.Replication.BindReplication(c)
	f := c.Flags()
	f.StringVar(&r.Existing, "existing", "refuse", "what becomes of what is there: refuse, if-changed (restore what differs: goes on with a restore that stopped), missing (restore what is not there), replace")
	f.StringVar(&r.Accounts, "accounts", "leave", "what becomes of accounts that are there: leave, replace; or skip: restore none")
	f.IntVar(&r.Options.Threads, "threads", 4, "sessions that load at the same time")
	f.BoolVar(&r.noRestore, "no-restore", false, "the data is there already, as of the position: nothing is loaded")
	f.StringVar(&r.position, "position", "", "replicate from this position of the source (default: as the archive's label has it)")
	f.BoolVar(&r.Point.NoGTID, "no-gtid", false, "follow file and offset, not GTIDs")
	f.BoolVar(&r.Point.Replace, "replace-source", false, "give up the source that the server replicates from")
	f.BoolVar(&r.Point.AllowOlder, "allow-older", false, "allow a replica that is older than its source")
	f.BoolVar(&r.Point.Writable, "writable", false, "leave read_only as it is")
	f.StringVar(&r.Point.Channel, "channel", "", "name of the channel, or of MariaDB's connection")
	f.IntVar(&r.skip, "skip", 0, "pass over so many transactions that fail; each is said")
	f.DurationVar(&r.Wait, "wait", 6*time.Hour, "how long it may take to catch up")
	f.BoolVar(&r.NoVerify, "no-verify", false, "compare nothing at the end: neither the restore with the archive, nor the replica with its source")
	f.DurationVar(&r.Lock.Attempt, "lock-attempt", lock.DefaultAttempt, "how long one attempt at a lock of the source may keep writers waiting, to compare")
	f.DurationVar(&r.Lock.Wait, "lock-wait", lock.DefaultWait, "for how long attempts are made")
	dbflags.MaxLock(f, &r.Lock.Max)
	r.Datadir.Bind(c)
	r.Start.Bind(c)
	r.Choice.Bind(c)
	f.Lookup("kind").Usage = "only archives of this `KIND` (default: " + dumpfiles.Kind + ", with --datadir " + dumpfiles.Hot + ")"
	r.Thaw.Bind(c)
	return c
}

// Ends are the servers of a replication, and what the replica is told.
type Ends struct {
	Replica *server.Server
	Source  replica.Source
	folder  string // of the notes of what stands still
}

// ReplicaEnds finds out who the servers are.
func ReplicaEnds(ctx context.Context, a *app.App, r *Flags) (e Ends, err error) {
	if e.Replica, err = r.Server.Server(ctx, &a.Settings); err != nil {
		return e, err
	}
	if r.Point.Server, err = r.Source.Server(ctx, &a.Settings); errors.Is(err, login.ErrUnnamed) {
		return e, usage.Errorf("name the source with --source, in [nightjar-source] of ~/.my.cnf or in a file of its own, --source-defaults-file: --defaults-file is read for the replica alone")
	} else if err != nil {
		return e, err
	}
	l, err := r.Replication.Login(ctx, &a.Settings)
	if errors.Is(err, login.ErrUnnamed) {
		return e, usage.Errorf("say how the replica reaches the source with --replication USER@HOST, in [nightjar-replication] of ~/.my.cnf or in a file of its own, --replication-defaults-file")
	} else if err != nil {
		return e, err
	}
	if l.Host == "" || l.Socket != "" {
		return e, usage.Errorf("--replication %s: a replica reaches its source by host and port", l.Address())
	}
	e.Source = replica.Source{Host: l.Host, Port: l.Port, User: l.User, Password: l.Password.Reveal(), TLS: replicationTLS(l)}
	e.folder, err = a.StateFolder()
	return e, err
}

func runReplica(ctx context.Context, a *app.App, r *Flags, archive string) error {
	r.Events, r.Options.NoBinlog, r.Options.NoVerify, r.Point.ResetLog = "disable", true, r.NoVerify, true
	if err := r.Check(nil); err != nil {
		return err
	}
	if r.skip < 0 {
		return usage.Errorf("--skip %d: it is negative", r.skip)
	}
	e, err := ReplicaEnds(ctx, a, r)
	if err != nil {
		return err
	}
	var chosen func(database, table string) bool // nil: all
	if r.Datadir.Dir != "" {
		err = seedFromHot(ctx, a, r, &e, archive)
	} else {
		chosen, err = seedReplica(ctx, a, r, &e, archive)
	}
	if err != nil {
		return err
	}
	done, err := Replicate(ctx, a, r, e, chosen)
	if err != nil {
		return err
	}
	return reportReplica(a, e, r, done)
}

// Replicated says how a replica came to be one.
type Replicated struct {
	pointed  replica.Pointed
	waited   replica.Waited
	Verified compare.Result
}

// Replicate points a replica that has its data at its source, waits until it has what the source has, and compares both.
func Replicate(ctx context.Context, a *app.App, r *Flags, e Ends, chosen func(database, table string) bool) (done Replicated, err error) {
	if done.pointed, err = replica.Point(ctx, e.Replica, e.Source, r.Point); err != nil {
		return done, Advise(err)
	}
	for _, w := range done.pointed.Warnings {
		a.Note("%s", w)
	}
	if err := replica.Start(ctx, e.Replica, r.Point.Channel); err != nil {
		return done, err
	}
	done.waited, err = waitForReplica(ctx, a, r, e)
	for _, s := range done.waited.Skipped {
		a.Warn(fmt.Errorf("passed over the transaction at %s:%d %s: %s", s.At.File, s.At.Offset, s.GTID, s.Failure))
	}
	if err != nil {
		err = Advise(err)
		var hinted usage.Hinted
		if errors.As(err, &hinted) {
			goOn := "Then the same command with --existing if-changed --replace-source makes the replica anew, and keeps what is whole"
			if r.Datadir.Dir != "" {
				goOn = "Then START REPLICA; or begin anew, in an empty data directory"
			}
			hinted.Hint = strings.TrimSuffix(hinted.Hint, ".") + ". " + goOn
			return done, hinted
		}
		return done, err
	}
	if !r.NoVerify {
		if done.Verified, err = verifyReplica(ctx, a, r, e, chosen); err != nil {
			return done, Advise(err)
		}
	}
	return done, nil
}

// seedReplica loads the archive and returns which tables are in it. The key that opens it is let go of at the end.
func seedReplica(ctx context.Context, a *app.App, r *Flags, e *Ends, archive string) (chosen func(database, table string) bool, err error) {
	s, err := choice.OpenArchive(ctx, a, archive, session.ReadContent, &r.Choice)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	files, err := dumpfiles.Open(ctx, s.Reader, s.Archive)
	if err != nil {
		return nil, err
	}
	if chosen, err = inDump(files); err != nil {
		return nil, err
	}
	if r.Options.From, err = dumpfiles.DumpedAt(s.Archive); err != nil {
		return nil, err
	}
	if e.Source.Position, err = pointOf(ctx, a, s.Archive, r); err != nil {
		return nil, err
	}
	if err := replica.Fits(ctx, e.Replica, e.Source, r.Point); err != nil { // before anything long begins
		return nil, Advise(err)
	}
	if err := MayReplicate(ctx, a, r, e); err != nil {
		return nil, err
	}
	if r.noRestore {
		return chosen, nil
	}
	if r.Point.Replace { // else it would change what is loaded
		if err := replica.Stop(ctx, e.Replica, r.Point.Channel); err != nil {
			return nil, err
		}
	}
	undo, err := replica.AllowWriting(ctx, e.Replica)
	if err != nil {
		return nil, err
	}
	a.Note("loading archive %s into %s", show.ShortID(s.Archive), e.Replica.Address())
	err = loadReplica(ctx, a, s, e.Replica, files, r)
	return chosen, errors.Join(err, undo())
}

// pointOf returns the position from which the replica is to go on: as it is said, or as the archive has it for this source.
func pointOf(ctx context.Context, a *app.App, archive *repo.Archive, r *Flags) (p mysqldump.Position, err error) {
	if r.position != "" {
		if p, err = mysqldump.Parse(r.position); err != nil {
			return p, usage.Error{Err: fmt.Errorf("--position: %w", err)}
		}
		return p, nil
	}
	sources, err := dumpfiles.SourcePositionsOf(archive)
	if err != nil {
		return p, err
	}
	if !r.Options.From.HasPlace() && len(sources) == 0 {
		return p, dumpfiles.NoPosition(archive, "replicated")
	}
	if p, err = replica.Choose(ctx, r.Point.Server, r.Options.From, sources); errors.Is(err, replica.ErrUnsafe) {
		err = usage.Hinted{Err: err, Hint: "name the server of the dump as --source, or its master; or say --position, as of the --source"}
	}
	if err == nil && !p.Equal(r.Options.From) {
		a.Note("the dump is of another server than %s: what it has of that one is %s", r.Point.Server.Address(), p)
	}
	return p, err
}

// loadReplica restores the dump, and fails unless all of it is there.
func loadReplica(ctx context.Context, a *app.App, s *choice.Opened, srv *server.Server, files *dumpfiles.Source, r *Flags) error {
	const goOn = "the same command with --existing if-changed keeps what is whole on the server, and goes on"
	need := func(add func(string, int64)) error {
		return backuprestore.Needs(ctx, s.Reader, s.Archive, backuprestore.Options{Path: dumpfiles.Folder}, add)
	}
	if err := thawing.Ask(ctx, a, s.Session, &r.Thaw, need); err != nil {
		return err
	}
	expected := new(atomic.Uint64)
	expected.Store(files.Bytes())
	r.Options.Progress, r.Options.Problem, r.Options.Warn = new(watch.Progress), a.Problem, func(text string) { a.Note("%s", text) }
	stop := a.Follow(progress.Saved(r.Options.Progress, expected))
	result, err := restore.Run(ctx, srv, files, r.Options)
	stop()
	for _, difference := range result.Differences {
		a.Warn(errors.New(difference))
	}
	if err == nil && len(result.Failures) > 0 {
		err = fmt.Errorf("archive %s was restored, but not all of it, so that it was not made a replica: problems: %d", show.ShortID(s.Archive), len(result.Failures))
		return usage.Hinted{Err: err, Hint: "put right what the warnings say; then " + goOn}
	}
	if err != nil {
		return usage.Hinted{Err: err, Hint: goOn}
	}
	return nil
}

// inDump returns which tables the files of a dump have.
func inDump(files *dumpfiles.Source) (func(database, table string) bool, error) {
	all, err := files.Files()
	names := map[string]bool{}
	for _, f := range all {
		names[f.Name] = true
	}
	return func(database, table string) bool {
		return names[script.Name(script.Tables, database, table, -1)]
	}, err
}

// waitForReplica waits until the replica has what the source has now, and says how far it is.
func waitForReplica(ctx context.Context, a *app.App, r *Flags, e Ends) (replica.Waited, error) {
	c, err := r.Point.Server.Connect(ctx)
	if err != nil {
		return replica.Waited{}, err
	}
	target, err := c.Position(ctx) // read after the start
	c.Close()
	if err != nil {
		return replica.Waited{}, err
	}
	o := replica.WaitOptions{Channel: r.Point.Channel, Target: target, Limit: r.Wait, Skip: r.skip}
	if !a.Quiet {
		last := a.Now()
		o.Report = func(s replica.Status) {
			if now := a.Now(); now.Sub(last) >= 10*time.Second {
				last = now
				behind := "not known"
				if s.BehindKnown {
					behind = s.Behind.String()
				}
				a.Note("the replica is at %s:%d of %s:%d; behind: %s", s.Executed.File, s.Executed.Offset, target.File, target.Offset, behind)
			}
		}
	}
	return replica.Wait(ctx, e.Replica, o)
}

func verifyReplica(ctx context.Context, a *app.App, r *Flags, e Ends, chosen func(database, table string) bool) (compare.Result, error) {
	return compare.Run(ctx, e.Replica, compare.Options{
		Channel: r.Point.Channel, Source: r.Point.Server, Required: chosen, Sessions: r.Options.Threads, Lock: r.Lock, Limit: r.Wait, Folder: e.folder, Now: a.Now,
	})
}

// replicationTLS is how the replica protects its connection. It does so or not: nothing is preferred.
func replicationTLS(l *login.Login) replica.TLS {
	return replica.TLS{
		Use: l.TLS.Mode >= login.Required, Verify: l.TLS.Mode >= login.VerifyCA, CA: l.TLS.CA, Cert: l.TLS.Cert, Key: l.TLS.Key,
	}
}

// ReplicaJSON is what --json prints of a replica.
func ReplicaJSON(e Ends, r *Flags, d Replicated) map[string]any {
	return map[string]any{
		"replica": e.Replica.Address(), "source": e.Source.Host, "port": e.Source.Port, "from": e.Source.Position.String(), "follows": d.mode(),
		"read_only": d.pointed.ReadOnly, "behind_seconds": int(d.waited.Status.Behind.Seconds()), "skipped": skippedJSON(d.waited.Skipped), "verified": !r.NoVerify,
		"equal_tables": d.Verified.Tables, "at": d.Verified.Position.String(), "differences": differencesJSON(d.Verified.Differences), "uncompared": differencesJSON(d.Verified.Uncompared), "sql_thread_stood_ms": d.Verified.Stood.Milliseconds(),
	}
}

func (d *Replicated) mode() string {
	return map[bool]string{true: "gtid", false: "file"}[d.pointed.GTID]
}

func reportReplica(a *app.App, e Ends, r *Flags, d Replicated) error {
	if a.JSON {
		if err := a.PrintJSON(ReplicaJSON(e, r, d)); err != nil {
			return err
		}
	} else if !a.Quiet {
		if err := a.Print(func(w io.Writer) { PrintReplica(w, e, r, d) }); err != nil {
			return err
		}
	}
	return ReportCompared(a, e.Replica.Address(), d.Verified)
}

// PrintReplica tells people what ReplicaJSON tells programs.
func PrintReplica(w io.Writer, e Ends, r *Flags, d Replicated) {
	fmt.Fprintf(w, "%s replicates from %s:%d (%s), both threads run, %s behind\n",
		quote.Display(e.Replica.Address()), quote.Display(e.Source.Host), e.Source.Port, d.mode(), d.waited.Status.Behind)
	if !r.NoVerify {
		fmt.Fprintf(w, "equal tables: %d, at %s\n", d.Verified.Tables, quote.Display(d.Verified.Position.String()))
	}
	if len(d.pointed.ReadOnly) > 0 {
		fmt.Fprintf(w, "put into its option file, so that it outlives a restart: %s\n", strings.Join(d.pointed.ReadOnly, "=1, ")+"=1")
	}
}

func skippedJSON(skipped []replica.Skipped) []map[string]any {
	all := []map[string]any{}
	for _, s := range skipped {
		all = append(all, map[string]any{"number": s.Failure.Number, "error": s.Failure.Text, "file": s.At.File, "offset": s.At.Offset, "gtid": s.GTID})
	}
	return all
}
