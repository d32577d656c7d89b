package files

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
	"nightjar/repo"
)

// ListCommand makes the command nightjar list.
func ListCommand(a *app.App) *cobra.Command {
	var which choice.Choice
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the archives",
		Args:  usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := which.Check(a.Now()); err != nil {
				return err
			}
			s, err := a.Open(c.Context(), session.ReadMetadata)
			if err != nil {
				return err
			}
			defer s.Close()
			r, err := choice.NewReading(c.Context(), s, &which)
			if err != nil {
				return err
			}
			chosen, err := r.Archives(c.Context(), which.Host)
			if err == nil {
				if !all && len(which.Kinds) == 0 {
					chosen = choice.Only(chosen, func(x *repo.Archive) bool { return !choice.IsRecord(x) })
				}
				err = printArchives(a, chosen, r.Proven(c.Context()))
			}
			damaged := r.Damaged
			before := len(damaged)
			maps.DeleteFunc(damaged, func(_ string, reason error) bool { return errors.Is(reason, repo.ErrDisowned) })
			if disowned := before - len(damaged); disowned > 0 {
				a.Note("archives that do not count, since their host's key is marked compromised: %d", disowned)
			}
			before = len(damaged)
			maps.DeleteFunc(damaged, func(_ string, reason error) bool { return errors.Is(reason, session.ErrGivenUp) })
			if given := before - len(damaged); given > 0 {
				a.Note("archives that cannot be opened, and were given up: %d", given)
			}
			for _, reason := range damaged {
				if err == nil {
					err = fmt.Errorf("list archives: %d cannot be opened: %w", len(damaged), reason)
				}
			}
			return err
		},
	}
	which.Bind(c)
	c.Flags().BoolVar(&all, "all", false, "also records of runs and drills, as --kind run and --kind drill show them alone")
	return c
}

func printArchives(a *app.App, archives []repo.Archive, proven map[string]time.Time) error {
	if a.JSON {
		w := bufio.NewWriter(a.Out)
		j := show.JSONArray{W: w}
		for i := range archives {
			one := show.Archive(&archives[i])
			if at, ok := proven[archives[i].ID]; ok {
				one.Proven = &at
			}
			if err := j.Add(one); err != nil {
				return err
			}
		}
		if err := j.End(); err != nil {
			return err
		}
		return app.Flush(w)
	}
	if len(archives) == 0 && app.IsTerminal(a.Out) {
		a.Note("no archive matches")
		return nil
	}
	return a.Print(func(w io.Writer) { show.Archives(w, archives, proven, app.Columns(a.Out)) })
}
