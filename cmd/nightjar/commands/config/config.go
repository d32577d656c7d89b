// Package config checks the job file, shows what commands go by, and writes a first one.
package config

import (
	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/usage"
)

// Command makes the command nightjar config, and those below it. tree returns commands for another run, in which those of jobs are looked at: some, or all.
func Command(a *app.App, tree func(a *app.App, only ...string) *cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: "config COMMAND", DisableFlagsInUseLine: true,
		Short: "Look at the job file, and write one",
		Args:  usage.NoSubcommand,
		RunE:  usage.NameCommand,
	}
	c.AddCommand(checkCommand(a, tree), showCommand(a), initCommand(a))
	return app.Uses(c, app.FileNone)
}
