package main

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
	"nightjar/cmd/nightjar/internal/dbflags"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
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

type mysqlReplicaFlags struct {
	mysqlRestoreFlags
	source, replication dbflags.Flags
	position            string
	noRestore, noVerify bool
	skip                int
	wait                time.Duration
	point               replica.Options
	lock                lock.Options
	start               startFlags
}

func (a *app) mysqlReplicaCommand() *cobra.Command {
	var r mysqlReplicaFlags
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
		Args: oneArgument("ARCHIVE"),
		RunE: func(c *cobra.Command, args []string) error { return a.mysqlReplica(c.Context(), &r, args[0]) },
	}
	r.db.Bind(c)
	r.source.BindOther(c, "source")
	r.replication.BindOther(c, "replication")
	f := c.Flags()
	f.StringVar(&r.existing, "existing", "refuse", "what becomes of what is there: refuse, if-changed (restore what differs: goes on with a restore that stopped), missing (restore what is not there), replace")
	f.StringVar(&r.accounts, "accounts", "leave", "what becomes of accounts that are there: leave, replace; or skip: restore none")
	f.IntVar(&r.o.Threads, "threads", 4, "sessions that load at the same time")
	f.BoolVar(&r.noRestore, "no-restore", false, "the data is there already, as of the position: nothing is loaded")
	f.StringVar(&r.position, "position", "", "replicate from this position of the source (default: as the archive's label has it)")
	f.BoolVar(&r.point.NoGTID, "no-gtid", false, "follow file and offset, not GTIDs")
	f.BoolVar(&r.point.Replace, "replace-source", false, "give up the source that the server replicates from")
	f.BoolVar(&r.point.AllowOlder, "allow-older", false, "allow a replica that is older than its source")
	f.BoolVar(&r.point.Writable, "writable", false, "leave read_only as it is")
	f.StringVar(&r.point.Channel, "channel", "", "name of the channel, or of MariaDB's connection")
	f.IntVar(&r.skip, "skip", 0, "pass over so many transactions that fail; each is said")
	f.DurationVar(&r.wait, "wait", 6*time.Hour, "how long it may take to catch up")
	f.BoolVar(&r.noVerify, "no-verify", false, "compare nothing at the end: neither the restore with the archive, nor the replica with its source")
	f.DurationVar(&r.lock.Attempt, "lock-attempt", lock.DefaultAttempt, "how long one attempt at a lock of the source may keep writers waiting, to compare")
	f.DurationVar(&r.lock.Wait, "lock-wait", lock.DefaultWait, "for how long attempts are made")
	dbflags.MaxLock(f, &r.lock.Max)
	r.datadir.flags(c)
	r.start.flags(c)
	r.choice.flags(c)
	f.Lookup("kind").Usage = "only archives of this `KIND` (default: " + dumpfiles.Kind + ", with --datadir " + dumpfiles.Hot + ")"
	r.thaw.flags(c)
	return c
}

// ends are the servers of a replication, and what the replica is told.
type ends struct {
	replica *server.Server
	source  replica.Source
	folder  string // of the notes of what stands still
}

// replicaEnds finds out who the servers are.
func (a *app) replicaEnds(ctx context.Context, r *mysqlReplicaFlags) (e ends, err error) {
	if e.replica, err = r.db.Server(ctx, &a.Settings); err != nil {
		return e, err
	}
	if r.point.Server, err = r.source.Server(ctx, &a.Settings); errors.Is(err, login.ErrUnnamed) {
		return e, usage.Errorf("name the source with --source, or in the group [nightjar-source] of an option file")
	} else if err != nil {
		return e, err
	}
	l, err := r.replication.Login(ctx, &a.Settings)
	if errors.Is(err, login.ErrUnnamed) {
		return e, usage.Errorf("say how the replica reaches the source with --replication USER@HOST, or in the group [nightjar-replication] of an option file")
	} else if err != nil {
		return e, err
	}
	if l.Host == "" || l.Socket != "" {
		return e, usage.Errorf("--replication %s: a replica reaches its source by host and port", l.Address())
	}
	e.source = replica.Source{Host: l.Host, Port: l.Port, User: l.User, Password: l.Password.Reveal(), TLS: replicationTLS(l)}
	e.folder, err = a.StateFolder()
	return e, err
}

func (a *app) mysqlReplica(ctx context.Context, r *mysqlReplicaFlags, archive string) error {
	r.events, r.o.NoBinlog, r.o.NoVerify, r.point.ResetLog = "disable", true, r.noVerify, true
	if err := r.check(nil); err != nil {
		return err
	}
	if r.skip < 0 {
		return usage.Errorf("--skip %d: it is negative", r.skip)
	}
	e, err := a.replicaEnds(ctx, r)
	if err != nil {
		return err
	}
	var chosen func(database, table string) bool // nil: all
	if r.datadir.dir != "" {
		err = a.seedFromHot(ctx, r, &e, archive)
	} else {
		chosen, err = a.seedReplica(ctx, r, &e, archive)
	}
	if err != nil {
		return err
	}
	done, err := a.replicate(ctx, r, e, chosen)
	if err != nil {
		return err
	}
	return a.reportReplica(e, r, done)
}

// replicated says how a replica came to be one.
type replicated struct {
	pointed  replica.Pointed
	waited   replica.Waited
	verified compare.Result
}

// replicate points a replica that has its data at its source, waits until it has what the source has, and compares both.
func (a *app) replicate(ctx context.Context, r *mysqlReplicaFlags, e ends, chosen func(database, table string) bool) (done replicated, err error) {
	if done.pointed, err = replica.Point(ctx, e.replica, e.source, r.point); err != nil {
		return done, adviseReplica(err)
	}
	for _, w := range done.pointed.Warnings {
		a.note("%s", w)
	}
	if err := replica.Start(ctx, e.replica, r.point.Channel); err != nil {
		return done, err
	}
	done.waited, err = a.waitForReplica(ctx, r, e)
	for _, s := range done.waited.Skipped {
		a.Warn(fmt.Errorf("passed over the transaction at %s:%d %s: %s", s.At.File, s.At.Offset, s.GTID, s.Failure))
	}
	if err != nil {
		err = adviseReplica(err)
		var hinted usage.Hinted
		if errors.As(err, &hinted) {
			goOn := "Then the same command with --existing if-changed --replace-source makes the replica anew, and keeps what is whole"
			if r.datadir.dir != "" {
				goOn = "Then START REPLICA; or begin anew, in an empty data directory"
			}
			hinted.Hint = strings.TrimSuffix(hinted.Hint, ".") + ". " + goOn
			return done, hinted
		}
		return done, err
	}
	if !r.noVerify {
		if done.verified, err = a.verifyReplica(ctx, r, e, chosen); err != nil {
			return done, adviseReplica(err)
		}
	}
	return done, nil
}

// seedReplica loads the archive and returns which tables are in it. The key that opens it is let go of at the end.
func (a *app) seedReplica(ctx context.Context, r *mysqlReplicaFlags, e *ends, archive string) (chosen func(database, table string) bool, err error) {
	s, err := a.openArchive(ctx, archive, session.ReadContent, &r.choice)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	files, err := dumpfiles.Open(ctx, s.reader, s.archive)
	if err != nil {
		return nil, err
	}
	if chosen, err = inDump(files); err != nil {
		return nil, err
	}
	if r.o.From, err = positionOf(s.archive); err != nil {
		return nil, err
	}
	if e.source.Position, err = a.pointOf(ctx, s.archive, r); err != nil {
		return nil, err
	}
	if err := replica.Fits(ctx, e.replica, e.source, r.point); err != nil { // before anything long begins
		return nil, adviseReplica(err)
	}
	if err := a.mayReplicate(ctx, r, e); err != nil {
		return nil, err
	}
	if r.noRestore {
		return chosen, nil
	}
	if r.point.Replace { // else it would change what is loaded
		if err := replica.Stop(ctx, e.replica, r.point.Channel); err != nil {
			return nil, err
		}
	}
	undo, err := replica.AllowWriting(ctx, e.replica)
	if err != nil {
		return nil, err
	}
	a.note("loading archive %s into %s", show.ShortID(s.archive), e.replica.Address())
	err = a.loadReplica(ctx, s, e.replica, files, r)
	return chosen, errors.Join(err, undo())
}

// pointOf returns the position from which the replica is to go on: as it is said, or as the archive has it for this source.
func (a *app) pointOf(ctx context.Context, archive *repo.Archive, r *mysqlReplicaFlags) (p mysqldump.Position, err error) {
	if r.position != "" {
		if p, err = mysqldump.Parse(r.position); err != nil {
			return p, usage.Error{Err: fmt.Errorf("--position: %w", err)}
		}
		return p, nil
	}
	if r.o.From.IsZero() {
		return p, fmt.Errorf("archive %s has no position in a binary log, so that nothing can be replicated after it", show.ShortID(archive))
	}
	sources, err := sourcePositionsOf(archive)
	if err != nil {
		return p, err
	}
	if p, err = replica.Choose(ctx, r.point.Server, r.o.From, sources); errors.Is(err, replica.ErrUnsafe) {
		err = usage.Hinted{Err: err, Hint: "name the server of the dump as --source, or its master; or say --position, as of the --source"}
	}
	if err == nil && !p.Equal(r.o.From) {
		a.note("the dump is of another server than %s: what it has of that one is %s", r.point.Server.Address(), p)
	}
	return p, err
}

// loadReplica restores the dump, and fails unless all of it is there.
func (a *app) loadReplica(ctx context.Context, s *opened, srv *server.Server, files *dumpfiles.Source, r *mysqlReplicaFlags) error {
	const goOn = "the same command with --existing if-changed keeps what is whole on the server, and goes on"
	need := func(add func(string, int64)) error {
		return backuprestore.Needs(ctx, s.reader, s.archive, backuprestore.Options{Path: dumpfiles.Folder}, add)
	}
	if err := a.thaw(ctx, s.Session, &r.thaw, need); err != nil {
		return err
	}
	expected := new(atomic.Uint64)
	expected.Store(files.Bytes())
	r.o.Progress, r.o.Problem, r.o.Warn = new(watch.Progress), a.problem, func(text string) { a.note("%s", text) }
	stop := a.follow(progress.Saved(r.o.Progress, expected))
	result, err := restore.Run(ctx, srv, files, r.o)
	stop()
	for _, difference := range result.Differences {
		a.Warn(errors.New(difference))
	}
	if err == nil && len(result.Failures) > 0 {
		err = fmt.Errorf("archive %s was restored, but not all of it, so that it was not made a replica: problems: %d", show.ShortID(s.archive), len(result.Failures))
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
func (a *app) waitForReplica(ctx context.Context, r *mysqlReplicaFlags, e ends) (replica.Waited, error) {
	c, err := r.point.Server.Connect(ctx)
	if err != nil {
		return replica.Waited{}, err
	}
	target, err := c.Position(ctx) // read after the start
	c.Close()
	if err != nil {
		return replica.Waited{}, err
	}
	o := replica.WaitOptions{Channel: r.point.Channel, Target: target, Limit: r.wait, Skip: r.skip}
	if !a.quiet {
		last := a.Now()
		o.Report = func(s replica.Status) {
			if now := a.Now(); now.Sub(last) >= 10*time.Second {
				last = now
				behind := "not known"
				if s.BehindKnown {
					behind = s.Behind.String()
				}
				a.note("the replica is at %s:%d of %s:%d; behind: %s", s.Executed.File, s.Executed.Offset, target.File, target.Offset, behind)
			}
		}
	}
	return replica.Wait(ctx, e.replica, o)
}

func (a *app) verifyReplica(ctx context.Context, r *mysqlReplicaFlags, e ends, chosen func(database, table string) bool) (compare.Result, error) {
	return compare.Run(ctx, e.replica, compare.Options{
		Channel: r.point.Channel, Source: r.point.Server, Required: chosen, Sessions: r.o.Threads, Lock: r.lock, Limit: r.wait, Folder: e.folder, Now: a.Now,
	})
}

// replicationTLS is how the replica protects its connection. It does so or not: nothing is preferred.
func replicationTLS(l *login.Login) replica.TLS {
	return replica.TLS{
		Use: l.TLS.Mode >= login.Required, Verify: l.TLS.Mode >= login.VerifyCA, CA: l.TLS.CA, Cert: l.TLS.Cert, Key: l.TLS.Key,
	}
}

// replicaJSON is what --json prints of a replica.
func replicaJSON(e ends, r *mysqlReplicaFlags, d replicated) map[string]any {
	return map[string]any{
		"replica": e.replica.Address(), "source": e.source.Host, "port": e.source.Port, "from": e.source.Position.String(), "follows": d.mode(),
		"read_only": d.pointed.ReadOnly, "behind_seconds": int(d.waited.Status.Behind.Seconds()), "skipped": skippedJSON(d.waited.Skipped), "verified": !r.noVerify,
		"equal_tables": d.verified.Tables, "at": d.verified.Position.String(), "differences": differencesJSON(d.verified.Differences), "uncompared": differencesJSON(d.verified.Uncompared), "sql_thread_stood_ms": d.verified.Stood.Milliseconds(),
	}
}

func (d *replicated) mode() string {
	return map[bool]string{true: "gtid", false: "file"}[d.pointed.GTID]
}

func (a *app) reportReplica(e ends, r *mysqlReplicaFlags, d replicated) error {
	if a.json {
		if err := a.printJSON(replicaJSON(e, r, d)); err != nil {
			return err
		}
	} else if !a.quiet {
		if err := a.print(func(w io.Writer) { printReplica(w, e, r, d) }); err != nil {
			return err
		}
	}
	return a.reportCompared(e.replica.Address(), d.verified)
}

func printReplica(w io.Writer, e ends, r *mysqlReplicaFlags, d replicated) {
	fmt.Fprintf(w, "%s replicates from %s:%d (%s), both threads run, %s behind\n",
		quote.Display(e.replica.Address()), quote.Display(e.source.Host), e.source.Port, d.mode(), d.waited.Status.Behind)
	if !r.noVerify {
		fmt.Fprintf(w, "equal tables: %d, at %s\n", d.verified.Tables, quote.Display(d.verified.Position.String()))
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
