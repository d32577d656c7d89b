// Package mysql has the commands for servers of MySQL and MariaDB.
package mysql

import (
	"github.com/spf13/cobra"

	"nightjar/cmd/nightjar/commands/mysql/check"
	"nightjar/cmd/nightjar/commands/mysql/load"
	"nightjar/cmd/nightjar/commands/mysql/replicas"
	"nightjar/cmd/nightjar/commands/mysql/save"
	"nightjar/cmd/nightjar/internal/app"
	"nightjar/cmd/nightjar/internal/usage"
)

// Command makes the command nightjar mysql, and those below it.
func Command(a *app.App) *cobra.Command {
	c := &cobra.Command{
		Use: "mysql COMMAND", DisableFlagsInUseLine: true,
		Short: "Back up servers of MySQL and MariaDB, and make replicas of them",
		Args:  usage.NoSubcommand,
		RunE:  usage.NameCommand,
	}
	c.AddCommand(save.DumpCommand(a), save.HotCommand(a), save.BinlogCommand(a), load.Command(a), replicas.ReplicaCommand(a), replicas.VerifyCommand(a), replicas.PromoteCommand(a), check.Command(a))
	return c
}
