package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/repo"
)

func (a *app) listCommand() *cobra.Command {
	var which choice
	var all bool
	c := &cobra.Command{
		Use:   "list",
		Short: "List the archives",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := which.check(a.Now()); err != nil {
				return err
			}
			s, err := a.Open(c.Context(), session.ReadMetadata)
			if err != nil {
				return err
			}
			defer s.Close()
			r, err := newReading(c.Context(), s, &which)
			if err != nil {
				return err
			}
			chosen, err := r.archives(c.Context(), which.Host)
			if err == nil {
				if !all && len(which.Kinds) == 0 {
					chosen = only(chosen, func(x *repo.Archive) bool { return !isRecord(x) })
				}
				err = a.printArchives(chosen, r.proven(c.Context()))
			}
			damaged := r.damaged
			before := len(damaged)
			maps.DeleteFunc(damaged, func(_ string, reason error) bool { return errors.Is(reason, repo.ErrDisowned) })
			if disowned := before - len(damaged); disowned > 0 {
				a.note("archives that do not count, since their host's key is marked compromised: %d", disowned)
			}
			before = len(damaged)
			maps.DeleteFunc(damaged, func(_ string, reason error) bool { return errors.Is(reason, session.ErrGivenUp) })
			if given := before - len(damaged); given > 0 {
				a.note("archives that cannot be opened, and were given up: %d", given)
			}
			for _, reason := range damaged {
				if err == nil {
					err = fmt.Errorf("list archives: %d cannot be opened: %w", len(damaged), reason)
				}
			}
			return err
		},
	}
	which.flags(c)
	c.Flags().BoolVar(&all, "all", false, "also records of runs and drills, as --kind run and --kind drill show them alone")
	return c
}

func (a *app) printArchives(archives []repo.Archive, proven map[string]time.Time) error {
	if a.json {
		w := bufio.NewWriter(a.stdout)
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
		return flush(w)
	}
	return a.print(func(w io.Writer) { show.Archives(w, archives, proven) })
}
