package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
)

func (a *app) statsCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "stats",
		Short: "Say how much is in the repository",
		Args:  noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.Open(c.Context(), session.ReadMetadata)
			if err != nil {
				return err
			}
			defer s.Close()
			archives, damaged, err := archives(c.Context(), s, &choice{})
			if err != nil {
				return err
			}
			sums, err := show.Gather(c.Context(), s.Repository, place.Shown(s.Place), archives)
			if err != nil {
				return err
			}
			if a.json {
				err = a.printJSON(sums)
			} else {
				err = a.print(sums.Show)
			}
			for _, reason := range damaged {
				if err == nil && !errors.Is(reason, session.ErrGivenUp) {
					err = fmt.Errorf("count archives: %d cannot be opened: %w", len(damaged), reason)
				}
			}
			return err
		},
	}
}
