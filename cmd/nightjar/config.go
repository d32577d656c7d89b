package main

import (
	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/usage"
)

// configCommand makes the command. tree returns commands for another run, in which those of jobs are looked at: some, or all.
func (a *app) configCommand(tree func(a *app, only ...string) *cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:   "config",
		Short: "Look at the job file, and write one",
		Args:  noSubcommand,
		RunE: func(*cobra.Command, []string) error {
			return usage.Errorf("say which command: nightjar config --help names them")
		},
	}
	c.AddCommand(a.configCheckCommand(tree), a.configShowCommand(), a.configInitCommand())
	return uses(c, fileNone)
}
