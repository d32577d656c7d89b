package files

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/choice"
	"nightjar/cmd/nightjar/internal/place"
	"nightjar/cmd/nightjar/internal/session"
	"nightjar/cmd/nightjar/internal/show"
	"nightjar/cmd/nightjar/internal/usage"
)

// StatsCommand makes the command nightjar stats.
func StatsCommand(a *app.App) *cobra.Command {
	return &cobra.Command{
		Use:   "stats",
		Short: "Say how much is in the repository",
		Args:  usage.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := a.Open(c.Context(), session.ReadMetadata)
			if err != nil {
				return err
			}
			defer s.Close()
			archives, damaged, err := choice.Archives(c.Context(), s, &choice.Choice{})
			if err != nil {
				return err
			}
			sums, err := show.Gather(c.Context(), s.Repository, place.Shown(s.Place), archives)
			if err != nil {
				return err
			}
			if a.JSON {
				err = a.PrintJSON(sums)
			} else {
				err = a.Print(sums.Show)
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
