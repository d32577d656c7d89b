package save

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightjar/backup"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/dbflags"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/overview"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/show/databases"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/internal/watch"
	"nightjar/mysqldump"
	"nightjar/mysqldump/login"
	"nightjar/mysqldump/logs"
	"nightjar/mysqldump/server"
	"nightjar/repo"
	"nightjar/repo/pack"
)

type binlogFlags struct {
	db           dbflags.Flags
	flush        bool
	follow       bool
	interval     time.Duration
	folder       string
	since        string
	tags, labels []string
	job          string
}

// followed is the label of a follower's archives, which the newest supersedes.
const followed = "follow"

// BinlogCommand makes the command nightjar mysql binlog.
func BinlogCommand(a *app.App) *cobra.Command {
	var b binlogFlags
	c := &cobra.Command{
		Use:   "binlog",
		Short: "Save the binary logs, the current one too",
		Long: `Save the binary logs of a server, with the one that is being written up to its last transaction. Logs that were saved before are kept without
being read, and those that no dump or hot backup of the server needs any more are left out.

The logs are read as a replica reads them, and every event is checked. The archive has them in the folder ` + dumpfiles.BinlogFolder + `, in one folder for each history:
a server that begins its logs anew, or another one in its place, gets a history of its own. Where something is missing between two logs,
the exit code is 3, and nightjar mysql binlog show says where.

With --follow it goes on until it is stopped. The newest archive has all that those before it had, so those are given up.`,
		Args: usage.NoSubcommand,
		RunE: func(c *cobra.Command, _ []string) error { return binlog(c.Context(), a, &b) },
	}
	b.db.Bind(c)
	f := c.Flags()
	f.BoolVar(&b.flush, "flush", false, "have the server close its current log first (it needs RELOAD)")
	f.BoolVar(&b.follow, "follow", false, "go on until stopped, at most --interval behind the server")
	f.DurationVar(&b.interval, "interval", time.Minute, "with --follow: how often what is new is saved")
	f.StringVar(&b.folder, "from-dir", "", "read the files in the server's `FOLDER` of binary logs, where this is the server's machine")
	f.StringVar(&b.since, "keep-since", "oldest", "leave out logs that were closed before: 2006-01-02, an age like 30D, all (leave out none), or oldest, the time of the oldest dump or hot backup of the server")
	f.StringArrayVar(&b.tags, "tag", nil, "a `TAG` of the archive; may be repeated")
	f.StringArrayVar(&b.labels, "label", nil, "a label `KEY=VALUE` of the archive; may be repeated")
	f.StringVar(&b.job, "job", "", "name of the job (default: the host and the server)")
	f.TextVar(&a.Compression, "compression", pack.Default, "the `LEVEL` to compress at: fastest, default or better")
	c.AddCommand(binlogShowCommand(a))
	return c
}

// A binlogRun is what runs of one command line have in common.
type binlogRun struct {
	*app.App
	flags    *binlogFlags
	login    *login.Login
	srv      *server.Server
	template *repo.Record
	s        *session.Session

	previous *repo.Archive // of the job
	entries  []logs.Entry  // what that has
	since    time.Time     // from when on logs are needed
	needed   bool          // since is known
	silence  time.Duration // how long the server may answer nobody; 0 is a minute
}

// watched calls f, whose context ends once the server has answered nobody for too long: who waits for it would wait for ever.
func (r *binlogRun) watched(ctx context.Context, f func(context.Context) error) error {
	ctx, stop := r.srv.Watch(ctx, cmp.Or(r.silence, time.Minute), r.Now)
	defer stop()
	err := f(ctx)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, server.ErrSilent) {
		return cause
	}
	return err
}

func (b *binlogFlags) plan(now time.Time) (template *repo.Record, since time.Time, err error) {
	if b.follow && (b.flush || b.interval < time.Second) {
		return nil, since, usage.Errorf("--follow goes without --flush, and with an --interval of a second or more")
	}
	if b.since != "oldest" && b.since != "all" {
		if since, err = human.ParseTime(b.since, now); err != nil {
			return nil, since, usage.Errorf("--keep-since: %w", err)
		}
	}
	labels, err := choice.ParseLabels(b.labels)
	for _, taken := range []repo.Text{"position", "server-version", "method", overview.Behind, followed} {
		if _, there := labels[taken]; there && err == nil {
			err = usage.Errorf("label %q is the archive's own", taken)
		}
	}
	if b.follow {
		if labels == nil {
			labels = repo.Labels{}
		}
		labels[followed] = repo.Text(b.interval.String())
	}
	return &repo.Record{Kind: dumpfiles.Binlog, Tags: choice.Texts(b.tags), Labels: labels, Program: "nightjar " + app.Version()}, since, err
}

func binlog(ctx context.Context, a *app.App, b *binlogFlags) error {
	r := &binlogRun{App: a, flags: b}
	var err error
	if r.template, r.since, err = b.plan(a.Now()); err != nil {
		return err
	}
	r.needed = b.since != "oldest"
	if r.login, err = b.db.Login(ctx, &a.Settings); err != nil {
		return err
	}
	config, err := r.login.Config()
	if err != nil {
		return err
	}
	if r.srv, err = server.New(config); err != nil {
		return err
	}
	if err := r.watched(ctx, r.probe); err != nil {
		return err
	}
	if b.follow {
		return r.follow(ctx)
	}
	if err := r.open(ctx); err != nil {
		return err
	}
	defer r.s.Close()
	result, err := r.save(ctx)
	if err != nil {
		return err
	}
	return r.report(result)
}

// probe reaches the server, and has it close its current log if that is wanted.
func (r *binlogRun) probe(ctx context.Context) error {
	c, err := r.srv.Connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if !r.flags.flush {
		return nil
	}
	if err := c.Exec(ctx, "FLUSH BINARY LOGS"); err != nil {
		return usage.Hinted{Err: err, Hint: "--flush needs RELOAD; without it the current log is saved as far as it is written"}
	}
	return nil
}

// open opens the repository, and reads what the job's archive before has.
func (r *binlogRun) open(ctx context.Context) (err error) {
	if r.s, err = r.Open(ctx, session.Write); err != nil {
		return err
	}
	r.template.Job = repo.Text(cmp.Or(r.flags.job, r.s.Host+":mysql binlog "+r.login.Address()))
	if r.previous, err = r.s.Previous(ctx, r.template.Job); err == nil {
		r.entries, err = dumpfiles.ArchivedNames(ctx, r.s, r.previous, r.JSON)
	}
	if err == nil && r.flags.since == "oldest" {
		r.since, err = r.oldest(ctx)
	}
	if err != nil {
		r.s.Close()
	}
	return err
}

// A binlogResult is what came of one run.
type binlogResult struct {
	logs.Result
	made *repo.Archive
	sums backup.Statistics
}

// save makes one archive.
func (r *binlogRun) save(ctx context.Context) (result *binlogResult, err error) {
	err = r.watched(ctx, func(ctx context.Context) error {
		result, err = r.saveWatched(ctx)
		return err
	})
	return result, err
}

func (r *binlogRun) saveWatched(ctx context.Context) (*binlogResult, error) {
	result := new(binlogResult)
	o := backup.Options{Progress: new(watch.Progress), Problem: r.Problem, Now: r.Now, Previous: r.previous}
	source := logs.FromServer(r.srv)
	defer func() { source.Close() }()
	if r.flags.folder != "" {
		source = logs.FromFolder(r.flags.folder, source)
	}
	r.warnOfPurge(ctx, source)
	previous := r.previous
	read := func(folder string) ([]logs.Entry, error) { return dumpfiles.LogsIn(ctx, r.s, previous, folder) }
	var err error
	result.made, result.sums, err = backup.Save(ctx, r.s.Repository, r.template, o, func(ctx context.Context, run *backup.Run) (repo.Labels, error) {
		var err error
		result.Result, err = logs.Run(ctx, r.srv, source, r.entries, logTree{run, dumpfiles.BinlogFolder}, logs.Options{Since: r.since, Warn: r.Warn, Read: read})
		if err != nil {
			return nil, adviseKeeping(err)
		}
		for _, b := range result.Breaks {
			o.Progress.Problem.Add(1)
			r.Problem(b.At, fmt.Errorf("%s: %s", b.Case, b.Says))
		}
		at := result.Position
		labels := repo.Labels{"position": repo.Text(at.String()), "server-version": repo.Text(at.Version), "method": "binlog"}
		if list, err := source.Logs(ctx); err == nil { // else nobody knows, and the next run says why
			result.Behind = logs.Unsaved(list, result.Entries)
			labels[overview.Behind] = repo.Text(strconv.FormatUint(result.Behind, 10))
		}
		return labels, nil
	})
	if err != nil {
		return nil, err
	}
	r.s.Wrote(result.made)
	r.previous, r.entries = result.made, result.Entries
	return result, nil
}

func (r *binlogRun) report(result *binlogResult) error {
	if r.JSON {
		if err := r.PrintJSON(databases.BinlogJSON(result.made, &result.sums, r.Problems.Load(), r.s.Requests(), &result.Result)); err != nil {
			return app.MadeUntold(result.made, err)
		}
	} else if r.Chatty() {
		err := r.Print(func(w io.Writer) {
			show.Backup(w, result.made, &result.sums, r.Problems.Load(), r.s.Requests())
			databases.Binlog(w, &result.Result)
		})
		if err != nil {
			return app.MadeUntold(result.made, err)
		}
	}
	return r.incomplete(show.ShortID(result.made))
}

// incomplete is the error of a run that has met problems.
func (r *binlogRun) incomplete(id string) error {
	if n := r.Problems.Load(); n > 0 {
		return outcome.Problems{What: fmt.Sprintf("archive %s was made, but the binary logs have gaps: problems: %d", id, n), Damaged: r.Damaged.Load()}
	}
	return nil
}

// oldest returns a time before which the oldest dump or hot backup of the server that is kept has no position; zero: there is
// none, or it does not say.
func (r *binlogRun) oldest(ctx context.Context) (oldest time.Time, err error) {
	var id server.Identity
	err = r.watched(ctx, func(ctx context.Context) error {
		c, err := r.srv.Connect(ctx)
		if err != nil {
			return err
		}
		defer c.Close()
		id, err = c.Identity(ctx)
		return err
	})
	if err != nil {
		return oldest, err
	}
	all, _, err := choice.Archives(ctx, r.s, &choice.Choice{})
	if err != nil {
		return oldest, err
	}
	for i := range all {
		a := &all[i]
		if a.Kind != dumpfiles.Kind && a.Kind != dumpfiles.Hot || !a.Counts() || !a.Forgotten.IsZero() {
			continue
		}
		for name, text := range a.Labels {
			if name != "position" && !strings.HasPrefix(string(name), string(dumpfiles.SourceLabel(1))) {
				continue
			}
			p, err := mysqldump.Parse(string(text))
			if err != nil || p.ServerUUID != id.ServerUUID || p.ServerID != 0 && p.ServerID != id.ServerID {
				continue
			}
			if p.Time.IsZero() {
				return time.Time{}, nil
			}
			since := p.Time
			if a.Start.Before(since) { // the time was read after the position, of a clone long after
				since = a.Start
			}
			if oldest.IsZero() || since.Before(oldest) {
				oldest = since
			}
		}
	}
	return oldest, nil
}

// warnOfPurge warns before the server throws away what is not saved yet: past half of the time for which it keeps logs, or
// of their bytes.
func (r *binlogRun) warnOfPurge(ctx context.Context, source logs.Source) {
	if r.previous == nil {
		return
	}
	c, err := r.srv.Connect(ctx)
	if err != nil {
		return // which the run meets, too
	}
	defer c.Close()
	limit, err := logs.Limits(ctx, c)
	if err != nil {
		r.Warn(fmt.Errorf("ask for how long the server keeps binary logs: %w", err))
		return
	}
	if p, err := mysqldump.Parse(string(r.previous.Labels["position"])); err == nil && !p.Time.IsZero() && limit.Age > 0 {
		if behind := r.Now().Sub(p.Time); behind > limit.Age/2 {
			r.Warn(fmt.Errorf("the last archive of binary logs was made %s ago, and the server throws logs away after %s: save them more often, or have it keep them longer", human.Age(behind), human.Age(limit.Age)))
		}
	}
	if limit.Bytes == 0 {
		return
	}
	if list, err := source.Logs(ctx); err == nil {
		if n := logs.Unsaved(list, r.entries); n > limit.Bytes/2 {
			r.Warn(fmt.Errorf("the server has written %s of binary logs since the last archive, and throws the oldest away at %s: save them more often, or have it keep more", human.Size(n), human.Size(limit.Bytes)))
		}
	}
}

var errNoBinlogArchive = errors.New("it has no binary logs")
