package files

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"nightjar/backup/browse"
	"nightjar/backup/filter"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/outcome"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/internal/human"
)

type findFlags struct {
	choice                        choice.Choice
	larger, smaller, newer, older string
	all                           bool
}

// FindCommand makes the command nightjar find.
func FindCommand(a *app.App) *cobra.Command {
	var f findFlags
	c := &cobra.Command{
		Use:   "find PATTERN...",
		Short: "Find files in all archives by name, size and time",
		Long: `Find entries that match a PATTERN (* no slash, ** anything; one without a slash is for names at any depth) in all archives, or in those that are chosen.
What is the same in several archives is one line: the first and the last of them, how many have it, size, time, path.`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage.Errorf("nothing to find: name a PATTERN")
			}
			o := browse.FindOptions{}
			if err := f.options(a, args, &o); err != nil {
				return err
			}
			return findEntries(c.Context(), a, &f, o)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.larger, "larger", "", "only files larger than that, like 500M")
	flags.StringVar(&f.smaller, "smaller", "", "only files smaller than that")
	flags.StringVar(&f.newer, "newer", "", "only what was modified after that time, or in that age: 2006-01-02, 3D")
	flags.StringVar(&f.older, "older", "", "only what was modified before that time, or that age ago")
	flags.BoolVar(&f.all, "all", false, "one line for each archive")
	f.choice.Bind(c)
	return c
}

func (f *findFlags) options(a *app.App, patterns []string, o *browse.FindOptions) (err error) {
	if o.Filter, err = filter.New(filter.Options{Include: patterns}); err != nil {
		return usage.Error{Err: err}
	}
	for _, size := range []struct {
		flag, text string
		to         *uint64
	}{{"larger", f.larger, &o.Larger}, {"smaller", f.smaller, &o.Smaller}} {
		if size.text == "" {
			continue
		}
		n, err := human.ParseSize(size.text)
		if err != nil {
			return usage.Errorf("--%s: %w", size.flag, err)
		}
		*size.to = uint64(n)
	}
	now := a.Now()
	for _, at := range []struct {
		flag, text string
		to         *time.Time
	}{{"newer", f.newer, &o.Newer}, {"older", f.older, &o.Older}} {
		if at.text == "" {
			continue
		}
		if *at.to, err = human.ParseTime(at.text, now); err != nil {
			return usage.Errorf("--%s: %w", at.flag, err)
		}
	}
	return f.choice.Check(now)
}

func findEntries(ctx context.Context, a *app.App, f *findFlags, o browse.FindOptions) error {
	s, err := a.Open(ctx, session.ReadMetadata)
	if err != nil {
		return err
	}
	defer s.Close()
	archives, damaged, err := choice.Archives(ctx, s, &f.choice)
	if err != nil {
		return err
	}
	rd, err := s.NewReader(ctx)
	if err != nil {
		return err
	}
	o.Problem = func(archive, path string, err error) { a.Problem(archive[:8]+":"+path, err) }
	w := bufio.NewWriter(a.Out)
	j := show.JSONArray{W: w}
	nothing := true
	err = browse.Find(ctx, rd, archives, o, func(x browse.Found) error {
		nothing = false
		for _, group := range show.Groups(x.Archives, f.all) {
			if a.JSON {
				if err := j.Add(show.FoundEntry(archives, group, &x)); err != nil {
					return err
				}
			} else if err := show.Found(w, archives, group, &x); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && a.JSON {
		err = j.End()
	}
	if err == nil && nothing && !a.JSON && app.IsTerminal(a.Out) {
		a.Note("nothing like that is in %s", human.Count(len(archives), "archive"))
	}
	if flushed := app.Flush(w); err == nil {
		err = flushed
	}
	if n := a.Problems.Load() + uint64(len(damaged)); err == nil && n > 0 {
		err = outcome.Problems{What: fmt.Sprintf("not everywhere could be looked: problems: %d", n), Damaged: a.Damaged.Load() || len(damaged) > 0}
	}
	return err
}
