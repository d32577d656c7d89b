package files

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
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/dumpfiles"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/thawing"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/watch"
	"nightjar/internal/where"
	"nightjar/repo"
)

type restoreFlags struct {
	choice             choice.Choice
	thaw               thawing.Flags
	target, overwrite  string
	include, exclude   []string
	dryRun, numericIDs bool
	verify             bool
}

// RestoreCommand makes the command nightjar restore.
func RestoreCommand(a *app.App) *cobra.Command {
	var r restoreFlags
	c := &cobra.Command{
		Use:   "restore ARCHIVE[:PATH] --target DIR",
		Short: "Put back what an archive holds; ARCHIVE is latest, or at least 8 digits of an id",
		Args:  usage.OneArgument("ARCHIVE[:PATH]"),
		RunE: func(c *cobra.Command, args []string) error {
			return runRestore(c.Context(), a, args[0], &r)
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
	r.choice.Bind(c)
	r.thaw.Bind(c)
	return c
}

func runRestore(ctx context.Context, a *app.App, arg string, r *restoreFlags) error {
	o, err := restoreOptions(a, r)
	if err != nil {
		return err
	}
	s, err := choice.OpenArchive(ctx, a, arg, session.ReadContent, &r.choice)
	if err != nil {
		return err
	}
	defer s.Close()
	archive := s.Archive
	o.Path = s.Path
	switch archive.Kind {
	case dumpfiles.Kind:
		a.Note("archive %s is a dump of a database server, whose files of SQL are restored here; nightjar mysql restore loads it into a server", show.ShortID(archive))
	case dumpfiles.Hot:
		a.Note("archive %s is a hot backup of a database server, whose files no server takes as they are; nightjar mysql restore --datadir makes a data directory of it", show.ShortID(archive))
	}
	if !r.dryRun {
		need := func(add func(string, int64)) error { return restore.Needs(ctx, s.Reader, archive, o, add) }
		if err := thawing.Ask(ctx, a, s.Session, &r.thaw, need); err != nil {
			return err
		}
	}
	if r.verify {
		o.Verify = s.Namer
	}
	var actions *show.Actions
	if (r.dryRun || a.Verbose) && !a.JSON && !a.Quiet {
		actions = show.NewActions(a.Out, r.dryRun)
		o.Report = actions.Add
	}
	expected := new(atomic.Uint64)
	if s.Path == "" && len(r.include)+len(r.exclude) == 0 && !r.dryRun {
		expected.Store(archive.Statistics["bytes"])
	}
	stop := func() {}
	if o.Report == nil {
		stop = a.Follow(progress.Saved(o.Progress, expected))
	}
	start := a.Now()
	sums, err := restore.Run(ctx, s.Reader, archive, o)
	stop()
	switch {
	case actions != nil && r.dryRun && err == nil:
		err = actions.Would(archive, r.target)
	case actions != nil:
		err = errors.Join(err, actions.End())
	}
	if err != nil {
		return stoppedRestore(ctx, a, err)
	}
	if len(r.include) > 0 && sums.Files+sums.Dirs+sums.Others+sums.Links+sums.Kept+sums.Problems == 0 && !r.dryRun {
		return usage.Hinted{
			Err:  fmt.Errorf("restore archive %s: nothing in it matches --include", show.ShortID(archive)),
			Hint: "a pattern that begins with a slash is for whole paths, another matches at any depth; nightjar find PATTERN looks through all archives",
		}
	}
	if err := reportRestore(a, s.Session, archive, r, &sums, a.Now().Sub(start)); err != nil {
		return err
	}
	return restored(a, archive, &sums, r.dryRun)
}

// restoreOptions returns what the flags say of a restore.
func restoreOptions(a *app.App, r *restoreFlags) (o restore.Options, err error) {
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
		Target: r.target, Filter: chosen, Overwrite: policy, DryRun: r.dryRun, Ownership: a.Ownership(r.numericIDs), NumericACLs: r.numericIDs,
		Progress: new(watch.Progress), Problem: a.Problem, Warn: a.Warn,
	}, r.thaw.Check()
}

// restored returns the error of a restore that was done, but not in all.
func restored(a *app.App, archive *repo.Archive, sums *restore.Statistics, dryRun bool) error {
	if sums.Problems == 0 {
		return nil
	}
	var hint string
	if a.Damaged.Load() {
		hint = "all else was restored. nightjar check --read-data names what is damaged, another copy (--repo) may have it, and check --repair heals"
	}
	how := "was"
	if dryRun {
		how = "would be"
	}
	what := fmt.Sprintf("archive %s %s restored, but not all of it as it was: problems: %d", show.ShortID(archive), how, sums.Problems)
	return usage.Hinted{Err: outcome.Problems{What: what, Damaged: a.Damaged.Load()}, Hint: hint}
}

// stoppedRestore says how to go on.
func stoppedRestore(ctx context.Context, a *app.App, err error) error {
	const goOn = "the same command with --overwrite if-changed keeps what is whole in the target, and restores the rest"
	switch {
	case errors.Is(err, restore.ErrNotEmpty), errors.Is(err, browse.ErrNotFound):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return usage.Hinted{Err: err, Hint: "the disk is full: make room in the target. Then " + goOn}
	case ctx.Err() != nil:
		a.Note("%s", goOn)
	}
	return err
}

func reportRestore(a *app.App, s *session.Session, archive *repo.Archive, r *restoreFlags, sums *restore.Statistics, took time.Duration) error {
	if a.JSON {
		return a.PrintJSON(show.RestoredJSON(archive, r.target, r.dryRun, sums, took, s.Requests()))
	}
	if !a.Chatty() || r.dryRun {
		return nil
	}
	return a.Print(func(w io.Writer) { show.Restored(w, archive, r.target, sums, took, s.Requests()) })
}
