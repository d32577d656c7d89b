package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"nightjar/backup/browse"
	"nightjar/backup/filter"
	"nightjar/backup/restore"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/watch"
	"nightjar/internal/where"
	"nightjar/repo"
)

type restoreFlags struct {
	choice             choice
	thaw               thawFlags
	target, overwrite  string
	include, exclude   []string
	dryRun, numericIDs bool
	verify             bool
}

func (a *app) restoreCommand() *cobra.Command {
	var r restoreFlags
	c := &cobra.Command{
		Use:   "restore ARCHIVE[:PATH] --target DIR",
		Short: "Put back what an archive holds; ARCHIVE is latest, or at least 8 digits of an id",
		Args:  oneArgument("ARCHIVE[:PATH]"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.restore(c.Context(), args[0], &r)
		},
	}
	f := c.Flags()
	f.StringVar(&r.target, "target", "", "where to put it: a new or an empty folder")
	f.StringArrayVar(&r.include, "include", nil, "only what matches the `PATTERN`; may be repeated")
	f.StringArrayVar(&r.exclude, "exclude", nil, "leave out what matches the `PATTERN`; may be repeated")
	f.StringVar(&r.overwrite, "overwrite", "", "what to do with files that are there: never, always, if-changed, if-newer (default: refuse a folder that is not empty)")
	f.BoolVar(&r.dryRun, "dry-run", false, "say what would be done")
	f.BoolVar(&r.numericIDs, "numeric-ids", false, "give back owners, and accounts in ACLs, by number, not by name")
	f.BoolVar(&r.verify, "verify", false, "read back what was written, and compare it: content, and attributes")
	r.choice.flags(c)
	r.thaw.flags(c)
	return c
}

func (a *app) restore(ctx context.Context, arg string, r *restoreFlags) error {
	o, err := a.restoreOptions(r)
	if err != nil {
		return err
	}
	s, err := a.openArchive(ctx, arg, session.ReadContent, &r.choice)
	if err != nil {
		return err
	}
	defer s.Close()
	archive := s.archive
	o.Path = s.path
	switch archive.Kind {
	case dumpfiles.Kind:
		a.note("archive %s is a dump of a database server, whose files of SQL are restored here; nightjar mysql restore loads it into a server", show.ShortID(archive))
	case dumpfiles.Hot:
		a.note("archive %s is a hot backup of a database server, whose files no server takes as they are; nightjar mysql restore --datadir makes a data directory of it", show.ShortID(archive))
	}
	if !r.dryRun {
		need := func(add func(string, int64)) error { return restore.Needs(ctx, s.reader, archive, o, add) }
		if err := a.thaw(ctx, s.Session, &r.thaw, need); err != nil {
			return err
		}
	}
	if r.verify {
		o.Verify = s.Namer
	}
	var actions *show.Actions
	if (r.dryRun || a.verbose) && !a.json && !a.quiet {
		actions = show.NewActions(a.stdout, r.dryRun)
		o.Report = actions.Add
	}
	expected := new(atomic.Uint64)
	if s.path == "" && len(r.include)+len(r.exclude) == 0 && !r.dryRun {
		expected.Store(archive.Statistics["bytes"])
	}
	stop := func() {}
	if o.Report == nil {
		stop = a.follow(progress.Saved(o.Progress, expected))
	}
	start := a.Now()
	sums, err := restore.Run(ctx, s.reader, archive, o)
	stop()
	if actions != nil {
		err = errors.Join(err, actions.End())
	}
	if err != nil {
		return a.stoppedRestore(ctx, err)
	}
	if len(r.include) > 0 && sums.Files+sums.Dirs+sums.Others+sums.Links+sums.Kept+sums.Problems == 0 && !r.dryRun {
		return usage.Hinted{
			Err:  fmt.Errorf("restore archive %s: nothing in it matches --include", show.ShortID(archive)),
			Hint: "a pattern that begins with a slash is for whole paths, another matches at any depth; nightjar find PATTERN looks through all archives",
		}
	}
	if err := a.reportRestore(s.Session, archive, r, &sums, a.Now().Sub(start)); err != nil {
		return err
	}
	return a.restored(archive, &sums, r.dryRun)
}

// restoreOptions returns what the flags say of a restore.
func (a *app) restoreOptions(r *restoreFlags) (o restore.Options, err error) {
	if r.target == "" {
		return o, usage.Errorf("no target: say --target DIR")
	}
	policies := map[string]restore.Overwrite{
		"": restore.Refuse, "never": restore.Never, "always": restore.Always, "if-changed": restore.IfChanged, "if-newer": restore.IfNewer,
	}
	policy, ok := policies[r.overwrite]
	if !ok {
		return o, usage.Errorf("--overwrite %q: it is never, always, if-changed or if-newer", r.overwrite)
	}
	if r.target, err = where.Absolute(r.target); err != nil {
		return o, fmt.Errorf("find target %s: %w", r.target, err)
	}
	chosen, err := filter.New(filter.Options{Include: r.include, Exclude: r.exclude})
	if err != nil {
		return o, usage.Error{Err: err}
	}
	return restore.Options{
		Target: r.target, Filter: chosen, Overwrite: policy, DryRun: r.dryRun, Ownership: a.ownership(r.numericIDs), NumericACLs: r.numericIDs,
		Progress: new(watch.Progress), Problem: a.problem, Warn: a.Warn,
	}, r.thaw.check()
}

// restored returns the error of a restore that was done, but not in all.
func (a *app) restored(archive *repo.Archive, sums *restore.Statistics, dryRun bool) error {
	if sums.Problems == 0 {
		return nil
	}
	var hint string
	if a.damaged.Load() {
		hint = "all else was restored. nightjar check --read-data names what is damaged, another copy (--repo) may have it, and check --repair heals"
	}
	how := "was"
	if dryRun {
		how = "would be"
	}
	what := fmt.Sprintf("archive %s %s restored, but not all of it as it was: problems: %d", show.ShortID(archive), how, sums.Problems)
	return usage.Hinted{Err: outcome.Problems{What: what, Damaged: a.damaged.Load()}, Hint: hint}
}

// stoppedRestore says how to go on.
func (a *app) stoppedRestore(ctx context.Context, err error) error {
	const goOn = "the same command with --overwrite if-changed keeps what is whole in the target, and restores the rest"
	switch {
	case errors.Is(err, restore.ErrNotEmpty), errors.Is(err, browse.ErrNotFound):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return usage.Hinted{Err: err, Hint: "the disk is full: make room in the target. Then " + goOn}
	case ctx.Err() != nil:
		a.note("%s", goOn)
	}
	return err
}

func (a *app) reportRestore(s *session.Session, archive *repo.Archive, r *restoreFlags, sums *restore.Statistics, took time.Duration) error {
	if a.json {
		return a.printJSON(show.RestoredJSON(archive, r.target, r.dryRun, sums, took, s.Requests()))
	}
	if !a.chatty() {
		return nil
	}
	return a.print(func(w io.Writer) { show.Restored(w, archive, r.target, r.dryRun, sums, took, s.Requests()) })
}
