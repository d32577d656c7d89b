package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"nightjar/backup/restore"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/thawing"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
	"nightjar/internal/quote"
	"nightjar/internal/where"
	"nightjar/repo"
	"nightjar/repo/maintain/repair"
	"nightjar/repo/store"
)

type salvageFlags struct {
	target     string
	all        bool
	numericIDs bool
	thaw       thawing.Flags
}

// SalvageCommand makes the command nightjar salvage.
func SalvageCommand(a *app.App) *cobra.Command {
	var g salvageFlags
	c := &cobra.Command{
		Use:   "salvage --target DIR",
		Short: "Put back all that can be had of a damaged repository; needs a recovery key",
		Long: `Put back all that can be had, when check --repair and restore do not suffice: the newest archive of each job, or all, each in a folder of its own; and what no
archive names, since the archive or a folder above it is lost, in numbered folders. Packs that no index names are read, too; --thaw-tier brings all content back that lies
in an archive storage class. Nothing is written to the repository.

A file of which a part is lost is kept as NAME.damaged, with zeros for what is lost; none has its own name unless it is whole.`,
		Args: usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return salvage(c.Context(), a, &g) },
	}
	c.Flags().StringVar(&g.target, "target", "", "where to put it: a new or an empty folder")
	c.Flags().BoolVar(&g.all, "all", false, "all archives, not the newest of each job only")
	c.Flags().BoolVar(&g.numericIDs, "numeric-ids", false, "give back owners by number, not by name")
	g.thaw.Bind(c)
	return c
}

// A salvaged is one folder that is put back.
type salvaged struct {
	Folder  string `json:"folder"`
	Archive string `json:"archive,omitempty"`
	What    string `json:"what"`
	Files   uint64 `json:"files"`
	Bytes   uint64 `json:"bytes"`
	Lost    uint64 `json:"problems"`
}

func salvage(ctx context.Context, a *app.App, g *salvageFlags) error {
	if err := g.check(); err != nil {
		return err
	}
	s, err := a.Open(ctx, session.ReadContent)
	if err != nil {
		return err
	}
	defer s.Close()
	err = thawing.Ask(ctx, a, s, &g.thaw, func(add func(string, int64)) error {
		return s.Store.List(ctx, "content/", func(i store.Info) error { add(i.Name, i.Size); return nil })
	})
	if err != nil {
		return err
	}
	archives, err := s.Archives(ctx, "", func(name string, err error) {
		if !errors.Is(err, repo.ErrDisowned) { // which is known
			a.Problem(name, err)
		}
	})
	if err != nil {
		return err
	}
	rd, orphans, err := repair.Salvage(ctx, s.Repository, archives, func(name string, err error) { a.Problem(name, err) })
	if err != nil {
		return err
	}
	v := salvager{app: a, flags: g}
	for _, x := range chosenForSalvage(archives, g.all) {
		one := salvaged{Folder: "archive-" + show.ShortID(x), Archive: x.ID, What: fmt.Sprintf("%s of %s, %s", show.Source(x), quote.Display(x.Host), human.Time(x.Time))}
		own := rd.For(repo.Of(s.Circle(x)))
		if err := v.put(ctx, one, func(o restore.Options) (restore.Statistics, error) { return restore.Run(ctx, own, x, o) }); err != nil {
			return err
		}
	}
	for i, orphan := range orphans {
		one := salvaged{Folder: fmt.Sprintf("tree-%04d", i+1), What: fmt.Sprintf("a folder of %s that nothing names", quote.Display(orphan.Host))}
		own := rd.For(repo.Of(s.Keys().Circle(orphan.Host, time.Time{})))
		run := func(o restore.Options) (restore.Statistics, error) {
			return restore.Tree(ctx, own, orphan.Root, o)
		}
		if orphan.Whole {
			one.What = fmt.Sprintf("an archive of %s that is lost", quote.Display(orphan.Host))
			run = func(o restore.Options) (restore.Statistics, error) {
				return restore.Run(ctx, own, &repo.Archive{Record: repo.Record{Root: orphan.Root}, ID: orphan.ID.String()}, o)
			}
		}
		if err := v.put(ctx, one, run); err != nil {
			return err
		}
	}
	return reportSalvage(a, g.target, v.done)
}

// check refuses what cannot be salvaged to.
func (g *salvageFlags) check() error {
	if g.target == "" {
		return usage.Errorf("no target: say --target DIR")
	}
	if err := g.thaw.Check(); err != nil {
		return err
	}
	target, err := where.Absolute(g.target)
	if err != nil {
		return fmt.Errorf("find target %s: %w", g.target, err)
	}
	g.target = target
	entries, err := os.ReadDir(g.target)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return usage.Hinted{Err: fmt.Errorf("salvage to %q: %w", g.target, restore.ErrNotEmpty), Hint: "name an empty or a new folder; nothing was changed"}
	}
	return nil
}

// A salvager puts back one folder after another.
type salvager struct {
	app   *app.App
	flags *salvageFlags
	done  []salvaged
}

func (v *salvager) put(ctx context.Context, one salvaged, run func(o restore.Options) (restore.Statistics, error)) error {
	sums, err := run(restore.Options{
		Target: filepath.Join(v.flags.target, one.Folder), Partial: true, Ownership: v.app.Ownership(v.flags.numericIDs), NumericACLs: v.flags.numericIDs, Warn: v.app.Warn,
		Problem: func(path string, err error) { v.app.Problem(one.Folder+":"+path, err) },
	})
	if err != nil && (ctx.Err() != nil || errors.Is(err, repo.ErrUnavailable) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		return err
	}
	if err != nil { // its root is gone: what is below it is among the orphans
		v.app.Problem(one.Folder, err)
		return nil
	}
	one.Files, one.Bytes, one.Lost = sums.Files, sums.Bytes, sums.Problems
	v.done = append(v.done, one)
	return nil
}

// chosenForSalvage returns the archives that are put back: the newest of each job, or all. Records of runs and drills have no files.
func chosenForSalvage(archives []repo.Archive, all bool) []*repo.Archive {
	type job struct {
		host string
		name repo.Text
	}
	seen := map[job]bool{}
	var chosen []*repo.Archive
	for i := len(archives) - 1; i >= 0; i-- {
		x := &archives[i]
		if of := (job{x.Host, x.Job}); !choice.IsRecord(x) && (all || !seen[of]) {
			seen[of] = true
			chosen = append(chosen, x)
		}
	}
	return chosen
}

func reportSalvage(a *app.App, target string, done []salvaged) error {
	var err error
	if a.JSON {
		err = a.PrintJSON(map[string]any{"folders": done})
	} else if !a.Quiet {
		err = a.Print(func(w io.Writer) {
			var files, lost uint64
			for _, one := range done {
				fmt.Fprintf(w, "%s: %s: %s, %s", one.Folder, one.What, human.Count(one.Files, "file"), human.Size(one.Bytes))
				if one.Lost > 0 {
					fmt.Fprint(w, ", "+human.Count(one.Lost, "problem"))
				}
				fmt.Fprintln(w)
				files, lost = files+one.Files, lost+one.Lost
			}
			fmt.Fprintf(w, "salvaged %s into %s: %s", human.Count(len(done), "folder"), quote.Display(target), human.Count(files, "file"))
			if lost > 0 {
				fmt.Fprintf(w, ", of which some are not whole (NAME.damaged) or missing: %s, named above", human.Count(lost, "problem"))
			}
			fmt.Fprintln(w)
		})
	}
	if n := a.Problems.Load(); err == nil && n > 0 {
		return outcome.Problems{What: fmt.Sprintf("salvaged, but not all: problems: %d", n), Damaged: a.Damaged.Load()}
	}
	return err
}
