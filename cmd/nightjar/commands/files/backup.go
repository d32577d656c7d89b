package files

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"nightjar/backup"
	"nightjar/backup/filter"
	"nightjar/cmd/nightjar/commands/upkeep"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/progress"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/setup"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/stream"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/child"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/internal/watch"
	"nightjar/internal/where"
	"nightjar/repo"
	"nightjar/repo/pack"
	"nightjar/repo/record"
	"nightjar/repo/tree"
)

type backupFlags struct {
	exclude, excludeFrom  []string
	excludeCaches         bool
	excludeNoDump         bool
	excludeLarger         string
	oneFileSystem, rehash bool
	tags, labels          []string
	job, stdin            string
	allowEmpty, embedded  bool
	dryRun                bool
	copy                  upkeep.CopyFlags
	paths, program        []string
}

// BackupCommand makes the command nightjar backup.
func BackupCommand(a *app.App) *cobra.Command {
	var b backupFlags
	c := &cobra.Command{
		Use:   "backup PATH... | backup --stdin NAME [-- COMMAND ARG...]",
		Short: "Save files and folders, standard input, or what a command prints",
		RunE: func(c *cobra.Command, args []string) error {
			if b.stdin == "" {
				b.paths = args
			} else if dash := c.ArgsLenAtDash(); dash > 0 || dash < 0 && len(args) > 0 {
				return usage.Errorf("with --stdin, a command comes after --, and paths have no place")
			} else {
				b.program = args
			}
			return runBackup(c.Context(), a, &b)
		},
	}
	f := c.Flags()
	f.StringArrayVar(&b.exclude, "exclude", nil, "leave out what matches the `PATTERN` (* no slash, ** anything, DIR/ folders only, !PATTERN takes back); may be repeated")
	f.StringArrayVar(&b.excludeFrom, "exclude-from", nil, "`FILE` of patterns, one a line, which come after those of --exclude; # begins a comment")
	f.BoolVar(&b.excludeCaches, "exclude-caches", false, "leave out what is in folders with a CACHEDIR.TAG")
	f.BoolVar(&b.excludeNoDump, "exclude-nodump", false, "leave out what chattr +d was said of, and what is below such folders")
	f.StringVar(&b.excludeLarger, "exclude-larger-than", "", "leave out larger files, like 500M")
	f.BoolVar(&b.oneFileSystem, "one-file-system", false, "do not enter other file systems")
	f.BoolVar(&b.rehash, "rehash", false, "read unchanged files too")
	f.StringArrayVar(&b.tags, "tag", nil, "a `TAG` of the archive; may be repeated")
	f.StringArrayVar(&b.labels, "label", nil, "a label `KEY=VALUE` of the archive; may be repeated")
	f.StringVar(&b.job, "job", "", "name of the job (default: the host and the paths)")
	f.StringVar(&b.stdin, "stdin", "", "save standard input, or what the command after -- prints, as a file of this name")
	f.BoolVar(&b.allowEmpty, "allow-empty", false, "with --stdin: save a stream that is empty, too")
	f.TextVar(&a.Compression, "compression", pack.Default, "the `LEVEL` to compress at: fastest, default or better")
	f.StringVar(&b.copy.To, "copy-to", "", "copy the repository there afterwards, as nightjar copy --to does")
	b.copy.Bucket.CopyFlags(c)
	f.BoolVarP(&b.dryRun, "dry-run", "n", false, "say what would be saved, and with --verbose each path; needs no key, and writes nothing")
	f.BoolVar(&b.embedded, "embedded", false, "keep the backups in a repository on this machine, made when it is missing")
	return c
}

func runBackup(ctx context.Context, a *app.App, b *backupFlags) error {
	template, o, err := planBackup(a, b)
	if err != nil {
		return err
	}
	if err := b.avoidCopy(o); err != nil {
		return err
	}
	if b.dryRun {
		return previewBackup(ctx, a, b, o)
	}
	s, err := openForBackup(ctx, a, b.embedded)
	if err != nil {
		return err
	}
	defer s.Close()
	o.Avoid = append(o.Avoid, s.Folders()...)
	if template.Job, err = jobOfRun(ctx, a, s, b, o); err != nil {
		return err
	}
	if o.Previous, err = s.Previous(ctx, template.Job); err != nil {
		return err
	}
	stop := a.Follow(progress.Saved(o.Progress, progress.Expect(ctx, *o, b.stdin == "" && a.Watched())))
	var made *repo.Archive
	var sums backup.Statistics
	if b.stdin == "" {
		made, sums, err = backup.Tree(ctx, s.Repository, template, *o)
	} else {
		made, sums, err = saveStream(ctx, a, s, template, b, *o)
	}
	stop()
	if err != nil {
		return err
	}
	s.Wrote(made)
	// The archive stands, whatever becomes of the copy.
	requests := s.Requests()
	var copied *show.Copied
	var failed error
	if b.copy.To != "" {
		copied, failed = upkeep.Mirror(ctx, a, s, &b.copy)
	}
	untold := app.MadeUntold(made, reportBackup(a, made, &sums, requests, copied))
	if untold != nil && failed == nil && a.Problems.Load() == 0 {
		return untold
	} else if untold != nil {
		a.Warn(untold)
	}
	if failed != nil {
		if ctx.Err() != nil {
			a.Note("archive %s was made, but is not copied yet", show.ShortID(made))
			return failed
		}
		return usage.Hinted{
			Err:  outcome.Problems{What: fmt.Sprintf("archive %s was made, but its copy failed: %v", show.ShortID(made), failed), Damaged: outcome.Code(ctx, failed) == outcome.Integrity || a.Damaged.Load()},
			Hint: outcome.Hint(failed, "nightjar backup"),
		}
	}
	if n := a.Problems.Load(); n > 0 {
		err := outcome.Problems{What: fmt.Sprintf("archive %s was made, but it is not complete: problems: %d", show.ShortID(made), n), Damaged: a.Damaged.Load()}
		if err.Damaged {
			return usage.Hinted{Err: err, Hint: lostHint(ctx, s.Repository)}
		}
		return err
	}
	return nil
}

// avoidCopy keeps the folder of a copy out of the backup.
func (b *backupFlags) avoidCopy(o *backup.Options) error {
	if b.copy.To == "" {
		if b.copy.Bucket.Given() {
			return usage.Errorf("options that begin with --to- say how the copy is reached: they go with --copy-to")
		}
		return nil
	}
	to, err := place.Parse(b.copy.To)
	if err != nil {
		return err
	}
	if folder := place.Folder(to); folder != "" {
		o.Avoid = append(o.Avoid, folder)
	}
	return nil
}

// lostHint says what to do when something is gone that a backup would build on: it goes on to, until that is recorded.
func lostHint(ctx context.Context, r *repo.Repository) string {
	where := "here"
	if r.MayPut(ctx, record.LostKind) != nil {
		where = "on a machine with the role prune, or with a recovery key (--key KEY), since this host may not record it"
	}
	return "something that was saved before is lost or damaged, and backups lack it until that is recorded: nightjar check --repair " + where + "; then the next backup saves it again"
}

// planBackup checks all that can be wrong with the command line.
func planBackup(a *app.App, b *backupFlags) (*repo.Record, *backup.Options, error) {
	if b.stdin == "" && len(b.paths) == 0 {
		return nil, nil, usage.Errorf("nothing to save: name paths, or --stdin NAME")
	}
	if b.allowEmpty && b.stdin == "" {
		return nil, nil, usage.Errorf("--allow-empty is for --stdin")
	}
	if b.stdin != "" {
		if err := checkStream(a, b); err != nil {
			return nil, nil, err
		}
	}
	for i, p := range b.paths {
		if p == "" {
			return nil, nil, usage.Errorf("path %q: it is empty", p)
		}
		abs, err := where.Absolute(p)
		if err != nil {
			return nil, nil, fmt.Errorf("find path %q: %w", p, err)
		}
		b.paths[i] = abs
	}
	saved := filter.Options{Exclude: b.exclude}
	for _, file := range b.excludeFrom {
		patterns, err := readPatterns(file, len(saved.Exclude) > 0)
		if err != nil {
			return nil, nil, err
		}
		saved.Exclude = append(saved.Exclude, patterns...)
	}
	excludes := saved.Exclude
	if b.excludeCaches {
		excludes = append(excludes, "(caches)")
	}
	if b.excludeNoDump {
		excludes = append(excludes, "(nodump)")
	}
	if b.excludeLarger != "" {
		var err error
		if saved.LargerThan, err = human.ParseSize(b.excludeLarger); err != nil {
			return nil, nil, usage.Errorf("--exclude-larger-than: %w", err)
		}
		excludes = append(excludes, fmt.Sprintf("(larger than %d)", saved.LargerThan))
	}
	f, err := filter.New(saved)
	if err != nil {
		return nil, nil, usage.Error{Err: err}
	}
	kind := repo.Files
	if b.stdin != "" {
		kind = repo.Stream
	}
	archive := &repo.Record{
		Kind: kind, Paths: choice.Texts(b.paths), Stream: repo.Text(b.stdin), Excludes: choice.Texts(excludes), Tags: choice.Texts(b.tags), Program: "nightjar " + app.Version(),
	}
	if archive.Labels, err = choice.ParseLabels(b.labels); err != nil {
		return nil, nil, err
	}
	return archive, &backup.Options{
		Paths: b.paths, Filter: f, ExcludeCaches: b.excludeCaches, ExcludeNoDump: b.excludeNoDump, OneFileSystem: b.oneFileSystem, Rehash: b.rehash, Progress: new(watch.Progress), Problem: a.Problem, Note: func(path, what string) { remark(a, path, what) },
	}, nil
}

// checkStream checks what --stdin says.
func checkStream(a *app.App, b *backupFlags) error {
	if err := tree.ValidName(b.stdin); err != nil {
		return usage.Errorf("--stdin: %w", err)
	}
	if len(b.stdin) > maxStreamName {
		return usage.Errorf("--stdin: name of %d bytes, more than the %d that a file can be called by where it is restored", len(b.stdin), maxStreamName)
	}
	if len(b.program) == 0 && app.IsTerminal(a.In) {
		return usage.Hinted{
			Err:  usage.Errorf("--stdin: standard input is a terminal"),
			Hint: "lead something into it, as in pg_dump shop | nightjar backup --stdin shop.sql; or name a command after --",
		}
	}
	return nil
}

// maxStreamName is how many bytes a name may have on Linux.
const maxStreamName = 255

// remark tells a person who looks on what is no problem with a path.
func remark(a *app.App, path, what string) {
	if a.Chatty() {
		a.Note("%s: %s", path, what)
	}
}

// readPatterns reads a file of patterns. after says that others come before them.
func readPatterns(file string, after bool) ([]string, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read patterns: %w", err)
	}
	defer f.Close()
	var patterns []string
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		text := lines.Text()
		if n == 1 {
			if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
				return nil, usage.Errorf("%s: it is UTF-16; patterns are UTF-8", quote.Display(file))
			}
			text = strings.TrimPrefix(text, "\ufeff")
		}
		line := strings.TrimSpace(text)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if strings.Contains(line, "\r") {
			return nil, usage.Errorf("%s, line %d: lines end in a newline, not in a carriage return alone", quote.Display(file), n)
		}
		if err := filter.Check(line, after || len(patterns) > 0); err != nil {
			return nil, usage.Errorf("%s, line %d: %w", quote.Display(file), n, err)
		}
		patterns = append(patterns, line)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read patterns %s: %w", file, err)
	}
	return patterns, nil
}

// openForBackup opens the configured repository, or the embedded one, which is made when it is missing. Only a person who looks on, or --embedded,
// gets the latter: a forgotten setting must not fill the machine's own disk.
func openForBackup(ctx context.Context, a *app.App, embedded bool) (*session.Session, error) {
	if a.Repo != "" {
		if embedded {
			return nil, usage.Errorf("--embedded and a configured repository (--repo, NIGHTJAR_REPO) exclude each other")
		}
		return a.Open(ctx, session.Write)
	}
	if a.CheckOnly {
		return nil, session.ErrChecked
	}
	if !embedded && !(app.IsTerminal(a.In) && app.IsTerminal(a.Out)) {
		return nil, session.ErrNotConfigured
	}
	at, err := a.Embedded()
	if err != nil {
		return nil, err
	}
	if err := a.Reach().CheckEmpty(ctx, at, false); errors.Is(err, repo.ErrExists) {
		return a.OpenAt(ctx, at, session.Write)
	} else if err != nil {
		return nil, fmt.Errorf("make repository %s: %w", at.Path, err)
	}
	made, err := setup.Make(ctx, &a.Settings, at, setup.MakeOptions{Unattended: true})
	if err != nil {
		return nil, fmt.Errorf("make repository %s: %w", at.Path, err)
	}
	a.Note("made a repository in %s", at.Path)
	a.Note("it is on this same machine, and gone with it: --repo names a better place")
	a.Note("its recovery kit is %s. %s", made.Kit, made.Advice())
	return a.OpenAt(ctx, at, session.Write)
}

// saveStream saves standard input or what a command prints. The command's failure is that of the stream.
func saveStream(ctx context.Context, a *app.App, s *session.Session, template *repo.Record, b *backupFlags, o backup.Options) (*repo.Archive, backup.Statistics, error) {
	src, none := backup.Source{Name: b.stdin, AllowEmpty: b.allowEmpty}, backup.Statistics{}
	if len(b.program) == 0 {
		src.Reader = stream.Input(ctx, a.In)
		return backup.Stream(ctx, s.Repository, template, src, o)
	}
	env, err := a.Environ()
	if err != nil {
		return nil, none, err
	}
	output, err := child.Start(ctx, child.Command{Args: b.program, Env: env, Stdin: a.In, Stderr: a.Err})
	if err != nil {
		return nil, none, err
	}
	defer output.Stop()
	src.Reader = output
	return backup.Stream(ctx, s.Repository, template, src, o)
}

// reportBackup prints the statistics of a run, and of the copy that was made after it, if one was.
func reportBackup(a *app.App, made *repo.Archive, sums *backup.Statistics, requests map[string]uint64, copied *show.Copied) error {
	if a.JSON {
		return a.PrintJSON(show.BackupJSON(made, sums, a.Problems.Load(), requests, copied))
	}
	if !a.Chatty() {
		return nil
	}
	return a.Print(func(w io.Writer) {
		show.Backup(w, made, sums, a.Problems.Load(), requests)
		if copied != nil {
			copied.Show(w)
		}
	})
}
