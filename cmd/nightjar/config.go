package main

import (
	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/usage"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Look at the job file, and write one",
		Args:  noSubcommand,
		RunE: func(*cobra.Command, []string) error {
			return usage.Errorf("say which command: nightjar config --help names them")
		},
	}
	c.AddCommand(a.configCheckCommand(), a.configShowCommand(), a.configInitCommand())
	return uses(c, fileNone)
}

func atMostOne(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage.Errorf("give one argument: %s", c.Use)
	}
	return nil
}
